//! A pod as the API server shows it, with the questions that the tests ask.

use serde_json::Value;

/// A pod as the API server shows it.
#[derive(Clone, Debug)]
pub struct Pod(pub Value);

impl Pod {
    /// `metadata.name`.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0["metadata"]["name"].as_str().unwrap_or_default()
    }

    /// An annotation, if set.
    #[must_use]
    pub fn annotation(&self, key: &str) -> Option<&str> {
        self.0["metadata"]["annotations"][key].as_str()
    }

    /// A label, if set.
    #[must_use]
    pub fn label(&self, key: &str) -> Option<&str> {
        self.0["metadata"]["labels"][key].as_str()
    }

    /// Names in `spec.containers`, in order.
    #[must_use]
    pub fn containers(&self) -> Vec<&str> {
        self.names_in("containers")
    }

    /// Names in `spec.initContainers`, in order.
    #[must_use]
    pub fn init_containers(&self) -> Vec<&str> {
        self.names_in("initContainers")
    }

    /// Names in `spec.volumes`, without the service account's token that Kubernetes adds.
    #[must_use]
    pub fn volumes(&self) -> Vec<&str> {
        let mut names = self.names_in("volumes");
        names.retain(|name| !name.starts_with("kube-api-access-"));
        names
    }

    /// The container of that name in either list, or null.
    #[must_use]
    pub fn container(&self, name: &str) -> &Value {
        ["containers", "initContainers"]
            .into_iter()
            .filter_map(|list| self.0["spec"][list].as_array())
            .flatten()
            .find(|container| container["name"] == name)
            .unwrap_or(&Value::Null)
    }

    /// The status of the container of that name, or null.
    #[must_use]
    pub fn container_status(&self, name: &str) -> &Value {
        ["containerStatuses", "initContainerStatuses"]
            .into_iter()
            .filter_map(|list| self.0["status"][list].as_array())
            .flatten()
            .find(|status| status["name"] == name)
            .unwrap_or(&Value::Null)
    }

    /// Whether it carries any mark of ours: label or annotation.
    #[must_use]
    pub fn is_marked(&self) -> bool {
        ["labels", "annotations"]
            .into_iter()
            .filter_map(|map| self.0["metadata"][map].as_object())
            .flat_map(serde_json::Map::keys)
            .any(|key| key.starts_with("sidecarpolicy.dev/"))
    }

    /// Whether it is being deleted.
    #[must_use]
    pub fn is_terminating(&self) -> bool {
        !self.0["metadata"]["deletionTimestamp"].is_null()
    }

    fn names_in(&self, list: &str) -> Vec<&str> {
        let items = self.0["spec"][list].as_array().map_or(&[][..], Vec::as_slice);
        items.iter().filter_map(|item| item["name"].as_str()).collect()
    }
}
