//! Regular expressions of parameters and of `matches()`, in linear time whatever the pattern.
//!
//! Syntax and meaning are RE2's, as in Kubernetes: unanchored, `\d`, `\w`, `\s` and `\b` are ASCII.
//! A pattern is made into a complete automaton when the policy is compiled, one whose automaton is
//! large is refused, and a search then reads each byte once.

use std::error::Error;

use regex_automata::{
    Anchored, Input, MatchKind,
    dfa::{
        Automaton, StartKind,
        dense::{self, DFA},
    },
    nfa::thompson,
};

/// Longest pattern, in bytes.
const MAX_PATTERN: usize = 1024;
/// Largest automaton, in bytes. That of a DNS label has 4 KiB.
const MAX_AUTOMATON: usize = 256 << 10;
/// Most memory that making the automaton may take, in bytes.
const MAX_CONSTRUCTION: usize = 1 << 20;

/// A compiled regular expression.
pub(crate) struct Pattern {
    text: String,
    automaton: DFA<Vec<u32>>,
}

impl Pattern {
    /// Compiles a pattern; the error says what is wrong with it.
    pub(crate) fn compile(text: &str) -> Result<Self, String> {
        if text.len() > MAX_PATTERN {
            return Err(format!("is longer than {MAX_PATTERN} bytes; write a shorter pattern"));
        }
        let automaton = dense::Builder::new()
            .configure(
                dense::Config::new()
                    .start_kind(StartKind::Unanchored)
                    .match_kind(MatchKind::All)
                    .dfa_size_limit(Some(MAX_AUTOMATON))
                    .determinize_size_limit(Some(MAX_CONSTRUCTION)),
            )
            .thompson(thompson::Config::new().nfa_size_limit(Some(MAX_CONSTRUCTION)))
            .build(&with_ascii_classes(text))
            .map_err(|error| {
                if error.is_size_limit_exceeded() {
                    "needs too large an automaton; use fewer or smaller repetitions such as {1,63}"
                        .to_owned()
                } else {
                    let mut cause: &dyn Error = &error;
                    while let Some(below) = cause.source() {
                        cause = below;
                    }
                    let reason = cause.to_string();
                    // The last line of many, which show the pattern as it was written out here.
                    let reason = reason.lines().last().unwrap_or_default();
                    let reason = reason.trim_start_matches("error: ");
                    format!("is not a regular expression (RE2 syntax): {reason}")
                }
            })?;
        Ok(Self { text: text.to_owned(), automaton })
    }

    /// Whether the pattern matches anywhere in the text.
    pub(crate) fn matches(&self, text: &str) -> bool {
        let input = Input::new(text).anchored(Anchored::No).earliest(true);
        // An automaton without quit states, searched in the way that it was built for, gives no error.
        matches!(self.automaton.try_search_fwd(&input), Ok(Some(_)))
    }

    /// The pattern as written.
    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }
}

/// Writes out the classes that are ASCII in RE2 and Unicode in Rust.
fn with_ascii_classes(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len() + 16);
    let mut characters = pattern.chars();
    while let Some(character) = characters.next() {
        out.push(character);
        if character != '\\' {
            continue;
        }
        let Some(escaped) = characters.next() else { break };
        let class = match escaped {
            'd' => "[0-9]",
            'D' => "[^0-9]",
            'w' => "[0-9A-Za-z_]",
            'W' => "[^0-9A-Za-z_]",
            's' => "[\\t\\n\\f\\r ]",
            'S' => "[^\\t\\n\\f\\r ]",
            'b' => "(?-u:\\b)",
            'B' => "(?-u:\\B)",
            other => {
                out.push(other);
                continue;
            }
        };
        out.pop();
        out.push_str(class);
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("b", "abc", true)]
    #[case("^b", "abc", false)]
    #[case("^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$", "log-shipper", true)]
    #[case("^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$", "log\n", false)]
    #[case(r"^\d+$", "123", true)]
    #[case(r"^\d+$", "١٢٣", false)]
    #[case(r"^[\w.-]{1,63}$", "a_b.c-d", true)]
    #[case(r"^[\w.-]{1,63}$", "é", false)]
    #[case(r"^[^\s]+$", "a b", false)]
    #[case(r"\bprod\b", "in-prod-1", true)]
    #[case(r"\bprod\b", "products", false)]
    #[case(r"^\\d$", "\\d", true)]
    #[case("(?i)^INFO$", "info", true)]
    #[case("^.$", "é", true)]
    #[case("", "", true)]
    fn search(#[case] pattern: &str, #[case] text: &str, #[case] expected: bool) {
        let pattern = Pattern::compile(pattern).unwrap();
        assert_eq!(pattern.matches(text), expected);
    }

    #[rstest]
    #[case("[a", "is not a regular expression (RE2 syntax): unclosed character class")]
    #[case("(a)\\1", "is not a regular expression (RE2 syntax): backreferences are not supported")]
    #[case(
        "(a|b)*a(a|b){30}",
        "needs too large an automaton; use fewer or smaller repetitions such as {1,63}"
    )]
    #[case(
        "\\",
        "is not a regular expression (RE2 syntax): incomplete escape sequence, reached end of pattern prematurely"
    )]
    fn refused(#[case] pattern: &str, #[case] expected: &str) {
        assert_eq!(Pattern::compile(pattern).err().as_deref(), Some(expected));
    }

    proptest! {
        #[test]
        fn no_pattern_and_no_text_panics(pattern in r"[a-c(){}\[\]|*+?^$.\\bdwsBDWS0-9,-]{0,12}", text in ".*") {
            if let Ok(pattern) = Pattern::compile(&pattern) {
                pattern.matches(&text);
            }
        }
    }
}
