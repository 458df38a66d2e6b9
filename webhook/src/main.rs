//! The admission webhook of the sidecar policy operator.

use std::{
    future, io,
    net::{SocketAddr, TcpListener},
    num::NonZero,
    sync::Arc,
    thread::available_parallelism,
    time::Duration,
};

use anyhow::{Context as _, bail};
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

/// How long requests still arrive after SIGTERM: other replicas are found meanwhile, which takes seconds on
/// a busy node. A connection that is idle for so long is closed without a word, so it should be long.
const DRAIN: Duration = Duration::from_secs(10);
/// One thread answers tens of thousands of reviews a second; on a large node each further one would
/// only take memory.
const MOST_THREADS: usize = 4;

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
    executor().enable_all().build()?.block_on(async {
        let traces = logging::start(&arguments.shared, "sidecar-policy-webhook")?;
        let ended = run(arguments).await;
        traces.finish().await;
        ended
    })
}

/// On one core a work-stealing pool only costs.
fn executor() -> tokio::runtime::Builder {
    match available_parallelism().map_or(1, NonZero::get).min(MOST_THREADS) {
        1 => tokio::runtime::Builder::new_current_thread(),
        threads => {
            let mut builder = tokio::runtime::Builder::new_multi_thread();
            builder.worker_threads(threads);
            builder
        }
    }
}

async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let shared = arguments.shared;
    let client = Client::try_default().await.context("no way to reach the API server")?;
    let readiness = Readiness::waiting_for(&[watch::POLICIES, watch::CERTIFICATE]);
    let mut registry = metrics::registry();
    let metrics = Metrics::register(&mut registry);
    readiness.register(&mut registry);
    let (cache, certificate, stop) =
        (Arc::new(Cache::default()), ServingCertificate::default(), Stop::default());
    let exclusions = Exclusions::new(&shared.namespace, &shared.excluded_namespaces);
    let state = AppState::new(Arc::clone(&cache), exclusions, metrics.clone());

    let health = health::router(readiness.clone(), Exposition::new(registry));
    let health = health::serve(shared.health_address, health, future::pending());
    let policies = tokio::spawn({
        let (client, metrics, readiness) = (client.clone(), metrics.clone(), readiness.clone());
        let namespace = shared.namespace.clone();
        async move { watch::keep_cache(client, &namespace, cache, metrics, readiness).await }
    });
    let certificates = tokio::spawn({
        let (certificate, readiness) = (certificate.clone(), readiness.clone());
        async move {
            let (namespace, secret) = (&shared.namespace, &arguments.certificate_secret);
            watch::keep_certificate(client, namespace, secret, certificate, metrics, readiness)
                .await;
        }
    });
    let listener = TcpListener::bind(arguments.listen_address)
        .with_context(|| format!("cannot listen on {}", arguments.listen_address))?;
    tracing::info!(address = %arguments.listen_address, "listening");
    let drained = drain_when_asked(state.clone(), readiness, stop.clone());
    let serving = server::serve(listener, &certificate, router(state), stop);
    tokio::select! {
        ended = serving => ended.context("the HTTPS server failed")?,
        ended = health => {
            ended.with_context(|| format!("cannot serve health on {}", shared.health_address))?;
        }
        Err(error) = drained => return Err(error).context("signals cannot be received"),
        // A replica that no longer hears of changes must not go on looking healthy.
        _ = policies => bail!("the watches of policies and namespaces ended"),
        _ = certificates => bail!("the watch of the certificate ended"),
    }
    tracing::info!("every request is finished");
    Ok(())
}

/// On SIGTERM: no longer ready, every answer closes its connection, then no new ones, then the end.
async fn drain_when_asked(state: AppState, readiness: Readiness, stop: Stop) -> io::Result<()> {
    shutdown::requested().await?;
    tracing::info!("asked to stop; draining");
    readiness.lost("draining");
    state.drain();
    tokio::time::sleep(DRAIN).await;
    stop.gracefully();
    Ok(())
}
