//! Without our custom resource definitions: pods and workloads go on being admitted, both programs
//! say what is missing, and all works again when the definitions are back, without a restart.

use std::time::{Duration, Instant};

use e2e::command::Answer;
use e2e::installation::{
    self, OPERATOR, WEBHOOK, WithoutDefinitions, kubectl_here, wait_for_rollout,
};
use e2e::{TestNamespace, eventually, manifests, process, stays};

use crate::{DEADLINE, assert_injects};

const MISSING: &str = "the custom resource definition is not there";
const PROGRAMS: [&str; 2] = [WEBHOOK, OPERATOR];

#[test]
fn definitions_that_are_deleted_take_the_policies_and_nothing_else() {
    let namespace = TestNamespace::create("deleted");
    apply_policies(&namespace);
    let before = installation::containers();

    let deleting = Instant::now();
    let without = WithoutDefinitions::delete();
    assert_everything_is_admitted(&namespace);
    for program in PROGRAMS {
        wait_until_told(program, deleting);
    }
    stays("webhook and operator stay ready", Duration::from_secs(15), || {
        for program in PROGRAMS {
            let ready = kubectl_here(&["get", program, "-o", "jsonpath={.status.readyReplicas}"]);
            if ready != "2" {
                return Err(format!("{program}: {ready} replicas are ready"));
            }
        }
        Ok(())
    });

    without.recover();
    apply_policies(&namespace);
    assert_policies_inject(&namespace);
    assert_eq!(installation::containers(), before, "something was restarted");
}

#[test]
fn a_start_without_definitions_waits_for_them() {
    let namespace = TestNamespace::create("undefined");
    apply_policies(&namespace);

    let deleting = Instant::now();
    let without = WithoutDefinitions::delete();
    for component in ["operator", "webhook"] {
        let selector = format!("--selector=app.kubernetes.io/component={component}");
        kubectl_here(&["delete", "pod", &selector, "--grace-period=1"]);
    }
    // It has nothing to wait for: whoever leads waits for the definitions.
    wait_for_rollout(OPERATOR);
    for program in PROGRAMS {
        wait_until_told(program, deleting);
    }
    wait_until_readiness_names_the_definitions();
    assert_everything_is_admitted(&namespace);
    let before = installation::containers();

    without.recover();
    wait_for_rollout(WEBHOOK);
    apply_policies(&namespace);
    assert_policies_inject(&namespace);
    assert_eq!(installation::containers(), before, "something was restarted");
}

fn apply_policies(namespace: &TestNamespace) {
    namespace.apply_policy(&manifests::policy("optional", "optional"));
    namespace.apply_policy(&manifests::failing_policy("required", "required"));
    namespace.apply_cluster_policy(&manifests::policy("everywhere", "everywhere"));
}

#[track_caller]
fn assert_policies_inject(namespace: &TestNamespace) {
    for app in ["optional", "required", "everywhere"] {
        assert_injects(namespace, app, app);
    }
}

/// Pods come as they are, also those that a policy demanded, and workloads roll out.
#[track_caller]
fn assert_everything_is_admitted(namespace: &TestNamespace) {
    for app in ["optional", "required", "everywhere"] {
        // The entry of a policy goes a moment after the policy.
        let bare = eventually(&format!("a pod of {app} is admitted"), DEADLINE, || {
            let answer = namespace.try_dry_run(&manifests::pod("probe", app));
            let pod = serde_json::from_str(&answer.output).map(e2e::Pod);
            if answer.succeeded {
                pod.map_err(|error| error.to_string())
            } else {
                Err(answer.errors)
            }
        });
        assert!(bare.init_containers().is_empty() && !bare.is_marked(), "{}", bare.0);
    }
    let mut asking = manifests::deployment("asking");
    asking["metadata"]["annotations"] = serde_json::json!({"sidecarpolicy.dev/inject": "optional"});
    namespace.apply(&asking);
    namespace.wait_for_rollout("deployment/asking");
    namespace.kubectl(&["delete", "deployment/asking"]);
}

#[track_caller]
fn wait_until_told(program: &str, after: Instant) {
    eventually(&format!("{program} says what is missing"), DEADLINE, || {
        let since = format!("--since={}s", after.elapsed().as_secs() + 1);
        // Only one of two operators leads, and the other one looks at nothing.
        let logs = kubectl_here(&["logs", program, "--all-pods", &since]);
        if logs.contains(MISSING) { Ok(()) } else { Err(logs) }
    });
}

/// What a person sees who asks a webhook that does not become ready.
#[track_caller]
fn wait_until_readiness_names_the_definitions() {
    let names = ["sidecarpolicies.sidecarpolicy.dev", "clustersidecarpolicies.sidecarpolicy.dev"];
    eventually("both replicas of the webhook wait for the definitions", DEADLINE, || {
        let selector = "app.kubernetes.io/component=webhook";
        let replicas = process::of_pods(installation::NAMESPACE, selector);
        let answers: Vec<_> =
            replicas.iter().map(|replica| replica.ask("http", ":8080/readyz", None)).collect();
        let waits = |answer: &Answer| {
            !answer.succeeded && names.iter().all(|name| answer.output.contains(name))
        };
        let all_wait = answers.len() == 2 && answers.iter().all(waits);
        if all_wait { Ok(()) } else { Err(format!("{answers:?}")) }
    });
}
