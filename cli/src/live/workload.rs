//! The pods of a workload.

use std::collections::BTreeSet;

use crate::{
    cluster::{Cluster, Resource, Selection},
    commands::Error,
    document::Node,
    live::RunningPod,
    objects::Identity,
};

/// Selects pods that have neither ended nor finished.
const UNFINISHED: &str = "status.phase!=Succeeded,status.phase!=Failed";

/// The pods of a workload that have neither ended nor finished.
pub(super) async fn pods(cluster: &Cluster, workload: &Node) -> Result<Vec<RunningPod>, Error> {
    let Some(identity) = Identity::of(workload) else { return Ok(Vec::new()) };
    let namespace = identity.namespace.as_deref();
    let selector = workload.descend(&["spec", "selector"]).map(as_text);
    let uid = uid(workload).unwrap_or_default().to_owned();
    let between = match identity.kind.as_str() {
        "Deployment" => Some((&Resource::REPLICA_SET, selector.as_deref())),
        "CronJob" => Some((&Resource::JOB, None)),
        _ => None,
    };
    let makers: BTreeSet<String> = match between {
        Some((resource, selector)) => {
            let selection = Selection { labels: selector, ..Selection::default() };
            let own = |made: Node| {
                self::uid(&made).filter(|_| controller(&made) == Some(&uid)).map(str::to_owned)
            };
            let made = cluster.list_each(resource, namespace, selection, own).await?;
            made.into_iter().collect()
        }
        None => BTreeSet::from([uid]),
    };
    if makers.is_empty() {
        return Ok(Vec::new());
    }
    let selector = selector.unwrap_or_else(|| {
        let uids = makers.iter().map(String::as_str).collect::<Vec<_>>().join(",");
        format!("batch.kubernetes.io/controller-uid in ({uids})")
    });
    let selection = Selection { labels: Some(&selector), fields: Some(UNFINISHED) };
    let own = |pod: Node| {
        let is_own = controller(&pod).is_some_and(|uid| makers.contains(uid));
        (is_own && !is_ending(&pod)).then(|| RunningPod::of(&pod))
    };
    Ok(cluster.list_each(&Resource::POD, namespace, selection, own).await?)
}

/// Whether a pod was told to end.
fn is_ending(pod: &Node) -> bool {
    pod.descend(&["metadata", "deletionTimestamp"]).is_some()
}

fn uid(object: &Node) -> Option<&str> {
    object.descend(&["metadata", "uid"])?.text()
}

/// The uid of the object's controller.
fn controller(object: &Node) -> Option<&str> {
    super::pod::controller(object)?.text_of("uid")
}

/// A label selector as a query has it.
fn as_text(selector: &Node) -> String {
    let labels = selector.get("matchLabels").map(Node::entries).unwrap_or_default();
    let labels =
        labels.iter().map(|(key, value)| format!("{key}={}", value.text().unwrap_or_default()));
    let expressions = selector.get("matchExpressions").map(Node::items).unwrap_or_default();
    let expressions = expressions.iter().map(|expression| {
        let text = |key| expression.text_of(key).unwrap_or_default();
        let values = expression.get("values").map(Node::items).unwrap_or_default();
        let values = values.iter().filter_map(Node::text).collect::<Vec<_>>().join(",");
        match text("operator") {
            "In" => format!("{} in ({values})", text("key")),
            "NotIn" => format!("{} notin ({values})", text("key")),
            "DoesNotExist" => format!("!{}", text("key")),
            _ => text("key").to_owned(),
        }
    });
    labels.chain(expressions).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_are_written_as_queries_have_them() {
        let json = r#"{"matchLabels": {"app": "api"}, "matchExpressions": [
            {"key": "tier", "operator": "In", "values": ["a", "b"]},
            {"key": "old", "operator": "NotIn", "values": ["yes"]},
            {"key": "named", "operator": "Exists"},
            {"key": "canary", "operator": "DoesNotExist"}]}"#;
        let selector = Node::from_json(json, 1).expect("it is JSON");
        assert_eq!(as_text(&selector), "app=api,tier in (a,b),old notin (yes),named,!canary");
    }
}
