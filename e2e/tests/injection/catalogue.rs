//! The ready-made policies of `policies/` do what their README says, with their example app.

use std::fmt::Write;

use e2e::{TestNamespace, eventually};

use crate::DEADLINE;

const POLICIES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../policies");

fn apply_file(namespace: &TestNamespace, file: &str) {
    namespace.kubectl(&["apply", "-f", &format!("{POLICIES}/{file}")]);
}

#[test]
fn log_shipper_ships_the_lines_that_the_app_appends() {
    let namespace = TestNamespace::create("log-shipper");
    apply_file(&namespace, "log-shipper/policy.yaml");
    namespace.wait_for_policy("scp/log-shipper");
    apply_file(&namespace, "log-shipper/my-api.yaml");
    namespace.wait_for_rollout("deployment/my-api");

    let pods = namespace.pods("my-api");
    assert_eq!(pods[0].init_containers(), ["log-shipper"]);
    assert_eq!(pods[0].containers(), ["my-api", "client"]);
    assert_eq!(pods[0].volumes(), ["my-api-logs"]);

    // Each order is asked for in turn, so a line for each means that tailing goes on.
    eventually("the sidecar prints a line for every order", DEADLINE, || {
        let shipped = namespace.logs("deployment/my-api", "log-shipper");
        let missing = (1..=9).filter(|order| !shipped.contains(&format!("url:/orders/{order}")));
        let mut seen = String::new();
        for order in missing {
            let _ = write!(seen, "no line for order {order}; ");
        }
        if seen.is_empty() { Ok(()) } else { Err(seen + &shipped) }
    });
}

#[test]
fn debug_shell_reaches_what_listens_on_localhost_only() {
    let namespace = TestNamespace::create("debug-shell");
    // The policy is for the whole cluster; it injects nowhere until it is asked.
    namespace.delete_at_the_end("cscp/debug-shell".to_owned());
    apply_file(&namespace, "debug-shell/policy.yaml");
    namespace.wait_for_policy("cscp/debug-shell");
    apply_file(&namespace, "debug-shell/my-web.yaml");
    namespace.wait_for_rollout("deployment/my-web");
    namespace.kubectl(&["annotate", "deployment/my-web", "sidecarpolicy.dev/inject=debug-shell"]);
    namespace.wait_for_rollout("deployment/my-web");

    let fetch =
        "exec deployment/my-web -c debug-shell -- wget -q -O - http://127.0.0.1:8080/".split(' ');
    let fetch: Vec<&str> = fetch.collect();
    // kubectl may still choose the pod of the earlier template until that has ended.
    let page = eventually("the shell fetches the page", DEADLINE, || {
        let answer = namespace.ask(&fetch);
        if answer.succeeded { Ok(answer.output) } else { Err(answer.errors) }
    });
    assert_eq!(page, "hello\n");
}
