//! A namespace of a test's own: made for it, deleted after it, and printed when it fails.

use std::cell::RefCell;
use std::hash::{BuildHasher, RandomState};

use serde_json::{Value, json};

use crate::command::{Answer, kubectl, kubectl_with};
use crate::{Pod, installation};

const WAIT_TIMEOUT: &str = "--timeout=90s";
/// Picks the pods that run or should, of which there are few enough to print all.
const NOT_HELD: &str = "!e2e.sidecarpolicy.dev/held";

/// A namespace of a test's own.
pub struct TestNamespace {
    name: String,
    /// Cluster-scoped objects made through it, as `kind/name`.
    cluster_objects: RefCell<Vec<String>>,
}

impl TestNamespace {
    /// Makes the namespace `e2e-TOPIC-` and a random suffix.
    #[must_use]
    #[track_caller]
    pub fn create(topic: &str) -> Self {
        installation::require();
        let name = format!("e2e-{topic}-{}", random_suffix());
        let _ = kubectl(&["create", "namespace", &name]).expect_success();
        // Pods are refused until the namespace's default service account exists.
        let wait = ["wait", "serviceaccount/default", "--for=create", WAIT_TIMEOUT, "-n", &name];
        let _ = kubectl(&wait).expect_success();
        Self { name, cluster_objects: RefCell::default() }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A name for a cluster-scoped object that no other test uses.
    #[must_use]
    pub fn unique(&self, name: &str) -> String {
        format!("{name}-{}", random_suffix())
    }

    /// Runs `kubectl` here and hands back its answer.
    #[must_use]
    pub fn ask(&self, arguments: &[&str]) -> Answer {
        // In front, because what follows `--` belongs to a command in a pod.
        kubectl(&[&["-n", &self.name], arguments].concat())
    }

    /// Runs `kubectl` here; it must succeed. Gives its standard output.
    #[track_caller]
    pub fn kubectl(&self, arguments: &[&str]) -> String {
        self.ask(arguments).expect_success()
    }

    /// Applies a manifest; it must be accepted. Gives what `kubectl` printed, warnings included.
    #[track_caller]
    pub fn apply(&self, manifest: &Value) -> String {
        let answer = self.try_apply(manifest);
        assert!(answer.succeeded, "kubectl apply failed: {}", answer.errors);
        answer.output + &answer.errors
    }

    /// Applies a manifest that must be refused, and gives the words of the refusal.
    #[track_caller]
    pub fn apply_refused(&self, manifest: &Value) -> String {
        self.try_apply(manifest).expect_failure()
    }

    /// Applies a manifest and hands back the answer.
    #[must_use]
    pub fn try_apply(&self, manifest: &Value) -> Answer {
        kubectl_with(&["apply", "-f", "-", "-n", &self.name], &manifest.to_string())
    }

    /// Applies a policy and waits until the next matching pod gets it.
    #[track_caller]
    pub fn apply_policy(&self, policy: &Value) {
        self.apply(policy);
        self.wait_for_policy(&reference(policy));
    }

    /// Applies a policy of the cluster kind, made of `policy` and narrowed to this namespace, waits
    /// until it is ready, and deletes it at the end of the test.
    #[track_caller]
    pub fn apply_cluster_policy(&self, policy: &Value) {
        let mut policy = policy.clone();
        policy["kind"] = json!("ClusterSidecarPolicy");
        policy["spec"]["namespaceSelector"] =
            json!({"matchLabels": {"kubernetes.io/metadata.name": self.name}});
        self.delete_at_the_end(reference(&policy));
        self.apply_policy(&policy);
    }

    /// Deletes a cluster-scoped object at the end of the test.
    pub fn delete_at_the_end(&self, object: String) {
        self.cluster_objects.borrow_mut().push(object);
    }

    /// Waits until a policy, as `kind/name`, is ready.
    #[track_caller]
    pub fn wait_for_policy(&self, policy: &str) {
        self.kubectl(&["wait", policy, "--for=condition=Ready", WAIT_TIMEOUT]);
    }

    /// Waits until a condition of an object, as `kind/name`, is true.
    #[track_caller]
    pub fn wait_for(&self, object: &str, condition: &str) {
        let condition = format!("--for=condition={condition}");
        self.kubectl(&["wait", object, &condition, WAIT_TIMEOUT]);
    }

    /// Waits until a workload, as `kind/name`, runs its current template, all of it ready.
    #[track_caller]
    pub fn wait_for_rollout(&self, workload: &str) {
        self.kubectl(&["rollout", "status", workload, WAIT_TIMEOUT]);
    }

    /// An object, as `kind/name`.
    #[must_use]
    #[track_caller]
    pub fn get(&self, object: &str) -> Value {
        parse(&self.kubectl(&["get", object, "-o", "json"]))
    }

    /// The objects of a kind with the label `app: APP`.
    #[must_use]
    #[track_caller]
    pub fn list(&self, kind: &str, app: &str) -> Vec<Value> {
        let selector = format!("app={app}");
        let list = parse(&self.kubectl(&["get", kind, "-l", &selector, "-o", "json"]));
        list["items"].as_array().cloned().unwrap_or_default()
    }

    /// The reasons of the events on an object, by its name.
    #[must_use]
    #[track_caller]
    pub fn event_reasons(&self, name: &str) -> Vec<String> {
        let selector = format!("--field-selector=involvedObject.name={name}");
        let reasons = "jsonpath={.items[*].reason}";
        let found = self.kubectl(&["get", "events", &selector, "-o", reasons]);
        found.split_whitespace().map(str::to_owned).collect()
    }

    /// A pod.
    #[must_use]
    #[track_caller]
    pub fn pod(&self, name: &str) -> Pod {
        Pod(self.get(&format!("pod/{name}")))
    }

    /// The pods with the label `app: APP` that are not on their way out.
    #[must_use]
    #[track_caller]
    pub fn pods(&self, app: &str) -> Vec<Pod> {
        self.list("pods", app).into_iter().map(Pod).filter(|pod| !pod.is_terminating()).collect()
    }

    /// Creates a pod and gives it as it was admitted.
    #[track_caller]
    pub fn create_pod(&self, manifest: &Value) -> Pod {
        let arguments = ["create", "-f", "-", "-o", "json", "-n", &self.name];
        Pod(parse(&kubectl_with(&arguments, &manifest.to_string()).expect_success()))
    }

    /// What the API server would make of a manifest, admission included.
    #[must_use]
    #[track_caller]
    pub fn dry_run(&self, manifest: &Value) -> Value {
        parse(&self.try_dry_run(manifest).expect_success())
    }

    /// As [`Self::dry_run`], refusal included.
    #[must_use]
    pub fn try_dry_run(&self, manifest: &Value) -> Answer {
        let arguments = ["create", "--dry-run=server", "-f", "-", "-o", "json", "-n", &self.name];
        kubectl_with(&arguments, &manifest.to_string())
    }

    /// The logs of one container.
    #[must_use]
    #[track_caller]
    pub fn logs(&self, pod: &str, container: &str) -> String {
        self.kubectl(&["logs", pod, "-c", container])
    }

    fn print_state(&self) {
        eprintln!("\n===== state of namespace {} =====", self.name);
        for arguments in [
            &["get", "sidecarpolicies", "-o", "yaml", "-n", &self.name][..],
            &["get", "clustersidecarpolicies"],
            &["get", "deployments,replicasets,jobs,cronjobs,pods", "-o", "wide", "-n", &self.name],
            &["describe", "pods", "-n", &self.name, "-l", NOT_HELD],
            &["get", "events", "--sort-by=.lastTimestamp", "-n", &self.name],
            &["get", "pods,events", "-o", "wide", "-n", installation::NAMESPACE],
        ] {
            print_answer(arguments);
        }
        let pods = self.ask(&["get", "pods", "-l", NOT_HELD, "-o", "name"]).output;
        for pod in pods.lines() {
            let logs = ["logs", pod, "--all-containers", "--prefix", "--tail=50", "-n", &self.name];
            print_answer(&logs);
        }
        for deployment in [installation::WEBHOOK, installation::OPERATOR] {
            let logs =
                ["logs", deployment, "--all-pods", "--tail=60", "-n", installation::NAMESPACE];
            print_answer(&logs);
        }
    }
}

impl Drop for TestNamespace {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.print_state();
        }
        for object in self.cluster_objects.borrow().iter() {
            let _ = kubectl(&["delete", object, "--ignore-not-found"]);
        }
        let _ = kubectl(&["delete", "namespace", &self.name, "--wait=false"]);
    }
}

fn print_answer(arguments: &[&str]) {
    let answer = kubectl(arguments);
    eprintln!("$ kubectl {}\n{}{}", arguments.join(" "), answer.output, answer.errors);
}

fn reference(object: &Value) -> String {
    let part = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    format!("{}/{}", part(&object["kind"]), part(&object["metadata"]["name"]))
}

#[track_caller]
fn parse(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("not JSON ({error}): {text}"))
}

/// Five characters that a Kubernetes name may hold.
fn random_suffix() -> String {
    let mut bits = RandomState::new().hash_one(std::process::id());
    let mut suffix = String::new();
    for _ in 0..5 {
        let digit = u32::try_from(bits % 36).unwrap_or_default();
        suffix.extend(char::from_digit(digit, 36));
        bits /= 36;
    }
    suffix
}
