//! The identity of a policy: its scope and name, as people read it.

use std::fmt;

/// Identity of a policy. Shown as `cluster/NAME` or `NAMESPACE/NAME`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PolicyId {
    /// Namespace of a `SidecarPolicy`; `None` for a `ClusterSidecarPolicy`.
    pub namespace: Option<String>,
    /// Name of the policy.
    pub name: String,
}

impl PolicyId {
    /// A `SidecarPolicy`.
    #[must_use]
    pub fn namespaced(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self { namespace: Some(namespace.into()), name: name.into() }
    }

    /// A `ClusterSidecarPolicy`.
    #[must_use]
    pub fn cluster(name: impl Into<String>) -> Self {
        Self { namespace: None, name: name.into() }
    }

    /// Reads what is shown of a policy; `None` if it is nothing of the kind. A namespace called
    /// `cluster` reads like the cluster kind.
    #[must_use]
    pub fn read(shown: &str) -> Option<Self> {
        Some(match shown.split_once('/')? {
            ("cluster", name) => Self::cluster(name),
            (namespace, name) => Self::namespaced(namespace, name),
        })
    }

    /// The Kubernetes kind of the policy.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        if self.namespace.is_some() { "SidecarPolicy" } else { "ClusterSidecarPolicy" }
    }
}

impl fmt::Display for PolicyId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.namespace.as_deref().unwrap_or("cluster"), self.name)
    }
}
