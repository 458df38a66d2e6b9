//! JSON text read in place, with next to nothing done for what nobody asks for.
//!
//! Most of a review is never looked at (`managedFields` alone is a third of it), so how fast a value
//! can be passed over decides what a request costs. serde's data model stays; only the scanner is
//! our own. It does not check the grammar of what it passes over, which the API server wrote and
//! nothing of which is copied anywhere.

use serde::{
    Deserialize, Deserializer, de,
    de::{
        DeserializeSeed, MapAccess, SeqAccess, Visitor,
        value::{BorrowedStrDeserializer, StringDeserializer},
    },
    forward_to_deserialize_any,
};
use serde_json::{Error, Number, value::RawValue};

use crate::nested::end_of_nested;

/// Reads a value from JSON text, borrowing from it. The error says what has the wrong type.
///
/// Meant for types of bounded depth: a type that nests without end, such as a JSON value, takes
/// stack for each level.
pub fn read<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, Error> {
    let mut reader = Reader { text, at: 0 };
    let value = T::deserialize(&mut reader)?;
    match reader.peek() {
        None => Ok(value),
        Some(_) => Err(de::Error::custom("trailing characters")),
    }
}

/// The JSON text of a value that is not read yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Raw<'a>(&'a str);

impl<'a> Raw<'a> {
    /// By this name the reader knows that the text itself is wanted.
    const NAME: &'static str = "inject::Raw";

    /// The JSON text.
    #[must_use]
    pub fn get(self) -> &'a str {
        self.0
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Raw<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct RawVisitor;

        impl<'de> Visitor<'de> for RawVisitor {
            type Value = Raw<'de>;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("any JSON value")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Raw(text))
            }

            fn visit_newtype_struct<D: Deserializer<'de>>(
                self,
                deserializer: D,
            ) -> Result<Self::Value, D::Error> {
                <&'de RawValue>::deserialize(deserializer).map(|raw| Raw(raw.get()))
            }
        }

        deserializer.deserialize_newtype_struct(Self::NAME, RawVisitor)
    }
}

/// A position in JSON text.
struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    /// The next byte that is not white space; the position is then there.
    fn peek(&mut self) -> Option<u8> {
        let rest = self.text.as_bytes().get(self.at..)?;
        let white = rest.iter().position(|byte| !matches!(byte, b' ' | b'\n' | b'\t' | b'\r'))?;
        self.at += white;
        rest.get(white).copied()
    }

    /// Takes an element's separator; false where the list or map ends instead.
    fn goes_on(&mut self, first: &mut bool, end: u8) -> Result<bool, Error> {
        let was_first = std::mem::take(first);
        match self.peek() {
            Some(byte) if byte == end => {
                self.at += 1;
                Ok(false)
            }
            Some(_) if was_first => Ok(true),
            Some(b',') => {
                self.at += 1;
                Ok(true)
            }
            _ => Err(de::Error::custom(format_args!("expected `,` or `{}`", char::from(end)))),
        }
    }

    /// Passes over a value; gives its text.
    fn skip(&mut self) -> Result<&'a str, Error> {
        let first = self.peek().ok_or_else(unexpected_end)?;
        let start = self.at;
        self.at = match first {
            b'"' => end_of_string(self.text.as_bytes(), start)?,
            b'{' | b'[' => end_of_nested(self.text.as_bytes(), start).ok_or_else(unexpected_end)?,
            _ => end_of_scalar(self.text.as_bytes(), start),
        };
        match self.text.get(start..self.at) {
            Some(text) if !text.is_empty() => Ok(text),
            _ => Err(de::Error::custom("expected a value")),
        }
    }

    /// Passes over a string; gives its text between the quotes, and whether that has escapes.
    fn string(&mut self) -> Result<(&'a str, bool), Error> {
        let text = self.skip()?;
        let inside = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
        let inside = inside.ok_or_else(|| de::Error::custom("expected a string"))?;
        Ok((inside, inside.as_bytes().contains(&b'\\')))
    }
}

/// Where a string ends that begins at `start`, quotes included.
fn end_of_string(bytes: &[u8], start: usize) -> Result<usize, Error> {
    let mut at = start + 1;
    loop {
        if let Some(word) = bytes.get(at..).and_then(<[u8]>::first_chunk::<8>) {
            let word = u64::from_le_bytes(*word);
            let hits = bytes_equal(word, b'"') | bytes_equal(word, b'\\');
            if hits == 0 {
                at += 8;
                continue;
            }
            at += hits.trailing_zeros() as usize / 8;
        }
        match bytes.get(at) {
            None => return Err(unexpected_end()),
            Some(b'"') => return Ok(at + 1),
            Some(b'\\') => at += 2,
            Some(_) => at += 1,
        }
    }
}

/// Marks the bytes of a word that equal `byte`; only the lowest mark is sure to be right.
fn bytes_equal(word: u64, byte: u8) -> u64 {
    const ONES: u64 = u64::MAX / 255;
    let zero_where_equal = word ^ (ONES * u64::from(byte));
    zero_where_equal.wrapping_sub(ONES) & !zero_where_equal & (ONES << 7)
}

/// Where a number or word ends that begins at `start`.
fn end_of_scalar(bytes: &[u8], start: usize) -> usize {
    let rest = bytes.get(start..).unwrap_or_default();
    let ends = |byte: &u8| matches!(byte, b',' | b']' | b'}' | b' ' | b'\n' | b'\t' | b'\r');
    start + rest.iter().position(ends).unwrap_or(rest.len())
}

fn unexpected_end() -> Error {
    de::Error::custom("the text ends in the middle of a value")
}

impl<'de> Deserializer<'de> for &mut Reader<'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.peek() {
            Some(b'{') => {
                self.at += 1;
                visitor.visit_map(Elements { reader: self, first: true })
            }
            Some(b'[') => {
                self.at += 1;
                visitor.visit_seq(Elements { reader: self, first: true })
            }
            Some(b'"') => {
                let start = self.at;
                match self.string()? {
                    (text, false) => visitor.visit_borrowed_str(text),
                    (_, true) => {
                        visitor.visit_string(serde_json::from_str(&self.text[start..self.at])?)
                    }
                }
            }
            _ => match self.skip()? {
                "null" => visitor.visit_unit(),
                "true" => visitor.visit_bool(true),
                "false" => visitor.visit_bool(false),
                // Read first, so that an error speaks of the type and not of a place in these digits.
                number => serde_json::from_str::<Number>(number)?.deserialize_any(visitor),
            },
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.peek() == Some(b'n') && self.skip()? == "null" {
            return visitor.visit_none();
        }
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        if name == Raw::NAME {
            return visitor.visit_borrowed_str(self.skip()?);
        }
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.skip()?;
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct seq tuple tuple_struct map struct enum identifier
    }
}

/// The rest of a list or map.
struct Elements<'r, 'a> {
    reader: &'r mut Reader<'a>,
    first: bool,
}

impl<'de> SeqAccess<'de> for Elements<'_, 'de> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Error> {
        if !self.reader.goes_on(&mut self.first, b']')? {
            return Ok(None);
        }
        seed.deserialize(&mut *self.reader).map(Some)
    }
}

impl<'de> MapAccess<'de> for Elements<'_, 'de> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Error> {
        if !self.reader.goes_on(&mut self.first, b'}')? {
            return Ok(None);
        }
        self.reader.peek();
        let start = self.reader.at;
        let (text, has_escapes) = self.reader.string()?;
        if !has_escapes {
            return seed.deserialize(BorrowedStrDeserializer::new(text)).map(Some);
        }
        let text: String = serde_json::from_str(&self.reader.text[start..self.reader.at])?;
        seed.deserialize(StringDeserializer::new(text)).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        if self.reader.peek() != Some(b':') {
            return Err(de::Error::custom("expected `:`"));
        }
        self.reader.at += 1;
        seed.deserialize(&mut *self.reader)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use rstest::rstest;
    use serde_json::Value;

    use super::*;

    /// JSON values with strings full of what could confuse a scanner.
    fn any_json() -> impl Strategy<Value = Value> {
        let text = || prop_oneof![".{0,20}", r#"[\\"{}\[\],: \n]{0,20}"#];
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            text().prop_map(Value::from),
        ];
        leaf.prop_recursive(5, 64, 6, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::vec((text(), inner), 0..5)
                    .prop_map(|entries| Value::Object(entries.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn reads_what_serde_reads(value in any_json(), pretty in any::<bool>()) {
            let text = if pretty { format!(" {value:#}\n") } else { value.to_string() };
            let expected: Value = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(read::<Value>(&text).unwrap(), expected);
        }

        #[test]
        fn passes_over_what_serde_passes_over(
            members in prop::collection::btree_map(".{0,9}", any_json(), 0..5),
            pretty in any::<bool>(),
        ) {
            let value = serde_json::to_value(&members).unwrap();
            let text = if pretty { format!("{value:#}") } else { value.to_string() };
            let ours: BTreeMap<String, Raw<'_>> = read(&text).unwrap();
            let serdes: BTreeMap<String, &RawValue> = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(ours.len(), serdes.len());
            for (key, raw) in serdes {
                prop_assert_eq!(ours[&key].get(), raw.get());
            }
        }

        #[test]
        fn any_text_is_read_or_refused(text in r#"[\\"{}\[\],:a1 ]{0,30}"#) {
            if let Ok(expected) = serde_json::from_str::<Value>(&text) {
                prop_assert_eq!(read::<Value>(&text).unwrap(), expected);
            } else {
                let _ = read::<Raw<'_>>(&text);
                prop_assert!(read::<Value>(&text).is_err());
            }
        }
    }

    #[rstest]
    #[case("")]
    #[case("{")]
    #[case(r#"{"a""#)]
    #[case(r#"{"a":}"#)]
    #[case(r#"{"a":1,}"#)]
    #[case("[1 2]")]
    #[case("[1,]")]
    #[case(r#""\"#)]
    #[case(r#"{"a":1} x"#)]
    #[case("nul")]
    fn broken_text_is_refused(#[case] text: &str) {
        assert!(read::<Value>(text).is_err());
    }

    #[test]
    fn depth_costs_no_stack_where_nothing_is_read() {
        let text = "[".repeat(1_000_000) + &"]".repeat(1_000_000);
        assert_eq!(read::<Raw<'_>>(&text).unwrap().get().len(), text.len());
    }
}
