//! `kubectl sidecar diff`: what injection changes.

use crate::fixture::{Ended, Folder, POD, POLICY};

fn diff(test: &str, policies: &str, manifests: &str) -> Ended {
    let folder = Folder::new(test).with("policy.yaml", policies);
    folder.run(&["diff", "-f", "-", "-p", "policy.yaml"], manifests)
}

#[test]
fn only_what_changes_is_shown() {
    let many = POD.replace(
        "image: 'api:1'}",
        "image: 'api:1', args: [one, two, three, four, five, six, seven, eight]}",
    );
    let ended = diff("diff", POLICY, &format!("# first\nkind: ConfigMap\n---\n{many}"));
    assert_eq!((ended.code, ended.messages.as_str()), (1, ""));
    insta::assert_snapshot!(ended.output);
}

#[test]
fn nothing_is_shown_where_nothing_changes() {
    let ended = diff("diff_nothing", POLICY, "kind: ConfigMap\n");
    assert_eq!(ended.messages, "");
    assert_eq!(ended.printed(), "");
}

#[test]
fn a_pod_that_would_be_refused_is_told() {
    let denying = POLICY.replace("spec:\n", "spec:\n  onConflict: Deny\n");
    let ended = diff("diff_denied", &denying, &POD.replace("name: app,", "name: shipper,"));
    assert_eq!((ended.code, ended.output.as_str()), (1, ""));
    assert!(
        ended.messages.starts_with("Pod shop/api: the pods would be refused: "),
        "{}",
        ended.messages
    );
}
