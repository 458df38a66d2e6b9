//! `kubectl sidecar rollout undo`

use crds::PolicySpec;
use kube::core::params::Patch;
use serde::Deserialize as _;
use serde_json::{Value, json};

use super::{CommandError, Ending, Error, Streams, history, target::Target};
use crate::{arguments::UndoArguments, cluster};

/// What is another one in `metadata` when somebody made the policy anew or changed its spec.
const WRITTEN: [&str; 2] = ["uid", "generation"];

/// Puts an earlier revision of a policy back.
pub(super) async fn run(
    arguments: &UndoArguments,
    streams: &mut Streams<'_>,
) -> Result<Ending, CommandError> {
    let mut target = Target::find(&arguments.named).await?;
    let revisions = target.revisions().await?;
    // The status may not know of the last change yet.
    let current = PolicySpec::deserialize(&target.object["spec"]);
    let current = current.map(|spec| inject::revision(&spec)).ok().or(target.status().revision);
    let is_current = |hash: &str| current.as_deref() == Some(hash);
    let revision = if let Some(wanted) = &arguments.to_revision {
        history::find(&revisions, wanted, &target)?
    } else {
        let others = revisions.iter().filter(|revision| !is_current(&revision.hash));
        let newest = others.max_by_key(|revision| revision.number);
        newest.ok_or_else(|| Error::NothingEarlier { policy: target.shown() })?
    };
    let (number, hash) = (revision.number, &revision.hash);
    if is_current(hash) {
        writeln!(streams.output, "{} is at revision {number} ({hash}) already", target.shown())?;
        return Ok(Ending::Clean);
    }
    put_back(&mut target, &revision.content).await?;
    writeln!(streams.output, "{} rolled back to revision {number} ({hash})", target.shown())?;
    for note in notes(&target, hash) {
        writeln!(streams.messages, "{note}")?;
    }
    Ok(Ending::Clean)
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
    // All that belongs to a content; what an earlier one does not say, it did not have.
    let fields = inject::revision_content(&PolicySpec::default());
    for field in fields.as_object().into_iter().flatten().map(|(field, _)| field) {
        let path = format!("/spec/{field}");
        let value = &content[field];
        let puts_in = !value.is_null() && !value.as_array().is_some_and(Vec::is_empty);
        if puts_in {
            operations.push(json!({"op": "add", "path": path, "value": value}));
        } else if object["spec"].get(field).is_some() {
            operations.push(json!({"op": "remove", "path": path}));
        }
    }
    operations.into()
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
}
