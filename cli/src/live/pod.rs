//! A running pod as it was before injection, as what it would come again.
//!
//! Three ways lead there. While all that went in is at its current revision, the pod as it runs does for
//! decisions: the heart knows by content what is there already. Otherwise that content stands in the way of the current one
//! and has to go. A ReplicaSet or Job never changes its template, so that is what its pods were made
//! of. For other pods what went in is taken out again, which needs the contents of all revisions that went in; a
//! StatefulSet or DaemonSet may have another template by now, and nobody's own is known.
//! Where neither works, the pod as it runs has to do, and no conflict that it meets is told.

use std::collections::BTreeMap;

use inject::{PolicyId, PolicySet};
use serde_json::Value as Json;

use super::{Change, Purpose, RunningPod, Surroundings, changes};
use crate::{
    cluster::{self, Resource},
    commands::Error,
    document::{Node, Value},
    policies::Contents,
    uninjection,
};

/// Labels that controllers put on each of their pods, beside those of the template.
const LABELS_OF_CONTROLLERS: [&str; 2] =
    ["batch.kubernetes.io/job-completion-index", "pod-template-hash"];

/// Policy -> its content at the revision that went in, where that is not the current one and is still
/// kept.
pub(super) type OldContents = BTreeMap<PolicyId, Json>;

/// Reads the contents of the revisions that went into a pod and are not the current ones.
pub(super) async fn contents(
    pod: &RunningPod,
    around: &Surroundings<'_>,
) -> Result<OldContents, Error> {
    let mut contents = OldContents::new();
    for policy in around.facts.policies.iter() {
        let Some(revision) = pod.record.injected.get(&policy.id.to_string()) else { continue };
        if *revision == policy.revision {
            continue;
        }
        let namespace = around.operator_namespace;
        match around.cluster.content(&policy.id, revision, namespace).await {
            Ok(Some(content)) => {
                contents.insert(policy.id.clone(), content);
            }
            // Then what changed since is not told.
            Ok(None) | Err(cluster::Error::Forbidden { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(contents)
}

/// By policy, what changed in it since it went in.
pub(super) fn changes(
    contents: &OldContents,
    around: &Surroundings<'_>,
) -> BTreeMap<String, Vec<Change>> {
    let changes = contents.iter().filter_map(|(policy, content)| {
        let now = inject::revision_content(&around.stored.get(policy)?.spec);
        Some((policy.to_string(), changes::between(content, &now)))
    });
    changes.collect()
}

/// The pod as it was before injection, or one that does as well; `None` if that cannot be told.
pub(super) async fn before_injection(
    object: &Node,
    pod: &RunningPod,
    contents: &OldContents,
    around: &Surroundings<'_>,
) -> Result<Option<Node>, Error> {
    let is_current = |(policy, revision): (&String, &String)| {
        around
            .facts
            .policies
            .iter()
            .any(|known| known.id.to_string() == *policy && known.revision == *revision)
    };
    let is_enough = match around.purpose {
        Purpose::Decisions => pod.record.injected.iter().all(is_current),
        Purpose::Changes => pod.record.injected.is_empty(),
    };
    if is_enough {
        return Ok(Some(object.clone()));
    }
    match as_made(object, around).await? {
        Some(made) => Ok(Some(made)),
        None => taken_out(object, pod, contents, around),
    }
}

/// The pod without a name that the API server made up, which it does after the webhook was asked.
pub(super) fn without_made_up_name(mut pod: Node) -> Node {
    let text = |key| pod.descend(&["metadata", key]).and_then(Node::text);
    let controller = controller(&pod)
        .and_then(|owner| Some((owner.text_of("apiVersion")?, owner.text_of("kind")?)));
    let name = text("name").unwrap_or_default();
    if !inject::came_with_name(name, text("generateName"), controller)
        && let Some(Value::Map(entries)) = pod.get_mut("metadata").map(|node| &mut node.value)
    {
        entries.retain(|(key, _)| key != "name");
    }
    pod
}

/// The controller among the owners of an object.
pub(super) fn controller(object: &Node) -> Option<&Node> {
    let owners = object.descend(&["metadata", "ownerReferences"])?.items();
    owners.iter().find(|owner| {
        matches!(owner.get("controller"), Some(Node { value: Value::Bool(true), .. }))
    })
}

/// The pod as its controller made it, if that never changes its template.
async fn as_made(pod: &Node, around: &Surroundings<'_>) -> Result<Option<Node>, Error> {
    let Some(owner) = controller(pod) else { return Ok(None) };
    let resource = match (owner.text_of("apiVersion"), owner.text_of("kind")) {
        (Some("apps/v1"), Some("ReplicaSet")) => &Resource::REPLICA_SET,
        (Some("batch/v1"), Some("Job")) => &Resource::JOB,
        _ => return Ok(None),
    };
    let metadata = |key| pod.descend(&["metadata", key]);
    let namespace = metadata("namespace").and_then(Node::text).unwrap_or_default();
    let name = owner.text_of("name").unwrap_or_default();
    let found = match around.cluster.find(resource, namespace, name).await {
        Err(cluster::Error::Forbidden { .. }) => None,
        found => found?,
    };
    let is_owner = |found: &Node| {
        found.descend(&["metadata", "uid"]).and_then(Node::text) == owner.text_of("uid")
    };
    Ok(found.filter(is_owner).and_then(|owner| made_of(owner.descend(&["spec", "template"])?, pod)))
}

/// The pod that a controller makes of a template; its identity is that of a pod that it made.
fn made_of(template: &Node, pod: &Node) -> Option<Node> {
    let map = |entries: Vec<(String, Node)>| Node { line: 1, value: Value::Map(entries) };
    let entry = |key: &str, node: &Node| (key.to_owned(), node.clone());
    let of_template = |key| template.descend(&["metadata", key]);
    let mut labels = of_template("labels").map(Node::entries).unwrap_or_default().to_vec();
    for key in LABELS_OF_CONTROLLERS {
        let own = pod.descend(&["metadata", "labels", key]);
        if let Some(own) = own.filter(|_| labels.iter().all(|(known, _)| known != key)) {
            labels.push(entry(key, own));
        }
    }
    let mut metadata: Vec<(String, Node)> =
        ["name", "generateName", "namespace", "ownerReferences"]
            .into_iter()
            .filter_map(|key| Some(entry(key, pod.descend(&["metadata", key])?)))
            .collect();
    metadata.push(("labels".to_owned(), map(labels)));
    metadata
        .extend(of_template("annotations").map(|annotations| entry("annotations", annotations)));
    Some(map(vec![
        entry("apiVersion", pod.get("apiVersion")?),
        entry("kind", pod.get("kind")?),
        ("metadata".to_owned(), map(metadata)),
        entry("spec", template.get("spec")?),
    ]))
}

/// The pod without what policies put in, at the revisions that went in. `None` if that cannot be told.
fn taken_out(
    pod: &Node,
    running: &RunningPod,
    contents: &OldContents,
    around: &Surroundings<'_>,
) -> Result<Option<Node>, Error> {
    let mut set = PolicySet::default();
    let mut specs = Vec::new();
    for policy in around.facts.policies.iter() {
        let id = &policy.id;
        let Some(revision) = running.record.injected.get(&id.to_string()) else { continue };
        let Some(stored) = around.stored.get(id) else { return Ok(None) };
        let spec = if *revision == policy.revision {
            stored.spec.clone()
        } else {
            let Some(content) = contents.get(id) else { return Ok(None) };
            let Ok(spec) = inject::with_content(&stored.spec, content) else { return Ok(None) };
            spec
        };
        let Ok(then) = inject::compile(id.clone(), &policy.uid, policy.generation, &spec) else {
            return Ok(None);
        };
        set.insert(then.into());
        specs.push((id.clone(), spec));
    }
    let given: Vec<Contents<'_>> = specs.iter().map(|(id, spec)| Contents { id, spec }).collect();
    let mut taken = pod.clone();
    let removal = uninjection::take_out_of(&mut taken, &around.facts.asking(set), &given)?;
    Ok(removal.filter(|removal| removal.changed).map(|_| taken))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_was_made_up_is_none() {
        let pod = |name: &str| {
            let json = format!(r#"{{"metadata": {{"name": "{name}", "generateName": "api-"}}}}"#);
            Node::from_json(&json, 1).expect("it is JSON")
        };
        let name = |pod: &Node| pod.descend(&["metadata", "name"]).is_some();
        assert!(!name(&without_made_up_name(pod("api-x2vzk"))));
        assert!(name(&without_made_up_name(pod("api-first"))));
    }

    #[test]
    fn a_pod_is_made_of_a_template_and_its_own_identity() {
        let node = |json| Node::from_json(json, 1).expect("it is JSON");
        let template = node(
            r#"{"metadata": {"labels": {"app": "api"}, "annotations": {"a": "b"}},
                "spec": {"containers": [{"name": "app"}]}}"#,
        );
        let pod = node(
            r#"{"apiVersion": "v1", "kind": "Pod",
                "metadata": {"name": "api-1", "generateName": "api-", "namespace": "shop", "uid": "u",
                    "labels": {"app": "api", "pod-template-hash": "1", "sidecarpolicy.dev/injected": "true"},
                    "annotations": {"a": "b", "sidecarpolicy.dev/injected": "{}"}},
                "spec": {"containers": [{"name": "app"}, {"name": "proxy"}], "nodeName": "n"}}"#,
        );
        assert_eq!(
            made_of(&template, &pod).expect("it can be made").to_json(),
            node(
                r#"{"apiVersion": "v1", "kind": "Pod",
                    "metadata": {"name": "api-1", "generateName": "api-", "namespace": "shop",
                        "labels": {"app": "api", "pod-template-hash": "1"}, "annotations": {"a": "b"}},
                    "spec": {"containers": [{"name": "app"}]}}"#
            )
            .to_json()
        );
    }
}
