//! Kubernetes objects in manifests: what they are called, and where their pods are described.

use std::fmt;

use inject::WorkloadKind;

use crate::document::{Node, Value};

/// Identity of an object, shown as `Deployment shop/api`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) group: String,
    pub(crate) version: String,
    pub(crate) kind: String,
    /// As written in the object.
    pub(crate) namespace: Option<String>,
    /// `generateName` with a `*` where there is no name.
    pub(crate) name: String,
}

impl Identity {
    /// The identity of an object; `None` if it has no kind.
    pub(crate) fn of(object: &Node) -> Option<Self> {
        let kind = object.text_of("kind")?.to_owned();
        let api_version = object.text_of("apiVersion").unwrap_or_default();
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        let metadata = |key| object.descend(&["metadata", key]).and_then(Node::text);
        let name = match (metadata("name"), metadata("generateName")) {
            (Some(name), _) => name.to_owned(),
            (None, Some(prefix)) => format!("{prefix}*"),
            (None, None) => "(no name)".to_owned(),
        };
        Some(Self {
            group: group.to_owned(),
            version: version.to_owned(),
            kind,
            namespace: metadata("namespace").filter(|name| !name.is_empty()).map(str::to_owned),
            name,
        })
    }

    /// The identity in a namespace of its own or the one given.
    pub(crate) fn or_namespace(self, namespace: &str) -> Self {
        Self { namespace: self.namespace.or_else(|| Some(namespace.to_owned())), ..self }
    }

    /// Where the object describes pods; `None` if it describes none.
    pub(crate) fn pod_template(&self) -> Option<PodTemplate> {
        let path: &'static [&'static str] = match (self.group.as_str(), self.kind.as_str()) {
            ("", "Pod") => &[],
            ("", "PodTemplate") => &["template"],
            ("", "ReplicationController")
            | ("apps", "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet")
            | ("batch", "Job") => &["spec", "template"],
            ("batch", "CronJob") => &["spec", "jobTemplate", "spec", "template"],
            _ => return None,
        };
        Some(PodTemplate { path, carries: WorkloadKind::parse(&self.kind) })
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.kind)?;
        formatter.write_str(" ")?;
        if let Some(namespace) = &self.namespace {
            write!(formatter, "{namespace}/")?;
        }
        formatter.write_str(&self.name)
    }
}

/// Where an object describes pods.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PodTemplate {
    /// Keys that lead to `metadata` and `spec` of the pod; empty for a pod itself.
    pub(crate) path: &'static [&'static str],
    /// The kind, if our annotations on it count for its pods.
    pub(crate) carries: Option<WorkloadKind>,
}

/// Visits an object, or the objects of a `List`.
pub(crate) fn visit<'n>(node: &'n Node, visitor: &mut dyn FnMut(&'n Node)) {
    if is_list(node) {
        let items = node.get("items").map(Node::items).unwrap_or_default();
        for item in items {
            visit(item, visitor);
        }
    } else {
        visitor(node);
    }
}

/// Visits an object, or the objects of a `List`, to change them.
pub(crate) fn visit_mut(node: &mut Node, visitor: &mut dyn FnMut(&mut Node)) {
    if is_list(node) {
        let items = node.get_mut("items").map(Node::items_mut).unwrap_or_default();
        for item in items {
            visit_mut(item, visitor);
        }
    } else {
        visitor(node);
    }
}

/// `List`, `PodList` and the like: what `kubectl get -o yaml` prints.
fn is_list(node: &Node) -> bool {
    node.text_of("kind").is_some_and(|kind| kind.ends_with("List"))
        && node.get("items").is_some_and(|items| matches!(items.value, Value::List(_)))
}
