//! Objects of a cluster that people ask about: what became of them, and as what the heart is asked
//! about them.

mod changes;
mod pod;
mod record;
mod standing;
mod workload;

use std::collections::BTreeMap;

use futures::future::try_join_all;
use inject::PolicyId;

use crate::{
    cluster::{Cluster, Reference, Resource, StoredPolicy},
    commands::Error,
    document::{Node, Value},
    facts::Facts,
    objects::Identity,
};

pub(crate) use changes::Change;
pub(crate) use record::{Record, RunningPod};
pub(crate) use standing::Standing;

/// Where the heart can be told what people ask about.
pub(crate) struct Surroundings<'a> {
    pub(crate) cluster: &'a Cluster,
    pub(crate) facts: &'a Facts,
    /// What the cluster says of policies, if they are its.
    pub(crate) stored: &'a BTreeMap<PolicyId, StoredPolicy>,
    /// Where the operator keeps the revisions of the cluster kind.
    pub(crate) operator_namespace: &'a str,
    pub(crate) purpose: Purpose,
}

/// What pods are looked at for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// What is decided about them. What is there already is told by its content.
    Decisions,
    /// What changes in them. What is there already has to go first.
    Changes,
}

/// An object of a cluster.
#[derive(Debug)]
pub(crate) struct Live {
    /// As the heart is asked about it: a workload as it is, a pod as it was before injection.
    pub(crate) object: Node,
    pub(crate) found: Found,
}

/// What became of an object of a cluster.
#[derive(Debug)]
pub(crate) enum Found {
    /// A pod.
    Pod {
        pod: RunningPod,
        /// By policy what changed in the policy since it went into the pod, where that is known.
        changes: BTreeMap<String, Vec<Change>>,
        /// What went in stands in the way of what would come in anew, for it cannot be told from the
        /// app's own.
        is_in_the_way: bool,
    },
    /// A workload: its pods that have neither ended nor finished.
    Workload { pods: Vec<RunningPod> },
}

/// Reads objects by their names.
pub(crate) async fn read(
    cluster: &Cluster,
    namespace: &str,
    references: &[Reference],
) -> Result<Vec<Node>, Error> {
    let objects =
        references.iter().map(|found| cluster.get(found.resource, namespace, &found.name));
    Ok(try_join_all(objects).await?.into_iter().map(without_managed_fields).collect())
}

/// Finds out what became of an object.
pub(crate) async fn look_at(object: Node, around: &Surroundings<'_>) -> Result<Live, Error> {
    let is_pod = Identity::of(&object).is_some_and(|identity| identity.kind == Resource::POD.kind);
    if !is_pod {
        let pods = workload::pods(around.cluster, &object).await?;
        return Ok(Live { object, found: Found::Workload { pods } });
    }
    let pod = RunningPod::of(&object);
    let contents = pod::contents(&pod, around).await?;
    let changes = pod::changes(&contents, around);
    let before = pod::before_injection(&object, &pod, &contents, around).await?;
    let is_in_the_way = before.is_none();
    let object = pod::without_made_up_name(before.unwrap_or(object));
    Ok(Live { object, found: Found::Pod { pod, changes, is_in_the_way } })
}

/// Who wrote which field is longer than the object, and nobody asks for it.
fn without_managed_fields(mut object: Node) -> Node {
    if let Some(Value::Map(entries)) =
        object.get_mut("metadata").map(|metadata| &mut metadata.value)
    {
        entries.retain(|(key, _)| key != "managedFields");
    }
    object
}
