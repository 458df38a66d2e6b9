//! `check` where there is no cluster. What it says of one is seen by the end-to-end tests.

use crate::fixture::Folder;

#[test]
fn without_a_cluster_nothing_is_checked() {
    let folder = Folder::new("check");
    for arguments in [&["check"][..], &["check", "--pre", "-o", "json"]] {
        let variables = [("KUBECONFIG", "missing"), ("HOME", "/nowhere")];
        let complaint = folder.run_with(&variables, arguments, "").complaint();
        assert!(complaint.contains("there is no kubeconfig"), "{complaint}");
    }
}

#[test]
fn pods_are_tried_in_an_installation_only() {
    let ended = Folder::new("check_pre").run(&["check", "--pre", "--pods-in", "shop"], "");
    assert_eq!(ended.code, 2);
    assert!(ended.messages.contains("cannot be used with"), "{}", ended.messages);
}
