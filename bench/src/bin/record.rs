//! Records `AdmissionReview`s as a real API server sends them: one file for each value of the label
//! `app.kubernetes.io/name`. Prints nothing but what it wrote, and ends when it has as many as asked for.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use anyhow::Context;
use bench::{https_server, identity::Identity};
use clap::Parser;
use http_body_util::BodyExt;
use hyper::{
    Request,
    body::{Bytes, Incoming},
};
use serde_json::Value;
use tokio::{net::TcpListener, sync::mpsc};

#[derive(Parser)]
struct Arguments {
    /// Address to listen on, reachable by the API server
    #[arg(long)]
    address: SocketAddr,
    /// Folder into which the certificate of this server is written
    #[arg(long)]
    certificate_folder: PathBuf,
    /// Folder into which the reviews are written
    #[arg(long)]
    folder: PathBuf,
    /// End after this many different reviews
    #[arg(long)]
    count: usize,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let identity = Identity::new(arguments.address.ip())?;
    let listener = TcpListener::bind(arguments.address).await?;
    identity.write(&arguments.certificate_folder)?;
    let (sender, receiver) = mpsc::unbounded_channel();
    let server = https_server::serve(listener, identity.server_config()?, move |request| {
        let sender = sender.clone();
        async move { https_server::json(allow(request, &sender).await) }
    });
    tokio::select! {
        ended = server => ended.context("the recording server ended"),
        written = record(receiver, &arguments.folder, arguments.count) => written,
    }
}

/// Hands the body on to be recorded.
async fn allow(request: Request<Incoming>, bodies: &mpsc::UnboundedSender<Bytes>) -> Bytes {
    let Ok(body) = request.into_body().collect().await else { return Bytes::new() };
    let body = body.to_bytes();
    let uid = serde_json::from_slice::<Value>(&body)
        .ok()
        .and_then(|review| Some(review.pointer("/request/uid")?.as_str()?.to_owned()))
        .unwrap_or_default();
    // The receiver is gone once everything is recorded.
    let _ = bodies.send(body);
    Bytes::from(
        serde_json::json!({
            "apiVersion": "admission.k8s.io/v1",
            "kind": "AdmissionReview",
            "response": {"uid": uid, "allowed": true},
        })
        .to_string(),
    )
}

async fn record(
    mut bodies: mpsc::UnboundedReceiver<Bytes>,
    folder: &Path,
    count: usize,
) -> anyhow::Result<()> {
    let mut recorded = Vec::new();
    while recorded.len() < count {
        let Some(body) = bodies.recv().await else { break };
        let review: Value = serde_json::from_slice(&body).context("the API server sent no JSON")?;
        let label = "/request/object/metadata/labels/app.kubernetes.io~1name";
        let Some(name) = review.pointer(label).and_then(Value::as_str) else { continue };
        if recorded.iter().any(|known| known == name) {
            continue;
        }
        let path = folder.join(format!("{name}.json"));
        fs::write(&path, &body).with_context(|| path.display().to_string())?;
        println!("{}: {} bytes", path.display(), body.len());
        recorded.push(name.to_owned());
    }
    Ok(())
}
