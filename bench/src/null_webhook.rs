//! A mutating webhook that allows every pod of one namespace and does nothing else: what an API server
//! spends on any webhook. It is served by this process, at the address by which this machine reaches
//! the cluster's nodes.

use std::net::{IpAddr, SocketAddr, UdpSocket};

use anyhow::Context as _;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use http_body_util::{BodyExt as _, Collected, Full};
use hyper::{
    Request, Response,
    body::{Bytes, Incoming},
};
use k8s_openapi::api::{admissionregistration::v1::MutatingWebhookConfiguration, core::v1::Node};
use kube::{
    Api, Client,
    api::{DeleteParams, ListParams, PostParams},
};
use serde_json::{Value, json};
use tokio::{net::TcpListener, runtime, sync::oneshot};

use crate::{https_server, identity::Identity};

const NAME: &str = "bench-null";

/// Registers the webhook for pods of the namespace. It is served until the process ends.
pub async fn register(client: &Client, namespace: &str) -> anyhow::Result<()> {
    let address = own_address(client).await?;
    let identity = Identity::new(address)?;
    let config = identity.server_config()?;
    let (bound, port) = oneshot::channel();
    // On a thread of its own, so that it does not wait for whoever measures.
    std::thread::spawn(move || {
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let listener = TcpListener::bind((address, 0)).await?;
            // Nobody waits for it any more if that fails.
            let _ = bound.send(listener.local_addr()?);
            https_server::serve(listener, config, allow).await
        })
    });
    let at = port.await.with_context(|| format!("cannot serve at {address}"))?;
    let configuration = serde_json::from_value(configuration(namespace, at, &identity))?;
    Api::<MutatingWebhookConfiguration>::all(client.clone())
        .create(&PostParams::default(), &configuration)
        .await
        .context("cannot register the null webhook")?;
    Ok(())
}

/// Removes the registration, if there is one.
pub async fn unregister(client: &Client) {
    let api = Api::<MutatingWebhookConfiguration>::all(client.clone());
    // It may never have been made.
    let _ = api.delete(NAME, &DeleteParams::default()).await;
}

/// The address by which this machine reaches a node is the one by which the node reaches it.
async fn own_address(client: &Client) -> anyhow::Result<IpAddr> {
    let nodes = Api::<Node>::all(client.clone()).list(&ListParams::default().limit(1)).await?;
    let addresses = nodes.items.into_iter().filter_map(|node| node.status?.addresses).flatten();
    let internal = addresses.into_iter().find(|address| address.type_ == "InternalIP");
    let node: IpAddr = internal.context("no node has an address")?.address.parse()?;
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    // Sends nothing; only the route is looked up.
    socket.connect((node, 443)).with_context(|| format!("no route to node {node}"))?;
    Ok(socket.local_addr()?.ip())
}

fn configuration(namespace: &str, at: SocketAddr, identity: &Identity) -> Value {
    json!({
        "metadata": {"name": NAME},
        "webhooks": [{
            "name": "null.bench.sidecarpolicy.dev",
            "admissionReviewVersions": ["v1"],
            "sideEffects": "None",
            "failurePolicy": "Fail",
            "timeoutSeconds": 5,
            "clientConfig": {
                "url": format!("https://{at}/"),
                "caBundle": STANDARD.encode(&identity.certificate),
            },
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
            "rules": [{"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"]}],
        }],
    })
}

async fn allow(request: Request<Incoming>) -> Response<Full<Bytes>> {
    let body = request.into_body().collect().await.map(Collected::to_bytes).unwrap_or_default();
    let body = String::from_utf8_lossy(&body);
    // The first one of a review is the request's.
    let uid = body.split("\"uid\":\"").nth(1).and_then(|rest| rest.split('"').next());
    let uid = uid.unwrap_or_default();
    https_server::json(format!(
        r#"{{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","response":{{"uid":"{uid}","allowed":true}}}}"#
    ))
}
