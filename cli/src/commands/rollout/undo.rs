//! `kubectl sidecar rollout undo`

use std::collections::BTreeSet;

use crds::{PolicySpec, PolicyStatus};
use kube::core::params::Patch;
use serde_json::{Map, Value, json};

use super::{CommandError, Ending, Error, Streams, history, target::Target};
use crate::{
    arguments::UndoArguments,
    cluster::{self, Revision},
    readiness::current_condition,
};

/// What is another one in `metadata` when somebody made the policy anew or changed its spec.
const WRITTEN: [&str; 2] = ["uid", "generation"];

/// Puts an earlier revision of a policy back.
pub(super) async fn run(
    arguments: &UndoArguments,
    streams: &mut Streams<'_>,
) -> Result<Ending, CommandError> {
    let mut target = Target::find(&arguments.named).await?;
    let revisions = target.revisions(streams).await?;
    let current = current(&target.object, &target.status(), &revisions);
    let revision = if let Some(wanted) = &arguments.to_revision {
        history::find(&revisions, wanted, &target)?
    } else {
        let Some(current) = &current else {
            return Err(Error::CurrentUnknown { policy: target.shown() }.into());
        };
        let others = revisions.iter().filter(|revision| revision.hash != *current);
        let newest = others.max_by_key(|revision| revision.number);
        newest.ok_or_else(|| Error::NothingEarlier { policy: target.shown() })?
    };
    if let Some(fields) = unknown_fields(&revisions, &target.object["spec"], &revision.content) {
        return Err(Error::UnknownContent { policy: target.shown(), fields }.into());
    }
    let (number, hash) = (revision.number, &revision.hash);
    let changes = current.as_ref() != Some(hash) && {
        let generation = target.generation();
        put_back(&mut target, &revision.content).await?;
        target.generation() != generation
    };
    if !changes {
        writeln!(streams.output, "{} is at revision {number} ({hash}) already", target.shown())?;
        return Ok(Ending::Clean);
    }
    writeln!(streams.output, "{} rolled back to revision {number} ({hash})", target.shown())?;
    for note in notes(&target, hash) {
        writeln!(streams.messages, "{note}")?;
    }
    Ok(Ending::Clean)
}

/// The revision that the spec of a policy has; `None` if that cannot be told.
fn current(object: &Value, status: &PolicyStatus, revisions: &[Revision]) -> Option<String> {
    let generation = object["metadata"]["generation"].as_i64().unwrap_or_default();
    let accepted = current_condition(status, "Accepted", generation);
    // Of a spec that does not compile the status names the revision before it.
    if accepted.is_some_and(|accepted| accepted.status == "True") && status.revision.is_some() {
        return status.revision.clone();
    }
    // An operator of another version has other fields in the hash.
    let newest = revisions.iter().max_by_key(|revision| revision.number);
    if newest.is_some_and(|newest| !newest.content.as_object().is_some_and(has_own_fields)) {
        return None;
    }
    let mut is_known = true;
    let spec = serde_ignored::deserialize(&object["spec"], |_| is_known = false);
    spec.ok().filter(|_| is_known).map(|spec: PolicySpec| inject::revision(&spec))
}

/// Whether these are the fields of a content as this program knows it.
fn has_own_fields(content: &Map<String, Value>) -> bool {
    let fields = fields();
    content.len() == fields.len() && content.keys().all(|field| fields.contains_key(field))
}

/// The fields of contents that this program does not know, where it would have to change them.
fn unknown_fields(revisions: &[Revision], spec: &Value, content: &Value) -> Option<String> {
    let known = fields();
    let contents = revisions.iter().filter_map(|revision| revision.content.as_object());
    let unknown: BTreeSet<&str> = contents
        .flat_map(Map::keys)
        .map(String::as_str)
        .filter(|field| !known.contains_key(*field))
        .filter(|field| puts_in(&spec[field]) || puts_in(&content[field]))
        .collect();
    let unknown: Vec<String> = unknown.iter().map(|field| format!("spec.{field}")).collect();
    (!unknown.is_empty()).then(|| unknown.join(", "))
}

/// All that belongs to a content.
fn fields() -> Map<String, Value> {
    match inject::revision_content(&PolicySpec::default()) {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

/// Gives the policy another content, if nobody changed it since it was read.
async fn put_back(target: &mut Target, content: &Value) -> Result<(), CommandError> {
    let patch = putting_back(&target.object, content);
    let patch = serde_json::from_value(patch).map_err(|error| cluster::Error::answer(&error))?;
    let known = target.object.clone();
    let patched = target.patch(Patch::Json::<Value>(patch)).await;
    if let Err(CommandError::Cluster(cluster::Error::Refused { code: 409 | 422, .. })) = patched {
        target.read().await?;
        if WRITTEN.iter().any(|field| target.object["metadata"][field] != known["metadata"][field])
        {
            return Err(Error::ChangedMeanwhile { policy: target.shown() }.into());
        }
    }
    patched
}

/// The patch that gives a policy another content. A merge would leave keys of maps that the earlier content
/// did not have. It holds for the spec as it was read, while the operator may write the status.
fn putting_back(object: &Value, content: &Value) -> Value {
    let metadata = &object["metadata"];
    let tests = WRITTEN.iter().map(
        |field| json!({"op": "test", "path": format!("/metadata/{field}"), "value": metadata[field]}),
    );
    let mut operations: Vec<Value> = tests.collect();
    // What an earlier content does not say, it did not have.
    for field in fields().keys() {
        let path = format!("/spec/{field}");
        let value = &content[field];
        if puts_in(value) {
            operations.push(json!({"op": "add", "path": path, "value": value}));
        } else if object["spec"].get(field).is_some() {
            operations.push(json!({"op": "remove", "path": path}));
        }
    }
    operations.into()
}

/// Whether the field of a content says anything.
fn puts_in(value: &Value) -> bool {
    !value.is_null() && !value.as_array().is_some_and(Vec::is_empty)
}

/// What keeps running or new pods from following.
fn notes(target: &Target, hash: &str) -> Vec<String> {
    let rollout = target.rollout();
    let mut notes = Vec::new();
    if rollout["paused"] == true {
        notes.push("the rollout is paused: running pods follow when it is resumed".to_owned());
    }
    let status = target.status();
    if status.partitioned && status.previous_revision.as_deref() != Some(hash) {
        notes.push(format!(
            "spec.rollout.partition is {}: that share of the pods is kept at revision {}",
            rollout["partition"]
                .as_str()
                .map_or_else(|| rollout["partition"].to_string(), str::to_owned),
            status.previous_revision.unwrap_or_default()
        ));
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_of_the_content_is_put_back_and_nothing_else() {
        let object = json!({
            "metadata": {"uid": "u", "generation": 4, "resourceVersion": "7"},
            "spec": {"podSelector": {}, "sidecars": [1], "pod": {"labels": {"a": "b"}}, "volumes": []},
        });
        let content = json!({
            "sidecars": [2], "volumes": [], "files": [], "appContainers": [3], "pod": null, "parameters": [],
        });
        assert_eq!(
            putting_back(&object, &content),
            json!([
                {"op": "test", "path": "/metadata/uid", "value": "u"},
                {"op": "test", "path": "/metadata/generation", "value": 4},
                {"op": "add", "path": "/spec/sidecars", "value": [2]},
                {"op": "remove", "path": "/spec/volumes"},
                {"op": "add", "path": "/spec/appContainers", "value": [3]},
                {"op": "remove", "path": "/spec/pod"},
            ])
        );
    }

    fn stored(number: i64, content: Value) -> Revision {
        let hash = inject::revision_of_content(&content);
        Revision { number, hash, created: String::new(), content }
    }

    fn content(image: &str) -> Value {
        let spec = json!({"sidecars": [{"name": "a", "image": image}]});
        inject::revision_content(&serde_json::from_value(spec).expect("it is a spec"))
    }

    /// The current revision of a policy at generation 2 with the image `a:2`.
    fn current_of(more: &Value, accepted: (&str, i64), revisions: &[Revision]) -> Option<String> {
        let mut object = json!({
            "metadata": {"generation": 2}, "spec": {"sidecars": [{"name": "a", "image": "a:2"}]},
        });
        object["spec"].as_object_mut().expect("a map").extend(
            more.as_object().into_iter().flatten().map(|(key, value)| (key.clone(), value.clone())),
        );
        let status = json!({"revision": "told", "observedGeneration": accepted.1, "conditions": [{
            "type": "Accepted", "status": accepted.0, "reason": "Why", "message": "",
            "observedGeneration": accepted.1, "lastTransitionTime": "2026-01-01T00:00:00Z",
        }]});
        let status = serde_json::from_value(status).expect("it is a status");
        current(&object, &status, revisions)
    }

    #[test]
    fn the_current_revision_is_the_operators_or_else_the_hash_of_a_spec_that_is_known() {
        let told = Some("told".to_owned());
        let own = [stored(1, content("a:1")), stored(2, content("a:2"))];
        let hash = Some(own[1].hash.clone());
        let mut older = content("a:1");
        older.as_object_mut().expect("a map").remove("parameters");
        let older = [stored(1, older)];
        for (more, accepted, revisions, expected) in [
            (json!({}), ("True", 2), &own[..], &told),
            (json!({"pod": {"new": 1}}), ("True", 2), &own, &told),
            (json!({}), ("True", 2), &older, &told),
            // The operator has not looked yet, or what it says is of the spec before.
            (json!({}), ("True", 1), &own, &hash),
            (json!({}), ("False", 2), &own, &hash),
            (json!({"pod": {"new": 1}}), ("True", 1), &own, &None),
            (json!({}), ("True", 1), &older, &None),
        ] {
            let found = current_of(&more, accepted, revisions);
            assert_eq!(found, *expected, "{more} {accepted:?} {revisions:?}");
        }
    }

    #[test]
    fn contents_with_fields_of_a_newer_operator_are_told() {
        let mut newer = content("a:1");
        newer["newer"] = json!([1]);
        let unknown = |contents: &[&Value], spec: Value, content: &Value| {
            let contents: Vec<Revision> =
                contents.iter().map(|content| stored(1, (*content).clone())).collect();
            unknown_fields(&contents, &spec, content)
        };
        let (own, said) = (content("a:1"), Some("spec.newer".to_owned()));
        assert_eq!(unknown(&[&own], json!({"mood": 1}), &own), None);
        assert_eq!(unknown(&[&own, &newer], json!({}), &own), None, "it stays as it is");
        assert_eq!(unknown(&[&own, &newer], json!({}), &newer), said);
        assert_eq!(unknown(&[&own, &newer], json!({"newer": [2]}), &own), said);
    }
}
