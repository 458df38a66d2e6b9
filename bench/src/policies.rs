//! Generated policies, as a large cluster might hold them. Exactly one reaches the recorded pods.

use std::sync::Arc;

use crds::PolicySpec;
use inject::{Invalid, Namespace, Policy, PolicyId, PolicySet, compile};
use serde_json::{Map, Value, json};
use webhook::cache::Snapshot;

/// The namespace in which the pods were recorded.
pub const NAMESPACE: &str = "shop-recorded";
/// Namespaces over which the other policies are spread.
const NAMESPACES: usize = 100;
/// Policies that select every pod of every namespace, in a set that has such.
const CATCH_ALL: usize = 5;

/// A generated policy.
#[derive(Clone, Debug)]
pub struct Generated {
    /// Which one.
    pub id: PolicyId,
    /// Its `metadata.uid`.
    pub uid: String,
    /// Its `spec`.
    pub spec: Value,
}

/// A generated policy cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// It is not a spec.
    #[error("generated policy: {0}")]
    Spec(#[from] serde_json::Error),
    /// It does not compile.
    #[error("generated policy: {0}")]
    Invalid(#[from] Invalid),
}

/// So many policies of all sorts. None but the first reaches the recorded pods.
pub fn generated(count: usize) -> impl Iterator<Item = Generated> {
    (0..count).map(|number| {
        let Reach { namespace, selectors } = reach(number);
        generate(number, namespace, selectors)
    })
}

/// As [`generated`], but some of the last select every pod. They are for Windows, so that they are
/// left out again once the pod's spec is read.
pub fn with_catch_all(count: usize) -> impl Iterator<Item = Generated> {
    let selective = count.saturating_sub(CATCH_ALL);
    // What else the generated policies put in is for Linux.
    let agent = json!({
        "os": "Windows", "sidecars": [{"name": "agent", "image": "docker.io/otel/agent:1"}],
        "volumes": [], "appContainers": []
    });
    let catch_all = (selective..count).map(move |number| generate(number, None, agent.clone()));
    generated(selective).chain(catch_all)
}

/// Compiles policies into a set.
pub fn set(policies: impl Iterator<Item = Generated>) -> Result<PolicySet, PolicyError> {
    let mut set = PolicySet::default();
    for policy in policies {
        set.insert(Arc::new(policy.compile()?));
    }
    Ok(set)
}

/// What requests are decided on in a cluster of these policies.
#[must_use]
pub fn snapshot(policies: PolicySet) -> Snapshot {
    let namespaces = [(NAMESPACE.to_owned(), Arc::new(namespace()))].into_iter().collect();
    Snapshot { synced: true, policies, namespaces, ..Snapshot::default() }
}

/// The namespace of the recorded pods.
#[must_use]
pub fn namespace() -> Namespace {
    let labels = [("kubernetes.io/metadata.name", NAMESPACE), ("environment", "production")];
    Namespace {
        name: NAMESPACE.to_owned(),
        labels: labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
        annotations: [].into(),
    }
}

impl Generated {
    /// Compiles it.
    pub fn compile(&self) -> Result<Policy, PolicyError> {
        let spec: PolicySpec = serde_json::from_value(self.spec.clone())?;
        Ok(compile(self.id.clone(), &self.uid, 1, &spec)?)
    }

    /// The object, as an API server lists it.
    #[must_use]
    pub fn object(&self) -> Value {
        let managed = json!({
            "manager": "kubectl-client-side-apply", "operation": "Update",
            "apiVersion": "sidecarpolicy.dev/v1alpha1", "time": "2026-11-20T08:00:00Z",
            "fieldsType": "FieldsV1", "fieldsV1": {"f:spec": managed_fields(&self.spec)}
        });
        json!({
            "apiVersion": "sidecarpolicy.dev/v1alpha1",
            "kind": self.id.kind(),
            "metadata": {
                "name": self.id.name, "namespace": self.id.namespace, "uid": self.uid,
                "generation": 1, "resourceVersion": "1000",
                "creationTimestamp": "2026-11-20T08:00:00Z", "managedFields": [managed]
            },
            "spec": self.spec
        })
    }
}

/// What the API server notes of who wrote which field.
fn managed_fields(value: &Value) -> Value {
    let fields = value.as_object().into_iter().flatten();
    fields
        .map(|(key, value)| (format!("f:{key}"), managed_fields(value)))
        .collect::<Map<_, _>>()
        .into()
}

/// Whose pods a policy reaches.
struct Reach {
    /// `None`: of the cluster kind.
    namespace: Option<String>,
    /// Selectors and activation, as in the spec.
    selectors: Value,
}

/// Whose pods the policy of this number reaches: number 0 the recorded ones, all others different
/// ones, found by everything that a policy can be found by.
fn reach(number: usize) -> Reach {
    let elsewhere = Some(format!("team-{}", number % NAMESPACES));
    let here = || Some(NAMESPACE.to_owned());
    let app = format!("app-{number}");
    let name = "app.kubernetes.io/name";
    let labels = |labels: Value| json!({"podSelector": {"matchLabels": labels}});
    let expression = |selector: &str, key: &str, operator: &str, values: &[&str]| {
        let expression = json!({"key": key, "operator": operator, "values": values});
        json!({selector: {"matchExpressions": [expression]}})
    };
    let canary = format!("{app}-canary");
    let feature = format!("feature.example.com/{number}");
    // The first ones differ most, so that a few are found by as many things as thousands.
    let (namespace, selectors) = match number % 16 {
        _ if number == 0 => (here(), labels(json!({"app.kubernetes.io/part-of": "shop"}))),
        1 => (None, labels(json!({"app.kubernetes.io/managed-by": "Helm", name: app}))),
        2 => {
            let (one, other) = (format!("{app}-test"), format!("{app}-live"));
            let key = "kubernetes.io/metadata.name";
            (None, expression("namespaceSelector", key, "In", &[&one, &other]))
        }
        3 => (here(), expression("podSelector", &feature, "Exists", &[])),
        4..=7 => (elsewhere, labels(json!({name: app}))),
        8 => (here(), labels(json!({name: app}))),
        9 => (elsewhere, expression("podSelector", name, "In", &[&app, &canary])),
        10 => (None, expression("podSelector", name, "In", &[&app, &canary])),
        11 => (None, expression("podSelector", &feature, "Exists", &[])),
        // Every pod of other namespaces: in the pods' own it would be tried with each of them,
        // which is what its author asked for.
        12 => (elsewhere, json!({})),
        13 => (elsewhere, expression("podSelector", "batch", "DoesNotExist", &[])),
        14 => (
            None,
            json!({
                "namespaceSelector": {"matchLabels": {"team": format!("team-{number}")}},
                "podSelector": {"matchLabels": {"app.kubernetes.io/managed-by": "Helm"}}
            }),
        ),
        // Number 16 and its multiples too.
        _ => (None, json!({"activation": "OnRequest"})),
    };
    Reach { namespace, selectors }
}

fn generate(number: usize, namespace: Option<String>, selectors: Value) -> Generated {
    let mut spec = log_shipper();
    if let (Value::Object(spec), Value::Object(selectors)) = (&mut spec, selectors) {
        spec.extend(selectors);
    }
    Generated {
        id: PolicyId { namespace, name: format!("sidecar-{number}") },
        uid: format!("00000000-0000-4000-8000-{number:012}"),
        spec,
    }
}

/// A log shipper: a native sidecar, its volume, and a mount and two variables for the app.
pub(crate) fn log_shipper() -> Value {
    json!({
        "sidecars": [{
            "name": "log-shipper",
            "image": "docker.io/otel/opentelemetry-collector-contrib:0.160.0",
            "imagePullPolicy": "IfNotPresent",
            "args": ["--config=/etc/otelcol/config.yaml"],
            "env": [
                {"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
                {"name": "ENDPOINT", "value": "http://collector.observability.svc.cluster.local:4317"}
            ],
            "ports": [{"name": "health", "containerPort": 13133}],
            "startupProbe": {"httpGet": {"path": "/", "port": "health"}, "failureThreshold": 30},
            "livenessProbe": {"httpGet": {"path": "/", "port": "health"}},
            "resources": {
                "requests": {"cpu": "20m", "memory": "64Mi"},
                "limits": {"memory": "128Mi"}
            },
            "securityContext": {
                "runAsNonRoot": true,
                "readOnlyRootFilesystem": true,
                "allowPrivilegeEscalation": false,
                "capabilities": {"drop": ["ALL"]}
            },
            "volumeMounts": [{"name": "app-logs", "mountPath": "/var/log/app", "readOnly": true}]
        }],
        "volumes": [{"name": "app-logs", "emptyDir": {"sizeLimit": "256Mi"}}],
        "appContainers": [{
            "volumeMounts": [{"name": "app-logs", "mountPath": "/var/log/app"}],
            "env": [
                {"name": "LOG_DIRECTORY", "value": "/var/log/app"},
                {"name": "LOG_FORMAT", "value": "json"}
            ]
        }]
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generated_policies_compile() {
        let set = set(with_catch_all(100)).unwrap();
        assert_eq!(set.len(), 100);
    }
}
