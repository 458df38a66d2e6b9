//! An API server as far as the webhook asks for one: lists the generated policies, a namespace and
//! the certificate, and has nothing to tell those who watch. Prints its address, then serves.

use std::{collections::HashMap, future, path::PathBuf, sync::Arc};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bench::{
    https_server,
    identity::Identity,
    policies::{self, Generated},
};
use clap::Parser;
use hyper::{
    Request,
    body::{Bytes, Incoming},
};
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// Objects on a page, whatever is asked for.
const PAGE: usize = 100;

#[derive(Parser)]
struct Arguments {
    /// Folder with the tls.crt and tls.key of this server, and of the webhook
    #[arg(long)]
    certificate_folder: PathBuf,
    /// How many policies there are
    #[arg(long)]
    policies: usize,
}

/// Path -> the pages of its list, each the body of an answer.
type Lists = HashMap<&'static str, Vec<Bytes>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let identity = Identity::read(&arguments.certificate_folder)?;
    let lists = Arc::new(lists(arguments.policies, &identity));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    let answer = move |request: Request<Incoming>| {
        let lists = Arc::clone(&lists);
        async move { https_server::json(answer(lists, request).await) }
    };
    https_server::serve(listener, identity.server_config()?, answer).await?;
    Ok(())
}

/// Everything is printed before the first request, so that the webhook waits for nothing.
fn lists(count: usize, identity: &Identity) -> Lists {
    let is_cluster = |policy: &Generated| policy.id.namespace.is_none();
    let (cluster, namespaced): (Vec<_>, Vec<_>) = policies::generated(count).partition(is_cluster);
    let objects = |policies: Vec<Generated>| policies.iter().map(Generated::object).collect();
    let namespace = policies::namespace();
    let namespace = json!({
        "apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata",
        "metadata": {"name": namespace.name, "labels": namespace.labels, "resourceVersion": "1000"}
    });
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
        "metadata": {
            "name": "webhook-tls", "namespace": "sidecar-policy-system", "resourceVersion": "1000"
        },
        "data": {
            "tls.crt": STANDARD.encode(&identity.certificate),
            "tls.key": STANDARD.encode(&identity.key)
        }
    });
    let policies = "sidecarpolicy.dev/v1alpha1";
    [
        (
            "/apis/sidecarpolicy.dev/v1alpha1/sidecarpolicies",
            pages(policies, "SidecarPolicyList", objects(namespaced)),
        ),
        (
            "/apis/sidecarpolicy.dev/v1alpha1/clustersidecarpolicies",
            pages(policies, "ClusterSidecarPolicyList", objects(cluster)),
        ),
        (
            "/api/v1/namespaces",
            pages("meta.k8s.io/v1", "PartialObjectMetadataList", vec![namespace]),
        ),
        (
            "/api/v1/namespaces/sidecar-policy-system/secrets",
            pages("v1", "SecretList", vec![secret]),
        ),
    ]
    .into()
}

fn pages(api_version: &str, kind: &str, objects: Vec<Value>) -> Vec<Bytes> {
    let count = objects.len().div_ceil(PAGE).max(1);
    let mut objects = objects.into_iter();
    let page = |number: usize| {
        let next = if number + 1 < count { (number + 1).to_string() } else { String::new() };
        let items: Vec<Value> = objects.by_ref().take(PAGE).collect();
        let page = json!({
            "apiVersion": api_version, "kind": kind,
            "metadata": {"resourceVersion": "1000", "continue": next}, "items": items
        });
        Bytes::from(page.to_string())
    };
    (0..count).map(page).collect()
}

async fn answer(lists: Arc<Lists>, request: Request<Incoming>) -> Bytes {
    let uri = request.uri();
    let parameter = |name: &str| {
        let query = uri.query().unwrap_or_default().split('&');
        query
            .filter_map(|part| part.split_once('='))
            .find_map(|(key, value)| (key == name).then_some(value))
    };
    if parameter("watch").is_some() {
        // Nothing ever happens.
        return future::pending().await;
    }
    let page = parameter("continue").and_then(|page| page.parse().ok()).unwrap_or(0_usize);
    let found = lists.get(uri.path()).and_then(|pages| pages.get(page));
    found.cloned().unwrap_or_else(|| {
        eprintln!("nobody was expected to ask for {uri}");
        Bytes::new()
    })
}
