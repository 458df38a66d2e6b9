//! What a question is about, and which policies are asked.

use clap::{Args, ValueHint};

use super::ClusterArguments;

/// Objects of the cluster or manifests, and the policies that are asked about them.
#[derive(Debug, Args)]
pub(crate) struct Asked {
    /// Objects of the cluster: pods, deployments, statefulsets, daemonsets, replicasets, jobs and cronjobs,
    /// named as kubectl takes them: pod/NAME, deploy/NAME, or pod NAME.
    #[arg(
        value_name = "OBJECT",
        required_unless_present = "filename",
        conflicts_with = "filename"
    )]
    pub(crate) objects: Vec<String>,

    /// Manifests: files, folders (their .yaml, .yml and .json files), or - for standard input.
    #[arg(short, long, num_args = 1.., value_name = "FILE", value_hint = ValueHint::AnyPath)]
    pub(crate) filename: Vec<String>,

    /// Policies of either kind: files, folders, or - for standard input; otherwise those of the
    /// cluster.
    #[arg(short, long, num_args = 1.., value_name = "FILE", value_hint = ValueHint::AnyPath)]
    pub(crate) policy: Vec<String>,

    /// Namespace of the objects, and of manifests and policies that name none; otherwise the one of the
    /// context, or default where no cluster is asked.
    #[arg(short, long)]
    pub(crate) namespace: Option<String>,

    #[command(flatten)]
    pub(crate) cluster: ClusterArguments,
}
