//! The policy that a command is about, as the cluster stores it.

use crds::PolicyStatus;
use inject::PolicyId;
use kube::core::params::Patch;
use serde::Deserialize as _;
use serde_json::{Value, json};

use super::{CommandError, Streams};
use crate::{
    arguments::NamedPolicy,
    cluster::{self, Cluster, Installed, PolicyName, Resource, Revision, USUAL_NAMESPACE},
    document::Node,
};

/// A policy of a cluster.
pub(super) struct Target {
    cluster: Cluster,
    pub(super) policy: PolicyId,
    pub(super) object: Value,
}

impl Target {
    /// Finds the policy that people name.
    pub(super) async fn find(named: &NamedPolicy) -> Result<Self, CommandError> {
        let name = PolicyName::read(&named.policy)?;
        let cluster = Cluster::connect(&named.cluster).await?;
        let namespace = named.namespace.clone().unwrap_or(cluster.default_namespace.clone());
        let (policy, found) = cluster.policy_named(&name, &namespace).await?;
        Ok(Self { object: value(&found)?, cluster, policy })
    }

    /// Reads it anew.
    pub(super) async fn read(&mut self) -> Result<(), CommandError> {
        let namespace = self.policy.namespace.as_deref().unwrap_or_default();
        let found = self.cluster.get(self.resource(), namespace, &self.policy.name).await?;
        self.object = value(&found)?;
        Ok(())
    }

    /// Changes it.
    pub(super) async fn patch(&mut self, patch: Patch<Value>) -> Result<(), CommandError> {
        let (resource, namespace) = (self.resource(), self.policy.namespace.as_deref());
        self.object = self.cluster.patch(resource, namespace, &self.policy.name, patch).await?;
        Ok(())
    }

    /// The contents that are kept of it, the oldest first.
    pub(super) async fn revisions(
        &self,
        streams: &mut Streams<'_>,
    ) -> Result<Vec<Revision>, CommandError> {
        // Where the operator is, counts for the cluster kind only.
        let installed = match self.policy.namespace {
            Some(_) => Installed::Nowhere,
            None => self.cluster.installation().await?,
        };
        if let Some(note) = installed.note() {
            writeln!(streams.messages, "{note}")?;
        }
        let namespace = installed.seen().map_or(USUAL_NAMESPACE, |found| &found.namespace);
        let uid = self.object["metadata"]["uid"].as_str().unwrap_or_default();
        Ok(self.cluster.revisions(&self.policy, uid, namespace).await?)
    }

    pub(super) fn generation(&self) -> i64 {
        self.object["metadata"]["generation"].as_i64().unwrap_or_default()
    }

    pub(super) fn status(&self) -> PolicyStatus {
        PolicyStatus::deserialize(&self.object["status"]).unwrap_or_default()
    }

    /// `spec.rollout`, empty where there is none.
    pub(super) fn rollout(&self) -> Value {
        match &self.object["spec"]["rollout"] {
            Value::Null => json!({}),
            rollout => rollout.clone(),
        }
    }

    /// Kind and name as kubectl prints them: `sidecarpolicy.sidecarpolicy.dev/log-shipper`.
    pub(super) fn shown(&self) -> String {
        self.resource().shown(&self.policy.name)
    }

    fn resource(&self) -> &'static Resource {
        Resource::of_policy(&self.policy)
    }
}

fn value(node: &Node) -> Result<Value, cluster::Error> {
    serde_json::from_str(&node.to_json()).map_err(|error| cluster::Error::answer(&error))
}
