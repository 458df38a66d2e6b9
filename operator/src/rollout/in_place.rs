//! How one running pod follows a difference: the patches, and what the pod says of them. Pure.
//!
//! CPU and memory go first, image and our annotation follow in one patch. So the annotation names
//! the new revision only when all of it has been asked for, a resize that the node refuses leaves
//! the pod at the old revision as a whole, and whoever takes over in between asks for the same again.

use std::collections::BTreeMap;

use crds::keys;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::difference::{ContainerChange, Difference, ResourceChange};

/// What the annotation `sidecarpolicy.dev/updated` says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Updated {
    /// `metadata.uid` of the pod, which tells a copied annotation.
    pub(crate) uid: String,
    /// When the pod was last changed.
    pub(crate) at: Timestamp,
    /// Containers, and how often each had been restarted before the change.
    pub(crate) restarts: BTreeMap<String, i64>,
}

impl Updated {
    /// Reads the annotation; what is not one says nothing.
    pub(crate) fn read(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }
}

/// A pod does not follow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Obstacle {
    /// It will, later.
    Wait(String),
    /// It cannot in place.
    Cannot(String),
    /// It has another revision by now, or is another pod.
    Outdated,
}

/// The body of the patch of `pods/resize`; `None` when neither CPU nor memory change.
pub(crate) fn resize(difference: &Difference) -> Option<Value> {
    resources(difference, |change| &change.to)
}

/// The body that takes [`resize`] back.
pub(crate) fn resize_back(difference: &Difference) -> Option<Value> {
    resources(difference, |change| &change.from)
}

fn resources(difference: &Difference, value: impl Fn(&ResourceChange) -> &Value) -> Option<Value> {
    let fields = |change: &ContainerChange| {
        change.resources.as_ref().map(|resources| json!({ "resources": value(resources) }))
    };
    by_list(difference, fields)
}

/// `{"spec": {LIST: [{"name": …, FIELDS}]}}` over the containers that have fields.
fn by_list(
    difference: &Difference,
    fields: impl Fn(&ContainerChange) -> Option<Value>,
) -> Option<Value> {
    let mut lists = Map::new();
    for change in &difference.containers {
        let Some(mut container) = fields(change) else { continue };
        container["name"] = change.name.clone().into();
        let list = lists.entry(change.list).or_insert_with(|| json!([]));
        if let Some(list) = list.as_array_mut() {
            list.push(container);
        }
    }
    (!lists.is_empty()).then(|| json!({ "spec": lists }))
}

/// Whether the node has taken a resize in, by the pod that the API server answered with. One that is
/// in progress has been: the kubelet has set the resources aside.
pub(crate) fn resized(
    pod: &Value,
    difference: &Difference,
    deadline: i64,
    now: Timestamp,
) -> Result<(), Obstacle> {
    let conditions = pod["status"]["conditions"].as_array().map_or(&[][..], Vec::as_slice);
    let condition = |kind: &str| {
        conditions.iter().find(|found| found["type"] == kind && found["status"] == "True")
    };
    let seen = match (
        number(&pod["metadata"]["generation"]),
        number(&pod["status"]["observedGeneration"]),
    ) {
        (Some(wanted), Some(observed)) => observed >= wanted,
        _ => false,
    };
    if let Some(pending) = condition("PodResizePending") {
        let message = pending["message"].as_str().unwrap_or_default();
        let since = pending["lastTransitionTime"].as_str().and_then(|at| at.parse().ok());
        let since: i64 = since.map_or(now, |at: Timestamp| at).as_second();
        return Err(match pending["reason"].as_str() {
            Some("Infeasible") => Obstacle::Cannot(format!("the node cannot resize it: {message}")),
            _ if now.as_second() - since > deadline => {
                Obstacle::Cannot(format!("the node had no room to resize it: {message}"))
            }
            _ => Obstacle::Wait(format!("the node defers its resize: {message}")),
        });
    }
    let is_done = |change: &ContainerChange| {
        let (Some(wanted), Some(status)) = (
            &change.resources,
            find(&pod["status"], &format!("{}Statuses", singular(change.list)), &change.name),
        ) else {
            return change.resources.is_none();
        };
        let spec = find(&pod["spec"], change.list, &change.name).unwrap_or(&Value::Null);
        // Compared with the spec, where the API server has written the amounts in their usual form.
        wanted.to.as_object().into_iter().flatten().all(|(field, amounts)| {
            amounts.as_object().into_iter().flatten().all(|(resource, _)| {
                status["resources"][field][resource] == spec["resources"][field][resource]
            })
        })
    };
    if seen
        || condition("PodResizeInProgress").is_some()
        || difference.containers.iter().all(is_done)
    {
        return Ok(());
    }
    Err(Obstacle::Wait("its resize has not reached the node yet".to_owned()))
}

/// What a pod has to follow.
pub(crate) struct Target<'t> {
    /// The policy as pods name it.
    pub(crate) policy: &'t str,
    /// The revision that the pod is taken from.
    pub(crate) from: &'t str,
    /// The revision that it is taken to.
    pub(crate) to: &'t str,
}

/// The patch of a pod that sets images and annotations. It holds for the pod as it was read only.
pub(crate) fn images(
    pod: &Value,
    target: &Target<'_>,
    difference: &Difference,
    now: Timestamp,
) -> Result<Value, Obstacle> {
    let metadata = &pod["metadata"];
    let mut injected: BTreeMap<String, String> = metadata["annotations"][keys::INJECTED]
        .as_str()
        .and_then(|text| serde_json::from_str(text).ok())
        .unwrap_or_default();
    if injected.get(target.policy).is_none_or(|revision| revision != target.from) {
        return Err(Obstacle::Outdated);
    }
    injected.insert(target.policy.to_owned(), target.to.to_owned());
    let uid = metadata["uid"].as_str().unwrap_or_default();
    let mut updated = metadata["annotations"][keys::UPDATED]
        .as_str()
        .and_then(Updated::read)
        .filter(|updated| updated.uid == uid)
        .unwrap_or_else(|| Updated { uid: uid.to_owned(), at: now, restarts: BTreeMap::new() });
    updated.at = now;
    for change in &difference.containers {
        let Some(container) = find(&pod["spec"], change.list, &change.name) else {
            return Err(Obstacle::Cannot(format!(
                "it has no container {:?} in spec.{}",
                change.name, change.list
            )));
        };
        if let Some(image) = &change.image
            // Another policy may have brought the same container, and changed it already.
            && container["image"] != image.as_str()
        {
            let statuses = format!("{}Statuses", singular(change.list));
            // One that has never run does not count its first start.
            let restarts = find(&pod["status"], &statuses, &change.name)
                .filter(|status| status["containerID"].as_str().is_some_and(|id| !id.is_empty()))
                .and_then(|status| number(&status["restartCount"]));
            if let Some(restarts) = restarts {
                updated.restarts.insert(change.name.clone(), restarts);
            }
        }
    }
    let mut patch = by_list(difference, |change| Some(json!({ "image": change.image.as_ref()? })))
        .unwrap_or_else(|| json!({}));
    patch["metadata"] = json!({
        "uid": uid,
        "resourceVersion": metadata["resourceVersion"],
        "annotations": {
            keys::INJECTED: serde_json::to_string(&injected).unwrap_or_default(),
            keys::UPDATED: serde_json::to_string(&Updated { at: whole_seconds(now), ..updated })
                .unwrap_or_default(),
        },
    });
    Ok(patch)
}

/// `initContainers` -> `initContainer`.
fn singular(list: &str) -> &str {
    list.strip_suffix('s').unwrap_or(list)
}

fn find<'v>(parent: &'v Value, list: &str, name: &str) -> Option<&'v Value> {
    parent[list].as_array()?.iter().find(|item| item["name"] == name)
}

fn number(value: &Value) -> Option<i64> {
    value.as_i64()
}

fn whole_seconds(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}

#[cfg(test)]
#[path = "in_place_tests.rs"]
mod tests;
