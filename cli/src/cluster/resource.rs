//! The kinds of objects that commands ask for, and the names that people give them.

use crds::{GROUP, VERSION};

/// A kind of objects as the API server serves it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Resource {
    /// Empty for the core group.
    pub(crate) group: &'static str,
    pub(crate) version: &'static str,
    pub(crate) kind: &'static str,
    /// In lower case, as in URLs and RBAC.
    pub(crate) plural: &'static str,
    pub(crate) namespaced: bool,
}

impl Resource {
    pub(crate) const NAMESPACE: Self = Self::new("", "v1", "Namespace", "namespaces").of_cluster();
    pub(crate) const SIDECAR_POLICY: Self =
        Self::new(GROUP, VERSION, "SidecarPolicy", "sidecarpolicies");
    pub(crate) const CLUSTER_SIDECAR_POLICY: Self =
        Self::new(GROUP, VERSION, "ClusterSidecarPolicy", "clustersidecarpolicies").of_cluster();

    const fn new(
        group: &'static str,
        version: &'static str,
        kind: &'static str,
        plural: &'static str,
    ) -> Self {
        Self { group, version, kind, plural, namespaced: true }
    }

    const fn of_cluster(self) -> Self {
        Self { namespaced: false, ..self }
    }

    /// As in `apiVersion`.
    pub(crate) fn api_version(&self) -> String {
        match self.group {
            "" => self.version.to_owned(),
            group => format!("{group}/{}", self.version),
        }
    }

    /// As kubectl takes it without doubt, such as `deployments.apps`.
    pub(crate) fn full_name(&self) -> String {
        match self.group {
            "" => self.plural.to_owned(),
            group => format!("{}.{group}", self.plural),
        }
    }

    /// Path of its objects at the API server: those of a namespace, or all.
    pub(crate) fn path(&self, namespace: Option<&str>) -> String {
        let Self { group, version, plural, .. } = self;
        let root = if group.is_empty() { "/api".to_owned() } else { format!("/apis/{group}") };
        match namespace.filter(|_| self.namespaced) {
            Some(namespace) => format!("{root}/{version}/namespaces/{namespace}/{plural}"),
            None => format!("{root}/{version}/{plural}"),
        }
    }
}
