//! What a plain YAML scalar means, and when text needs quotes so that it stays text.
//!
//! `kubectl` and the API server read YAML 1.1 with the rules of `sigs.k8s.io/yaml` (its
//! `goyaml.v2/resolve.go`): `yes` is true, `0x10` is 16, `0777` is 511, a date is text.

use super::Value;

/// The value of a scalar written without quotes.
pub(super) fn resolve(plain: &str) -> Value {
    match plain {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            Value::Bool(true)
        }
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            Value::Bool(false)
        }
        _ if number_as_json(plain).is_some() => Value::Number(plain.to_owned()),
        _ => Value::Text(plain.to_owned()),
    }
}

/// Whether a plain scalar is a float that JSON has no form for.
pub(super) fn is_not_finite(plain: &str) -> bool {
    let unsigned = plain.strip_prefix(['+', '-']).unwrap_or(plain);
    matches!(unsigned, ".inf" | ".Inf" | ".INF") || matches!(plain, ".nan" | ".NaN" | ".NAN")
}

/// The JSON spelling of a number written as a plain scalar; `None` if it is none.
pub(super) fn number_as_json(plain: &str) -> Option<String> {
    if !plain.starts_with(|first: char| first.is_ascii_digit() || "+-.".contains(first)) {
        return None;
    }
    if is_json_number(plain) {
        return Some(plain.to_owned());
    }
    let spelled = plain.replace('_', "");
    let (sign, digits) = match spelled.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", spelled.strip_prefix('+').unwrap_or(&spelled)),
    };
    let magnitude = radix_number(digits).or_else(|| decimal_number(digits))?;
    Some(format!("{sign}{magnitude}"))
}

/// `0x10`, `0o17`, `017`, `0b11`.
fn radix_number(digits: &str) -> Option<String> {
    let rest = digits.strip_prefix('0')?;
    let (radix, rest) = match rest.as_bytes().first()? {
        b'x' | b'X' => (16, &rest[1..]),
        b'o' | b'O' => (8, &rest[1..]),
        b'b' | b'B' => (2, &rest[1..]),
        _ => (8, rest),
    };
    // The parser would take a sign here.
    if !rest.starts_with(|first: char| first.is_ascii_hexdigit()) {
        return None;
    }
    u128::from_str_radix(rest, radix).ok().map(|number| number.to_string())
}

/// A decimal number as YAML allows it: `007.5`, `.5`, `5.`, `08`.
fn decimal_number(digits: &str) -> Option<String> {
    let exponent_at = digits.find(['e', 'E']).unwrap_or(digits.len());
    let (mantissa, exponent) = digits.split_at(exponent_at);
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let whole = whole.trim_start_matches('0');
    let whole = if whole.is_empty() { "0" } else { whole };
    let separator = if fraction.is_empty() { "" } else { "." };
    let json = format!("{whole}{separator}{fraction}{exponent}");
    let starts_right = digits.starts_with(|first: char| first.is_ascii_digit() || first == '.');
    let has_digits = mantissa.bytes().any(|byte| byte.is_ascii_digit());
    (starts_right && has_digits && is_json_number(&json)).then_some(json)
}

/// Whether the text is a number by the grammar of JSON.
fn is_json_number(text: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let exponent_at = unsigned.find(['e', 'E']).unwrap_or(unsigned.len());
    let (mantissa, exponent) = unsigned.split_at(exponent_at);
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    let exponent_digits =
        exponent.get(1..).map(|text| text.strip_prefix(['+', '-']).unwrap_or(text));
    digits(whole)
        && (whole == "0" || !whole.starts_with('0'))
        && fraction.is_none_or(digits)
        && exponent_digits.is_none_or(digits)
}

/// Whether text has to be quoted so that every YAML reader, of version 1.1 or 1.2, takes it as
/// this text.
pub(super) fn needs_quotes(text: &str) -> bool {
    !matches!(resolve(text), Value::Text(_))
        || is_not_finite(text)
        || matches!(text, "=" | "<<")
        || is_date_like(text)
        || is_base_60_like(text)
        || breaks_plain_syntax(text)
}

fn is_date_like(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() > 4 && bytes[4] == b'-' && bytes[..4].iter().all(u8::is_ascii_digit)
}

/// YAML 1.1 reads `12:30` as a number of base 60.
fn is_base_60_like(text: &str) -> bool {
    text.contains(':') && text.bytes().all(|byte| byte.is_ascii_digit() || b":._+-".contains(&byte))
}

fn breaks_plain_syntax(text: &str) -> bool {
    let mut characters = text.chars();
    let Some(first) = characters.next() else { return true };
    let indicator = match first {
        '-' | '?' | ':' => characters.next().is_none_or(|second| second == ' '),
        _ => ",[]{}#&*!|>'\"%@`".contains(first),
    };
    indicator
        || text.starts_with("---")
        || text.starts_with("...")
        || text.starts_with(' ')
        || text.ends_with([' ', ':'])
        || text.contains(": ")
        || text.contains(" #")
        || text.contains(|character| character == '\n' || !is_printable(character))
}

/// Whether a character may stand outside of double quotes. Tabs and line breaks other than `\n`
/// could be taken for syntax.
pub(super) fn is_printable(character: char) -> bool {
    !(character.is_control()
        || matches!(character, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_scalars_mean_what_kubectl_takes_them_for() {
        for (plain, json) in [
            ("0", "0"),
            ("-0", "-0"),
            ("+12", "12"),
            ("0x10", "16"),
            ("-0x10", "-16"),
            ("0777", "511"),
            ("0o17", "15"),
            ("0b11", "3"),
            ("08", "8"),
            ("1_000", "1000"),
            (".5", "0.5"),
            ("-.5e3", "-0.5e3"),
            ("5.", "5"),
            ("1e3", "1e3"),
            ("18446744073709551617", "18446744073709551617"),
            ("1.123456789012345678901", "1.123456789012345678901"),
        ] {
            assert_eq!(number_as_json(plain).as_deref(), Some(json), "{plain}");
        }
        for text in [
            "2026-11-21",
            "1.2.3",
            "0x",
            "0xg",
            "0x-1",
            "1e",
            "e3",
            ".",
            "-",
            "12:30",
            "_1",
            "--1",
            "+-1",
        ] {
            assert!(matches!(resolve(text), Value::Text(_)), "{text}");
        }
        for plain in ["y", "Yes", "on", "TRUE"] {
            assert!(matches!(resolve(plain), Value::Bool(true)), "{plain}");
        }
        for plain in ["", "~", "null"] {
            assert!(matches!(resolve(plain), Value::Null), "{plain}");
        }
    }

    #[test]
    fn text_is_quoted_when_a_reader_could_take_it_for_something_else() {
        for text in [
            "",
            "yes",
            "n",
            "null",
            "~",
            "1e3",
            "0x10",
            "1_0",
            "2026-11-21",
            "12:30:45",
            ".inf",
            "-.INF",
            ".nan",
            "<<",
            "=",
            "- a",
            "-",
            "? a",
            ": a",
            "a: b",
            "a #b",
            "#a",
            "a:",
            " a",
            "a ",
            "---",
            "...",
            "*a",
            "&a",
            "!a",
            "%a",
            "@a",
            "`a",
            "'a",
            "\"a",
            "[a",
            "{a",
            "}",
            "|",
            ">",
            "a\tb",
            "a\u{85}b",
            "\u{feff}a",
        ] {
            assert!(needs_quotes(text), "{text:?}");
        }
        for text in [
            "a",
            "-a",
            "--config=env:X",
            "1.2.3",
            "10.0.0.1",
            "a:b",
            "a#b",
            "docker.io/a/b:1.35.0",
            "$(VAR)",
            "a b",
            "/healthz",
            "ä",
            "128Mi",
            "nginx:1",
            "?a",
        ] {
            assert!(!needs_quotes(text), "{text:?}");
        }
    }
}
