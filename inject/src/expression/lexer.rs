//! Tokens of CEL.

use super::SyntaxError;

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token<'t> {
    /// A name, or one of the words `true`, `false`, `null` and `in`.
    Word(&'t str),
    /// Digits, or `0x` and hexadecimal digits.
    Integer(&'t str),
    Double(&'t str),
    /// The value of a string literal.
    Text(String),
    Symbol(&'static str),
}

/// Longest first, so that the first that fits is the right one.
const SYMBOLS: [&str; 24] = [
    "==", "!=", "<=", ">=", "&&", "||", "<", ">", "[", "]", "{", "}", "(", ")", ".", ",", "-", "!",
    "?", ":", "+", "*", "/", "%",
];

/// Reads tokens one after the other.
pub(super) struct Lexer<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Lexer<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self { text, at: 0 }
    }

    /// Byte position behind the last token.
    pub(super) fn position(&self) -> usize {
        self.at
    }

    /// The next token and its position; `None` at the end.
    pub(super) fn next_token(&mut self) -> Result<Option<(usize, Token<'t>)>, SyntaxError> {
        self.pass_over_space();
        let (text, start) = (self.text, self.at);
        let rest = &text[start..];
        let Some(first) = rest.chars().next() else { return Ok(None) };
        let second = rest[first.len_utf8()..].chars().next();
        let token = match first {
            '"' | '\'' => self.string(start, false)?,
            'r' | 'R' if matches!(second, Some('"' | '\'')) => {
                self.at += 1;
                self.string(start, true)?
            }
            'b' | 'B' if matches!(second, Some('"' | '\'' | 'r' | 'R')) && is_bytes(rest) => {
                return Err(SyntaxError::new(
                    start,
                    "bytes (b'…') are not available; use a string",
                ));
            }
            'a'..='z' | 'A'..='Z' | '_' => {
                let end = rest
                    .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
                    .unwrap_or(rest.len());
                self.at += end;
                Token::Word(&rest[..end])
            }
            '0'..='9' => self.number(start)?,
            '.' if second.is_some_and(|second| second.is_ascii_digit()) => self.number(start)?,
            _ => {
                let symbol = SYMBOLS.into_iter().find(|symbol| rest.starts_with(symbol));
                let Some(symbol) = symbol else {
                    return Err(SyntaxError::new(start, format!("{first:?} has no meaning here")));
                };
                self.at += symbol.len();
                Token::Symbol(symbol)
            }
        };
        Ok(Some((start, token)))
    }

    fn pass_over_space(&mut self) {
        loop {
            let rest = &self.text[self.at..];
            let trimmed = rest.trim_start_matches([' ', '\t', '\r', '\n', '\u{c}']);
            self.at += rest.len() - trimmed.len();
            if !trimmed.starts_with("//") {
                return;
            }
            self.at += trimmed.find('\n').unwrap_or(trimmed.len());
        }
    }

    fn number(&mut self, start: usize) -> Result<Token<'t>, SyntaxError> {
        let rest = &self.text[start..];
        let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
        let mut is_double = false;
        let mut end = if let Some(hexadecimal) = rest.strip_prefix("0x") {
            2 + hexadecimal.bytes().take_while(u8::is_ascii_hexdigit).count()
        } else {
            let mut end = digits(rest);
            if rest[end..].starts_with('.') && digits(&rest[end + 1..]) > 0 {
                end += 1 + digits(&rest[end + 1..]);
                is_double = true;
            }
            if rest[end..].starts_with(['e', 'E']) {
                let sign = usize::from(rest[end + 1..].starts_with(['+', '-']));
                let exponent = digits(&rest[end + 1 + sign..]);
                if exponent > 0 {
                    end += 1 + sign + exponent;
                    is_double = true;
                }
            }
            end
        };
        if rest[end..].starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_') {
            end += 1;
            let hint = if rest[..end].ends_with(['u', 'U']) {
                "; unsigned integers are not available, leave out the u"
            } else {
                ""
            };
            let message = format!("{:?} is not a number{hint}", &rest[..end]);
            return Err(SyntaxError::new(start, message));
        }
        self.at = start + end;
        Ok(if is_double { Token::Double(&rest[..end]) } else { Token::Integer(&rest[..end]) })
    }

    /// Reads a string literal whose quote is at the current position.
    fn string(&mut self, start: usize, raw: bool) -> Result<Token<'t>, SyntaxError> {
        let unclosed = || SyntaxError::new(start, "this string is not closed; add its quote");
        let rest = &self.text[self.at..];
        let single = &rest[..1];
        let quote = if rest[1..].starts_with(single) && rest[2..].starts_with(single) {
            &rest[..3]
        } else {
            single
        };
        self.at += quote.len();
        let mut value = String::new();
        loop {
            let rest = &self.text[self.at..];
            if rest.starts_with(quote) {
                self.at += quote.len();
                return Ok(Token::Text(value));
            }
            let character = rest.chars().next().ok_or_else(unclosed)?;
            if quote.len() == 1 && matches!(character, '\n' | '\r') {
                return Err(unclosed());
            }
            if character == '\\' && !raw {
                value.push(self.escape()?);
            } else {
                value.push(character);
                self.at += character.len_utf8();
            }
        }
    }

    /// Reads an escape sequence, the backslash included.
    fn escape(&mut self) -> Result<char, SyntaxError> {
        let start = self.at;
        let rest = &self.text[start + 1..];
        let wrong = || {
            let end = rest.chars().next().map_or(0, char::len_utf8);
            let message = format!(
                "\"\\{}\" is not an escape; write \\\\ for a backslash, or r'…'",
                &rest[..end]
            );
            SyntaxError::new(start, message)
        };
        let (character, length) = match rest.chars().next().ok_or_else(wrong)? {
            'a' => ('\u{7}', 1),
            'b' => ('\u{8}', 1),
            'f' => ('\u{c}', 1),
            'n' => ('\n', 1),
            'r' => ('\r', 1),
            't' => ('\t', 1),
            'v' => ('\u{b}', 1),
            same @ ('"' | '\'' | '\\' | '?' | '`') => (same, 1),
            'x' | 'X' => (code(rest.get(1..3), 16).ok_or_else(wrong)?, 3),
            'u' => (code(rest.get(1..5), 16).ok_or_else(wrong)?, 5),
            'U' => (code(rest.get(1..9), 16).ok_or_else(wrong)?, 9),
            '0'..='3' => (code(rest.get(..3), 8).ok_or_else(wrong)?, 3),
            _ => return Err(wrong()),
        };
        self.at += 1 + length;
        Ok(character)
    }
}

fn is_bytes(text: &str) -> bool {
    let prefix = text.find(['"', '\'']).map_or("", |quote| &text[..quote]);
    matches!(prefix, "b" | "B" | "br" | "bR" | "Br" | "BR")
}

fn code(digits: Option<&str>, radix: u32) -> Option<char> {
    let digits = digits.filter(|digits| digits.chars().all(|digit| digit.is_digit(radix)))?;
    char::from_u32(u32::from_str_radix(digits, radix).ok()?)
}
