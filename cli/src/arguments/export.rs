//! `kubectl sidecar export`

use clap::{Args, ValueEnum, ValueHint};

use crate::output::Format;

/// Print policies in another form: as what the API server runs itself, without the webhook.
///
/// Works offline: policies come from files. A MutatingAdmissionPolicy and its binding are printed for
/// each policy that can be expressed so that every pod comes out the same. What cannot is refused, and
/// standard error names each field and why. Parts that need more than one look at a pod, such as
/// status, events, rollouts and annotations on workloads, stay behind.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ExportArguments {
    /// Policies of either kind: files, folders (their .yaml, .yml and .json files), or - for standard
    /// input.
    #[arg(short, long, required = true, num_args = 1.., value_name = "FILE", value_hint = ValueHint::AnyPath)]
    pub(crate) filename: Vec<String>,

    /// What the policies become.
    #[arg(long = "as", value_enum, value_name = "FORM")]
    pub(crate) form: ExportForm,

    /// Namespace of policies that name none.
    #[arg(short, long, default_value = "default")]
    pub(crate) namespace: String,

    /// How the objects are written.
    #[arg(short, long, value_enum, default_value_t = Format::Yaml)]
    pub(crate) output: Format,
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
  kubectl get scp log-shipper -n shop -o yaml |
    kubectl sidecar export -f - --as mutating-admission-policy | kubectl --context other apply -f -

Exit codes:
  0  done
  1  done, but there are policies that cannot be expressed; they were left out
  2  could not run; nothing was written";
