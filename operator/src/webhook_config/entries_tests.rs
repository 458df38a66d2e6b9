//! The entries, by example and by the rules that every configuration keeps.

use rstest::rstest;

use super::*;

fn labels(pairs: &[(&str, &str)]) -> LabelSelector {
    let labels = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    LabelSelector { match_labels: Some(labels.collect()), match_expressions: None }
}

/// The entries of an operator with these scopes.
pub(in crate::webhook_config) fn plan_for(fail_scopes: &FailScopes) -> Entries {
    plan_with(fail_scopes, "-----BEGIN CERTIFICATE-----")
}

fn plan_with(fail_scopes: &FailScopes, authorities: &str) -> Entries {
    plan(&Inputs {
        fail_scopes,
        exclusions: &Exclusions::new("sidecar-policy-system", &["extra".to_owned()]),
        authorities,
        service_namespace: "sidecar-policy-system",
        service_name: "sidecar-policy-webhook",
        dry_run_namespace: "sidecar-policy-dry-run",
    })
}

fn scope(pods: LabelSelector) -> FailScope {
    FailScope { namespace_selector: LabelSelector::default(), pod_selector: pods }
}

#[test]
fn without_fail_policies() {
    let entries = plan_for(&FailScopes::new());
    insta::assert_json_snapshot!("mutating_without_fail_policies", entries.mutating);
    insta::assert_json_snapshot!("validating", entries.validating);
}

#[test]
fn with_fail_policies() {
    let cluster = FailScope {
        namespace_selector: labels(&[("team", "payments")]),
        pod_selector: LabelSelector::default(),
    };
    let scopes = FailScopes::from([
        (PolicyId::namespaced("shop", "log"), scope(labels(&[("app", "api")]))),
        (PolicyId::namespaced("shop", "trace"), scope(labels(&[("app", "api")]))),
        (PolicyId::cluster("mesh"), cluster),
    ]);
    let entries = plan_for(&scopes);
    assert!(entries.merged.is_empty());
    insta::assert_json_snapshot!("fail_entries", &entries.mutating[1..entries.mutating.len() - 2]);
}

#[test]
fn spelling_makes_no_second_entry() {
    let requirement = |values: &[&str]| LabelSelectorRequirement {
        key: "app".to_owned(),
        operator: "In".to_owned(),
        values: Some(values.iter().map(ToString::to_string).collect()),
    };
    let spelled = |values: &[&str]| LabelSelector {
        match_expressions: Some(vec![requirement(values)]),
        match_labels: Some(BTreeMap::new()),
    };
    let scopes = FailScopes::from([
        (PolicyId::namespaced("shop", "a"), scope(spelled(&["x", "y"]))),
        (PolicyId::namespaced("shop", "b"), scope(spelled(&["y", "x", "y"]))),
    ]);
    assert_eq!(plan_for(&scopes).mutating.len(), 4);
}

/// Policies in as many namespaces, and one of the cluster kind where asked for.
fn many(count: usize, with_cluster: bool) -> FailScopes {
    let namespaced = (0..count).map(|number| PolicyId::namespaced(format!("team-{number}"), "log"));
    let cluster = with_cluster.then(|| PolicyId::cluster("mesh"));
    namespaced.chain(cluster).map(|id| (id, scope(labels(&[("app", "api")])))).collect()
}

#[rstest]
#[case::the_most_that_fit(64, 64, 0)]
#[case::one_too_many(65, 64, 2)]
#[case::very_many(5000, 64, 4937)]
fn fail_entries_are_bounded(
    #[case] policies: usize,
    #[case] fail_entries: usize,
    #[case] merged: usize,
) {
    let entries = plan_for(&many(policies, false));
    assert_eq!(entries.mutating.len(), fail_entries + 3);
    assert_eq!(entries.merged.len(), merged);
    let bytes = serde_json::to_vec(&entries.mutating).unwrap().len();
    assert!(bytes < 256 * 1024, "{bytes} bytes");
    assert_names_are_valid(&entries);
}

#[test]
fn huge_selectors_are_merged() {
    let long = |number: usize| LabelSelector {
        match_expressions: Some(vec![LabelSelectorRequirement {
            key: "app".to_owned(),
            operator: "In".to_owned(),
            values: Some((0..200).map(|value| format!("{value:060}-{number}")).collect()),
        }]),
        match_labels: None,
    };
    let scopes: FailScopes = (0..60)
        .map(|number| (PolicyId::namespaced("shop", format!("p{number}")), scope(long(number))))
        .collect();
    let entries = plan_for(&scopes);
    assert!(!entries.merged.is_empty());
    assert!(serde_json::to_vec(&entries.mutating).unwrap().len() < 256 * 1024);
}

#[test]
fn a_merged_entry_covers_the_namespaces_of_its_policies_only() {
    let entries = plan_for(&many(100, false));
    let merged =
        entries.mutating.iter().find(|entry| entry.name.starts_with("fail-merged")).unwrap();
    let selector = merged.namespace_selector.as_ref().unwrap();
    let requirement = &selector.match_expressions.as_ref().unwrap()[0];
    let namespaces: BTreeSet<&str> =
        requirement.values.iter().flatten().map(String::as_str).collect();
    let expected: BTreeSet<&str> =
        entries.merged.iter().filter_map(|id| id.namespace.as_deref()).collect();
    assert_eq!((requirement.operator.as_str(), namespaces), ("In", expected));
}

#[test]
fn excluded_namespaces_are_never_reached() {
    let excluded =
        ["extra", "kube-node-lease", "kube-public", "kube-system", "sidecar-policy-system"];
    for scopes in [FailScopes::new(), many(3, true), many(3000, true)] {
        let entries = plan_for(&scopes);
        for entry in &entries.mutating {
            let selector = entry.namespace_selector.as_ref().unwrap();
            let requirements = selector.match_expressions.as_ref().unwrap();
            let leaves_out = requirements.iter().any(|requirement| {
                let values = requirement.values.as_ref().unwrap();
                requirement.key == NAMESPACE_NAME
                    && match requirement.operator.as_str() {
                        "NotIn" => excluded.iter().all(|name| values.contains(&(*name).to_owned())),
                        _ => values.iter().all(|name| !excluded.contains(&name.as_str())),
                    }
            });
            assert!(leaves_out, "{} reaches an excluded namespace", entry.name);
        }
    }
}

/// The hashes in the paths of the probe entries.
fn probed(entries: &Entries) -> (&str, &str) {
    let hash = |config: &'_ WebhookClientConfig| {
        let path = config.service.as_ref().unwrap().path.as_deref().unwrap();
        path.strip_prefix("/probe/").unwrap().to_owned()
    };
    let mutating = entries.mutating.last().unwrap();
    let validating = entries.validating.last().unwrap();
    assert_eq!((mutating.name.as_str(), validating.name.as_str()), (PROBE_NAME, PROBE_NAME));
    assert_eq!(hash(&mutating.client_config), entries.hashes.mutating);
    assert_eq!(hash(&validating.client_config), entries.hashes.validating);
    (&entries.hashes.mutating, &entries.hashes.validating)
}

#[test]
fn a_probe_tells_what_stands_beside_it() {
    let entries = plan_for(&many(2, true));
    let (mutating, validating) = probed(&entries);
    assert_ne!(mutating, validating);
    assert_eq!(probed(&plan_for(&many(2, true))), (mutating, validating), "equal, equal hash");

    let with_another = plan_for(&many(3, true));
    assert_ne!(probed(&with_another).0, mutating, "another Fail entry");
    assert_eq!(probed(&with_another).1, validating);
    let of_another = plan_with(&many(2, true), "-----BEGIN CERTIFICATE-----2");
    assert_ne!(probed(&of_another).0, mutating, "another authority");
    assert_ne!(probed(&of_another).1, validating, "another authority");
}

fn assert_names_are_valid(entries: &Entries) {
    let mut names = BTreeSet::new();
    for entry in &entries.mutating {
        assert!(names.insert(&entry.name), "{} stands twice", entry.name);
        let labels: Vec<&str> = entry.name.split('.').collect();
        assert!(labels.len() >= 3, "{} has too few segments", entry.name);
        for label in labels {
            assert!(!label.is_empty() && label.len() <= 63, "{}", entry.name);
        }
    }
}
