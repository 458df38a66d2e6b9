//! The pod that a controller makes of a pod template, as far as it is known beforehand: whom it belongs
//! to, the labels of Jobs, and the volumes of a StatefulSet's claims. Policies may ask for all of that,
//! and the template itself has none of it.

use crate::{
    document::{Node, Value},
    objects::Identity,
};

/// Labels that the pods of a Job have with its name.
const JOB_NAME_LABELS: [&str; 2] = ["batch.kubernetes.io/job-name", "job-name"];

/// A pod, and what in it is not from its template.
#[derive(Debug)]
pub(crate) struct MadePod {
    pub(crate) pod: Node,
    /// Labels that were added.
    labels: Vec<&'static str>,
    /// How many volumes were added, in front.
    claims: usize,
}

impl MadePod {
    /// Of an object and its pod template. `None` for a template with a part of the wrong type, which has
    /// to be judged as it is, and for one that no controller makes pods of.
    pub(crate) fn of(identity: &Identity, object: &Node, template: &Node) -> Option<Self> {
        let has_owners = template.descend(&["metadata", "ownerReferences"]).is_some();
        if identity.kind == "PodTemplate" || has_owners {
            return None;
        }
        let name = identity.name.trim_end_matches(['*', '-']);
        let mut pod = template.clone();
        let metadata = map_in(&mut pod, "metadata")?;
        let mut labels = Vec::new();
        if matches!(identity.kind.as_str(), "Job" | "CronJob") {
            let found = map_in(metadata, "labels")?;
            for key in JOB_NAME_LABELS {
                if found.get(key).is_none() {
                    push(found, key, text(name));
                    labels.push(key);
                }
            }
        }
        let owner = [("kind", text(&identity.kind)), ("name", text(name))];
        let owner = owner.into_iter().chain([("controller", Value::Bool(true))]);
        let owner = owner.map(|(key, value)| (key.to_owned(), node(value)));
        push(metadata, "ownerReferences", Value::List(vec![node(Value::Map(owner.collect()))]));
        let claims = claims(object);
        let count = claims.len();
        if count > 0 {
            let volumes = map_in(&mut pod, "spec").and_then(|spec| list_in(spec, "volumes"))?;
            volumes.splice(0..0, claims);
        }
        Some(Self { pod, labels, claims: count })
    }

    /// The template, with what was done to the pod since.
    pub(crate) fn into_template(mut self) -> Node {
        if let Some(metadata) = self.pod.get_mut("metadata") {
            remove(metadata, "ownerReferences");
            if let Some(labels) = metadata.get_mut("labels") {
                self.labels.iter().for_each(|key| remove(labels, key));
            }
            remove_empty(metadata, "labels");
        }
        if self.claims > 0
            && let Some(spec) = self.pod.get_mut("spec")
        {
            if let Some(Node { value: Value::List(volumes), .. }) = spec.get_mut("volumes") {
                volumes.drain(..self.claims);
            }
            remove_empty(spec, "volumes");
        }
        remove_empty(&mut self.pod, "metadata");
        self.pod
    }
}

/// The volumes that the pods of a StatefulSet have for its claims. The name of a claim says which pod
/// it is of, so that it is not known here.
fn claims(object: &Node) -> Vec<Node> {
    let claims = object.descend(&["spec", "volumeClaimTemplates"]).map(Node::items);
    let names =
        claims.unwrap_or_default().iter().filter_map(|claim| claim.descend(&["metadata", "name"]));
    let volumes = names.map(|name| {
        let claim = ("claimName".to_owned(), name.clone());
        let claim = ("persistentVolumeClaim".to_owned(), node(Value::Map(vec![claim])));
        node(Value::Map(vec![("name".to_owned(), name.clone()), claim]))
    });
    volumes.collect()
}

/// What stands under a key, which has to be a map; an empty one where nothing is.
fn map_in<'n>(node: &'n mut Node, key: &str) -> Option<&'n mut Node> {
    part_in(node, key, Value::Map(Vec::new())).filter(|part| matches!(part.value, Value::Map(_)))
}

/// The same for a list.
fn list_in<'n>(node: &'n mut Node, key: &str) -> Option<&'n mut Vec<Node>> {
    match part_in(node, key, Value::List(Vec::new())) {
        Some(Node { value: Value::List(list), .. }) => Some(list),
        _ => None,
    }
}

fn part_in<'n>(node: &'n mut Node, key: &str, empty: Value) -> Option<&'n mut Node> {
    if node.get(key).is_none_or(|found| matches!(found.value, Value::Null)) {
        remove(node, key);
        push(node, key, empty);
    }
    node.get_mut(key)
}

fn push(map: &mut Node, key: &str, value: Value) {
    if let Value::Map(entries) = &mut map.value {
        entries.push((key.to_owned(), node(value)));
    }
}

fn remove(map: &mut Node, key: &str) {
    if let Value::Map(entries) = &mut map.value {
        entries.retain(|(found, _)| found != key);
    }
}

fn remove_empty(map: &mut Node, key: &str) {
    let is_empty = map.get(key).is_some_and(|found| match &found.value {
        Value::Map(entries) => entries.is_empty(),
        Value::List(items) => items.is_empty(),
        _ => false,
    });
    if is_empty {
        remove(map, key);
    }
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

fn node(value: Value) -> Node {
    Node { line: 1, value }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLAIMS: &str = r#", "volumeClaimTemplates": [{"metadata": {"name": "data"}}]"#;

    fn made(kind: &str, more: &str, template: &str) -> (Node, Option<MadePod>) {
        let json = format!(
            r#"{{"kind": "{kind}", "metadata": {{"name": "api"}}, "spec": {{"a": 1{more}}}}}"#
        );
        let object = Node::from_json(&json, 1).expect("it is JSON");
        let template = Node::from_json(template, 1).expect("it is JSON");
        let identity = Identity::of(&object).expect("it has a kind");
        let made = MadePod::of(&identity, &object, &template);
        (template, made)
    }

    #[test]
    fn a_template_comes_back_as_it_was() {
        for (kind, more, template) in [
            ("Job", "", r#"{"spec": {"containers": []}}"#),
            ("CronJob", "", r#"{"metadata": {"labels": {"job-name": "own"}}, "spec": {}}"#),
            ("StatefulSet", CLAIMS, r#"{"spec": {"volumes": [{"name": "own"}]}}"#),
            ("StatefulSet", CLAIMS, r#"{"metadata": {"annotations": {"a": "b"}}, "spec": {}}"#),
        ] {
            let (template, made) = made(kind, more, template);
            let made = made.expect("it can be made");
            assert_ne!(made.pod.to_json(), template.to_json());
            assert_eq!(made.into_template().to_json(), template.to_json());
        }
    }

    #[test]
    fn a_template_that_cannot_be_read_is_judged_as_it_is() {
        for template in [
            r#"{"metadata": []}"#,
            r#"{"metadata": {"labels": "none"}}"#,
            r#"{"metadata": {"ownerReferences": []}}"#,
            r#"{"spec": {"volumes": {}}}"#,
        ] {
            assert!(made("Job", CLAIMS, template).1.is_none(), "{template}");
        }
    }
}
