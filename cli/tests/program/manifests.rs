//! Manifests as people write them: how they are read, and how they are written again.

use crate::fixture::{Folder, POD, POLICY, inject, value};

/// Nothing that a policy reaches, in every style that YAML and its users know.
const UNTOUCHED: &str = "\u{feff}# Source: chart/templates/all.yaml
---
# a comment
apiVersion: v1   # beside
kind: ConfigMap
metadata: {name: x,
  labels: {a:   'b'} }
data:
  defaults: &defaults \"yes\"
  again: *defaults
  folded: >-
    one
    two

  big: 18446744073709551617
---
---   # nothing here
# but this
--- {kind: Widget, apiVersion: example.org/v3, items: [1, 2, 0x10]}
---
apiVersion: extensions/v1beta1
kind: Deployment
spec: !mine {a: 1.0}
---
- not
- an object
---
just text
...
---
apiVersion: example.org/v1
kind: Pod
metadata: {labels: {app: api}, namespace: shop}
";

#[test]
fn what_is_not_changed_is_written_byte_for_byte() {
    for (test, input) in [
        ("untouched", UNTOUCHED.to_owned()),
        ("untouched_windows", UNTOUCHED.replace('\n', "\r\n")),
        ("untouched_no_line_break", UNTOUCHED.trim_end().to_owned()),
        ("untouched_json", "{\"kind\":\"ConfigMap\",\n\t\"a\": [1,  2]}".to_owned()),
        ("untouched_empty", String::new()),
        ("untouched_comments", "# nothing\n\n# at all\n".to_owned()),
    ] {
        let ended = inject(test, POLICY, &input);
        assert_eq!(ended.messages, "");
        assert_eq!(ended.printed(), input);
    }
}

#[test]
fn the_neighbours_of_a_changed_document_stay_as_they_are() {
    let input =
        format!("# first\n{UNTOUCHED}---\n\n# the api\n{POD}# after\n---\nkind:   Last # one\n")
            .replace('\u{feff}', "");
    let printed = inject("neighbours", POLICY, &input).printed();
    let (before, after) = input.split_once(POD).expect("the pod is in it");
    assert!(printed.starts_with(before), "{printed}");
    assert!(printed.ends_with(after.strip_prefix("# after\n").expect("a comment")), "{printed}");
    insta::assert_snapshot!(printed[before.len()..].to_owned());
}

#[test]
fn values_of_a_changed_document_keep_their_spelling_and_meaning() {
    let input = "\
kind: Pod
apiVersion: v1
metadata:
  name: api
  namespace: shop
  labels: {app: api, tier: \"yes\"}
  annotations:
    null-like: \"null\"
    date: 2026-11-21
    quoted-date: '2026-11-21'
    exponent: \"1e3\"
    hexadecimal: \"0x10\"
    empty: \"\"
    colon: 'a: b'
    json: '{\"a\":\"it''s\"}'
    lines: |
      one
        two

    kept: |+
      one

    stripped: |-
      one
      # two
    unicode: \"\\u00e9\\u2028😀\"
spec:
  unknownBig: 18446744073709551617
  unknownFraction: 1.123456789012345678901
  unknownExponent: 1e3
  unknownHexadecimal: 0x10
  unknownBool: on
  unknownNull: ~
  unknownLists: [[], [1, [2]], {}]
  containers:
  - {name: app, image: 'api:1', env: [{name: A, value: '1'}, {name: A, value: '2'}]}
";
    let printed = inject("spelling", POLICY, input).printed();
    insta::assert_snapshot!(printed);
    let (before, after) = (value(input), value(&printed));
    for (key, was) in before["metadata"]["annotations"].as_object().expect("annotations") {
        assert_eq!(&after["metadata"]["annotations"][key], was, "{key}");
    }
}

#[test]
fn json_output_keeps_numbers_and_joins_documents_in_a_list() {
    let folder = Folder::new("json_output");
    let arguments = ["inject", "-p", "policy.yaml", "-f", "-", "-o", "json"];
    let one = POD.replace("spec: {", "spec: {unknown: [18446744073709551617, 0x10, 1e3, .5], ");
    insta::assert_snapshot!(folder.run(&arguments, &one).printed());
    let several = "# none\n---\nkind: A\n---\n---\nkind: B\n";
    insta::assert_snapshot!(folder.run(&arguments, several).printed());
    insta::assert_snapshot!(folder.run(&arguments, "").printed());
}

#[test]
fn json_input_is_read_value_by_value() {
    let pod = r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"api","namespace":"shop","labels":{"app":"api"}},
        "spec":{"unknown":18446744073709551617,"containers":[{"name":"app","image":"\ud83d\ude00"}]}}"#;
    let config = "{\"kind\": \"ConfigMap\",\n\t\"data\": {}}";
    let printed = inject("json_input", POLICY, &format!("{config}{pod}\n{config}\n")).printed();
    let documents: Vec<&str> = printed.split("---\n").collect();
    assert_eq!(documents.len(), 3, "{printed}");
    assert_eq!(documents[0].trim_end(), config);
    assert_eq!(documents[2].trim(), config);
    assert!(documents[1].contains("unknown: 18446744073709551617\n"), "{printed}");
    let pod = value(documents[1]);
    assert_eq!(pod["spec"]["containers"][0]["image"], "😀");
    assert_eq!(pod["spec"]["initContainers"][0]["name"], "shipper");
}

#[test]
fn a_changed_document_keeps_the_line_breaks_of_windows() {
    let printed = inject("windows", POLICY, &POD.replace('\n', "\r\n")).printed();
    assert!(printed.contains("name: shipper\r\n"), "{printed}");
    assert_eq!(printed.matches('\n').count(), printed.matches("\r\n").count(), "{printed:?}");
}

#[test]
fn files_are_read_in_their_order_and_folders_by_name() {
    let named = |name: &str| format!("kind: {name}\n");
    let folder = Folder::new("order")
        .with("folder/b.yml", named("B"))
        .with("folder/a.yaml", named("A").trim_end())
        .with("folder/c.json", "{\"kind\": \"C\"}")
        .with("folder/ignored.txt", "[")
        .with("last.yaml", format!("# last\n---\n{}", named("Last")))
        .with("first.yaml", named("First"));
    let arguments =
        ["inject", "-p", "policy.yaml", "-f", "first.yaml", "folder", "-", "-f", "last.yaml"];
    assert_eq!(
        folder.run(&arguments, "kind: Input\n").printed(),
        "kind: First\n---\nkind: A\n---\nkind: B\n---\n{\"kind\": \"C\"}\n---\nkind: Input\n# last\n---\nkind: Last\n"
    );
}

#[test]
fn what_cannot_be_read_is_named() {
    let folder = Folder::new("unreadable")
        .with("broken.yaml", "kind: A\n---\n# b\nkind: B\n  data: [1\n")
        .with("broken.json", "{\n  \"kind\": \"A\",\n  \"b\"\n")
        .with("binary.yaml", b"a: b\nc: \xff\n")
        .with("empty/notes.txt", "");
    let complaints: Vec<String> =
        ["missing.yaml", "empty", "broken.yaml", "broken.json", "binary.yaml"]
            .iter()
            .map(|file| folder.run(&["inject", "-p", "policy.yaml", "-f", file], "").complaint())
            .collect();
    insta::assert_snapshot!(complaints.concat());
}
