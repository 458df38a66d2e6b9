//! What a policy says: the spec that both kinds share, field by field as in the reference.
//!
//! Containers, volumes and what goes into the app's containers are kept as raw JSON maps beside
//! the fields that only this product knows, so that fields of a newer Kubernetes survive. Their
//! schema is typed all the same (see `schema`).

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    Container, EnvFromSource, EnvVar, HostAlias, Lifecycle, LocalObjectReference, Probe,
    Volume as KubernetesVolume, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::schema::{
    AnyValue, Open, Unnamed, atomic_map, copy_from_app, keyed_by_name, placement,
    pod_security_context, resources_from_app, rules,
};

/// The spec of `SidecarPolicy` and `ClusterSidecarPolicy`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("x-kubernetes-validations" = [rules::something_goes_in()]))]
pub struct PolicySpec {
    /// Which pods, by their labels; absent: all.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(transform = atomic_map)]
    pub pod_selector: Option<LabelSelector>,
    /// Which namespaces (cluster kind only); absent: all but the excluded ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(transform = atomic_map)]
    pub namespace_selector: Option<LabelSelector>,
    /// CEL conditions; any false: no match.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), transform = keyed_by_name)]
    pub match_conditions: Vec<MatchCondition>,
    /// Operating system of the pods that are reached.
    pub os: OperatingSystem,
    /// Whether host-network pods are reached.
    pub host_network: HostNetwork,
    /// Whether pods have to ask.
    pub activation: Activation,
    /// Whether workload owners may opt out.
    pub opt_out: OptOut,
    /// Whether pods are patched or only reported.
    pub mode: Mode,
    /// What an absent webhook means for the pods that are selected.
    pub failure_policy: FailurePolicy,
    /// What happens to a pod the policy cannot be applied to; absent: `Deny` under
    /// `failurePolicy: Fail`, else `Skip`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "ConflictAction")]
    pub on_conflict: Option<ConflictAction>,
    /// Policies are ordered by priority descending, cluster kind first, then name.
    pub priority: i32,
    /// Values that workload owners may set by annotation.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), transform = keyed_by_name)]
    pub parameters: Vec<Parameter>,
    /// Containers that go in.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), transform = keyed_by_name)]
    pub sidecars: Vec<Sidecar>,
    /// Volumes that go in.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), transform = keyed_by_name)]
    pub volumes: Vec<Volume>,
    /// Small configuration carried by the policy itself.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub files: Vec<File>,
    /// What is added to the app's own containers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "atomic"))]
    pub app_containers: Vec<AppContainers>,
    /// What is added to the pod itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod: Option<PodPatch>,
    /// How running pods follow a change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rollout: Option<Rollout>,
    /// Revisions kept beside the current one (default: 10).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub revision_history_limit: Option<i32>,
}

/// A named CEL expression over `pod`, `namespace`, `workload` and `params`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MatchCondition {
    /// Name shown in reasons.
    #[schemars(length(max = 63), extend("x-kubernetes-validations" = [rules::condition_name()]))]
    pub name: String,
    /// CEL expression that gives a boolean.
    #[schemars(length(min = 1, max = 4096))]
    pub expression: String,
}

macro_rules! choice {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
        pub enum $name { $($(#[$variant_doc])* $variant),+ }
    };
}

choice!(
    /// Operating system of a pod: `spec.os.name`, else the node selector `kubernetes.io/os`.
    OperatingSystem {
        /// Linux pods, and pods that do not say.
        #[default]
        Linux,
        /// Windows pods.
        Windows,
        /// Every pod.
        Any,
    }
);
choice!(
    /// Whether pods on the host network are reached.
    HostNetwork {
        /// They are.
        #[default]
        Allow,
        /// They are left out.
        Deny,
    }
);
choice!(
    /// Whether pods have to ask for the policy.
    Activation {
        /// Every selected pod, unless its owner opted out.
        #[default]
        Automatic,
        /// Only selected pods that ask by annotation.
        OnRequest,
    }
);
choice!(
    /// Whether workload owners may opt out.
    OptOut {
        /// They may.
        #[default]
        Allowed,
        /// They may not; a try is warned about.
        Denied,
    }
);
choice!(
    /// Whether pods are patched.
    Mode {
        /// They are.
        #[default]
        Enforce,
        /// What would happen is computed and reported; nothing is patched.
        Audit,
    }
);
choice!(
    /// What happens while the webhook cannot answer.
    FailurePolicy {
        /// Pods start without the sidecars.
        #[default]
        Ignore,
        /// Pods are refused.
        Fail,
    }
);
choice!(
    /// What happens to a pod the policy cannot be applied to.
    ConflictAction {
        /// It is admitted without, and says so.
        #[default]
        Skip,
        /// It is denied with the reason.
        Deny,
    }
);

/// A value that workload owners may set by annotation.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["name"]))]
pub struct Parameter {
    /// Name: `[a-z][A-Za-z0-9]{0,20}`.
    #[schemars(length(max = 21), extend("x-kubernetes-validations" = [rules::parameter_name()]))]
    pub name: String,
    /// Type that values are checked against.
    #[serde(rename = "type")]
    pub kind: ParameterType,
    /// Value where no annotation sets one.
    #[serde(rename = "default", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "AnyValue")]
    pub default_value: Option<Value>,
    /// The only values allowed.
    #[serde(rename = "enum", skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), with = "Vec<AnyValue>")]
    pub choices: Vec<Value>,
    /// Regular expression that text must match.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub pattern: Option<String>,
    /// Smallest value allowed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "AnyValue")]
    pub minimum: Option<Value>,
    /// Largest value allowed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "AnyValue")]
    pub maximum: Option<Value>,
    /// Whether an annotation has to set it.
    pub required: bool,
}

choice!(
    /// Type of a parameter.
    ParameterType {
        /// Text.
        #[default]
        String,
        /// A whole number.
        Integer,
        /// A number.
        Number,
        /// `true` or `false`.
        Boolean,
        /// A Kubernetes quantity such as `100m` or `64Mi`.
        Quantity,
        /// A duration such as `30s`.
        Duration,
        /// Comma-separated texts.
        StringList,
    }
);

/// A container that goes in: a Kubernetes `Container` and four fields of our own.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("required" = ["name", "image"]))]
pub struct Sidecar {
    /// Container name, unique in the pod.
    #[schemars(length(max = 63), extend("x-kubernetes-validations" = [rules::sidecar_name()]))]
    pub name: String,
    /// How it runs.
    #[serde(rename = "type", default)]
    pub kind: SidecarType,
    /// Where in its list: `First`, `Last`, `{before: NAME}` or `{after: NAME}`; absent: `First`,
    /// for type `Container` `Last`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "placement")]
    pub placement: Option<Placement>,
    /// What is taken over from the app's containers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "copy_from_app")]
    pub copy_from_app: Option<Value>,
    /// Resources sized from the app's containers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "resources_from_app")]
    pub resources_from_app: Option<Value>,
    /// Every other field of a Kubernetes `Container`, untouched.
    #[serde(flatten)]
    #[schemars(with = "Unnamed<Container>")]
    pub container: Map<String, Value>,
}

choice!(
    /// How a container runs.
    SidecarType {
        /// Native sidecar: an init container with `restartPolicy: Always`.
        #[default]
        Sidecar,
        /// Init container: runs to completion before the app starts.
        Init,
        /// Ordinary container beside the app's.
        Container,
    }
);

/// Where a container goes in its list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Placement {
    /// In the block at the start or at the end.
    Block(PlacementBlock),
    /// Beside a named container.
    Relative(RelativePlacement),
}

/// The block at the start or at the end of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PlacementBlock {
    /// Before all of the app's.
    First,
    /// After all of the app's.
    Last,
}

/// A place beside a named container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum RelativePlacement {
    /// Right before the container of this name.
    Before(String),
    /// Right after the container of this name.
    After(String),
}

/// A volume that goes in.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Volume {
    /// Volume name, unique in the pod.
    #[schemars(length(max = 63), extend("x-kubernetes-validations" = [rules::volume_name()]))]
    pub name: String,
    /// The source, and any other field of a Kubernetes `Volume`, untouched.
    #[serde(flatten)]
    #[schemars(with = "Unnamed<KubernetesVolume>")]
    pub source: Map<String, Value>,
}

/// Small configuration carried by the policy itself.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("required" = ["path", "content"]))]
pub struct File {
    /// Absolute path in the containers.
    #[schemars(length(max = 1024), extend("x-kubernetes-validations" = [rules::file_path()]))]
    pub path: String,
    /// Content, templated.
    #[schemars(length(max = 65536))]
    pub content: String,
    /// Names of the sidecars that get it; absent: all of the policy's.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub containers: Vec<String>,
}

/// What is added to the app's own containers. Only what is absent is added.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("x-kubernetes-validations" = [rules::app_containers_add_something()]))]
pub struct AppContainers {
    /// Names or globs of the containers meant; empty: all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub containers: Vec<String>,
    /// Which lists are meant.
    pub include: ContainersIncluded,
    /// Volume mounts, each a Kubernetes `VolumeMount`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 128), with = "Vec<Open<VolumeMount>>")]
    pub volume_mounts: Vec<Map<String, Value>>,
    /// Environment variables.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 128))]
    pub env: Vec<AppEnv>,
    /// Sources of environment variables, each a Kubernetes `EnvFromSource`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 128), with = "Vec<Open<EnvFromSource>>")]
    pub env_from: Vec<Map<String, Value>>,
    /// Liveness probe, where the container has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Open<Probe>")]
    pub liveness_probe: Option<Map<String, Value>>,
    /// Readiness probe, where the container has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Open<Probe>")]
    pub readiness_probe: Option<Map<String, Value>>,
    /// Startup probe, where the container has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Open<Probe>")]
    pub startup_probe: Option<Map<String, Value>>,
    /// Lifecycle hooks, where the container has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Open<Lifecycle>")]
    pub lifecycle: Option<Map<String, Value>>,
}

choice!(
    /// Which of the app's containers are meant.
    ContainersIncluded {
        /// Its ordinary containers.
        #[default]
        Containers,
        /// Its init containers.
        InitContainers,
        /// Both.
        All,
    }
);

/// An environment variable for the app's containers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("x-kubernetes-validations" = [rules::appended_env()]))]
pub struct AppEnv {
    /// Variable name.
    pub name: String,
    /// `Append`: the value is added to the app's own, once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "EnvMerge")]
    pub merge: Option<EnvMerge>,
    /// What stands between the app's value and the appended one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16))]
    pub separator: Option<String>,
    /// Every other field of a Kubernetes `EnvVar`, untouched.
    #[serde(flatten)]
    #[schemars(with = "Unnamed<EnvVar>")]
    pub variable: Map<String, Value>,
}

/// How a variable meets one of the same name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum EnvMerge {
    /// Added at the end of the app's value.
    Append,
}

/// What is added to the pod itself.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("minProperties" = 1))]
pub struct PodPatch {
    /// Labels, where absent.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Annotations, where absent.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Image pull secrets, each a `LocalObjectReference`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), with = "Vec<Open<LocalObjectReference>>")]
    pub image_pull_secrets: Vec<Map<String, Value>>,
    /// Host aliases, each a Kubernetes `HostAlias`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), with = "Vec<Open<HostAlias>>")]
    pub host_aliases: Vec<Map<String, Value>>,
    /// Whether the containers share one process namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub share_process_namespace: Option<bool>,
    /// Grace period in seconds, raised to at least this.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub termination_grace_period_seconds: Option<i64>,
    /// `fsGroup` and `supplementalGroups`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "pod_security_context")]
    pub security_context: Option<Map<String, Value>>,
}

/// How running pods follow a change of what goes in.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Rollout {
    /// What is done to running pods.
    pub strategy: RolloutStrategy,
    /// Most pods unavailable at once: a number or a percentage (default: 10%).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "rules::max_unavailable")]
    pub max_unavailable: Option<Value>,
    /// Share of the pods that stays on the previous revision (default: 0%).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "rules::partition")]
    pub partition: Option<Value>,
    /// Stops the rollout where it is.
    pub paused: bool,
    /// Restarts pods that should have the policy and miss it.
    pub repair: bool,
    /// What happens to what cannot change in place.
    pub fallback: Fallback,
    /// Seconds a new revision may take to become ready (default: 600).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub progress_deadline_seconds: Option<i32>,
}

choice!(
    /// What is done to running pods.
    RolloutStrategy {
        /// Nothing: they change when they are next created.
        #[default]
        OnRecreate,
        /// Images and resources change in the running pod.
        InPlace,
        /// Owners are restarted by their own strategy.
        Restart,
    }
);
choice!(
    /// What happens to what cannot change in place.
    Fallback {
        /// It waits for the next pod.
        #[default]
        Wait,
        /// The owner is restarted.
        Restart,
    }
);
