//! Where manifests and policies come from.

use clap::{Args, ValueHint};

/// Manifests and the policies that are asked about them.
#[derive(Debug, Args)]
pub(crate) struct Files {
    /// Manifests: files, folders (their .yaml, .yml and .json files), or - for standard input.
    #[arg(short, long, required = true, num_args = 1.., value_name = "FILE", value_hint = ValueHint::AnyPath)]
    pub(crate) filename: Vec<String>,

    /// Policies of either kind: files, folders, or - for standard input.
    #[arg(short, long, required = true, num_args = 1.., value_name = "FILE", value_hint = ValueHint::AnyPath)]
    pub(crate) policy: Vec<String>,

    /// Namespace of manifests and policies that name none.
    #[arg(short, long, default_value = "default")]
    pub(crate) namespace: String,
}
