//! Label and annotation keys that workload owners write, and those that the product writes.

/// Every key of the product starts with this prefix.
pub const PREFIX: &str = "sidecarpolicy.dev/";
/// Asks for policies: a comma-separated list of names.
pub const INJECT: &str = "sidecarpolicy.dev/inject";
/// Opts out of policies: a comma-separated list of names, or `*`.
pub const SKIP: &str = "sidecarpolicy.dev/skip";
/// Prefix of parameter values: `params.sidecarpolicy.dev/<policy>.<parameter>`.
pub const PARAMETER_PREFIX: &str = "params.sidecarpolicy.dev/";
/// Prefix of parameter values for the cluster kind.
pub const CLUSTER_PARAMETER_PREFIX: &str = "params.cluster.sidecarpolicy.dev/";
/// On a workload: which annotations were carried into its pod template, as JSON `{key: value}`.
pub const CARRIED: &str = "sidecarpolicy.dev/carried";
/// On a pod, as label `"true"` and as annotation `{"<policy>": "<revision>"}`: what was injected.
pub const INJECTED: &str = "sidecarpolicy.dev/injected";
/// On a pod: `{"<policy>": "<reason>"}` of the policies that could not be applied.
pub const SKIPPED: &str = "sidecarpolicy.dev/skipped";
/// On a pod: `{"<policy>": "<place>"}`, its place in the order in which the partition of a policy keeps
/// pods back, such as `12.34%`: it has the previous revision if the partition is more than that.
pub const PLACE: &str = "sidecarpolicy.dev/place";
/// Prefix of annotations that carry a policy's files: `files.sidecarpolicy.dev/<policy>.<position>`.
pub const FILE_PREFIX: &str = "files.sidecarpolicy.dev/";
/// Prefix of annotations that carry the files of the cluster kind.
pub const CLUSTER_FILE_PREFIX: &str = "files.cluster.sidecarpolicy.dev/";
/// On a pod: its containers that were changed in place, and how often they had been restarted before,
/// as JSON `{"uid": …, "at": …, "restarts": {container: count}}`. Until a container has been
/// restarted once more, it does not count as ready.
pub const UPDATED: &str = "sidecarpolicy.dev/updated";
/// On a pod template: for which revision of which policies a rollout restarted the workload, as JSON
/// `{"<policy>": {"revision": …, "at": …, "times": …}}`. The change of it is what makes the workload
/// roll, and what a later look recognises as done.
pub const RESTARTED_FOR: &str = "sidecarpolicy.dev/restarted-for";
/// Label, `"configuration"`, of the object that the operator shows the API server by a dry run to see by
/// which webhook configuration it calls. Before the hash of that configuration in the webhook's answer.
pub const PROBE: &str = "sidecarpolicy.dev/probe";
/// Label of a `ControllerRevision`: name of the policy whose content it keeps.
pub const POLICY: &str = "sidecarpolicy.dev/policy";
/// Label of a `ControllerRevision`: kind of the policy whose content it keeps.
pub const POLICY_KIND: &str = "sidecarpolicy.dev/policy-kind";
