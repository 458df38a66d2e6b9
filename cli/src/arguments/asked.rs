//! What a question is about, and which policies are asked.

use clap::{Args, ValueHint};

use super::ClusterArguments;

/// Manifests, and the policies that are asked about them.
#[derive(Debug, Args)]
pub(crate) struct Asked {
    /// Manifests: files, folders (their .yaml, .yml and .json files), or - for standard input.
    #[arg(short, long, required = true, num_args = 1.., value_name = "FILE", value_hint = ValueHint::AnyPath)]
    pub(crate) filename: Vec<String>,

    /// Policies of either kind: files, folders, or - for standard input; otherwise those of the
    /// cluster.
    #[arg(short, long, num_args = 1.., value_name = "FILE", value_hint = ValueHint::AnyPath)]
    pub(crate) policy: Vec<String>,

    /// Namespace of objects and policies that name none; otherwise the one of the context, or default
    /// where no cluster is asked.
    #[arg(short, long)]
    pub(crate) namespace: Option<String>,

    #[command(flatten)]
    pub(crate) cluster: ClusterArguments,
}
