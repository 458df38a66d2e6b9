//! `kubectl sidecar catalog`

use clap::{Args, Subcommand};

use crate::output::ListFormat;

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

  # Put it into a namespace
  kubectl sidecar catalog show log-shipper | kubectl apply -n shop -f -";
