//! The webhook without a cluster: its own router and its own server, on generated policies instead
//! of watched ones. Prints its address, then serves.

use std::{net::TcpListener, path::PathBuf, sync::Arc};

use bench::{identity::Identity, policies};
use clap::Parser;
use inject::Exclusions;
use runtime::{metrics, tls::ServingCertificate};
use webhook::{
    cache::Cache,
    metrics::Metrics,
    router::{AppState, router},
    server::{self, Stop},
};

#[derive(Parser)]
struct Arguments {
    /// Folder with the server's tls.crt and tls.key
    #[arg(long)]
    certificate_folder: PathBuf,
    /// How many policies there are
    #[arg(long)]
    policies: usize,
}

// One thread, as the webhook itself does on one core.
#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let identity = Identity::read(&arguments.certificate_folder)?;
    let certificate = ServingCertificate::default();
    certificate.replace(identity.certificate.as_bytes(), identity.key.as_bytes())?;
    let cache = Arc::new(Cache::default());
    cache.publish(policies::snapshot(arguments.policies)?);
    let metrics = Metrics::register(&mut metrics::registry());
    let exclusions = Exclusions::new("sidecar-policy-system", &[]);
    let state = AppState::new(cache, exclusions, metrics);
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("{}", listener.local_addr()?);
    server::serve(listener, &certificate, router(state), Stop::default()).await?;
    Ok(())
}
