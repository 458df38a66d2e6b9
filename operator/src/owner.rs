//! Who made a pod: its controller, and the identity of the pod itself.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::core::v1::ObjectReference, apimachinery::pkg::apis::meta::v1::OwnerReference,
};
use sha2::{Digest, Sha256};

/// Label by which a Deployment tells its ReplicaSets apart; their names end in its value.
const TEMPLATE_HASH: &str = "pod-template-hash";

/// The controller of a pod.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Owner {
    /// `apiVersion` of the controller.
    pub(crate) api_version: String,
    /// Kind of the controller.
    pub(crate) kind: String,
    /// Name of the controller.
    pub(crate) name: String,
    /// `metadata.uid` of the controller.
    pub(crate) uid: String,
    /// For a ReplicaSet, the Deployment that seems to own it. A name that fits proves nothing: whoever
    /// acts on it asks the ReplicaSet first.
    pub(crate) deployment: Option<String>,
}

impl Owner {
    /// The controller among the owners of a pod that has these labels.
    pub(crate) fn of_pod(
        owners: Option<Vec<OwnerReference>>,
        labels: &BTreeMap<String, String>,
    ) -> Option<Self> {
        let controller =
            owners.into_iter().flatten().find(|owner| owner.controller == Some(true))?;
        let is_replica_set =
            controller.kind == "ReplicaSet" && controller.api_version.starts_with("apps/");
        let deployment = labels.get(TEMPLATE_HASH).filter(|_| is_replica_set).and_then(|hash| {
            let name = controller.name.strip_suffix(hash.as_str())?.strip_suffix('-')?;
            (!name.is_empty()).then(|| name.to_owned())
        });
        Some(Self {
            api_version: controller.api_version,
            kind: controller.kind,
            name: controller.name,
            uid: controller.uid,
            deployment,
        })
    }

    /// The controller as events refer to it.
    pub(crate) fn reference(&self, namespace: &str) -> ObjectReference {
        ObjectReference {
            api_version: Some(self.api_version.clone()),
            kind: Some(self.kind.clone()),
            name: Some(self.name.clone()),
            namespace: Some(namespace.to_owned()),
            uid: Some(self.uid.clone()),
            ..ObjectReference::default()
        }
    }
}

/// `metadata.uid` in 16 bytes, which may stand anywhere in memory, as a number of that size may not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Uid([u8; 16]);

impl Uid {
    /// A UUID as it is; of any other text a hash, for which no two are alike either.
    pub(crate) fn of(text: &str) -> Self {
        let digits: String = text.split('-').collect();
        let uuid = if digits.len() == 32 { u128::from_str_radix(&digits, 16).ok() } else { None };
        let hash = || {
            let mut bytes = [0; 16];
            bytes.copy_from_slice(&Sha256::digest(text.as_bytes())[..16]);
            bytes
        };
        Self(uuid.map_or_else(hash, u128::to_be_bytes))
    }

    /// Its bytes, for hashes.
    pub(crate) fn bytes(self) -> [u8; 16] {
        self.0
    }

    /// The text of a UUID.
    pub(crate) fn text(self) -> String {
        let digits = format!("{:032x}", u128::from_be_bytes(self.0));
        let parts = [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]];
        parts.join("-")
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn controlled_by(kind: &str, name: &str) -> Vec<OwnerReference> {
        vec![
            OwnerReference { kind: "Other".to_owned(), ..OwnerReference::default() },
            OwnerReference {
                api_version: "apps/v1".to_owned(),
                kind: kind.to_owned(),
                name: name.to_owned(),
                controller: Some(true),
                ..OwnerReference::default()
            },
        ]
    }

    #[rstest]
    #[case("ReplicaSet", "api-5d8f", Some("api"))]
    #[case("ReplicaSet", "api", None)]
    #[case("ReplicaSet", "-5d8f", None)]
    #[case("ReplicaSet", "api5d8f", None)]
    #[case("StatefulSet", "api-5d8f", None)]
    fn a_replica_set_stands_for_its_deployment(
        #[case] kind: &str,
        #[case] name: &str,
        #[case] deployment: Option<&str>,
    ) {
        let labels = [(TEMPLATE_HASH.to_owned(), "5d8f".to_owned())].into();
        let owner = Owner::of_pod(Some(controlled_by(kind, name)), &labels).unwrap();
        assert_eq!((owner.name.as_str(), owner.deployment.as_deref()), (name, deployment));
    }

    #[test]
    fn a_pod_without_a_controller_has_no_owner() {
        let owners = Some(vec![OwnerReference::default()]);
        assert_eq!(Owner::of_pod(owners, &BTreeMap::new()), None);
    }

    #[test]
    fn uids_come_back_as_they_were() {
        let text = "0f2d7c1e-5b1d-4f0e-9a51-0d5cbd8b6a11";
        assert_eq!(Uid::of(text).text(), text);
        assert_ne!(Uid::of("uid-1"), Uid::of("uid-2"));
    }
}
