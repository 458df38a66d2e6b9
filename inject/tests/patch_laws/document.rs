//! JSON as a tree that keeps the order of keys and every literal to the byte, so that what survives a
//! patch can be told from what merely means the same.

use std::fmt;

use serde_json::value::RawValue;

/// A JSON value.
#[derive(Clone, Debug)]
pub(crate) struct Document {
    pub(crate) content: Content,
    /// Whether a patch has made sure which value this is: it tested it, or put it in.
    pub(crate) is_known: bool,
    /// Whether a patch put it in.
    pub(crate) is_new: bool,
}

/// What a JSON value holds.
#[derive(Clone, Debug)]
pub(crate) enum Content {
    /// Text, a number, `true`, `false` or `null`, as written.
    Literal(String),
    /// A list.
    List(Vec<Document>),
    /// A map; each key as written, quotes included.
    Map(Vec<(String, Document)>),
}

impl Document {
    /// Reads JSON text, whatever its depth.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut scanner = Scanner { text, at: 0 };
        let document = scanner.value()?;
        scanner.skip_space();
        if scanner.at == text.len() { Ok(document) } else { Err(scanner.error("the end")) }
    }

    fn new(content: Content) -> Self {
        Self { content, is_known: false, is_new: false }
    }

    /// The member of a map.
    pub(crate) fn member(&self, key: &str) -> Option<&Self> {
        let Content::Map(members) = &self.content else { return None };
        members.iter().find_map(|(found, value)| (decode(found) == key).then_some(value))
    }

    /// The text of a JSON string.
    pub(crate) fn text(&self) -> Option<String> {
        match &self.content {
            Content::Literal(literal) if literal.starts_with('"') => Some(decode(literal)),
            _ => None,
        }
    }

    pub(crate) fn is_null(&self) -> bool {
        matches!(&self.content, Content::Literal(literal) if literal == "null")
    }

    /// Marks it and all in it as put in by a patch.
    pub(crate) fn mark_new(&mut self) {
        (self.is_new, self.is_known) = (true, true);
        match &mut self.content {
            Content::Literal(_) => {}
            Content::List(items) => items.iter_mut().for_each(Self::mark_new),
            Content::Map(members) => members.iter_mut().for_each(|(_, value)| value.mark_new()),
        }
    }
}

/// The text that a JSON string stands for. A text with half a surrogate pair stands for itself.
pub(crate) fn decode(literal: &str) -> String {
    serde_json::from_str(literal).unwrap_or_else(|_| literal.to_owned())
}

/// Prints it without white space.
impl fmt::Display for Document {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.content {
            Content::Literal(literal) => formatter.write_str(literal),
            Content::List(items) => {
                for (position, item) in items.iter().enumerate() {
                    write!(formatter, "{}{item}", if position == 0 { '[' } else { ',' })?;
                }
                formatter.write_str(if items.is_empty() { "[]" } else { "]" })
            }
            Content::Map(members) => {
                for (position, (key, value)) in members.iter().enumerate() {
                    write!(formatter, "{}{key}:{value}", if position == 0 { '{' } else { ',' })?;
                }
                formatter.write_str(if members.is_empty() { "{}" } else { "}" })
            }
        }
    }
}

struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

impl Scanner<'_> {
    fn value(&mut self) -> Result<Document, String> {
        self.skip_space();
        match self.text.as_bytes().get(self.at) {
            Some(b'[') => {
                let mut items = Vec::new();
                self.each(b']', |scanner| {
                    items.push(scanner.value()?);
                    Ok(())
                })?;
                Ok(Document::new(Content::List(items)))
            }
            Some(b'{') => {
                let mut members = Vec::new();
                self.each(b'}', |scanner| {
                    scanner.skip_space();
                    let key = scanner.literal()?;
                    scanner.expect(b':')?;
                    members.push((key, scanner.value()?));
                    Ok(())
                })?;
                Ok(Document::new(Content::Map(members)))
            }
            _ => Ok(Document::new(Content::Literal(self.literal()?))),
        }
    }

    /// The elements between a bracket and the one that closes it.
    fn each(
        &mut self,
        end: u8,
        mut element: impl FnMut(&mut Self) -> Result<(), String>,
    ) -> Result<(), String> {
        self.at += 1;
        self.skip_space();
        if self.text.as_bytes().get(self.at) == Some(&end) {
            self.at += 1;
            return Ok(());
        }
        loop {
            element(self)?;
            self.skip_space();
            match self.text.as_bytes().get(self.at) {
                Some(b',') => self.at += 1,
                Some(found) if *found == end => {
                    self.at += 1;
                    return Ok(());
                }
                _ => return Err(self.error("a comma or the end of a list or map")),
            }
        }
    }

    /// Text, number or word; serde_json says whether it is one.
    fn literal(&mut self) -> Result<String, String> {
        let rest = &self.text[self.at..];
        let end = if rest.starts_with('"') {
            let mut escaped = false;
            let closing = rest.bytes().skip(1).position(|byte| {
                let closes = byte == b'"' && !escaped;
                escaped = byte == b'\\' && !escaped;
                closes
            });
            closing.map_or(rest.len(), |position| position + 2)
        } else {
            rest.find([',', ']', '}', ' ', '\t', '\r', '\n', ':']).unwrap_or(rest.len())
        };
        let literal = &rest[..end];
        if literal.is_empty() || serde_json::from_str::<&RawValue>(literal).is_err() {
            return Err(self.error("a value"));
        }
        self.at += end;
        Ok(literal.to_owned())
    }

    fn expect(&mut self, byte: u8) -> Result<(), String> {
        self.skip_space();
        if self.text.as_bytes().get(self.at) != Some(&byte) {
            return Err(self.error("a colon"));
        }
        self.at += 1;
        Ok(())
    }

    fn skip_space(&mut self) {
        let rest = &self.text[self.at..];
        self.at += rest.len() - rest.trim_start_matches([' ', '\t', '\r', '\n']).len();
    }

    fn error(&self, expected: &str) -> String {
        format!("not JSON: expected {expected} at byte {}", self.at)
    }
}
