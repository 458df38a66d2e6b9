//! `kubectl sidecar inject`

use clap::Args;

use super::Files;
use crate::output::Format;

/// Print manifests with the sidecars that the policies put into them.
///
/// Works offline: policies and manifests come from files. Pods, and all that has a pod template
/// (Deployment, StatefulSet, DaemonSet, ReplicaSet, ReplicationController, Job, CronJob,
/// PodTemplate), change as they would at admission; everything else is written as it was read,
/// comments included. A document that changes is written anew as YAML: the order of its keys and
/// the comments above it stay, comments inside of it do not. What was not injected, and why, is
/// said on standard error.
///
/// A Namespace among the manifests gives its labels and annotations to the pods in it. Policies
/// among the manifests are passed through, not used.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct InjectArguments {
    #[command(flatten)]
    pub(crate) files: Files,

    /// How the manifests are written.
    #[arg(short, long, value_enum, default_value_t = Format::Yaml)]
    pub(crate) output: Format,
}

const EXAMPLES: &str = "\
Examples:
  # What becomes of a Deployment
  kubectl sidecar inject -f deployment.yaml -p log-shipper.yaml

  # Inject a rendered chart and apply it, with all policies of a folder
  helm template shop ./chart | kubectl sidecar inject -n shop -f - -p policies/ | kubectl apply -n shop -f -

  # The containers of each pod, as JSON
  kubectl sidecar inject -f app/ -p policies/ -o json | jq '.items[].spec.template.spec.containers'

Exit codes:
  0  done, also where nothing had to be injected
  1  done, but the pods of an object would be refused; the object was passed through as it was
  2  could not run; nothing was written";
