//! The kinds of objects that commands ask for, and the names that people give them.

use crds::{GROUP, VERSION};
use inject::PolicyId;

/// A kind of objects as the API server serves it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Resource {
    /// Empty for the core group.
    pub(crate) group: &'static str,
    pub(crate) version: &'static str,
    pub(crate) kind: &'static str,
    /// In lower case, as in URLs and RBAC.
    pub(crate) plural: &'static str,
    /// As kubectl has it; empty if there is none.
    pub(crate) short: &'static str,
    pub(crate) namespaced: bool,
}

impl Resource {
    pub(crate) const NAMESPACE: Self =
        Self::new("", "v1", "Namespace", "namespaces", "ns").of_cluster();
    pub(crate) const POD: Self = Self::new("", "v1", "Pod", "pods", "po");
    pub(crate) const DEPLOYMENT: Self =
        Self::new("apps", "v1", "Deployment", "deployments", "deploy");
    pub(crate) const REPLICA_SET: Self = Self::new("apps", "v1", "ReplicaSet", "replicasets", "rs");
    pub(crate) const STATEFUL_SET: Self =
        Self::new("apps", "v1", "StatefulSet", "statefulsets", "sts");
    pub(crate) const DAEMON_SET: Self = Self::new("apps", "v1", "DaemonSet", "daemonsets", "ds");
    pub(crate) const JOB: Self = Self::new("batch", "v1", "Job", "jobs", "");
    pub(crate) const CRON_JOB: Self = Self::new("batch", "v1", "CronJob", "cronjobs", "cj");
    pub(crate) const CONTROLLER_REVISION: Self =
        Self::new("apps", "v1", "ControllerRevision", "controllerrevisions", "");
    pub(crate) const SIDECAR_POLICY: Self =
        Self::new(GROUP, VERSION, "SidecarPolicy", "sidecarpolicies", "scp");
    pub(crate) const CLUSTER_SIDECAR_POLICY: Self =
        Self::new(GROUP, VERSION, "ClusterSidecarPolicy", "clustersidecarpolicies", "cscp")
            .of_cluster();

    /// Pods, and the workloads that make them.
    pub(crate) const WITH_PODS: [&'static Self; 7] = [
        &Self::POD,
        &Self::DEPLOYMENT,
        &Self::STATEFUL_SET,
        &Self::DAEMON_SET,
        &Self::REPLICA_SET,
        &Self::JOB,
        &Self::CRON_JOB,
    ];

    const fn new(
        group: &'static str,
        version: &'static str,
        kind: &'static str,
        plural: &'static str,
        short: &'static str,
    ) -> Self {
        Self { group, version, kind, plural, short, namespaced: true }
    }

    /// A kind with namespaces that people name in no command.
    pub(crate) const fn namespaced(
        group: &'static str,
        version: &'static str,
        kind: &'static str,
        plural: &'static str,
    ) -> Self {
        Self::new(group, version, kind, plural, "")
    }

    /// A kind of the cluster that people name in no command.
    pub(crate) const fn cluster(
        group: &'static str,
        version: &'static str,
        kind: &'static str,
        plural: &'static str,
    ) -> Self {
        Self::new(group, version, kind, plural, "").of_cluster()
    }

    const fn of_cluster(self) -> Self {
        Self { namespaced: false, ..self }
    }

    /// Whether people mean this kind, as kubectl takes it: `deploy`, `Deployment`, `deployments.apps` or
    /// `deployments.v1.apps`.
    pub(crate) fn is_named(&self, word: &str) -> bool {
        let word = word.to_lowercase();
        let (name, rest) = word.split_once('.').unwrap_or((&word, ""));
        let is_name = name == self.plural
            || name == self.kind.to_lowercase()
            || (!self.short.is_empty() && name == self.short);
        let group =
            rest.strip_prefix(self.version).map_or(rest, |rest| rest.trim_start_matches('.'));
        is_name && (rest.is_empty() || group == self.group)
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

    /// The kind of a policy.
    pub(crate) fn of_policy(policy: &PolicyId) -> &'static Self {
        match policy.namespace {
            Some(_) => &Self::SIDECAR_POLICY,
            None => &Self::CLUSTER_SIDECAR_POLICY,
        }
    }

    /// An object as kubectl prints it: `deployment.apps/api`.
    pub(crate) fn shown(&self, name: &str) -> String {
        let kind = self.kind.to_lowercase();
        match self.group {
            "" => format!("{kind}/{name}"),
            group => format!("{kind}.{group}/{name}"),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_have_the_names_that_kubectl_takes() {
        for word in [
            "deploy",
            "deployment",
            "deployments",
            "Deployment",
            "deployments.apps",
            "deployment.v1.apps",
            "deploy.apps",
        ] {
            assert!(Resource::DEPLOYMENT.is_named(word), "{word}");
        }
        for word in
            ["deployments.batch", "deploys", "", "deployments.v2.apps", "deployments.appsv1"]
        {
            assert!(!Resource::DEPLOYMENT.is_named(word), "{word}");
        }
        for word in ["po", "pod", "pods", "pods.v1"] {
            assert!(Resource::POD.is_named(word), "{word}");
        }
        assert!(!Resource::JOB.is_named(""));
    }

    #[test]
    fn paths_are_those_of_the_api_server() {
        assert_eq!(Resource::POD.path(Some("shop")), "/api/v1/namespaces/shop/pods");
        assert_eq!(Resource::DEPLOYMENT.path(None), "/apis/apps/v1/deployments");
        assert_eq!(Resource::NAMESPACE.path(Some("shop")), "/api/v1/namespaces");
    }
}
