//! Reads one YAML document into a tree, with the meaning `kubectl` gives it.

use std::collections::{HashMap, HashSet};

use base64::Engine as _;
use granit_parser::{Event, Marker, Parser, ScalarStyle, ScanError, Span, StrInput, Tag};

use super::{Node, Value, scalar};

/// How many values a document may have once its aliases are resolved: a small file can say a
/// billion with aliases of aliases.
const VALUE_LIMIT: usize = 1_000_000;

/// Why a document is not YAML.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct SyntaxError {
    /// Line of the file, from 1.
    pub(crate) line: usize,
    /// Column, from 1.
    pub(crate) column: usize,
    pub(crate) message: String,
}

impl Node {
    /// Reads one YAML document that stands in its file after so many lines. `None` for a document
    /// without content.
    pub(crate) fn from_yaml(text: &str, lines_before: usize) -> Result<Option<Self>, SyntaxError> {
        let options = granit_parser::options! { emit_comments: false };
        let parser = Parser::new_from_str_with_options(text, options);
        Reader { parser, lines_before, anchors: HashMap::new(), values: 0 }.document()
    }
}

struct Reader<'t> {
    parser: Parser<'t, StrInput<'t>>,
    lines_before: usize,
    /// What aliases stand for, with the number of values in it.
    anchors: HashMap<usize, (Node, usize)>,
    values: usize,
}

impl<'t> Reader<'t> {
    fn document(mut self) -> Result<Option<Node>, SyntaxError> {
        let mut document = None;
        while let Some((event, span)) = self.next()? {
            match event {
                Event::DocumentStart(..) if document.is_some() => {
                    let message = "another document starts here; put a line --- before it";
                    return Err(self.error(span.start, message));
                }
                Event::StreamStart
                | Event::DocumentStart(..)
                | Event::DocumentEnd
                | Event::StreamEnd => {}
                event => document = Some(self.node(event, span)?),
            }
        }
        Ok(document.filter(|node| !matches!(node.value, Value::Null)))
    }

    fn next(&mut self) -> Result<Option<(Event<'t>, Span)>, SyntaxError> {
        self.parser.next_event().transpose().map_err(|error| self.scan_error(&error))
    }

    /// The next event inside of a list or map.
    fn next_inside(&mut self, start: Marker) -> Result<(Event<'t>, Span), SyntaxError> {
        self.next()?.ok_or_else(|| self.error(start, "the list or map that starts here never ends"))
    }

    fn node(&mut self, event: Event<'t>, span: Span) -> Result<Node, SyntaxError> {
        let values_before = self.values;
        self.count(1, span.start)?;
        let (value, anchor) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                (self.scalar(&text, style, tag.as_deref(), span.start)?, anchor)
            }
            Event::SequenceStart(_, anchor, _) => (self.list(span.start)?, anchor),
            Event::MappingStart(_, anchor, _) => (self.map(span.start)?, anchor),
            Event::Alias(target) => return self.alias(target, span.start),
            _ => return Err(self.error(span.start, "a value was expected here")),
        };
        let node = Node { line: self.lines_before + span.start.line(), value };
        if anchor != 0 {
            self.anchors.insert(anchor, (node.clone(), self.values - values_before));
        }
        Ok(node)
    }

    fn scalar(
        &self,
        text: &str,
        style: ScalarStyle,
        tag: Option<&Tag>,
        start: Marker,
    ) -> Result<Value, SyntaxError> {
        let type_named = tag.and_then(Tag::core_suffix);
        let binary = tag.is_some_and(|tag| {
            tag.suffix_in_namespace("tag:yaml.org,2002:").as_deref() == Some("binary")
        });
        if binary {
            return self.binary(text, start);
        }
        let plain = match type_named {
            Some("str") => false,
            Some("int" | "float" | "bool" | "null") => true,
            _ => style == ScalarStyle::Plain && tag.is_none(),
        };
        if !plain {
            return Ok(Value::Text(text.to_owned()));
        }
        if scalar::is_not_finite(text) {
            let message = format!("{text} has no form in JSON, so Kubernetes cannot take it");
            return Err(self.error(start, message));
        }
        Ok(scalar::resolve(text))
    }

    fn binary(&self, text: &str, start: Marker) -> Result<Value, SyntaxError> {
        let encoded: String = text.split_ascii_whitespace().collect();
        let decoded = base64::engine::general_purpose::STANDARD
            .decode(encoded)
            .map_err(|error| self.error(start, format!("!!binary is not base64: {error}")))?;
        Ok(Value::Text(String::from_utf8_lossy(&decoded).into_owned()))
    }

    fn list(&mut self, start: Marker) -> Result<Value, SyntaxError> {
        let mut items = Vec::new();
        loop {
            match self.next_inside(start)? {
                (Event::SequenceEnd, _) => return Ok(Value::List(items)),
                (event, span) => items.push(self.node(event, span)?),
            }
        }
    }

    fn map(&mut self, start: Marker) -> Result<Value, SyntaxError> {
        let mut entries: Vec<(String, Node)> = Vec::new();
        let mut keys = HashSet::new();
        let mut inherited = Vec::new();
        loop {
            let (event, span) = match self.next_inside(start)? {
                (Event::MappingEnd, _) => break,
                next => next,
            };
            let merges =
                matches!(&event, Event::Scalar(text, ScalarStyle::Plain, _, None) if text == "<<");
            let key_node = self.node(event, span)?;
            let (event, value_span) = self.next_inside(start)?;
            let node = Node { line: key_node.line, ..self.node(event, value_span)? };
            if merges {
                inherited.push((node, span.start));
                continue;
            }
            let key = self.key(key_node, span.start)?;
            if !keys.insert(key.clone()) {
                return Err(
                    self.error(span.start, format!("the key {key:?} stands twice in one map"))
                );
            }
            entries.push((key, node));
        }
        for (node, start) in inherited {
            self.merge(node, start, &mut keys, &mut entries)?;
        }
        Ok(Value::Map(entries))
    }

    /// Keys are text in JSON: `1: x` has the key `"1"`, `on: x` the key `"true"`.
    fn key(&self, key: Node, start: Marker) -> Result<String, SyntaxError> {
        match key.value {
            Value::Text(text) => Ok(text),
            Value::Bool(_) | Value::Number(_) => Ok(key.to_json()),
            Value::Null | Value::List(_) | Value::Map(_) => {
                Err(self.error(start, "a key of a map has to be text"))
            }
        }
    }

    /// `<<: *defaults`: the entries of another map, or of a list of maps, where keys are absent.
    fn merge(
        &self,
        node: Node,
        start: Marker,
        keys: &mut HashSet<String>,
        entries: &mut Vec<(String, Node)>,
    ) -> Result<(), SyntaxError> {
        match node.value {
            Value::Map(found) => {
                for (key, node) in found {
                    if keys.insert(key.clone()) {
                        entries.push((key, node));
                    }
                }
                Ok(())
            }
            Value::List(items) => {
                items.into_iter().try_for_each(|item| self.merge(item, start, keys, entries))
            }
            _ => Err(self.error(start, "<< takes a map or a list of maps")),
        }
    }

    fn alias(&mut self, target: usize, start: Marker) -> Result<Node, SyntaxError> {
        let Some((node, values)) = self.anchors.get(&target) else {
            return Err(self.error(start, "the alias stands inside of what it stands for"));
        };
        let (node, values) = (node.clone(), *values);
        self.count(values, start)?;
        Ok(node)
    }

    fn count(&mut self, values: usize, start: Marker) -> Result<(), SyntaxError> {
        self.values += values;
        if self.values > VALUE_LIMIT {
            let message = format!("the document has more than {VALUE_LIMIT} values");
            return Err(self.error(start, message));
        }
        Ok(())
    }

    fn error(&self, at: Marker, message: impl Into<String>) -> SyntaxError {
        SyntaxError {
            line: self.lines_before + at.line(),
            column: at.col() + 1,
            message: message.into(),
        }
    }

    fn scan_error(&self, error: &ScanError) -> SyntaxError {
        self.error(*error.marker(), error.kind().to_string())
    }
}
