//! `kubectl sidecar catalog install`

use inject::PolicyId;
use serde_json::{Value, json};

use super::{Ending, Error, Streams, find};
use crate::{
    arguments::{DryRun, InstallArguments},
    catalog::ReadyMade,
    cluster::{self, Applying, Cluster, Resource},
    document::Node,
    manifests::{self, STANDARD_INPUT},
    output::{ChangeFormat, Structured, write_structured},
};

/// Puts ready-made policies into a cluster.
pub(super) fn run(
    arguments: &InstallArguments,
    streams: &mut Streams<'_>,
) -> Result<Ending, Error> {
    // A name that is wrong stops before anything is changed.
    let wanted: Vec<_> =
        arguments.names.iter().map(|name| find(name)).collect::<Result<_, Error>>()?;
    cluster::run(async {
        let cluster = Cluster::connect(&arguments.cluster).await?;
        let mut objects = Vec::with_capacity(wanted.len());
        for ready_made in wanted {
            let policy = Installed::new(ready_made, arguments, &cluster)?;
            let (change, object) = policy.install(&cluster, arguments).await?;
            let dry_run = match arguments.dry_run {
                DryRun::None => "",
                DryRun::Client => " (dry run)",
                DryRun::Server => " (server dry run)",
            };
            let shown = policy.resource().shown(&policy.id.name);
            match arguments.output {
                ChangeFormat::Text => writeln!(streams.output, "{shown} {change}{dry_run}")?,
                ChangeFormat::Name => writeln!(streams.output, "{shown}")?,
                ChangeFormat::Json | ChangeFormat::Yaml => objects.push(object),
            }
        }
        let form = match arguments.output {
            ChangeFormat::Text | ChangeFormat::Name => return Ok(Ending::Clean),
            ChangeFormat::Json => Structured::Json,
            ChangeFormat::Yaml => Structured::Yaml,
        };
        match objects.as_slice() {
            [object] => write_structured(object, form, streams.output)?,
            objects => {
                let list = json!({"apiVersion": "v1", "kind": "List", "items": objects});
                write_structured(&list, form, streams.output)?;
            }
        }
        Ok(Ending::Clean)
    })
}

/// A ready-made policy in its place.
struct Installed {
    id: PolicyId,
    object: Value,
}

impl Installed {
    fn new(
        ready_made: &ReadyMade,
        arguments: &InstallArguments,
        cluster: &Cluster,
    ) -> Result<Self, Error> {
        let mut text = ready_made.policy.as_bytes();
        let documents = manifests::read(&[STANDARD_INPUT.to_owned()], &mut text)?;
        let root = documents.iter().find_map(|document| document.root.as_ref());
        let json = root.map(Node::to_json).unwrap_or_default();
        let mut object: Value =
            serde_json::from_str(&json).map_err(|error| cluster::Error::answer(&error))?;
        let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        let id = if object["kind"] == "ClusterSidecarPolicy" {
            PolicyId::cluster(name)
        } else {
            let namespace =
                arguments.namespace.clone().unwrap_or(cluster.default_namespace.clone());
            object["metadata"]["namespace"] = json!(namespace);
            PolicyId::namespaced(namespace, name)
        };
        Ok(Self { id, object })
    }

    fn resource(&self) -> &'static Resource {
        Resource::of_policy(&self.id)
    }

    /// Installs it; says what that changed, and gives the object as it is then.
    async fn install(
        &self,
        cluster: &Cluster,
        &InstallArguments { dry_run, force_conflicts, .. }: &InstallArguments,
    ) -> Result<(&'static str, Value), Error> {
        let (resource, name) = (self.resource(), &self.id.name);
        let namespace = self.id.namespace.as_deref();
        let before = cluster.find(resource, namespace.unwrap_or_default(), name).await?;
        let before: Option<Value> =
            before.and_then(|object| serde_json::from_str(&object.to_json()).ok());
        let after = if dry_run == DryRun::Client {
            self.object.clone()
        } else {
            let how = Applying { dry_run: dry_run == DryRun::Server, force_conflicts };
            cluster.apply(resource, namespace, name, self.object.clone(), how).await?
        };
        let change = match &before {
            None => "created",
            Some(before) if says_the_same(before, &after, dry_run) => "unchanged",
            Some(_) => "configured",
        };
        Ok((change, after))
    }
}

/// Whether installing changed nothing.
fn says_the_same(before: &Value, after: &Value, dry_run: DryRun) -> bool {
    let (before, after) = (&before["spec"], &after["spec"]);
    // A dry run of the client does not know the defaults of the API server.
    if dry_run == DryRun::Client { contains(before, after) } else { before == after }
}

/// Whether a value says all that another one says.
fn contains(whole: &Value, part: &Value) -> bool {
    match (whole, part) {
        (Value::Object(whole), Value::Object(part)) => part
            .iter()
            .all(|(key, value)| whole.get(key).is_some_and(|found| contains(found, value))),
        (Value::Array(whole), Value::Array(part)) => {
            whole.len() == part.len()
                && whole.iter().zip(part).all(|(whole, part)| contains(whole, part))
        }
        (whole, part) => whole == part,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_may_leave_defaults_out() {
        let whole = json!({"a": [{"b": 1, "default": true}], "c": {"d": "e"}});
        for part in [json!({}), json!({"a": [{"b": 1}]}), json!({"c": {"d": "e"}})] {
            assert!(contains(&whole, &part), "{part}");
        }
        for part in [json!({"a": []}), json!({"a": [{"b": 2}]}), json!({"f": 1}), json!([])] {
            assert!(!contains(&whole, &part), "{part}");
        }
    }
}
