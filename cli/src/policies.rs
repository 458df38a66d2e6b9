//! Reads policies from manifests, or as a cluster stores them, and compiles them.

use std::{collections::HashMap, fmt, sync::Arc};

use crds::{ClusterSidecarPolicy, GROUP, PolicySpec, PolicyStatus, SidecarPolicy, VERSION};
use inject::{Policy, PolicyId, PolicySet};
use serde::de::DeserializeOwned;

use crate::{
    document::Node,
    manifests::{self, Document, Location},
    objects::{self, Identity},
};

/// Why policies cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("no SidecarPolicy or ClusterSidecarPolicy was found in {sources}")]
    None { sources: String },
    #[error("{}", problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Invalid { problems: Vec<Problem> },
}

/// Policies that were read, and what is wrong with the others.
#[derive(Debug, Default)]
pub(crate) struct Policies {
    pub(crate) set: PolicySet,
    /// Those that compile, as they stand in the files.
    pub(crate) written: Vec<Written>,
    pub(crate) problems: Vec<Problem>,
}

/// A policy that compiles, as it stands in a file.
#[derive(Debug)]
pub(crate) struct Written {
    pub(crate) policy: Arc<Policy>,
    pub(crate) spec: PolicySpec,
    /// The whole object.
    pub(crate) object: Node,
    /// Where it starts.
    pub(crate) location: Location,
}

/// Which policy, and what it says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Contents<'a> {
    pub(crate) id: &'a PolicyId,
    pub(crate) spec: &'a PolicySpec,
}

impl Written {
    /// Which policy, and what it says.
    pub(crate) fn contents(&self) -> Contents<'_> {
        Contents { id: &self.policy.id, spec: &self.spec }
    }

    /// Where a field stands, or the nearest one above it that is there.
    pub(crate) fn location_of(&self, path: &str) -> Location {
        Location { line: self.object.line_of(path), ..self.location.clone() }
    }
}

/// Why a policy cannot be used.
#[derive(Debug)]
pub(crate) struct Problem {
    /// Which kind of problem, as a stable word.
    pub(crate) rule: &'static str,
    pub(crate) location: Location,
    /// Kind and name of the policy.
    pub(crate) policy: String,
    /// The field.
    pub(crate) path: String,
    pub(crate) message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { location, policy, path, message, .. } = self;
        write!(formatter, "{location}: {policy}: {path}: {message}")
    }
}

/// Compiles the policies among documents, all of which have to be right; objects of other kinds are
/// passed over. A `SidecarPolicy` that names no namespace is taken for one of the default namespace.
pub(crate) fn compile(documents: &[Document], default_namespace: &str) -> Result<Policies, Error> {
    let policies = read(documents, default_namespace)?;
    if policies.problems.is_empty() {
        Ok(policies)
    } else {
        Err(Error::Invalid { problems: policies.problems })
    }
}

/// A policy as a cluster stores it.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) policy: Policy,
    pub(crate) spec: PolicySpec,
    /// What the operator observed; empty before it looked.
    pub(crate) status: PolicyStatus,
    /// Paths of the fields of its spec and status that this program does not know.
    pub(crate) unknown: Vec<String>,
}

/// Reads a policy that a cluster stores; or says what is wrong with it.
pub(crate) fn stored(object: &Node) -> Result<Stored, Vec<String>> {
    read_stored(object).map_err(|wrong| wrong.iter().map(ToString::to_string).collect())
}

fn read_stored(object: &Node) -> Result<Stored, Vec<Wrong>> {
    let Some(identity) = Identity::of(object) else {
        return Err(vec![Wrong::new("unknown-kind", "kind", "there is none")]);
    };
    let Typed { id, spec, status, unknown } = typed_policy(object, &identity, "")?;
    let metadata = |key| object.descend(&["metadata", key]);
    let uid = metadata("uid").and_then(Node::text).unwrap_or_default();
    let generation = metadata("generation").and_then(Node::integer).unwrap_or_default();
    let unknown = unknown.into_iter().filter(|path| !path.starts_with("metadata")).collect();
    Ok(Stored { policy: compiled(id, uid, generation, &spec)?, spec, status, unknown })
}

/// Reads the policies among documents, right or wrong; there has to be one.
pub(crate) fn read(documents: &[Document], default_namespace: &str) -> Result<Policies, Error> {
    let mut reader =
        Reader { default_namespace, seen: HashMap::new(), policies: Policies::default() };
    for document in documents {
        let Some(root) = &document.root else { continue };
        objects::visit(root, &mut |object| reader.add(object, &document.location));
    }
    if reader.policies.set.is_empty() && reader.policies.problems.is_empty() {
        let mut sources: Vec<&str> =
            documents.iter().map(|document| document.location.file.as_ref()).collect();
        sources.dedup();
        return Err(Error::None { sources: sources.join(", ") });
    }
    Ok(reader.policies)
}

struct Reader<'a> {
    default_namespace: &'a str,
    /// Where each policy stands.
    seen: HashMap<PolicyId, Location>,
    policies: Policies,
}

impl Reader<'_> {
    fn add(&mut self, object: &Node, document: &Location) {
        let Some(identity) = Identity::of(object).filter(|identity| identity.group == GROUP) else {
            return;
        };
        let location = Location { line: object.line, ..document.clone() };
        let read = self.compiled(object, &identity).and_then(|(policy, spec)| {
            self.check_unseen(&policy.id, &location)?;
            Ok(Written {
                policy: Arc::new(policy),
                spec,
                object: object.clone(),
                location: location.clone(),
            })
        });
        match read {
            Ok(written) => {
                self.policies.set.insert(Arc::clone(&written.policy));
                self.policies.written.push(written);
            }
            Err(wrong) => self.policies.problems.extend(wrong.into_iter().map(|wrong| Problem {
                rule: wrong.rule,
                location: Location { line: object.line_of(&wrong.path), ..location.clone() },
                policy: identity.to_string(),
                path: wrong.path,
                message: wrong.message,
            })),
        }
    }

    fn compiled(
        &self,
        object: &Node,
        identity: &Identity,
    ) -> Result<(Policy, PolicySpec), Vec<Wrong>> {
        let Typed { id, spec, unknown, .. } =
            typed_policy(object, identity, self.default_namespace)?;
        if !unknown.is_empty() {
            // The API server would refuse it too.
            let what = "there is no such field; check its name and its place";
            let unknown = unknown.into_iter();
            return Err(unknown.map(|path| Wrong::new("unknown-field", path, what)).collect());
        }
        // Neither uid nor generation exist before the API server has the policy.
        Ok((compiled(id, "", 0, &spec)?, spec))
    }

    fn check_unseen(&mut self, id: &PolicyId, location: &Location) -> Result<(), Vec<Wrong>> {
        if let Some(first) = self.seen.get(id) {
            let what = format!("{id} is there already: {first}; remove one of them");
            return Err(vec![Wrong::new("duplicate-policy", "metadata.name", what)]);
        }
        self.seen.insert(id.clone(), location.clone());
        Ok(())
    }
}

/// A field of a policy and what is wrong with it.
struct Wrong {
    rule: &'static str,
    path: String,
    message: String,
}

impl fmt::Display for Wrong {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.path, self.message)
    }
}

impl Wrong {
    fn new(rule: &'static str, path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { rule, path: path.into(), message: message.into() }
    }
}

/// A policy in its type.
struct Typed {
    id: PolicyId,
    spec: PolicySpec,
    status: PolicyStatus,
    /// Paths of the fields that the type does not have.
    unknown: Vec<String>,
}

fn typed_policy(
    object: &Node,
    identity: &Identity,
    default_namespace: &str,
) -> Result<Typed, Vec<Wrong>> {
    if identity.version != VERSION {
        let what = format!(
            "the version {:?} is not known; this program knows {GROUP}/{VERSION}",
            identity.version
        );
        return Err(vec![Wrong::new("unknown-version", "apiVersion", what)]);
    }
    match identity.kind.as_str() {
        "SidecarPolicy" => {
            let (policy, unknown) = typed::<SidecarPolicy>(object)?;
            let namespace = identity.namespace.as_deref().unwrap_or(default_namespace);
            let id = PolicyId::namespaced(namespace, &identity.name);
            Ok(Typed { id, spec: policy.spec, status: policy.status.unwrap_or_default(), unknown })
        }
        "ClusterSidecarPolicy" => {
            let (policy, unknown) = typed::<ClusterSidecarPolicy>(object)?;
            let (spec, status) = (policy.spec, policy.status.unwrap_or_default());
            Ok(Typed { id: PolicyId::cluster(&identity.name), spec, status, unknown })
        }
        kind => {
            let what = format!(
                "{GROUP} has no kind {kind:?}; it has SidecarPolicy and ClusterSidecarPolicy"
            );
            Err(vec![Wrong::new("unknown-kind", "kind", what)])
        }
    }
}

fn compiled(
    id: PolicyId,
    uid: &str,
    generation: i64,
    spec: &PolicySpec,
) -> Result<Policy, Vec<Wrong>> {
    inject::compile(id, uid, generation, spec).map_err(|invalid| {
        let problems = invalid.problems.into_iter();
        problems
            .map(|problem| Wrong::new("invalid-policy", problem.path, problem.message))
            .collect()
    })
}

/// Reads an object into its type, and the paths of the fields that the type does not have.
fn typed<T: DeserializeOwned>(object: &Node) -> Result<(T, Vec<String>), Vec<Wrong>> {
    let json = object.to_json();
    let mut deserializer = serde_json::Deserializer::from_str(&json);
    let mut track = serde_path_to_error::Track::new();
    let tracked = serde_path_to_error::Deserializer::new(&mut deserializer, &mut track);
    let mut unknown = Vec::new();
    let read = serde_ignored::deserialize(tracked, |path| unknown.push(field_path(&path)));
    let typed = read.map_err(|error| {
        // Its position is one in the JSON that was made of the document.
        let what = manifests::without_position(&error);
        vec![Wrong::new("wrong-type", track.path().to_string(), what)]
    })?;
    unknown.retain(|path| !matches!(path.as_str(), "apiVersion" | "kind"));
    Ok((typed, unknown))
}

/// The path in the form of `spec.sidecars[0].image`.
fn field_path(path: &serde_ignored::Path<'_>) -> String {
    use serde_ignored::Path;
    match path {
        Path::Root => String::new(),
        Path::Seq { parent, index } => format!("{}[{index}]", field_path(parent)),
        Path::Map { parent, key } => match field_path(parent) {
            parent if parent.is_empty() => key.clone(),
            parent => format!("{parent}.{key}"),
        },
        Path::Some { parent }
        | Path::NewtypeStruct { parent }
        | Path::NewtypeVariant { parent } => field_path(parent),
    }
}
