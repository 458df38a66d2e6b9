//! `kubectl sidecar test`: tests of policies, as files.

use std::path::Path;

use crate::fixture::{Folder, POD, POLICY};

/// A folder with two tests that share a policy, and one with its own.
fn tests(name: &str) -> Folder {
    let other = POLICY.replace("log-shipper", "other");
    Folder::new(name)
        .with("tests/policy.yaml", POLICY)
        .with("tests/api/input.yaml", POD)
        .with("tests/web/input.yaml", POD.replace("app: api", "app: web"))
        .with("tests/own/policies/other.yaml", other)
        .with("tests/own/input.yaml", format!("# several\n---\n{POD}---\nkind: ConfigMap\n"))
}

#[test]
fn what_was_taken_over_is_expected_from_then_on() {
    let folder = tests("test_update");
    let updated = folder.run(&["test", "tests", "--update"], "");
    assert_eq!(updated.printed(), "updated api\nupdated own\nupdated web\n");
    let ended = folder.run(&["test", "tests"], "");
    assert_eq!(ended.messages, "tests: 3, failed: 0\n");
    assert_eq!(ended.printed(), "ok api\nok own\nok web\n");
    insta::assert_snapshot!(folder.read("tests/own/expected.yaml"));
    let again = folder.run(&["test", "tests", "--update"], "");
    assert_eq!(again.printed(), "ok api\nok own\nok web\n");
}

#[test]
fn what_is_not_expected_is_shown_as_a_difference() {
    let folder = tests("test_failed");
    assert_eq!(folder.run(&["test", "tests", "--update"], "").code, 0);
    let folder = folder.with("tests/policy.yaml", POLICY.replace("collector:1", "collector:2"));
    let ended = folder.run(&["test", "tests"], "");
    assert_eq!((ended.code, ended.messages.as_str()), (1, "tests: 3, failed: 1\n"));
    insta::assert_snapshot!(ended.output);
}

#[test]
fn a_test_without_expectation_fails() {
    let ended = tests("test_new").run(&["test", "tests/web"], "");
    assert_eq!(ended.code, 2, "a policy above the folder named is not looked for");
    let ended = tests("test_new").run(&["test"], "");
    assert_eq!((ended.code, ended.messages.as_str()), (1, "tests: 3, failed: 3\n"));
    assert!(ended.output.contains("\n+# Pod shop/api\n"), "{}", ended.output);
}

#[test]
fn what_cannot_be_tested_is_named() {
    let complain = |test: &str, folder: Folder| {
        let complaint = folder.run(&["test", "tests"], "").complaint();
        assert!(complaint.starts_with("error: "), "{test}: {complaint}");
        complaint
    };
    let nothing = Folder::new("test_nothing").with("tests/readme", "");
    insta::assert_snapshot!(
        [
            complain("nothing", nothing),
            complain("absent", Folder::new("test_absent")),
            complain("no policy", Folder::new("test_no_policy").with("tests/a/input.yaml", POD)),
            complain("bad input", tests("test_bad_input").with("tests/api/input.yaml", "a: [\n")),
            complain(
                "bad policy",
                tests("test_bad_policy")
                    .with("tests/policy.yaml", POLICY.replace("image", "imago"))
            ),
        ]
        .concat()
    );
}

#[test]
fn the_policies_of_the_catalogue_pass_their_tests() {
    let policies = Path::new(env!("CARGO_MANIFEST_DIR")).join("../policies");
    let ended = Folder::new("test_catalog").run(&["test", policies.to_str().expect("text")], "");
    assert_eq!(ended.code, 0, "{}", ended.output);
}
