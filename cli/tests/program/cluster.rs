//! Commands that ask a cluster, where there is none. What they say of one that answers is seen by
//! the end-to-end tests.

use std::fmt::Write as _;

use crate::fixture::{Folder, POD};

const KUBECONFIG: &str = "\
apiVersion: v1
kind: Config
clusters:
# Nothing listens on port 1.
- {name: nowhere, cluster: {server: 'http://127.0.0.1:1'}}
contexts:
- {name: nowhere, context: {cluster: nowhere, user: nobody}}
- {name: torn, context: {cluster: gone, user: nobody}}
users:
- {name: nobody, user: {}}
";

#[test]
fn without_a_cluster_people_hear_why_and_what_works() {
    let folder = Folder::new("no_cluster")
        .with("app.yaml", POD)
        .with("kubeconfig", KUBECONFIG)
        .with("broken", "clusters: [");
    let mut said = String::new();
    for (kubeconfig, arguments) in [
        ("missing-1:missing-2", &[][..]),
        ("kubeconfig", &[]),
        ("missing-1:kubeconfig", &["--context", "nowhere"]),
        ("", &["--kubeconfig", "kubeconfig", "--context", "nowhere"]),
        ("kubeconfig", &["--context", "torn"]),
        ("kubeconfig", &["--context", "elsewhere"]),
        ("", &["--kubeconfig", "missing-3"]),
        ("broken", &[]),
    ] {
        let variables = [("KUBECONFIG", kubeconfig), ("HOME", "/nowhere"), ("NO_PROXY", "*")];
        for command in ["explain", "diff"] {
            let arguments = [&[command, "-f", "app.yaml"], arguments].concat();
            let complaint = folder.run_with(&variables, &arguments, "").complaint();
            if command == "explain" {
                let arguments = arguments.join(" ");
                let _ = write!(said, "KUBECONFIG={kubeconfig} {arguments}\n{complaint}");
            }
        }
    }
    insta::assert_snapshot!(said);
}
