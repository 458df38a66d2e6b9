//! A policy as the API server lists it, as far as requests depend on it. What is not named here is passed
//! over while reading; who wrote which field is often longer than the policy.

use std::borrow::Cow;

use inject::PolicyId;
use k8s_openapi::{NamespaceResourceScope, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use kube::{Resource, ResourceExt as _, api::ApiResource};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// A policy of either kind. Its parts are read when they are needed: what one policy has of a wrong
/// type must not keep the others from being listed.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct PolicyObject {
    /// Only what identifies it and its version.
    #[serde(deserialize_with = "identity")]
    pub(crate) metadata: ObjectMeta,
    /// Null if absent.
    #[serde(default)]
    pub(crate) spec: Value,
    /// Null if absent.
    #[serde(default)]
    pub(crate) status: Value,
}

impl PolicyObject {
    /// Which policy it is.
    pub(crate) fn id(&self) -> PolicyId {
        PolicyId { namespace: self.namespace(), name: self.name_any() }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Identity {
    name: Option<String>,
    namespace: Option<String>,
    uid: Option<String>,
    generation: Option<i64>,
    resource_version: Option<String>,
}

fn identity<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ObjectMeta, D::Error> {
    let Identity { name, namespace, uid, generation, resource_version } =
        Identity::deserialize(deserializer)?;
    Ok(ObjectMeta { name, namespace, uid, generation, resource_version, ..ObjectMeta::default() })
}

impl Resource for PolicyObject {
    type DynamicType = ApiResource;
    type Scope = NamespaceResourceScope;

    fn kind(resource: &ApiResource) -> Cow<'_, str> {
        resource.kind.as_str().into()
    }

    fn group(resource: &ApiResource) -> Cow<'_, str> {
        resource.group.as_str().into()
    }

    fn version(resource: &ApiResource) -> Cow<'_, str> {
        resource.version.as_str().into()
    }

    fn api_version(resource: &ApiResource) -> Cow<'_, str> {
        resource.api_version.as_str().into()
    }

    fn plural(resource: &ApiResource) -> Cow<'_, str> {
        resource.plural.as_str().into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}
