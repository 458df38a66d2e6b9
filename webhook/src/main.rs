//! The admission webhook of the sidecar policy operator.

use std::{
    net::{SocketAddr, TcpListener},
    sync::Arc,
    thread::available_parallelism,
    time::Duration,
};

use anyhow::Context as _;
use clap::Parser;
use inject::Exclusions;
use kube::Client;
use runtime::{
    arguments::SharedArguments,
    health::{self, Readiness},
    logging,
    metrics::{self, Exposition},
    shutdown,
    tls::ServingCertificate,
};
use webhook::{
    cache::Cache,
    metrics::Metrics,
    router::{AppState, router},
    server::{self, Stop},
    watch,
};

/// How long requests still arrive after SIGTERM: other replicas are found meanwhile.
const DRAIN: Duration = Duration::from_secs(3);

/// Injects sidecars into pods as the policies of the cluster say
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(flatten)]
    shared: SharedArguments,
    /// Address of the HTTPS server
    #[arg(long, default_value = "0.0.0.0:8443")]
    listen_address: SocketAddr,
    /// Secret with the serving certificate, in the program's namespace
    #[arg(long)]
    certificate_secret: String,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    logging::start(arguments.shared.log_format, &arguments.shared.log_level)?;
    // On one core a work-stealing pool only costs.
    let mut builder = match available_parallelism() {
        Ok(cores) if cores.get() > 1 => tokio::runtime::Builder::new_multi_thread(),
        _ => tokio::runtime::Builder::new_current_thread(),
    };
    builder.enable_all().build()?.block_on(run(arguments))
}

async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let shared = arguments.shared;
    let client = Client::try_default().await.context("no way to reach the API server")?;
    let readiness = Readiness::waiting_for(&[watch::POLICIES, watch::CERTIFICATE]);
    let mut registry = metrics::registry();
    let metrics = Metrics::register(&mut registry);
    let (cache, certificate, stop) =
        (Arc::new(Cache::default()), ServingCertificate::default(), Stop::default());
    let exclusions = Exclusions::new(&shared.namespace, &shared.excluded_namespaces);
    let state = AppState::new(Arc::clone(&cache), exclusions, metrics.clone());

    let health = health::router(readiness.clone(), Exposition::new(registry));
    tokio::spawn(health::serve(shared.health_address, health, std::future::pending()));
    tokio::spawn(watch::keep_cache(client.clone(), cache, metrics, readiness.clone()));
    tokio::spawn({
        let (certificate, readiness) = (certificate.clone(), readiness.clone());
        async move {
            let secret = &arguments.certificate_secret;
            watch::keep_certificate(client, &shared.namespace, secret, certificate, readiness)
                .await;
        }
    });
    tokio::spawn(drain_when_asked(state.clone(), readiness, stop.clone()));

    let listener = TcpListener::bind(arguments.listen_address)
        .with_context(|| format!("cannot listen on {}", arguments.listen_address))?;
    tracing::info!(address = %arguments.listen_address, "listening");
    server::serve(listener, &certificate, router(state), stop).await?;
    tracing::info!("every request is finished");
    Ok(())
}

/// On SIGTERM: no longer ready, every answer closes its connection, then no new ones, then the end.
async fn drain_when_asked(state: AppState, readiness: Readiness, stop: Stop) {
    if let Err(error) = shutdown::requested().await {
        tracing::error!(%error, "signals cannot be received");
        return;
    }
    tracing::info!("asked to stop; draining");
    readiness.lost("draining");
    state.drain();
    tokio::time::sleep(DRAIN).await;
    stop.gracefully();
}
