//! A webhook with a policy and a namespace, and reviews to send to it.

use std::sync::Arc;

use axum::{
    Router,
    body::{Body, to_bytes},
    http::{Request, Response, StatusCode},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use inject::{Exclusions, Namespace, PolicyId, compile};
use runtime::metrics;
use serde_json::{Value, json};
use tower::ServiceExt as _;
use webhook::{
    cache::{Cache, Snapshot},
    metrics::Metrics,
    router::{AppState, router},
};

pub(crate) struct Webhook {
    pub(crate) cache: Arc<Cache>,
    pub(crate) state: AppState,
    pub(crate) router: Router,
}

impl Webhook {
    /// Serves policies of namespace `shop`, which is the only one known.
    pub(crate) fn with(policies: &[(&str, Value)]) -> Self {
        let webhook = Self::before_sync();
        webhook.publish(policies, true);
        webhook
    }

    /// Has not heard of anything yet.
    pub(crate) fn before_sync() -> Self {
        let cache = Arc::new(Cache::default());
        let exclusions = Exclusions::new("sidecar-policy-system", &[]);
        let metrics = Metrics::register(&mut metrics::registry());
        let state = AppState::new(Arc::clone(&cache), exclusions, metrics);
        Self { cache, router: router(state.clone()), state }
    }

    pub(crate) fn publish(&self, policies: &[(&str, Value)], with_namespace: bool) {
        let mut snapshot = Snapshot { synced: true, ..Snapshot::default() };
        for (name, spec) in policies {
            let spec = serde_json::from_value(spec.clone()).unwrap();
            let id = match name.split_once('/') {
                Some(("cluster", name)) => PolicyId::cluster(name),
                _ => PolicyId::namespaced("shop", *name),
            };
            snapshot.policies.insert(Arc::new(compile(id, "uid-1", 7, &spec).unwrap()));
        }
        if with_namespace {
            let labels = [("kubernetes.io/metadata.name".to_owned(), "shop".to_owned())].into();
            let name = "shop".to_owned();
            let namespace = Namespace { name: name.clone(), labels, ..Namespace::default() };
            snapshot.namespaces.insert_mut(name, Arc::new(namespace));
        }
        self.cache.publish(snapshot);
    }

    /// Serves one policy of namespace `shop` that keeps half of the pods at a previous spec. Gives the
    /// previous revision.
    pub(crate) fn publish_partitioned(&self, previous: &Value, current: &Value) -> String {
        let compiled = |spec: &Value| {
            let spec = serde_json::from_value(spec.clone()).unwrap();
            compile(PolicyId::namespaced("shop", "helper"), "uid-1", 7, &spec).unwrap()
        };
        let (previous, share) = (compiled(previous), inject::Share::read(&json!("50%")));
        let revision = previous.revision.clone();
        let mut snapshot = Snapshot::clone(&self.cache.load());
        snapshot.policies.insert(Arc::new(compiled(current).keeping(previous, share)));
        self.cache.publish(snapshot);
        revision
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Response<Body> {
        self.router.clone().oneshot(request).await.unwrap()
    }

    /// Posts a body, and gives status and body of the answer.
    pub(crate) async fn post(&self, path: &str, body: impl Into<Body>) -> (StatusCode, String) {
        let response = self.send(Request::post(path).body(body.into()).unwrap()).await;
        let status = response.status();
        let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    /// Posts a review, and gives the response in the review that is answered.
    pub(crate) async fn review(&self, path: &str, review: &Value) -> Value {
        let (status, body) = self.post(path, review.to_string()).await;
        assert_eq!(status, StatusCode::OK, "{body}");
        let answer: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(answer["kind"], "AdmissionReview");
        assert_eq!(answer["response"]["uid"], review["request"]["uid"]);
        answer["response"].clone()
    }
}

/// A policy that adds a container and a variable.
pub(crate) fn helper() -> Value {
    json!({
        "podSelector": {"matchLabels": {"app": "api"}},
        "sidecars": [{"name": "helper", "image": "helper:1"}],
        "appContainers": [{"env": [{"name": "HELPER", "value": "127.0.0.1:9"}]}]
    })
}

/// The review of a pod that is created in `shop`.
pub(crate) fn pod_review(pod: &Value) -> Value {
    review("Pod", "CREATE", "shop", pod)
}

pub(crate) fn review(kind: &str, operation: &str, namespace: &str, object: &Value) -> Value {
    json!({
        "kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1",
        "request": {
            "uid": "0a1b", "kind": {"group": "", "version": "v1", "kind": kind},
            "resource": {"group": "", "version": "v1", "resource": "x"},
            "namespace": namespace, "operation": operation,
            "userInfo": {"username": "somebody", "groups": ["system:authenticated"]},
            "object": object, "oldObject": null, "dryRun": false,
            "options": {"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1"}
        }
    })
}

pub(crate) fn api_pod() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"generateName": "api-", "labels": {"app": "api"}},
        "spec": {"containers": [{"name": "app", "image": "api:1"}]}
    })
}

/// The JSON patch of a response.
pub(crate) fn patch(response: &Value) -> Value {
    let patch = STANDARD.decode(response["patch"].as_str().expect("there is a patch")).unwrap();
    serde_json::from_slice(&patch).unwrap()
}
