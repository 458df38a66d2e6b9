//! Another mutating webhook beside ours, as meshes and image mirrors bring along. It is served by the
//! test itself, at the address by which this machine reaches the cluster's nodes.

use std::net::{IpAddr, TcpListener, UdpSocket};
use std::sync::Arc;

use axum::{Json, Router, routing::post};
use axum_server::tls_rustls::RustlsConfig;
use base64::{Engine, engine::general_purpose::STANDARD};
use rcgen::{CertificateParams, KeyPair, SanType};
use rustls::{ServerConfig, crypto::ring, pki_types::PrivatePkcs8KeyDer};
use serde_json::{Value, json};

use crate::TestNamespace;
use crate::command::kubectl;

/// The registry that [`Mutation::RewriteImages`] puts in front of every image.
pub const MIRROR: &str = "mirror.example.com/cache/";
/// The container that [`Mutation::AddContainer`] adds.
pub const ADDED_CONTAINER: &str = "added-by-another";

/// What the other webhook does to a pod that does not have it yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutation {
    /// Appends an ordinary container.
    AddContainer,
    /// Lets every image come from a mirror.
    RewriteImages,
}

/// When the API server calls the other webhook: it goes by the names of the configurations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Before ours.
    Before,
    /// After ours, so that ours is called again.
    After,
}

/// Registers another webhook for the pods of a namespace, until the namespace goes.
#[track_caller]
pub fn start(namespace: &TestNamespace, turn: Turn, mutation: Mutation) {
    let address = own_address();
    let listener = TcpListener::bind((address, 0)).expect("a free port");
    listener.set_nonblocking(true).expect("a socket can be used without blocking");
    let port = listener.local_addr().expect("a bound socket has an address").port();
    let key = KeyPair::generate().expect("a key can be made");
    let mut parameters = CertificateParams::default();
    parameters.subject_alt_names.push(SanType::IpAddress(address));
    let certificate = parameters.self_signed(&key).expect("a certificate can be made");
    let tls = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring knows today's TLS")
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
        )
        .expect("key and certificate belong together");
    // It ends with the process; the configuration ends with the namespace.
    std::thread::spawn(move || serve(listener, tls, mutation));

    let prefix = if turn == Turn::Before { "aa" } else { "zz" };
    let name = namespace.unique(&format!("{prefix}-e2e"));
    namespace.delete_at_the_end(format!("MutatingWebhookConfiguration/{name}"));
    namespace.apply(&json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": name},
        "webhooks": [{
            "name": "second.e2e.sidecarpolicy.dev",
            "admissionReviewVersions": ["v1"],
            "sideEffects": "None",
            "failurePolicy": "Fail",
            "reinvocationPolicy": "IfNeeded",
            "timeoutSeconds": 10,
            "clientConfig": {
                "url": format!("https://{}/mutate", std::net::SocketAddr::new(address, port)),
                "caBundle": STANDARD.encode(certificate.pem()),
            },
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace.name()}},
            "rules": [{"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"]}],
        }],
    }));
}

/// The address by which this machine reaches the nodes is the one by which they reach it.
fn own_address() -> IpAddr {
    let path = "jsonpath={.items[0].status.addresses[?(@.type==\"InternalIP\")].address}";
    let node = kubectl(&["get", "nodes", "-o", path]).expect_success();
    let socket = UdpSocket::bind("0.0.0.0:0").expect("a socket");
    // Sends nothing; only the route is looked up.
    socket.connect((node.as_str(), 443)).expect("there is a route to the node");
    socket.local_addr().expect("a connected socket has an address").ip()
}

fn serve(listener: TcpListener, tls: ServerConfig, mutation: Mutation) {
    let router = Router::new().route(
        "/mutate",
        post(move |Json(review): Json<Value>| async move { Json(answer(&review, mutation)) }),
    );
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime can be made").block_on(async {
        let tls = RustlsConfig::from_config(Arc::new(tls));
        let server = axum_server::from_tcp_rustls(listener, tls).expect("the listener is good");
        server.serve(router.into_make_service()).await.expect("the other webhook serves");
    });
}

fn answer(review: &Value, mutation: Mutation) -> Value {
    let patch = Value::from(operations(&review["request"]["object"]["spec"], mutation)).to_string();
    json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "response": {
            "uid": review["request"]["uid"],
            "allowed": true,
            "patchType": "JSONPatch",
            "patch": STANDARD.encode(patch),
        },
    })
}

fn operations(spec: &Value, mutation: Mutation) -> Vec<Value> {
    let in_list = |list: &'static str| {
        let containers = spec[list].as_array().map_or(&[][..], Vec::as_slice);
        containers.iter().enumerate().map(move |(index, container)| (list, index, container))
    };
    let mut containers = in_list("containers").chain(in_list("initContainers"));
    match mutation {
        Mutation::AddContainer => {
            if containers.any(|(_, _, container)| container["name"] == ADDED_CONTAINER) {
                return Vec::new();
            }
            let container = json!({"name": ADDED_CONTAINER, "image": "example/added:1"});
            vec![json!({"op": "add", "path": "/spec/containers/-", "value": container})]
        }
        Mutation::RewriteImages => containers
            .filter_map(|(list, index, container)| {
                let image =
                    container["image"].as_str().filter(|image| !image.starts_with(MIRROR))?;
                let path = format!("/spec/{list}/{index}/image");
                Some(json!({"op": "replace", "path": path, "value": format!("{MIRROR}{image}")}))
            })
            .collect(),
    }
}
