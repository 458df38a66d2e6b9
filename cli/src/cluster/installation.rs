//! The installation of the product in a cluster, as far as answers depend on it.

use inject::Exclusions;

use super::{Cluster, Error, Resource};
use crate::document::Node;

/// Label that the chart puts on all its objects.
const OURS: &str = "app.kubernetes.io/name=sidecar-policy";
const COMPONENT: &str = "app.kubernetes.io/component";
const VERSION_LABEL: &str = "app.kubernetes.io/version";
/// Argument of the webhook that names further namespaces that no policy reaches.
const EXCLUDED: &str = "--excluded-namespaces=";
/// The namespace that the product is installed in, by convention.
pub(crate) const USUAL_NAMESPACE: &str = "sidecar-policy-system";

/// What a cluster says of its installation.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Installation {
    /// Where the operator runs and keeps the revisions of the cluster kind.
    pub(crate) namespace: String,
    /// `None` if the chart did not write it.
    pub(crate) version: Option<String>,
    excluded: Vec<String>,
}

/// What a person sees of the installation. Without it, answers rest on the conventions.
#[derive(Debug)]
pub(crate) enum Installed {
    Here(Installation),
    Nowhere,
    /// Nobody lets this person look: `Error::Forbidden`.
    Hidden(Error),
}

impl Installed {
    /// The installation, where it is seen.
    pub(crate) fn seen(&self) -> Option<&Installation> {
        match self {
            Self::Here(installation) => Some(installation),
            Self::Nowhere | Self::Hidden(_) => None,
        }
    }

    /// What people should know of answers that depend on it.
    pub(crate) fn note(&self) -> Option<String> {
        match self {
            Self::Here(installation) => installation.other_version(),
            Self::Nowhere => None,
            Self::Hidden(error) => Some(format!(
                "where the operator is, its version and the namespaces that no policy reaches are not known: {error}"
            )),
        }
    }
}

impl Cluster {
    /// The installation, as far as this person may see it.
    pub(crate) async fn installation(&self) -> Result<Installed, Error> {
        let (deployments, hidden) = match self.deployments_of_all().await {
            Err(error @ Error::Forbidden { .. }) => return Ok(Installed::Hidden(error)),
            listed => listed?,
        };
        let found = deployments.iter().find_map(Installation::of_webhook).map(Installed::Here);
        Ok(found.or(hidden.map(Installed::Hidden)).unwrap_or(Installed::Nowhere))
    }

    /// The Deployments of the chart: in this namespace, in all, or in the usual one for a person who
    /// may not see all. That none are there is said only where all were seen that were asked for.
    pub(crate) async fn own_deployments(
        &self,
        namespace: Option<&str>,
    ) -> Result<Vec<Node>, Error> {
        match namespace {
            Some(_) => self.list(&Resource::DEPLOYMENT, namespace, Some(OURS)).await,
            None => match self.deployments_of_all().await? {
                // They may be in another one.
                (found, Some(error)) if found.is_empty() => Err(error),
                (found, _) => Ok(found),
            },
        }
    }

    /// The Deployments of the chart in all namespaces; for a person who may not see all, those in the usual
    /// one, and why there may be others.
    async fn deployments_of_all(&self) -> Result<(Vec<Node>, Option<Error>), Error> {
        let list = |namespace| self.list(&Resource::DEPLOYMENT, namespace, Some(OURS));
        match list(None).await {
            Err(error @ Error::Forbidden { .. }) => {
                Ok((list(Some(USUAL_NAMESPACE)).await?, Some(error)))
            }
            listed => Ok((listed?, None)),
        }
    }
}

/// The namespaces that no policy reaches where no installation is known: by convention it is in the usual one.
pub(crate) fn usual_exclusions() -> Exclusions {
    Exclusions::new(USUAL_NAMESPACE, &[])
}

impl Installation {
    /// What the webhook's Deployment says; `None` for another one.
    fn of_webhook(deployment: &Node) -> Option<Self> {
        let label = |key| deployment.descend(&["metadata", "labels", key]).and_then(Node::text);
        if label(COMPONENT) != Some("webhook") {
            return None;
        }
        let containers = deployment.descend(&["spec", "template", "spec", "containers"])?;
        let arguments = containers.items().iter().filter_map(|container| container.get("args"));
        let arguments = arguments.flat_map(Node::items).filter_map(Node::text);
        let excluded = arguments.filter_map(|argument| argument.strip_prefix(EXCLUDED));
        Some(Self {
            namespace: deployment.descend(&["metadata", "namespace"])?.text()?.to_owned(),
            version: label(VERSION_LABEL).map(str::to_owned),
            excluded: excluded.flat_map(|names| names.split(',')).map(str::to_owned).collect(),
        })
    }

    /// The namespaces that no policy reaches.
    pub(crate) fn exclusions(&self) -> Exclusions {
        Exclusions::new(&self.namespace, &self.excluded)
    }

    /// What people should know if the operator is not of this program's version.
    fn other_version(&self) -> Option<String> {
        let own = env!("CARGO_PKG_VERSION");
        let version = self.version.as_deref().filter(|version| *version != own)?;
        Some(format!(
            "the operator in the cluster is version {version} and this program {own}: what this program \
             decides may differ from what the cluster does"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_webhook_says_where_it_runs_and_what_it_leaves_out() {
        let json = r#"{
            "metadata": {"namespace": "sidecars", "labels": {
                "app.kubernetes.io/component": "webhook", "app.kubernetes.io/version": "0.0.9"}},
            "spec": {"template": {"spec": {"containers": [
                {"name": "webhook", "args": ["--log-level=info", "--excluded-namespaces=a,b"]}]}}}
        }"#;
        let deployment = Node::from_json(json, 1).expect("it is JSON");
        let installation = Installation::of_webhook(&deployment).expect("it is the webhook's");
        let exclusions = installation.exclusions();
        for namespace in ["a", "b", "sidecars", "kube-system"] {
            assert!(exclusions.contains(namespace), "{namespace}");
        }
        assert!(!exclusions.contains(USUAL_NAMESPACE));
        let told = installation.other_version().expect("it is another version");
        assert!(told.contains("version 0.0.9"), "{told}");
        let own =
            Installation { version: Some(env!("CARGO_PKG_VERSION").to_owned()), ..installation };
        assert_eq!(own.other_version(), None);
    }
}
