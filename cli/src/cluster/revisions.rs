//! Contents of policies at revisions other than the current one.

use inject::{PolicyId, revision_name, revision_of_content};
use serde_json::Value;

use super::{Cluster, Error, Resource};

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
        let data = found.as_ref().and_then(|found| found.get("data"));
        let content: Option<Value> =
            data.and_then(|data| serde_json::from_str(&data.to_json()).ok());
        Ok(content.filter(|content| revision_of_content(content) == revision))
    }
}
