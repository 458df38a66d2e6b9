//! Small pieces of JSON text: strings and RFC 6901 pointer segments.

use std::fmt::Write as _;

/// Appends `text` as a JSON string, quotes included.
pub(crate) fn push_string(out: &mut String, text: &str) {
    out.push('"');
    push_escaped(out, text);
    out.push('"');
}

/// `text` as a JSON string, quotes included.
pub(crate) fn string(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    push_string(&mut out, text);
    out
}

/// `{"<key>":"<value>"}` of texts.
pub(crate) fn text_map<'k>(entries: impl Iterator<Item = (&'k str, String)>) -> String {
    let mut map = String::from("{");
    for (position, (key, value)) in entries.enumerate() {
        if position > 0 {
            map.push(',');
        }
        push_string(&mut map, key);
        map.push(':');
        push_string(&mut map, &value);
    }
    map.push('}');
    map
}

/// Appends one segment of a JSON pointer, with its slash, escaped for the inside of a JSON string.
pub(crate) fn push_pointer_segment(out: &mut String, segment: &str) {
    out.push('/');
    if segment.contains(['~', '/']) {
        push_escaped(out, &segment.replace('~', "~0").replace('/', "~1"));
    } else {
        push_escaped(out, segment);
    }
}

fn push_escaped(out: &mut String, text: &str) {
    let mut plain_from = 0;
    for (index, byte) in text.bytes().enumerate() {
        if byte >= 0x20 && byte != b'"' && byte != b'\\' {
            continue;
        }
        out.push_str(&text[plain_from..index]);
        plain_from = index + 1;
        match byte {
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            other => {
                let _ = write!(out, "\\u{other:04x}");
            }
        }
    }
    out.push_str(&text[plain_from..]);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_string_reads_back_as_itself(text in ".*") {
            let read: String = serde_json::from_str(&string(&text)).unwrap();
            prop_assert_eq!(read, text);
        }
    }

    #[test]
    fn pointer_segments_are_escaped() {
        let mut out = String::new();
        push_pointer_segment(&mut out, "a/b~c\"d");
        assert_eq!(out, "/a~1b~0c\\\"d");
    }
}
