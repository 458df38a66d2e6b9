//! `kubectl sidecar catalog`: the ready-made policies.

use crate::fixture::Folder;

#[test]
fn every_policy_is_listed_and_can_be_shown_and_linted() {
    let folder = Folder::new("catalog");
    let names = folder.run(&["catalog", "list", "-o", "name"], "").printed();
    assert!(names.lines().count() >= 2, "{names}");
    let table = folder.run(&["catalog", "list"], "").printed();
    let json = folder.run(&["catalog", "list", "-o", "json"], "").printed();
    for name in names.lines() {
        assert!(table.contains(&format!("\n{name} ")), "{table}");
        assert!(json.contains(&format!("\"name\": \"{name}\"")), "{json}");
        let policy = folder.run(&["catalog", "show", name], "").printed();
        let readme = folder.run(&["catalog", "show", name, "--readme"], "").printed();
        assert!(readme.starts_with(&format!("# {name}\n")), "{readme}");
        let linted = folder.run(&["lint", "-f", "-"], &policy);
        assert_eq!(linted.code, 0, "{}", linted.output);
    }
}

#[test]
fn a_policy_that_is_not_there_is_named_with_those_that_are() {
    let complaint =
        Folder::new("catalog_nobody").run(&["catalog", "show", "nobody"], "").complaint();
    assert_eq!(
        complaint,
        "error: the catalogue has no policy \"nobody\"; it has debug-shell, log-shipper\n"
    );
}
