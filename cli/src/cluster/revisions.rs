//! Contents that policies had, as the operator keeps them.

use crds::keys;
use inject::{PolicyId, revision_name, revision_of_content};
use serde_json::Value;

use super::{Cluster, Error, Resource};
use crate::document::Node;

/// A content that a policy had.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Revision {
    /// Higher is newer.
    pub(crate) number: i64,
    /// The hash of the content.
    pub(crate) hash: String,
    /// When it was first stored, as RFC 3339 in UTC.
    pub(crate) created: String,
    pub(crate) content: Value,
}

impl Cluster {
    /// The content that a policy had at a revision. The operator keeps those of the cluster kind in its own
    /// namespace. `None` if it is not kept any more, or is not what its name says.
    pub(crate) async fn content(
        &self,
        policy: &PolicyId,
        revision: &str,
        operator_namespace: &str,
    ) -> Result<Option<Value>, Error> {
        let namespace = policy.namespace.as_deref().unwrap_or(operator_namespace);
        let name = revision_name(policy, revision);
        let found = self.find(&Resource::CONTROLLER_REVISION, namespace, &name).await?;
        let content = found.as_ref().and_then(content_of);
        Ok(content.filter(|content| revision_of_content(content) == revision))
    }

    /// The contents that are kept of the policy with this uid, the oldest first.
    pub(crate) async fn revisions(
        &self,
        policy: &PolicyId,
        uid: &str,
        operator_namespace: &str,
    ) -> Result<Vec<Revision>, Error> {
        let namespace = policy.namespace.as_deref().unwrap_or(operator_namespace);
        let labels =
            format!("{}={},{}={}", keys::POLICY, policy.name, keys::POLICY_KIND, policy.kind());
        let stored =
            self.list(&Resource::CONTROLLER_REVISION, Some(namespace), Some(&labels)).await?;
        let mut revisions: Vec<Revision> =
            stored.iter().filter_map(|object| Revision::of(policy, uid, object)).collect();
        revisions.sort_by_key(|revision| revision.number);
        Ok(revisions)
    }
}

impl Revision {
    /// What an object holds; `None` if it belongs to an earlier policy of the name, or its content is
    /// not the one that its name says.
    fn of(policy: &PolicyId, uid: &str, object: &Node) -> Option<Self> {
        let metadata = object.get("metadata")?;
        let owners = metadata.get("ownerReferences").map(Node::items).unwrap_or_default();
        owners.iter().find(|owner| owner.text_of("uid") == Some(uid))?;
        let content = content_of(object)?;
        let hash = revision_of_content(&content);
        (metadata.text_of("name")? == revision_name(policy, &hash)).then_some(())?;
        Some(Self {
            number: object.get("revision").and_then(Node::integer)?,
            hash,
            created: metadata.text_of("creationTimestamp").unwrap_or_default().to_owned(),
            content,
        })
    }
}

/// The content that an object holds, whatever its name says.
fn content_of(object: &Node) -> Option<Value> {
    serde_json::from_str(&object.get("data")?.to_json()).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_contents_of_this_policy_are_believed() {
        let policy = PolicyId::namespaced("shop", "log");
        let content = json!({"sidecars": []});
        let hash = revision_of_content(&content);
        let object = |name: &str, uid: &str| {
            let json = json!({
                "metadata": {"name": name, "ownerReferences": [{"uid": uid}]},
                "revision": 3,
                "data": content,
            });
            Node::from_json(&json.to_string(), 1).expect("it is JSON")
        };
        let name = format!("log-{hash}");
        let found = Revision::of(&policy, "u", &object(&name, "u")).expect("it is the policy's");
        assert_eq!((found.number, found.hash), (3, hash));
        assert_eq!(Revision::of(&policy, "u", &object(&name, "another")), None);
        assert_eq!(Revision::of(&policy, "u", &object("log-0000", "u")), None);
    }
}
