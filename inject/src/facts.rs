//! What expressions read: facts of a pod, its namespace, its workload and the policy.
//!
//! Everything is borrowed from the request and found when an expression reads it. Our own keys are
//! hidden, and of the spec only those fields are seen that no policy sets: so an expression gives
//! the same in a second call, after our patch.

use std::{
    cell::{Cell, OnceCell},
    collections::BTreeMap,
    fmt,
};

use crds::keys;
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor, value::MapAccessDeserializer},
};

use crate::{
    Namespace, Pod,
    parameters::Values,
    pod::{Entries, Metadata, Text, read_from_object},
    reader::read,
    select::Lookup,
};

/// Steps that all expressions of one policy may take for one pod: ten milliseconds at most.
const STEPS: u32 = 500_000;
/// Bytes that all expressions of one policy may put into one pod, which itself cannot be larger than 1.5 MiB.
const OUTPUT: usize = 256 << 10;

/// The facts of one pod, whatever the policy. Cheap to make.
pub(crate) struct PodFacts<'a> {
    pub(crate) metadata: &'a Metadata<'a>,
    pub(crate) namespace: &'a Namespace,
    added: Added<'a>,
    raw_spec: Option<&'a str>,
    spec: OnceCell<Result<SpecScalars<'a>, String>>,
    workload: OnceCell<WorkloadName>,
}

/// Labels and annotations that policies may have added to the pod in an earlier call. Expressions do
/// not see them, so that they give the same in every call.
#[derive(Default)]
pub(crate) struct Added<'a> {
    pub(crate) labels: Vec<AddedEntry<'a>>,
    pub(crate) annotations: Vec<AddedEntry<'a>>,
}

/// A label or annotation that a policy adds where it is absent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AddedEntry<'a> {
    pub(crate) key: &'a str,
    /// `None`: an expression decides it.
    pub(crate) value: Option<&'a str>,
}

impl<'a> PodFacts<'a> {
    pub(crate) fn new(pod: &'a Pod<'a>, namespace: &'a Namespace, added: Added<'a>) -> Self {
        Self {
            metadata: &pod.metadata,
            namespace,
            added,
            raw_spec: pod.spec.map(crate::Raw::get),
            spec: OnceCell::new(),
            workload: OnceCell::new(),
        }
    }

    /// The workload that the pod belongs to, as far as the pod says so itself.
    pub(crate) fn workload(&self) -> &WorkloadName {
        self.workload.get_or_init(|| WorkloadName::of(self.metadata))
    }

    fn spec(&self) -> Result<&SpecScalars<'a>, String> {
        let read_spec = || match self.raw_spec {
            None => Ok(SpecScalars::default()),
            Some(raw) => read::<Option<SpecScalars<'a>>>(raw)
                .map(Option::unwrap_or_default)
                .map_err(|error| format!("the pod's spec has a field of the wrong type: {error}")),
        };
        self.spec.get_or_init(read_spec).as_ref().map_err(Clone::clone)
    }
}

/// What the expressions of one policy read for one pod, and how much they may still do.
pub(crate) struct Facts<'f, 'p> {
    pod: &'f PodFacts<'p>,
    policy_name: &'f str,
    policy_revision: &'f str,
    parameters: &'f Values<'f>,
    /// Steps left.
    pub(crate) steps: Cell<u32>,
    /// Bytes of results left.
    pub(crate) output: Cell<usize>,
    /// Whether anything but parameters was read.
    was_read: Cell<bool>,
}

impl<'f, 'p> Facts<'f, 'p> {
    pub(crate) fn new(
        pod: &'f PodFacts<'p>,
        policy_name: &'f str,
        policy_revision: &'f str,
        parameters: &'f Values<'f>,
    ) -> Self {
        Self {
            pod,
            policy_name,
            policy_revision,
            parameters,
            steps: Cell::new(STEPS),
            output: Cell::new(OUTPUT),
            was_read: Cell::new(false),
        }
    }

    /// Whether anything but parameters was read.
    pub(crate) fn was_read(&self) -> bool {
        self.was_read.get()
    }

    pub(crate) fn parameters(&self) -> &'f Values<'f> {
        self.parameters
    }

    /// Reads one fact; `None` if the pod does not have it.
    pub(crate) fn get(&self, fact: Fact) -> Result<Option<FactValue<'f>>, String> {
        self.was_read.set(true);
        let text = |text: &'f Option<Text<'f>>| {
            text.as_ref().map(Text::as_str).filter(|text| !text.is_empty()).map(FactValue::Text)
        };
        let (metadata, namespace) = (self.pod.metadata, self.pod.namespace);
        let of_pod = |entries: &'f Entries<'f>, added: &'f [AddedEntry<'f>]| {
            Some(FactValue::Entries(EntriesRef::Pod { entries, added }))
        };
        Ok(match fact {
            Fact::PodName => text(&metadata.name),
            Fact::PodGenerateName => text(&metadata.generate_name),
            Fact::PodLabels => of_pod(&metadata.labels, &self.pod.added.labels),
            Fact::PodAnnotations => of_pod(&metadata.annotations, &self.pod.added.annotations),
            Fact::NamespaceName => Some(FactValue::Text(&namespace.name)),
            Fact::NamespaceLabels => {
                Some(FactValue::Entries(EntriesRef::Namespace(&namespace.labels)))
            }
            Fact::NamespaceAnnotations => {
                Some(FactValue::Entries(EntriesRef::Namespace(&namespace.annotations)))
            }
            Fact::WorkloadKind => Some(FactValue::Text(&self.pod.workload().kind)),
            Fact::WorkloadName => Some(FactValue::Text(&self.pod.workload().name)),
            Fact::PolicyName => Some(FactValue::Text(self.policy_name)),
            Fact::PolicyRevision => Some(FactValue::Text(self.policy_revision)),
            Fact::Spec(field) => self.pod.spec()?.get(field),
        })
    }
}

/// A fact that expressions can name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fact {
    PodName,
    PodGenerateName,
    PodLabels,
    PodAnnotations,
    Spec(SpecField),
    NamespaceName,
    NamespaceLabels,
    NamespaceAnnotations,
    WorkloadKind,
    WorkloadName,
    PolicyName,
    PolicyRevision,
}

/// A scalar field of the pod spec that no policy sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SpecField {
    DnsPolicy,
    HostIpc,
    HostNetwork,
    HostPid,
    Hostname,
    NodeName,
    PriorityClassName,
    RestartPolicy,
    RuntimeClassName,
    SchedulerName,
    ServiceAccountName,
    Subdomain,
}

/// What a fact can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FactKind {
    /// Text that every pod has.
    Text,
    /// Text that a pod may lack, so that `has()` makes sense.
    OptionalText,
    Boolean,
    Entries,
}

/// The objects that hold facts, and their fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Object {
    Pod,
    PodMetadata,
    PodSpec,
    Namespace,
    Workload,
    Policy,
}

/// What a field of an [`Object`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Member {
    Object(Object),
    Fact(Fact, FactKind),
}

impl Object {
    /// The variables of expressions, `params` aside. Match conditions have them without the last:
    /// a revision must not decide whether a policy applies.
    pub(crate) const VARIABLES: [(&'static str, Self); 4] = [
        ("pod", Self::Pod),
        ("namespace", Self::Namespace),
        ("workload", Self::Workload),
        ("policy", Self::Policy),
    ];

    /// The fields by their names.
    pub(crate) fn members(self) -> &'static [(&'static str, Member)] {
        use Fact as F;
        use FactKind::{Boolean, Entries, OptionalText, Text};
        use Member::Fact as M;
        use SpecField as S;
        match self {
            Self::Pod => &[
                ("metadata", Member::Object(Self::PodMetadata)),
                ("spec", Member::Object(Self::PodSpec)),
            ],
            Self::PodMetadata => &[
                ("name", M(F::PodName, OptionalText)),
                ("generateName", M(F::PodGenerateName, OptionalText)),
                ("namespace", M(F::NamespaceName, Text)),
                ("labels", M(F::PodLabels, Entries)),
                ("annotations", M(F::PodAnnotations, Entries)),
            ],
            Self::PodSpec => &[
                ("dnsPolicy", M(F::Spec(S::DnsPolicy), Text)),
                ("hostIPC", M(F::Spec(S::HostIpc), Boolean)),
                ("hostNetwork", M(F::Spec(S::HostNetwork), Boolean)),
                ("hostPID", M(F::Spec(S::HostPid), Boolean)),
                ("hostname", M(F::Spec(S::Hostname), OptionalText)),
                ("nodeName", M(F::Spec(S::NodeName), OptionalText)),
                ("priorityClassName", M(F::Spec(S::PriorityClassName), OptionalText)),
                ("restartPolicy", M(F::Spec(S::RestartPolicy), Text)),
                ("runtimeClassName", M(F::Spec(S::RuntimeClassName), OptionalText)),
                ("schedulerName", M(F::Spec(S::SchedulerName), Text)),
                ("serviceAccountName", M(F::Spec(S::ServiceAccountName), Text)),
                ("subdomain", M(F::Spec(S::Subdomain), OptionalText)),
            ],
            Self::Namespace => &[
                ("name", M(F::NamespaceName, Text)),
                ("labels", M(F::NamespaceLabels, Entries)),
                ("annotations", M(F::NamespaceAnnotations, Entries)),
            ],
            Self::Workload => {
                &[("kind", M(F::WorkloadKind, Text)), ("name", M(F::WorkloadName, Text))]
            }
            Self::Policy => {
                &[("name", M(F::PolicyName, Text)), ("revision", M(F::PolicyRevision, Text))]
            }
        }
    }
}

/// The value of a fact.
#[derive(Clone, Copy)]
pub(crate) enum FactValue<'a> {
    Text(&'a str),
    Boolean(bool),
    Entries(EntriesRef<'a>),
}

/// Labels or annotations without our own keys and without those that policies add.
#[derive(Clone, Copy)]
pub(crate) enum EntriesRef<'a> {
    Pod { entries: &'a Entries<'a>, added: &'a [AddedEntry<'a>] },
    Namespace(&'a BTreeMap<String, String>),
}

impl<'a> EntriesRef<'a> {
    pub(crate) fn get(self, key: &str) -> Option<&'a str> {
        if is_ours(key) {
            return None;
        }
        match self {
            Self::Pod { entries, added } => {
                entries.value(key).filter(|value| !is_added(added, key, value))
            }
            Self::Namespace(entries) => entries.get(key).map(String::as_str),
        }
    }

    /// Number of entries, ours included: what finding one costs.
    pub(crate) fn scanned(self) -> usize {
        match self {
            Self::Pod { entries, .. } => entries.iter().count(),
            Self::Namespace(entries) => entries.len(),
        }
    }

    pub(crate) fn keys(self) -> Box<dyn Iterator<Item = &'a str> + 'a> {
        match self {
            Self::Pod { entries, added } => {
                let seen = entries.iter().filter(|(key, value)| !is_added(added, key, value));
                Box::new(seen.map(|(key, _)| key).filter(|key| !is_ours(key)))
            }
            Self::Namespace(entries) => {
                Box::new(entries.keys().map(String::as_str).filter(|key| !is_ours(key)))
            }
        }
    }
}

fn is_added(added: &[AddedEntry<'_>], key: &str, value: &str) -> bool {
    added
        .iter()
        .any(|entry| entry.key == key && entry.value.is_none_or(|of_policy| of_policy == value))
}

/// Whether a label or annotation is one of the product's.
pub(crate) fn is_ours(key: &str) -> bool {
    key.split_once('/').is_some_and(|(prefix, _)| {
        let domain = keys::PREFIX.trim_end_matches('/');
        prefix.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    })
}

/// The workload of a pod, by what the pod says itself: forgeable, never an identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WorkloadName {
    pub(crate) kind: String,
    pub(crate) name: String,
}

impl WorkloadName {
    /// Reads it from the controller's owner reference. The ReplicaSet of a Deployment and the Job of
    /// a CronJob are known by their names, because the object itself is not at hand.
    pub(crate) fn of(metadata: &Metadata<'_>) -> Self {
        let text = |text: &Option<Text<'_>>| {
            text.as_ref().map(|text| text.as_str().to_owned()).unwrap_or_default()
        };
        let owners = metadata.owner_references.iter().flatten();
        let Some(controller) = owners.into_iter().find(|owner| owner.controller == Some(true))
        else {
            let name = text(&metadata.name);
            let name = if name.is_empty() {
                text(&metadata.generate_name).trim_end_matches('-').to_owned()
            } else {
                name
            };
            return Self { kind: "Pod".to_owned(), name };
        };
        let (kind, name) = (text(&controller.kind), text(&controller.name));
        let above = match kind.as_str() {
            "ReplicaSet" => metadata
                .labels
                .value("pod-template-hash")
                .and_then(|hash| name.strip_suffix(hash))
                .and_then(|rest| rest.strip_suffix('-'))
                .map(|name| ("Deployment", name)),
            "Job" => name
                .rsplit_once('-')
                .filter(|(_, time)| {
                    (8..=10).contains(&time.len()) && time.bytes().all(|byte| byte.is_ascii_digit())
                })
                .map(|(name, _)| ("CronJob", name)),
            _ => None,
        };
        match above {
            Some((kind, name)) if !name.is_empty() => {
                Self { kind: kind.to_owned(), name: name.to_owned() }
            }
            _ => Self { kind, name },
        }
    }
}

/// The fields of a pod spec behind [`SpecField`].
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
#[serde(remote = "Self")]
struct SpecScalars<'a> {
    #[serde(borrow, default)]
    dns_policy: Option<Text<'a>>,
    #[serde(rename = "hostIPC", default)]
    host_ipc: Option<bool>,
    #[serde(default)]
    host_network: Option<bool>,
    #[serde(rename = "hostPID", default)]
    host_pid: Option<bool>,
    #[serde(borrow, default)]
    hostname: Option<Text<'a>>,
    #[serde(borrow, default)]
    node_name: Option<Text<'a>>,
    #[serde(borrow, default)]
    priority_class_name: Option<Text<'a>>,
    #[serde(borrow, default)]
    restart_policy: Option<Text<'a>>,
    #[serde(borrow, default)]
    runtime_class_name: Option<Text<'a>>,
    #[serde(borrow, default)]
    scheduler_name: Option<Text<'a>>,
    #[serde(borrow, default)]
    service_account_name: Option<Text<'a>>,
    #[serde(borrow, default)]
    subdomain: Option<Text<'a>>,
}

read_from_object!(SpecScalars);

impl SpecScalars<'_> {
    /// A field, or what the API server puts in its place: so that an object that did not come
    /// through the API server gives the same.
    fn get(&self, field: SpecField) -> Option<FactValue<'_>> {
        let (text, default) = match field {
            SpecField::HostIpc => return Some(FactValue::Boolean(self.host_ipc == Some(true))),
            SpecField::HostNetwork => {
                return Some(FactValue::Boolean(self.host_network == Some(true)));
            }
            SpecField::HostPid => return Some(FactValue::Boolean(self.host_pid == Some(true))),
            SpecField::DnsPolicy => (&self.dns_policy, "ClusterFirst"),
            SpecField::Hostname => (&self.hostname, ""),
            SpecField::NodeName => (&self.node_name, ""),
            SpecField::PriorityClassName => (&self.priority_class_name, ""),
            SpecField::RestartPolicy => (&self.restart_policy, "Always"),
            SpecField::RuntimeClassName => (&self.runtime_class_name, ""),
            SpecField::SchedulerName => (&self.scheduler_name, "default-scheduler"),
            SpecField::ServiceAccountName => (&self.service_account_name, "default"),
            SpecField::Subdomain => (&self.subdomain, ""),
        };
        let text = text.as_ref().map(Text::as_str).filter(|text| !text.is_empty());
        text.or(Some(default).filter(|text| !text.is_empty())).map(FactValue::Text)
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(r#"{"name": "a", "ownerReferences": []}"#, "Pod", "a")]
    #[case(r#"{"generateName": "a-b-"}"#, "Pod", "a-b")]
    #[case("{}", "Pod", "")]
    #[case(r#"{"name": "a", "ownerReferences": [{"kind": "Node", "name": "n"}]}"#, "Pod", "a")]
    #[case(r#"{"labels": {"pod-template-hash": "7d"}, "ownerReferences": [{"kind": "ReplicaSet", "name": "api-7d", "controller": true}]}"#, "Deployment", "api")]
    #[case(r#"{"labels": {"pod-template-hash": "8e"}, "ownerReferences": [{"kind": "ReplicaSet", "name": "api-7d", "controller": true}]}"#, "ReplicaSet", "api-7d")]
    #[case(
        r#"{"ownerReferences": [{"kind": "ReplicaSet", "name": "api-7d", "controller": true}]}"#,
        "ReplicaSet",
        "api-7d"
    )]
    #[case(r#"{"labels": {"pod-template-hash": ""}, "ownerReferences": [{"kind": "ReplicaSet", "name": "-", "controller": true}]}"#, "ReplicaSet", "-")]
    #[case(
        r#"{"ownerReferences": [{"kind": "Job", "name": "backup-29012345", "controller": true}]}"#,
        "CronJob",
        "backup"
    )]
    #[case(
        r#"{"ownerReferences": [{"kind": "Job", "name": "backup-1234567", "controller": true}]}"#,
        "Job",
        "backup-1234567"
    )]
    #[case(r#"{"ownerReferences": [{"kind": "Job", "name": "backup-12345678901", "controller": true}]}"#, "Job", "backup-12345678901")]
    #[case(
        r#"{"ownerReferences": [{"kind": "Job", "name": "backup-1234567x", "controller": true}]}"#,
        "Job",
        "backup-1234567x"
    )]
    #[case(r#"{"ownerReferences": [{"kind": "A", "name": "a"}, {"kind": "StatefulSet", "name": "db", "controller": true}]}"#, "StatefulSet", "db")]
    fn workload(#[case] metadata: &str, #[case] kind: &str, #[case] name: &str) {
        let metadata: Metadata<'_> = read(metadata).unwrap();
        let expected = WorkloadName { kind: kind.to_owned(), name: name.to_owned() };
        assert_eq!(WorkloadName::of(&metadata), expected);
    }

    #[rstest]
    #[case("sidecarpolicy.dev/inject", true)]
    #[case("params.sidecarpolicy.dev/a.b", true)]
    #[case("params.cluster.sidecarpolicy.dev/a.b", true)]
    #[case("notsidecarpolicy.dev/a", false)]
    #[case("sidecarpolicy.dev", false)]
    #[case("example.com/sidecarpolicy.dev", false)]
    fn our_own_keys(#[case] key: &str, #[case] ours: bool) {
        assert_eq!(is_ours(key), ours);
    }

    #[test]
    fn a_spec_of_the_wrong_type_is_an_error_and_no_panic() {
        let namespace = Namespace::default();
        for spec in [r#"{"nodeName": 1}"#, "[]", "1", r#"{"hostNetwork": "yes"}"#] {
            let text = format!(r#"{{"spec": {spec}}}"#);
            let pod: Pod<'_> = read(&text).unwrap();
            assert!(PodFacts::new(&pod, &namespace, Added::default()).spec().is_err(), "{spec}");
        }
        let pod: Pod<'_> = read(r#"{"spec": null}"#).unwrap();
        assert!(PodFacts::new(&pod, &namespace, Added::default()).spec().is_ok());
    }
}
