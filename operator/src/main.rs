//! The operator: keeps certificates, webhook configurations, revisions, rollouts and the status of
//! policies true.
//!
//! Every replica is healthy and ready; only the one that holds the lease reads and writes.

mod arguments;
mod certificates;
mod context;
mod controllers;
mod dry_run;
mod events;
mod metadata;
mod metrics;
mod owner;
mod policy;
mod revision;
mod rollout;
mod seen;
mod shorten;
mod webhook_config;
mod workload;
mod workload_annotations;

use std::{future::Future, process::ExitCode, sync::Arc};

use anyhow::Context as _;
use clap::Parser;
use inject::Exclusions;
use kube::Client;
use runtime::{
    health::{self, Readiness},
    lease::Candidate,
    logging,
    metrics::Exposition,
    shutdown,
};
use tokio::sync::watch;

use arguments::Arguments;
use context::Context;
use metrics::Metrics;
use rollout::RolloutPermissions;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let traces = match logging::start(&arguments.shared, "sidecar-policy-operator") {
        Ok(traces) => traces,
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::FAILURE;
        }
    };
    let ended = run(arguments).await;
    traces.finish().await;
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = format!("{error:#}"), "the operator ends");
            ExitCode::FAILURE
        }
    }
}

/// Serves health and metrics, and leads when it is this replica's turn, until asked to stop.
async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let client = Client::try_default().await.context("no way to reach the API server is known")?;
    let mut registry = runtime::metrics::registry();
    let metrics = Metrics::register(&mut registry);
    let (stop, stopped) = watch::channel(false);
    let health = health::serve(
        arguments.shared.health_address,
        health::router(Readiness::default(), Exposition::new(registry)),
        until(stopped.clone()),
    );
    let health = tokio::spawn(health);
    let leading = lead(arguments, client, metrics, until(stopped));
    tokio::pin!(leading);
    tokio::select! {
        outcome = &mut leading => outcome,
        requested = shutdown::requested() => {
            requested.context("cannot wait for signals")?;
            stop.send_replace(true);
            leading.await
        }
        served = health => served?.context("cannot serve --health-address"),
    }
}

/// Waits to be the leader, then runs the controllers until `stop` ends or the lease is lost.
async fn lead(
    arguments: Arguments,
    client: Client,
    metrics: Metrics,
    stop: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    tokio::pin!(stop);
    let namespace = arguments.shared.namespace;
    let candidate =
        Candidate::new(client.clone(), &namespace, &arguments.lease, &arguments.identity);
    let mut leadership = tokio::select! {
        () = &mut stop => return Ok(()),
        leadership = candidate.lead() => leadership,
    };
    metrics.leads();
    let controllers = Box::pin(controllers::run(Arc::new(Context {
        client,
        exclusions: Exclusions::new(&namespace, &arguments.shared.excluded_namespaces),
        namespace,
        authority_secret: arguments.authority_secret,
        certificate_secret: arguments.certificate_secret,
        webhook_service: arguments.webhook_service,
        webhook_configuration: arguments.webhook_configuration,
        dry_run_namespace: arguments.dry_run_namespace,
        permissions: RolloutPermissions {
            in_place: arguments.rollout_in_place,
            restart: arguments.rollout_restart,
        },
        repairs_workload_annotations: arguments.repair_workload_annotations,
        term: leadership.term(),
        metrics,
    })));
    tokio::select! {
        () = &mut stop => {}
        lost = leadership.hold() => {
            return Err(lost).context("this replica no longer leads; another one goes on");
        }
        () = controllers => anyhow::bail!("a controller ended, which none ever should"),
    }
    leadership.release().await.context("cannot give the leader lease back; it will expire")
}

async fn until(mut stopped: watch::Receiver<bool>) {
    // An error means that the sender is gone, and with it the process.
    let _ = stopped.wait_for(|stopped| *stopped).await;
}
