//! A policy as the API server lists it, as far as requests depend on it. What is not named here is passed
//! over while reading; who wrote which field is often longer than the policy.

use inject::PolicyId;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::ResourceExt as _;
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

runtime::object!(PolicyObject);
