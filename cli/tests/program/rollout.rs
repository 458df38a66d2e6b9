//! `kubectl sidecar rollout` and `catalog install`, as far as they need no cluster.

use crate::fixture::Folder;

/// What the program complains of, without a cluster.
fn complaint(folder: &Folder, arguments: &[&str]) -> String {
    let variables = [("KUBECONFIG", ""), ("HOME", "/nowhere")];
    folder.run_with(&variables, arguments, "").complaint()
}

#[test]
fn what_is_wrong_is_told_before_a_cluster_is_asked() {
    let folder = Folder::new("rollout_wrong");
    for (arguments, told) in [
        (&["rollout", "status", "a/b/c"][..], "a/b/c"),
        (&["rollout", "status", "a", "--timeout", "soon"], "no duration such as 90s"),
        (&["rollout", "status", "a", "--timeout", "5s", "--no-wait"], "cannot be used with"),
        (&["catalog", "install", "log-shipper", "nothing"], "it has debug-shell, log-shipper"),
        (&["export", "--as", "mutating-admission-policy"], "required arguments were not provided"),
        (&["export", "a", "-f", "b", "--as", "mutating-admission-policy"], "cannot be used with"),
    ] {
        let said = complaint(&folder, arguments);
        assert!(said.contains(told), "{arguments:?}: {said}");
    }
}

#[test]
fn without_a_cluster_people_hear_that() {
    let folder = Folder::new("rollout_without");
    for arguments in [
        &["rollout", "status", "a"][..],
        &["rollout", "pause", "a"],
        &["rollout", "resume", "a"],
        &["rollout", "undo", "a"],
        &["rollout", "history", "a"],
        &["catalog", "install", "log-shipper", "--dry-run=client"],
        &["export", "a", "--as", "mutating-admission-policy"],
    ] {
        let said = complaint(&folder, arguments);
        assert!(said.starts_with("error: there is no kubeconfig"), "{arguments:?}: {said}");
    }
}
