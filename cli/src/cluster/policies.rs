//! The policies of a cluster and the namespaces that they are asked about, as `inject` takes them.

use std::{collections::BTreeSet, sync::Arc};

use futures::future::try_join_all;
use inject::{Namespace, PolicySet};

use super::{Cluster, Error, Resource};
use crate::{
    facts,
    objects::Identity,
    policies::{self, Stored},
};

/// Policies that a cluster stores.
#[derive(Debug, Default)]
pub(crate) struct StoredPolicies {
    /// Those that can be used.
    pub(crate) set: PolicySet,
    /// What people should know of the others, and of what this program does not know.
    pub(crate) notes: Vec<String>,
}

impl Cluster {
    /// The policies that can reach pods of these namespaces. Read leniently: one that this program cannot
    /// use is told and left out, as the webhook does, and so is a field of a newer version.
    pub(crate) async fn policies(
        &self,
        namespaces: &BTreeSet<String>,
    ) -> Result<StoredPolicies, Error> {
        let lists =
            namespaces.iter().map(|name| self.list(&Resource::SIDECAR_POLICY, Some(name), None));
        let (of_cluster, of_namespaces) = futures::try_join!(
            self.list(&Resource::CLUSTER_SIDECAR_POLICY, None, None),
            try_join_all(lists)
        )?;
        let mut stored = StoredPolicies::default();
        for object in of_cluster.iter().chain(of_namespaces.iter().flatten()) {
            let Some(identity) = Identity::of(object) else { continue };
            match policies::stored(object) {
                Ok(Stored { policy, unknown }) => {
                    stored.set.insert(Arc::new(policy));
                    if !unknown.is_empty() {
                        stored.notes.push(format!(
                            "{identity}: {}: not known to this program; the operator in the cluster is newer, \
                             and what it does may differ",
                            unknown.join(", ")
                        ));
                    }
                }
                Err(problems) => stored.notes.push(format!(
                    "{identity}: left out, for it cannot be used: {}",
                    problems.join("; ")
                )),
            }
        }
        Ok(stored)
    }

    /// What is known of namespaces; one that does not exist is left out.
    pub(crate) async fn namespaces(
        &self,
        names: &BTreeSet<String>,
    ) -> Result<Vec<Namespace>, Error> {
        let found = names.iter().map(|name| self.find(&Resource::NAMESPACE, "", name));
        let found = try_join_all(found).await?;
        Ok(found.iter().flatten().filter_map(facts::described_namespace).collect())
    }
}
