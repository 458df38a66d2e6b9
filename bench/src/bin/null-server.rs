//! Answers every review with "allowed" and nothing else. Prints its address, then serves.

use std::path::PathBuf;

use bench::{https_server, identity::Identity};
use clap::Parser;
use http_body_util::{BodyExt, Full};
use hyper::{
    Request, Response,
    body::{Bytes, Incoming},
};
use tokio::net::TcpListener;

const ALLOWED: &[u8] = br#"{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","response":{"uid":"","allowed":true}}"#;

#[derive(Parser)]
struct Arguments {
    /// Folder with the server's tls.crt and tls.key
    #[arg(long)]
    certificate_folder: PathBuf,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let config = Identity::read(&arguments.certificate_folder)?.server_config()?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    https_server::serve(listener, config, allow).await?;
    Ok(())
}

/// Lets the body pass by, for the connection is of no use before it is read.
async fn allow(request: Request<Incoming>) -> Response<Full<Bytes>> {
    let mut body = request.into_body();
    while let Some(Ok(_)) = body.frame().await {}
    https_server::json(ALLOWED)
}
