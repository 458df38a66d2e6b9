//! The operator's command line.

use clap::Parser;
use runtime::arguments::SharedArguments;

/// Keeps policies, certificates and webhook configurations of the sidecar policy operator true
#[derive(Debug, Parser)]
#[command(name = "operator", version)]
pub(crate) struct Arguments {
    /// Arguments that the webhook takes as well.
    #[command(flatten)]
    pub(crate) shared: SharedArguments,
    /// Name of this replica, unique among all
    #[arg(long, env = "POD_NAME")]
    pub(crate) identity: String,
    /// Lease that the leader holds, in the own namespace
    #[arg(long)]
    pub(crate) lease: String,
    /// Secret of the webhook's serving certificate, in the own namespace
    #[arg(long)]
    pub(crate) certificate_secret: String,
    /// Secret of the certificate authority, in the own namespace; without it the serving certificate is
    /// taken as somebody else makes it, such as cert-manager
    #[arg(long)]
    pub(crate) authority_secret: Option<String>,
    /// Service of the webhook, in the own namespace
    #[arg(long)]
    pub(crate) webhook_service: String,
    /// Name of both webhook configurations
    #[arg(long)]
    pub(crate) webhook_configuration: String,
    /// Namespace of this installation in which policies are tried by dry runs
    #[arg(long)]
    pub(crate) dry_run_namespace: String,
    /// May change images, CPU and memory of running pods
    #[arg(long)]
    pub(crate) rollout_in_place: bool,
    /// May restart workloads and evict pods
    #[arg(long)]
    pub(crate) rollout_restart: bool,
    /// May carry annotations of workloads into their pod templates when the webhook missed them
    #[arg(long)]
    pub(crate) repair_workload_annotations: bool,
}
