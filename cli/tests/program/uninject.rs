//! `kubectl sidecar uninject`: takes out what was put in, and nothing else.

use std::path::Path;

use serde_json::value::RawValue;

use crate::fixture::{Ended, Folder, POLICY, policy};

/// The namespace of the corpus.
const NAMESPACE: &str = "\
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {team: blue}}
";

/// The corpus of the heart, before and after.
struct Corpus {
    original: Vec<Box<RawValue>>,
    injected: Vec<Box<RawValue>>,
    uninjected: Vec<Box<RawValue>>,
    again: Vec<Box<RawValue>>,
    messages: String,
}

impl Corpus {
    fn new(test: &str) -> Self {
        // Nobody's policy reaches nothing, so that everything is printed as it was read.
        let nobody = policy("nobody", "podSelector: {matchLabels: {nobody: nobody}}");
        let folder =
            Folder::new(test).with("namespace.yaml", NAMESPACE).with("nobody.yaml", nobody);
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../inject/tests/corpus");
        let path = |name: &str| corpus.join(name).to_str().expect("the path is text").to_owned();
        let (policies, pods, workloads) = (path("policies"), path("pods"), path("workloads"));
        let files = ["-n", "shop", "-o", "json", "-f", "namespace.yaml", &pods, &workloads];
        let original =
            folder.run(&[&["inject", "-p", "nobody.yaml"], &files[..]].concat(), "").output;
        let injected = folder.run(&[&["inject", "-p", &policies], &files[..]].concat(), "").output;
        let given = ["-n", "shop", "-p", &policies, "-o", "json", "-f", "-"];
        let uninjected = folder.run(&[&["uninject"], &given[..]].concat(), &injected);
        let again = folder.run(&[&["inject"], &given[..]].concat(), &uninjected.output).output;
        Self {
            original: items(&original),
            injected: items(&injected),
            uninjected: items(&uninjected.output),
            again: items(&again),
            messages: uninjected.messages,
        }
    }
}

fn items(text: &str) -> Vec<Box<RawValue>> {
    #[derive(serde::Deserialize)]
    struct List {
        items: Vec<Box<RawValue>>,
    }
    let list: List = serde_json::from_str(text).expect(text);
    list.items
}

/// The objects of the corpus that do not come back as they were, and why they cannot.
const DIFFERENT: [(&str, &str); 8] = [
    ("already-injected", "its own container is the policy's sidecar"),
    ("duplicate-variables", "the value that was added to is one of two variables of a name"),
    ("file-system-group", "its own last pull secret is the policy's"),
    ("kept-content", "its own first source of variables is the policy's"),
    ("no-grace-period", "its grace period was raised, and nothing tells from what"),
    ("null-parents", "whether a list was null or empty, nothing tells"),
    ("number-literals", "its grace period was raised, and nothing tells from what"),
    ("own-annotation", "the injection took an annotation back that had been carried earlier"),
];

/// Those of them that injection makes something else of again.
const DIFFERENT_AGAIN: [&str; 2] = ["already-injected", "null-parents"];

#[test]
fn what_was_injected_comes_out_of_the_corpus_and_nothing_else() {
    let corpus = Corpus::new("uninject_corpus");
    let name = |item: &RawValue| {
        let item: serde_json::Value = serde_json::from_str(item.get()).unwrap_or_default();
        item["metadata"]["name"].as_str().unwrap_or("a list").to_owned()
    };
    let mut injected = 0;
    let mut different = Vec::new();
    let mut different_again = Vec::new();
    for position in 0..corpus.original.len() {
        let [original, with, without, again] =
            [&corpus.original, &corpus.injected, &corpus.uninjected, &corpus.again]
                .map(|items| &*items[position]);
        injected += usize::from(original.get() != with.get());
        if without.get() != original.get() {
            different.push(name(original));
        }
        if again.get() != with.get() {
            different_again.push(name(original));
        }
    }
    assert!(injected > 60, "{injected} objects were injected");
    different.sort_unstable();
    assert_eq!(different, DIFFERENT.map(|(name, _)| name));
    assert_eq!(different_again, DIFFERENT_AGAIN);
    insta::assert_snapshot!(corpus.messages);
}

/// Injects a policy and takes it out again, with a change between.
fn round_trip(
    test: &str,
    policies: &str,
    manifest: &str,
    change: impl Fn(&str) -> String,
) -> Ended {
    let folder = Folder::new(test).with("policy.yaml", policies);
    let injected = folder.run(&["inject", "-p", "policy.yaml", "-f", "-"], manifest).printed();
    let changed = change(&injected);
    folder.run(&["uninject", "-p", "policy.yaml", "-f", "-"], &changed)
}

/// A pod in the style that this program writes.
const WRITTEN: &str = "\
# The api of the shop.
apiVersion: v1
kind: Pod
metadata:
  name: api
  namespace: shop
  labels:
    app: api
spec:
  containers:
  - name: app
    image: api:1
";

#[test]
fn a_manifest_comes_back_as_it_was() {
    let ended = round_trip("uninject", POLICY, WRITTEN, str::to_owned);
    assert_eq!(ended.messages, "");
    assert_eq!(ended.printed(), WRITTEN);
}

#[test]
fn what_was_never_injected_is_left_alone() {
    let own = WRITTEN.replace("api:1\n", "api:1\n    env:\n    - {name: MODE, value: own}\n");
    let folder = Folder::new("uninject_nothing");
    let ended = folder.run(&["uninject", "-p", "policy.yaml", "-f", "-"], &own);
    assert_eq!(ended.messages, "");
    assert_eq!(ended.printed(), own);
}

#[test]
fn changes_since_the_injection_stay() {
    let ended = round_trip("uninject_changed", POLICY, WRITTEN, |injected| {
        injected
            .replace("image: api:1", "image: api:2\n    env:\n    - name: MODE\n      value: new")
    });
    assert_eq!(ended.messages, "");
    let expected = WRITTEN
        .replace("image: api:1", "image: api:2\n    env:\n    - name: MODE\n      value: new");
    assert_eq!(ended.printed(), expected);
}

#[test]
fn an_altered_sidecar_stays_with_all_of_its_policy() {
    let policies = [POLICY.to_owned(), policy("mesh", "priority: 1")].concat();
    let altered = |injected: &str| {
        injected.replace("  - name: shipper\n", "  - name: shipper\n    args: [mine]\n")
    };
    let ended = round_trip("uninject_altered", &policies, WRITTEN, altered);
    assert_eq!(ended.code, 1);
    assert_eq!(
        ended.messages,
        "Pod shop/api: shop/log-shipper was not taken out: the sidecar \"shipper\" is there with another command, \
         arguments or variables\n"
    );
    insta::assert_snapshot!(ended.output);
}

#[test]
fn what_a_policy_that_stays_brings_too_stays() {
    let other = POLICY.replace("log-shipper", "other").replace("shipper", "tail");
    let policies = format!("{POLICY}---\n{other}");
    let altered = |injected: &str| {
        injected.replace("- name: shipper\n", "- name: shipper\n    args:\n    - mine\n")
    };
    let ended = round_trip("uninject_shared", &policies, WRITTEN, altered);
    assert_eq!(ended.code, 1);
    assert!(!ended.output.contains("name: tail"), "{}", ended.output);
    let alone = round_trip("uninject_alone", POLICY, WRITTEN, altered);
    assert_eq!(ended.output, alone.output);
}

#[test]
fn a_volume_stays_that_a_policy_which_stays_mounts() {
    let reader = "\
apiVersion: sidecarpolicy.dev/v1alpha1
kind: SidecarPolicy
metadata: {name: reader, namespace: shop}
spec:
  sidecars: [{name: reader, image: 'x:1', volumeMounts: [{name: logs, mountPath: /logs}]}]
";
    let altered =
        |injected: &str| injected.replace("- name: reader\n", "- name: reader\n    args: [mine]\n");
    let ended = round_trip("uninject_mounted", &format!("{POLICY}---\n{reader}"), WRITTEN, altered);
    assert_eq!(ended.code, 1);
    assert!(!ended.output.contains("name: shipper"), "{}", ended.output);
    assert!(ended.output.contains("  volumes:\n  - name: logs\n"), "{}", ended.output);
}

#[test]
fn all_policies_have_to_be_given() {
    let policies = [POLICY.to_owned(), policy("mesh", "priority: 1")].concat();
    let folder = Folder::new("uninject_missing").with("all.yaml", policies);
    let injected = folder.run(&["inject", "-p", "all.yaml", "-f", "-"], WRITTEN).printed();
    let ended = folder.run(&["uninject", "-p", "policy.yaml", "-f", "-"], &injected);
    assert_eq!(ended.code, 1);
    assert_eq!(
        ended.messages,
        "Pod shop/api: cluster/mesh was not taken out: it is not among the policies given; give all that were \
         injected\n"
    );
    assert_eq!(ended.output, injected);
}

#[test]
fn another_revision_of_a_policy_does_not_match() {
    let ended = round_trip("uninject_revision", POLICY, WRITTEN, |injected| {
        injected.replace("sizeLimit: 256Mi", "sizeLimit: 128Mi")
    });
    assert_eq!(ended.code, 1);
    assert_eq!(
        ended.messages,
        "Pod shop/api: shop/log-shipper was not taken out: the app, or another webhook, brings a volume named \"logs\" \
         with other content; rename one of them\n"
    );
}

const APPENDING: &str = "\
apiVersion: sidecarpolicy.dev/v1alpha1
kind: ClusterSidecarPolicy
metadata: {name: agent}
spec:
  appContainers:
  - env: [{name: OPTIONS, merge: Append, separator: ',', value: '-agent'}, {name: MODE, value: policy}]
  pod: {terminationGracePeriodSeconds: 60}
";

#[test]
fn values_that_were_added_are_taken_off_again() {
    let other = APPENDING.replace("agent", "other").replace("','", "' '");
    let policies = format!("{APPENDING}---\n{other}");
    for (own, code) in [
        ("    env:\n    - name: OPTIONS\n      value: -own\n", 0),
        (
            "    env:\n    - name: MODE\n      value: own\n    - name: OPTIONS\n      value: -own,-more\n",
            0,
        ),
        ("", 0),
    ] {
        let manifest = format!("{WRITTEN}{own}");
        let ended = round_trip("uninject_appended", &policies, &manifest, str::to_owned);
        assert_eq!(ended.code, code, "{own}: {}", ended.messages);
        assert_eq!(ended.output, manifest);
    }
}

#[test]
fn what_was_added_to_a_value_stays_if_it_is_not_at_the_end() {
    let manifest = format!("{WRITTEN}    env:\n    - name: OPTIONS\n      value: -own\n");
    let ended = round_trip("uninject_appended_then_more", APPENDING, &manifest, |injected| {
        injected.replace("-own,-agent", "-own,-agent,-mine")
    });
    assert_eq!(ended.code, 1);
    assert!(ended.output.contains("value: -own,-agent,-mine\n"), "{}", ended.output);
    assert!(
        ended.messages.contains(
            "spec.containers[app].env[OPTIONS]: what the policy adds to the value stays, for it does not stand at its end"
        ),
        "{}",
        ended.messages
    );
}

#[test]
fn a_raised_grace_period_stays_and_is_told() {
    let manifest = WRITTEN.replace("spec:\n", "spec:\n  terminationGracePeriodSeconds: 5\n");
    let ended = round_trip("uninject_grace", APPENDING, &manifest, str::to_owned);
    assert_eq!(ended.code, 1);
    assert_eq!(
        ended.messages,
        "Pod shop/api: spec.terminationGracePeriodSeconds: 60 stays; the policy may have raised it, and nothing tells \
         from what\n"
    );
    assert_eq!(ended.output, manifest.replace("Seconds: 5", "Seconds: 60"));
}

#[test]
fn what_an_api_server_filled_in_goes_with_it() {
    let stored = r#"{"apiVersion":"v1","kind":"Pod","metadata":{
        "annotations":{"sidecarpolicy.dev/injected":"{\"shop/log-shipper\":\"00000000000000000000\"}"},
        "labels":{"app":"api","sidecarpolicy.dev/injected":"true"},
        "name":"api","namespace":"shop","uid":"7"},
        "spec":{"containers":[{"image":"api:1","imagePullPolicy":"IfNotPresent","name":"app",
            "terminationMessagePath":"/dev/termination-log","volumeMounts":[
                {"mountPath":"/var/log/app","name":"logs"}]}],
        "initContainers":[{"image":"mirror.example/otel/collector:1","imagePullPolicy":"IfNotPresent",
            "name":"shipper","restartPolicy":"Always","resources":{},"volumeMounts":[
                {"mountPath":"/var/log/app","name":"logs","readOnly":true}]}],
        "volumes":[{"emptyDir":{"sizeLimit":"256Mi"},"name":"logs"}]}}"#;
    let folder = Folder::new("uninject_stored");
    let ended = folder.run(&["uninject", "-p", "policy.yaml", "-f", "-"], stored);
    assert_eq!(ended.messages, "");
    insta::assert_snapshot!(ended.printed());
}
