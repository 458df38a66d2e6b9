//! Whether two globs can match the same name.

/// The length of the shortest text that both globs match; none if there is none. A `*` stands for
/// any characters.
pub(super) fn shortest_common(left: &str, right: &str) -> Option<usize> {
    let (left, right) = (left.as_bytes(), right.as_bytes());
    // lengths[i][j]: the shortest text that left[i..] and right[j..] both match.
    let mut lengths = vec![vec![None; right.len() + 1]; left.len() + 1];
    for at_left in (0..=left.len()).rev() {
        for at_right in (0..=right.len()).rev() {
            lengths[at_left][at_right] =
                match (left.get(at_left).copied(), right.get(at_right).copied()) {
                    (None, None) => Some(0),
                    (Some(b'*'), one) => {
                        let nothing: Option<usize> = lengths[at_left + 1][at_right];
                        let more = one.and_then(|one| {
                            let cost = usize::from(one != b'*');
                            lengths[at_left][at_right + 1].map(|rest: usize| rest + cost)
                        });
                        shorter(nothing, more)
                    }
                    (one, Some(b'*')) => {
                        let nothing = lengths[at_left][at_right + 1];
                        let more = one.and_then(|_| lengths[at_left + 1][at_right]);
                        shorter(nothing, more.map(|rest| rest + 1))
                    }
                    (Some(one), Some(other)) if one == other => {
                        lengths[at_left + 1][at_right + 1].map(|rest| rest + 1)
                    }
                    _ => None,
                };
        }
    }
    lengths[0][0]
}

fn shorter(left: Option<usize>, right: Option<usize>) -> Option<usize> {
    match (left, right) {
        (Some(left), Some(right)) => Some(left.min(right)),
        (left, right) => left.or(right),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::shortest_common;

    #[rstest]
    #[case("app", "app", Some(3))]
    #[case("app", "web", None)]
    #[case("*", "web", Some(3))]
    #[case("web-*", "*-1", Some(5))]
    #[case("web-*", "app-*", None)]
    #[case("*", "*", Some(0))]
    #[case("a*b", "a*c", None)]
    #[case("a*", "*a", Some(1))]
    #[case("a*b*c", "a-b-c", Some(5))]
    #[case("a*b*c", "*x*", Some(4))]
    #[case("", "*", Some(0))]
    #[case("ab*ba", "aba", None)]
    fn lengths(#[case] left: &str, #[case] right: &str, #[case] expected: Option<usize>) {
        assert_eq!(shortest_common(left, right), expected);
        assert_eq!(shortest_common(right, left), expected);
    }
}
