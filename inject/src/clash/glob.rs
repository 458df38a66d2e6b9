//! Whether two globs can match the same name.

/// The length of the shortest text that both globs match; none if there is none. A `*` stands for
/// any characters.
pub(super) fn shortest_common(left: &str, right: &str) -> Option<usize> {
    let (left, right) = (left.as_bytes(), right.as_bytes());
    // The shortest texts that left[at..] and right[index..] both match: of the row of `at + 1` to begin with.
    let mut below: Vec<Option<usize>> = Vec::new();
    for at in (0..=left.len()).rev() {
        let mut row = vec![None; right.len() + 1];
        for index in (0..=right.len()).rev() {
            row[index] = match (left.get(at).copied(), right.get(index).copied()) {
                (None, None) => Some(0),
                (Some(b'*'), one) => {
                    let more = one.and_then(|one| {
                        let cost = usize::from(one != b'*');
                        row[index + 1].map(|rest: usize| rest + cost)
                    });
                    shorter(below[index], more)
                }
                (one, Some(b'*')) => {
                    let more = one.and_then(|_| below[index]);
                    shorter(row[index + 1], more.map(|rest| rest + 1))
                }
                (Some(one), Some(other)) if one == other => below[index + 1].map(|rest| rest + 1),
                _ => None,
            };
        }
        below = row;
    }
    below.first().copied().flatten()
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
