//! `kubectl sidecar export`

use clap::{Args, ValueEnum, ValueHint};

use super::ClusterArguments;
use crate::output::Format;

/// Print policies in another form: as what the API server runs itself, without the webhook.
///
/// Policies come from files, without a cluster, or are those of the cluster that are named. A MutatingAdmissionPolicy and its binding are printed for
/// each policy that can be expressed so that every pod comes out the same. What cannot is refused, and
/// standard error names each field and why. Parts that need more than one look at a pod, such as
/// status, events, rollouts and annotations on workloads, stay behind.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ExportArguments {
    /// Policies of the cluster: a NAME of either kind, scp/NAME, cscp/NAME, cluster/NAME or NAMESPACE/NAME.
    #[arg(
        value_name = "POLICY",
        required_unless_present = "filename",
        conflicts_with = "filename"
    )]
    pub(crate) policies: Vec<String>,

    /// Policies of either kind: files, folders (their .yaml, .yml and .json files), or - for standard
    /// input.
    #[arg(short, long, num_args = 1.., value_name = "FILE", value_hint = ValueHint::AnyPath)]
    pub(crate) filename: Vec<String>,

    /// What the policies become.
    #[arg(long = "as", value_enum, value_name = "FORM")]
    pub(crate) form: ExportForm,

    /// Namespace of policies that name none; otherwise the one of the context, or default for files.
    #[arg(short, long)]
    pub(crate) namespace: Option<String>,

    /// Namespaces that no policy is to reach, besides kube-system, kube-node-lease, kube-public and
    /// sidecar-policy-system; otherwise those of the installation, or no more for files.
    #[arg(long, value_name = "NAMESPACE,...", value_delimiter = ',')]
    pub(crate) excluded_namespaces: Option<Vec<String>>,

    /// How the objects are written.
    #[arg(short, long, value_enum, default_value_t = Format::Yaml)]
    pub(crate) output: Format,

    #[command(flatten)]
    pub(crate) cluster: ClusterArguments,
}

/// What policies become.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ExportForm {
    /// MutatingAdmissionPolicy of admissionregistration.k8s.io/v1, which Kubernetes has since 1.36.
    MutatingAdmissionPolicy,
}

const EXAMPLES: &str = "\
Examples:
  # See whether a policy can do without the webhook, and what it becomes
  kubectl sidecar export -f log-shipper.yaml -n shop --as mutating-admission-policy

  # Take a policy of the cluster to one where nothing is installed
  kubectl sidecar export log-shipper -n shop --as mutating-admission-policy | kubectl --context other apply -f -

Exit codes:
  0  done
  1  done, but there are policies that cannot be expressed; they were left out
  2  could not run; nothing was written";
