//! Generated policies, as a large cluster might hold them. Exactly one reaches the recorded pods.

use std::sync::Arc;

use crds::PolicySpec;
use inject::{Invalid, Namespace, PolicyId, PolicySet, compile};
use serde_json::{Value, json};
use webhook::cache::Snapshot;

/// The namespace in which the pods were recorded.
pub const NAMESPACE: &str = "shop-recorded";
/// Namespaces over which the other policies are spread.
const NAMESPACES: usize = 100;

/// What requests are decided on in a cluster of that many policies.
pub fn snapshot(count: usize) -> Result<Snapshot, PolicyError> {
    let mut policies = PolicySet::default();
    for number in 0..count {
        policies.insert(Arc::new(policy(number)?));
    }
    let namespace = Namespace {
        name: NAMESPACE.to_owned(),
        labels: [("kubernetes.io/metadata.name".to_owned(), NAMESPACE.to_owned())].into(),
        annotations: [].into(),
    };
    Ok(Snapshot {
        synced: true,
        policies,
        namespaces: [(NAMESPACE.to_owned(), Arc::new(namespace))].into(),
        ..Snapshot::default()
    })
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

fn policy(number: usize) -> Result<inject::Policy, PolicyError> {
    let (id, pod_selector) = reach(number);
    let spec: PolicySpec = serde_json::from_value(spec(&pod_selector))?;
    let uid = format!("00000000-0000-4000-8000-{number:012}");
    Ok(compile(id, &uid, 1, &spec)?)
}

/// Whose pods a policy reaches: number 0 the recorded ones, all others different ones.
fn reach(number: usize) -> (PolicyId, Value) {
    let name = format!("sidecar-{number}");
    if number == 0 {
        let selector = json!({"matchLabels": {"app.kubernetes.io/part-of": "shop"}});
        return (PolicyId::namespaced(NAMESPACE, name), selector);
    }
    let place = number % NAMESPACES;
    let elsewhere = format!("team-{place}");
    let app = format!("app-{number}");
    match number % 10 {
        // Policies without an index entry stand in other namespaces; in the pods' own they would
        // be tried one after the other, which is what their authors asked for.
        7 => (PolicyId::namespaced(elsewhere, name), json!({})),
        8 => (
            PolicyId::namespaced(elsewhere, name),
            json!({"matchExpressions": [{"key": "batch", "operator": "DoesNotExist"}]}),
        ),
        6 => (
            PolicyId::cluster(name),
            json!({"matchExpressions": [
                {"key": "app.kubernetes.io/name", "operator": "In", "values": [app, format!("{app}-canary")]}
            ]}),
        ),
        5 => (
            PolicyId::cluster(name),
            json!({"matchLabels": {"app.kubernetes.io/name": app, "tier": "web"}}),
        ),
        4 => (
            PolicyId::namespaced(NAMESPACE, name),
            json!({"matchLabels": {"app.kubernetes.io/name": app}}),
        ),
        _ => (
            PolicyId::namespaced(elsewhere, name),
            json!({"matchLabels": {"app.kubernetes.io/name": app}}),
        ),
    }
}

/// A log shipper: a native sidecar, its volume, and a mount and two variables for the app.
fn spec(pod_selector: &Value) -> Value {
    json!({
        "podSelector": pod_selector,
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
