//! Whether a pod came with its name. The API server makes names up after it has asked the webhook, so
//! whoever asks about a stored pod has to leave such a name out.

/// Characters that the API server adds to a `generateName`.
const GENERATED: usize = 5;
/// The characters that it takes for that: no vowels, so that no words come out.
const GENERATED_FROM: &str = "bcdfghjklmnpqrstvwxz2456789";
/// Longest `generateName` of which nothing is cut off for them.
const LONGEST_PREFIX: usize = 58;

/// Whether a stored pod came with its name; `controller` is the `apiVersion` and kind of its controller.
#[must_use]
pub fn came_with_name(
    name: &str,
    generate_name: Option<&str>,
    controller: Option<(&str, &str)>,
) -> bool {
    controller.is_some_and(names_its_pods) || !looks_generated(name, generate_name)
}

/// Whether this controller names its pods and gives them a `generateName` as well, which a StatefulSet
/// does. The name of its pod 24567 looks like one that was made up.
fn names_its_pods((api_version, kind): (&str, &str)) -> bool {
    kind == "StatefulSet" && api_version.starts_with("apps/")
}

/// Whether the API server made the name of a pod up. It keeps no word of that, so it is told by what
/// it would have made: the `generateName`, cut to leave room, and its characters. Who gives a pod both,
/// and a name of this very form, is taken for one who gave none.
fn looks_generated(name: &str, generate_name: Option<&str>) -> bool {
    let Some(prefix) = generate_name.filter(|prefix| !prefix.is_empty()) else { return false };
    let prefix = prefix.get(..LONGEST_PREFIX).unwrap_or(prefix);
    name.strip_prefix(prefix).is_some_and(|rest| {
        rest.len() == GENERATED && rest.chars().all(|character| GENERATED_FROM.contains(character))
    })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::bare("api", None, None, true)]
    #[case::empty_prefix("x2vzk", Some(""), None, true)]
    #[case::of_a_stateful_set("web-24567", Some("web-"), Some(("apps/v1", "StatefulSet")), true)]
    #[case::of_another_one("web-24567", Some("web-"), Some(("apps.example/v1", "StatefulSet")), false)]
    #[case::of_a_replica_set("api-x2vzk", Some("api-"), Some(("apps/v1", "ReplicaSet")), false)]
    #[case::of_nobody("api-x2vzk", Some("api-"), None, false)]
    #[case::with_other_characters("api-first", Some("api-"), None, true)]
    #[case::longer("api-x2vzk2", Some("api-"), None, true)]
    #[case::another("web-x2vzk", Some("api-"), None, true)]
    fn a_pod_came_with_its_name(
        #[case] name: &str,
        #[case] generate_name: Option<&str>,
        #[case] controller: Option<(&str, &str)>,
        #[case] expected: bool,
    ) {
        assert_eq!(came_with_name(name, generate_name, controller), expected);
    }

    #[test]
    fn a_long_generate_name_is_cut_for_what_is_added() {
        let name = format!("{}x2vzk", "a".repeat(58));
        assert!(!came_with_name(&name, Some(&"a".repeat(62)), None));
    }
}
