//! The revisions that are stored, without their contents. Pure.

use std::collections::{BTreeMap, HashMap};

use crds::keys;
use inject::{PolicyId, revision_name};
use k8s_openapi::api::apps::v1::ControllerRevision;

/// Namespace and name of an object.
pub(crate) type ObjectKey = (String, String);

/// A stored revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stored {
    /// `metadata.uid` of the object.
    pub(crate) uid: String,
    /// The uid of the policy that it belongs to.
    pub(crate) policy_uid: String,
    /// Higher is newer.
    pub(crate) number: i64,
    /// The revision; `None` when the content is not the one that its name says. It is never used.
    pub(crate) revision: Option<String>,
}

/// The stored revisions of all policies.
pub(crate) struct History {
    /// Where revisions of the cluster kind are.
    namespace: String,
    /// Policy -> name of the object -> what it holds.
    policies: HashMap<PolicyId, BTreeMap<String, Stored>>,
}

impl History {
    /// An empty history; `namespace` is the operator's own.
    pub(crate) fn new(namespace: &str) -> Self {
        Self { namespace: namespace.to_owned(), policies: HashMap::new() }
    }

    /// The stored revisions of a policy by the names of their objects, those of an earlier policy of
    /// the same name included.
    pub(crate) fn of(&self, policy: &PolicyId) -> &BTreeMap<String, Stored> {
        const NONE: &BTreeMap<String, Stored> = &BTreeMap::new();
        self.policies.get(policy).unwrap_or(NONE)
    }

    /// Whether the content of a revision is stored and can be believed.
    pub(crate) fn has(&self, policy: &PolicyId, uid: &str, revision: &str) -> bool {
        self.of_policy(policy, uid).any(|(_, found)| found == revision)
    }

    /// The newest revision beside the current one.
    pub(crate) fn newest_other(
        &self,
        policy: &PolicyId,
        uid: &str,
        current: &str,
    ) -> Option<String> {
        let others = self.of_policy(policy, uid).filter(|(_, revision)| *revision != current);
        others.max_by_key(|(number, _)| *number).map(|(_, revision)| revision.to_owned())
    }

    fn of_policy(&self, policy: &PolicyId, uid: &str) -> impl Iterator<Item = (i64, &str)> {
        self.of(policy)
            .values()
            .filter(move |stored| stored.policy_uid == uid)
            .filter_map(|stored| Some((stored.number, stored.revision.as_deref()?)))
    }

    /// An object was seen. Gives the policy that it belongs to.
    pub(crate) fn set(&mut self, object: &ControllerRevision) -> Option<PolicyId> {
        let policy = self.policy(object)?;
        let name = object.metadata.name.clone()?;
        let owners = object.metadata.owner_references.iter().flatten();
        let mut owners = owners.filter(|owner| owner.kind == policy.kind());
        let content = object.data.as_ref().map(|data| &data.0);
        let revision = content.map(inject::revision_of_content);
        let stored = Stored {
            uid: object.metadata.uid.clone().unwrap_or_default(),
            policy_uid: owners.next().map(|owner| owner.uid.clone()).unwrap_or_default(),
            number: object.revision,
            revision: revision.filter(|revision| name == revision_name(&policy, revision)),
        };
        self.policies.entry(policy.clone()).or_default().insert(name, stored);
        Some(policy)
    }

    /// An object is gone. Gives the policy that it belonged to.
    pub(crate) fn remove(&mut self, object: &ControllerRevision) -> Option<PolicyId> {
        let policy = self.policy(object)?;
        let name = object.metadata.name.as_ref()?;
        let stored = self.policies.get_mut(&policy)?;
        stored.remove(name);
        if stored.is_empty() {
            self.policies.remove(&policy);
        }
        Some(policy)
    }

    /// Forgets the objects that are not listed any more.
    pub(crate) fn retain(&mut self, is_listed: impl Fn(&ObjectKey) -> bool) {
        let own = &self.namespace;
        self.policies.retain(|policy, stored| {
            let namespace = policy.namespace.as_ref().unwrap_or(own);
            stored.retain(|name, _| is_listed(&(namespace.clone(), name.clone())));
            !stored.is_empty()
        });
    }

    /// The policy that an object says it belongs to.
    fn policy(&self, object: &ControllerRevision) -> Option<PolicyId> {
        let labels = object.metadata.labels.as_ref()?;
        let namespace = object.metadata.namespace.clone()?;
        let name = labels.get(keys::POLICY)?.clone();
        let id = match labels.get(keys::POLICY_KIND)?.as_str() {
            "SidecarPolicy" => PolicyId::namespaced(namespace, name),
            "ClusterSidecarPolicy" if namespace == self.namespace => PolicyId::cluster(name),
            _ => return None,
        };
        Some(id)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn object(policy: &PolicyId, content: &Value, number: i64) -> ControllerRevision {
        let revision = inject::revision_of_content(content);
        let namespace = policy.namespace.clone().unwrap_or_else(|| "system".to_owned());
        serde_json::from_value(json!({
            "metadata": {
                "name": format!("{}-{revision}", policy.name), "namespace": namespace, "uid": "u",
                "labels": { keys::POLICY: policy.name, keys::POLICY_KIND: policy.kind() },
                "ownerReferences": [{
                    "apiVersion": "sidecarpolicy.dev/v1alpha1", "kind": policy.kind(),
                    "name": policy.name, "uid": "policy",
                }],
            },
            "data": content,
            "revision": number,
        }))
        .unwrap()
    }

    #[test]
    fn what_is_stored_is_found_and_forgotten() {
        for policy in [PolicyId::namespaced("shop", "log"), PolicyId::cluster("log")] {
            let mut history = History::new("system");
            let (first, second) = (json!({ "a": 1 }), json!({ "a": 2 }));
            assert_eq!(history.set(&object(&policy, &first, 1)), Some(policy.clone()));
            history.set(&object(&policy, &second, 2));
            let revision = inject::revision_of_content;
            assert!(history.has(&policy, "policy", &revision(&first)));
            assert!(!history.has(&policy, "another policy", &revision(&first)));
            let newest = history.newest_other(&policy, "policy", &revision(&second));
            assert_eq!(newest, Some(revision(&first)));
            history.retain(|(_, name)| name.ends_with(&revision(&second)));
            assert_eq!(history.of(&policy).len(), 1);
            history.remove(&object(&policy, &second, 2));
            assert!(history.policies.is_empty());
        }
    }

    #[test]
    fn a_content_that_is_not_what_its_name_says_is_not_believed() {
        let policy = PolicyId::namespaced("shop", "log");
        let mut forged = object(&policy, &json!({ "a": 1 }), 1);
        forged.data = object(&policy, &json!({ "a": 2 }), 1).data;
        let mut history = History::new("system");
        history.set(&forged);
        assert_eq!(history.of(&policy).len(), 1);
        for content in [json!({ "a": 1 }), json!({ "a": 2 })] {
            assert!(!history.has(&policy, "policy", &inject::revision_of_content(&content)));
        }
    }

    #[test]
    fn revisions_of_the_cluster_kind_are_in_the_operators_namespace_only() {
        let mut planted = object(&PolicyId::cluster("mesh"), &json!({}), 1);
        planted.metadata.namespace = Some("shop".to_owned());
        assert_eq!(History::new("system").set(&planted), None);
    }
}
