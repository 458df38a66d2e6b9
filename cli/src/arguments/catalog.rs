//! `kubectl sidecar catalog`

use clap::{Args, Subcommand, ValueEnum};

use super::ClusterArguments;
use crate::output::{ChangeFormat, ListFormat};

/// Ready-made policies that are built into this program.
#[derive(Debug, Args)]
#[command(disable_help_subcommand = true)]
pub(crate) struct CatalogArguments {
    #[command(subcommand)]
    pub(crate) command: CatalogCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum CatalogCommand {
    List(CatalogListArguments),
    Show(ShowArguments),
    Install(InstallArguments),
}

/// List the ready-made policies.
#[derive(Debug, Args)]
pub(crate) struct CatalogListArguments {
    /// How the list is written.
    #[arg(short, long, value_enum, default_value_t = ListFormat::Table)]
    pub(crate) output: ListFormat,
}

/// Print a ready-made policy as YAML.
#[derive(Debug, Args)]
#[command(after_help = SHOW_EXAMPLES)]
pub(crate) struct ShowArguments {
    /// Name of the policy, as list prints it.
    #[arg(value_name = "NAME")]
    pub(crate) name: String,

    /// Print how to use it instead of the policy itself.
    #[arg(long)]
    pub(crate) readme: bool,
}

const SHOW_EXAMPLES: &str = "\
Examples:
  # How to use it
  kubectl sidecar catalog show log-shipper --readme

  # Change it before you put it into a namespace
  kubectl sidecar catalog show log-shipper > log-shipper.yaml";

/// Put ready-made policies into a cluster, as they are.
///
/// By server-side apply with the field manager kubectl-sidecar: what others set stays theirs, and where somebody else
/// changed a field of the policy, the API server refuses and says which, unless conflicts are forced. Installing again
/// takes over what is new in this version of the program.
#[derive(Debug, Args)]
#[command(after_help = INSTALL_EXAMPLES)]
pub(crate) struct InstallArguments {
    /// Names of the policies, as list prints them.
    #[arg(value_name = "NAME", required = true)]
    pub(crate) names: Vec<String>,

    /// Namespace of policies that are not of the cluster kind; otherwise the one of the context.
    #[arg(short, long)]
    pub(crate) namespace: Option<String>,

    /// Say what would be done: client only looks at what is there, server has the API server check it.
    #[arg(long, value_enum, default_value_t = DryRun::None)]
    pub(crate) dry_run: DryRun,

    /// Take over the fields of the policy that others changed, or rollout undo.
    #[arg(long)]
    pub(crate) force_conflicts: bool,

    /// How the answer is written.
    #[arg(short, long, value_enum, default_value_t = ChangeFormat::Text)]
    pub(crate) output: ChangeFormat,

    #[command(flatten)]
    pub(crate) cluster: ClusterArguments,
}

/// Whether anything is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum DryRun {
    /// It is.
    None,
    /// Nothing is sent.
    Client,
    /// It is sent, checked, and not stored.
    Server,
}

const INSTALL_EXAMPLES: &str = "\
Examples:
  # Put a policy into a namespace, and wait until new pods get it
  kubectl sidecar catalog install log-shipper -n shop
  kubectl sidecar rollout status log-shipper -n shop --timeout 1m

  # See what would be stored
  kubectl sidecar catalog install log-shipper -n shop --dry-run=server -o yaml

Exit codes:
  0  done, also where nothing had to change
  2  could not: no such policy, no cluster, or the API server refuses; policies before it are installed";
