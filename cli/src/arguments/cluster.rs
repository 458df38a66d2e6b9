//! Which cluster a command asks.

use std::path::PathBuf;

use clap::{Args, ValueHint};

/// Which cluster a command asks, as kubectl has it.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct ClusterArguments {
    /// Kubeconfig file; otherwise those that the variable KUBECONFIG names, or ~/.kube/config.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = "Cluster")]
    pub(crate) kubeconfig: Option<PathBuf>,

    /// Context of the kubeconfig; otherwise its current one.
    #[arg(long, value_name = "NAME", help_heading = "Cluster")]
    pub(crate) context: Option<String>,
}
