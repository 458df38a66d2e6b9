//! A generated cluster, as the operator sees one: namespaces, policies, workloads of every kind, and
//! their pods with all that a running pod carries.

use std::fmt::Write as _;

use inject::PolicyId;
use serde_json::{Value, json};

use crate::{
    corpora::CORPORA,
    policies::{Generated, PolicyError, log_shipper},
};

/// Namespaces over which workloads are spread.
const NAMESPACES: usize = 100;
/// Workloads over which pods are spread.
pub const WORKLOADS: usize = 400;
/// Workloads that have a policy of their own; the first ones.
const POLICIES: usize = 300;
/// The policy of the cluster that reaches every pod.
pub const MESH: &str = "mesh";
/// Policies of the cluster that reach nothing, beside the one that reaches all.
const IDLE_CLUSTER_POLICIES: usize = 7;
/// What stands for the name of a pod, and so on, in the text of a pod.
const MARKER: &str = "@@";

/// A generated cluster.
pub struct Cluster {
    policies: Vec<Generated>,
    workloads: Vec<Workload>,
    pods_each: usize,
    ready: Vec<bool>,
}

/// The pods of one workload, all alike but for what [`Piece`] names.
struct Workload {
    prefix: String,
    has_ordinals: bool,
    current: Vec<Piece>,
    outdated: Vec<Piece>,
    missing: Vec<Piece>,
    skipped: Vec<Piece>,
}

/// A part of the text of a pod.
enum Piece {
    Text(String),
    Name,
    Ordinal,
    Uid,
    Ready,
    Condition,
    Version,
}

/// How a pod stands to the policies that reach it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Current,
    Outdated,
    Missing,
    Skipped,
}

/// What a status has to say of the pods of a policy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Expected {
    /// `status.pods.matched`.
    pub matched: usize,
    /// `status.pods.current`.
    pub current: usize,
    /// `status.pods.ready`.
    pub ready: usize,
}

impl Cluster {
    /// A cluster of so many pods, rounded down to a multiple of [`WORKLOADS`].
    pub fn generate(pods: usize) -> Result<Self, PolicyError> {
        let pods_each = pods / WORKLOADS;
        let policies = policies();
        let mut revisions = Vec::with_capacity(policies.len());
        for policy in &policies {
            revisions.push((policy.id.to_string(), policy.compile()?.revision));
        }
        let (own, cluster) = revisions.split_at(POLICIES);
        let workloads = (0..WORKLOADS)
            .map(|number| Workload::generate(number, own.get(number), cluster.first()))
            .collect();
        Ok(Self { policies, workloads, pods_each, ready: vec![true; pods_each * WORKLOADS] })
    }

    /// How many pods there are.
    #[must_use]
    pub fn pods(&self) -> usize {
        self.ready.len()
    }

    /// The policies.
    #[must_use]
    pub fn policies(&self) -> &[Generated] {
        &self.policies
    }

    /// What else is there when the operator starts: resource, object.
    #[must_use]
    pub fn objects(&self) -> Vec<(&'static str, Value)> {
        let namespace = |name: &str| {
            let labels = json!({"kubernetes.io/metadata.name": name, "team": name});
            json!({
                "apiVersion": "v1", "kind": "Namespace",
                "metadata": {"name": name, "labels": labels}
            })
        };
        let configuration = |kind: &str| {
            json!({
                "apiVersion": "admissionregistration.k8s.io/v1", "kind": kind,
                "metadata": {"name": "sidecar-policy"}
            })
        };
        let teams = (0..NAMESPACES).map(|number| namespace(&team(number)));
        let mut objects: Vec<_> = teams.map(|object| ("namespaces", object)).collect();
        objects.push(("namespaces", namespace("sidecar-policy-system")));
        let mutating = configuration("MutatingWebhookConfiguration");
        let validating = configuration("ValidatingWebhookConfiguration");
        objects.push(("mutatingwebhookconfigurations", mutating));
        objects.push(("validatingwebhookconfigurations", validating));
        objects.extend(self.policies.iter().map(|policy| (resource(&policy.id), policy.object())));
        objects
    }

    /// Writes a pod as the API server prints it.
    pub fn write_pod(&self, pod: usize, version: u64, into: &mut String) {
        let Some(workload) = self.workloads.get(pod / self.pods_each) else { return };
        let (ordinal, ready) = (pod % self.pods_each, self.is_ready(pod));
        for piece in workload.text(standing(ordinal)) {
            // Writing to a text does not fail.
            let _ = match piece {
                Piece::Text(text) => into.write_str(text),
                Piece::Name if workload.has_ordinals => {
                    write!(into, "{}{ordinal}", workload.prefix)
                }
                Piece::Name => write!(into, "{}{}", workload.prefix, suffix(ordinal)),
                Piece::Ordinal => write!(into, "{ordinal}"),
                Piece::Uid => write!(into, "22222222-0000-4000-8000-{pod:012}"),
                Piece::Ready => write!(into, "{ready}"),
                Piece::Condition => into.write_str(if ready { "True" } else { "False" }),
                Piece::Version => write!(into, "{version}"),
            };
        }
    }

    /// The containers of a pod become ready, or not.
    pub fn set_ready(&mut self, pod: usize, ready: bool) {
        if let Some(state) = self.ready.get_mut(pod) {
            *state = ready;
        }
    }

    /// What the status of a policy has to come to; `changed`: it was changed since its pods began.
    #[must_use]
    pub fn expected(&self, id: &PolicyId, changed: bool) -> Expected {
        let pods = match &id.namespace {
            None if id.name == MESH => 0..self.pods(),
            None => 0..0,
            Some(_) => {
                let own = self.policies.iter().position(|policy| policy.id == *id).unwrap_or(0);
                own * self.pods_each..(own + 1) * self.pods_each
            }
        };
        let mut expected = Expected { matched: pods.len(), ..Expected::default() };
        for pod in pods {
            let standing = standing(pod % self.pods_each);
            let is_injected = matches!(standing, Standing::Current | Standing::Outdated);
            expected.current += usize::from(standing == Standing::Current && !changed);
            expected.ready += usize::from(is_injected && self.is_ready(pod));
        }
        expected
    }

    fn is_ready(&self, pod: usize) -> bool {
        self.ready.get(pod).copied().unwrap_or_default()
    }
}

/// The resource of a policy, as it stands in paths.
#[must_use]
pub fn resource(id: &PolicyId) -> &'static str {
    if id.namespace.is_some() { "sidecarpolicies" } else { "clustersidecarpolicies" }
}

/// Those of workloads first, then the one for every pod, then those that reach nothing.
fn policies() -> Vec<Generated> {
    let own = (0..POLICIES).map(|number| {
        let mut spec = log_shipper();
        spec["podSelector"] = json!({"matchLabels": {"app.kubernetes.io/name": app(number)}});
        (Some(team(number)), format!("sidecar-{number}"), spec)
    });
    let cluster = (0..=IDLE_CLUSTER_POLICIES).map(|number| {
        let (name, label) = match number {
            0 => (MESH.to_owned(), "shop".to_owned()),
            _ => (format!("idle-{number}"), format!("idle-{number}")),
        };
        let spec = json!({
            "podSelector": {"matchLabels": {"app.kubernetes.io/part-of": label}},
            "namespaceSelector": {"matchExpressions": [{"key": "team", "operator": "Exists"}]},
            "sidecars": [proxy(&name)]
        });
        (None, name, spec)
    });
    own.chain(cluster)
        .enumerate()
        .map(|(number, (namespace, name, spec))| Generated {
            id: PolicyId { namespace, name },
            uid: format!("00000000-0000-4000-8000-{number:012}"),
            spec,
        })
        .collect()
}

/// The sidecar of a policy of the cluster.
fn proxy(name: &str) -> Value {
    json!({
        "name": name, "image": "docker.io/envoyproxy/envoy:v1.36.2",
        "args": ["--config-path", "/etc/envoy/envoy.yaml"],
        "resources": {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"memory": "256Mi"}}
    })
}

/// Eight of ten pods are as they should be; the others show everything else there is.
fn standing(ordinal: usize) -> Standing {
    match ordinal % 20 {
        17 => Standing::Missing,
        18 => Standing::Skipped,
        19 => Standing::Outdated,
        _ => Standing::Current,
    }
}

fn team(number: usize) -> String {
    format!("team-{}", number % NAMESPACES)
}

fn app(number: usize) -> String {
    format!("app-{number}")
}

/// Five characters, as the API server adds them to a `generateName`.
fn suffix(ordinal: usize) -> String {
    let digits = b"bcdfghjklmnpqrstvwxz2456789";
    let mut rest = ordinal.wrapping_mul(2_654_435_761) % digits.len().pow(5);
    let mut suffix = String::new();
    for _ in 0..5 {
        suffix.push(char::from(digits[rest % digits.len()]));
        rest /= digits.len();
    }
    suffix
}

impl Workload {
    fn text(&self, standing: Standing) -> &[Piece] {
        match standing {
            Standing::Current => &self.current,
            Standing::Outdated => &self.outdated,
            Standing::Missing => &self.missing,
            Standing::Skipped => &self.skipped,
        }
    }

    /// `own` and `mesh`: policy and revision of those that reach the pods.
    fn generate(
        number: usize,
        own: Option<&(String, String)>,
        mesh: Option<&(String, String)>,
    ) -> Self {
        let policies: Vec<_> = own.into_iter().chain(mesh).collect();
        let map = |value: &dyn Fn(&str) -> String| {
            let entry = |(policy, revision): &&(String, String)| {
                (policy.clone(), Value::from(value(revision)))
            };
            Value::Object(policies.iter().map(entry).collect()).to_string()
        };
        let base = base(number);
        let has_ordinals = base["metadata"]["ownerReferences"][0]["kind"] == "StatefulSet";
        let prefix = base["metadata"]["generateName"].as_str().unwrap_or_default().to_owned();
        let with = |key: &str, value: String, has_sidecars: bool| {
            let mut pod = base.clone();
            if !value.is_empty() {
                pod["metadata"]["annotations"][key] = json!(value);
            }
            if has_sidecars {
                add_sidecars(&mut pod, own.is_some());
            }
            pieces(&pod)
        };
        let injected = "sidecarpolicy.dev/injected";
        let reason = |_: &str| "the pod has a container of this name with other content".to_owned();
        Self {
            current: with(injected, map(&str::to_owned), true),
            outdated: with(injected, map(&|_| "0123456789abcdef0123".to_owned()), true),
            missing: with("", String::new(), false),
            skipped: with("sidecarpolicy.dev/skipped", map(&reason), false),
            prefix,
            has_ordinals,
        }
    }
}

/// A running pod of a workload without sidecars: what was recorded of a real one, made to be of this
/// workload, with a status as the kubelet writes it.
fn base(number: usize) -> Value {
    let [typical, ..] = CORPORA;
    let review: Value = serde_json::from_str(typical.review).unwrap_or_default();
    let mut pod = review["request"]["object"].clone();
    let app = app(number);
    let uid = format!("33333333-0000-4000-8000-{number:012}");
    let hash = format!("{:010x}", number * 2_654_435_761 % 0x00ff_ffff_ffff);
    let (kind, owner, version) = match number % 20 {
        0..=14 => ("ReplicaSet", format!("{app}-{hash}"), "apps/v1"),
        15..=17 => ("StatefulSet", app.clone(), "apps/v1"),
        18 => ("DaemonSet", app.clone(), "apps/v1"),
        _ => ("Job", app.clone(), "batch/v1"),
    };
    let metadata = &mut pod["metadata"];
    metadata["name"] = json!("@@name@@");
    metadata["namespace"] = json!(team(number));
    metadata["generateName"] = json!(format!("{owner}-"));
    metadata["uid"] = json!("@@uid@@");
    metadata["resourceVersion"] = json!("@@version@@");
    metadata["creationTimestamp"] = json!("2026-11-20T08:00:00Z");
    metadata["ownerReferences"] = json!([{
        "apiVersion": version, "kind": kind, "name": owner, "uid": uid, "controller": true,
        "blockOwnerDeletion": true
    }]);
    let labels = &mut metadata["labels"];
    labels["app.kubernetes.io/name"] = json!(app);
    if let Some(labels) = labels.as_object_mut() {
        labels.remove("pod-template-hash");
        labels.extend(labels_of(kind, &app, &hash, &uid));
    }
    let fields = metadata["managedFields"][0]["fieldsV1"].clone();
    if let Some(managers) = metadata["managedFields"].as_array_mut() {
        managers.push(json!({
            "manager": "kubelet", "operation": "Update", "apiVersion": "v1",
            "subresource": "status", "time": "2026-11-20T08:00:20Z", "fieldsType": "FieldsV1",
            "fieldsV1": {"f:status": fields["f:spec"]["f:containers"]}
        }));
    }
    pod["spec"]["nodeName"] = json!(format!("node-{}", number % 50));
    let names: Vec<Value> = ["migrate"].map(|name| status_of(name, true)).into();
    let condition = |kind: &str, status: &str| {
        json!({
            "type": kind, "status": status, "lastProbeTime": null,
            "lastTransitionTime": "2026-11-20T08:00:20Z", "observedGeneration": 1
        })
    };
    pod["status"] = json!({
        "phase": "Running", "hostIP": "10.0.0.1", "podIP": "10.128.7.9", "qosClass": "Burstable",
        "hostIPs": [{"ip": "10.0.0.1"}], "podIPs": [{"ip": "10.128.7.9"}],
        "startTime": "2026-11-20T08:00:00Z",
        "conditions": [
            condition("PodReadyToStartContainers", "True"), condition("Initialized", "True"),
            condition("Ready", "@@condition@@"), condition("ContainersReady", "@@condition@@"),
            condition("PodScheduled", "True")
        ],
        "initContainerStatuses": names,
        "containerStatuses": [status_of("api", false)]
    });
    pod
}

/// The labels that controllers add.
fn labels_of(kind: &str, app: &str, hash: &str, uid: &str) -> Vec<(String, Value)> {
    let labels: &[(&str, &str)] = match kind {
        "ReplicaSet" => &[("pod-template-hash", hash)],
        "StatefulSet" => &[
            ("controller-revision-hash", hash),
            ("apps.kubernetes.io/pod-index", "@@ordinal@@"),
            ("statefulset.kubernetes.io/pod-name", "@@name@@"),
        ],
        "DaemonSet" => &[("controller-revision-hash", hash), ("pod-template-generation", "1")],
        _ => &[
            ("batch.kubernetes.io/controller-uid", uid),
            ("batch.kubernetes.io/job-name", app),
            ("controller-uid", uid),
            ("job-name", app),
        ],
    };
    labels.iter().map(|(key, value)| ((*key).to_owned(), json!(value))).collect()
}

fn add_sidecars(pod: &mut Value, has_own: bool) {
    pod["metadata"]["labels"]["sidecarpolicy.dev/injected"] = json!("true");
    let mut sidecars = vec![proxy(MESH)];
    if has_own {
        sidecars.push(log_shipper()["sidecars"][0].clone());
    }
    for mut sidecar in sidecars {
        sidecar["restartPolicy"] = json!("Always");
        let status = status_of(sidecar["name"].as_str().unwrap_or_default(), false);
        let lists = [("/spec/initContainers", sidecar), ("/status/initContainerStatuses", status)];
        for (list, entry) in lists {
            if let Some(list) = pod.pointer_mut(list).and_then(Value::as_array_mut) {
                list.insert(0, entry);
            }
        }
    }
}

fn status_of(container: &str, is_finished: bool) -> Value {
    let state = if is_finished {
        json!({"terminated": {
            "exitCode": 0, "reason": "Completed", "startedAt": "2026-11-20T08:00:10Z",
            "finishedAt": "2026-11-20T08:00:12Z"
        }})
    } else {
        json!({"running": {"startedAt": "2026-11-20T08:00:13Z"}})
    };
    let image = format!("registry.example.com/shop/{container}@sha256:{}", "0".repeat(64));
    json!({
        "name": container, "ready": "@@ready@@", "restartCount": 0, "started": true, "state": state,
        "lastState": {}, "image": format!("registry.example.com/shop/{container}:1"),
        "imageID": image, "containerID": format!("containerd://{}", "1".repeat(64))
    })
}

fn pieces(pod: &Value) -> Vec<Piece> {
    // A truth value is not quoted.
    let text = pod.to_string().replace("\"@@ready@@\"", "@@ready@@");
    text.split(MARKER)
        .map(|part| match part {
            "name" => Piece::Name,
            "ordinal" => Piece::Ordinal,
            "uid" => Piece::Uid,
            "ready" => Piece::Ready,
            "condition" => Piece::Condition,
            "version" => Piece::Version,
            text => Piece::Text(text.to_owned()),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pods_are_of_realistic_size_and_have_names_of_their_own() {
        let cluster = Cluster::generate(20 * WORKLOADS).unwrap();
        let mut names = std::collections::BTreeSet::new();
        for number in 0..cluster.pods() {
            let mut text = String::new();
            cluster.write_pod(number, 7, &mut text);
            assert!((10_000..20_000).contains(&text.len()), "{}", text.len());
            let pod: Value = serde_json::from_str(&text).unwrap();
            let namespace = pod["metadata"]["namespace"].as_str().unwrap().to_owned();
            let name = pod["metadata"]["name"].as_str().unwrap().to_owned();
            assert!(names.insert((namespace, name)), "{text}");
        }
        let mesh = PolicyId { namespace: None, name: MESH.to_owned() };
        let expected = cluster.expected(&mesh, false);
        assert_eq!(expected.matched, cluster.pods());
        assert_eq!(expected.current, cluster.pods() * 17 / 20);
        assert_eq!(expected.ready, cluster.pods() * 18 / 20);
    }
}
