//! Reads policies from manifests and compiles them.

use std::{collections::HashMap, fmt, sync::Arc};

use crds::{ClusterSidecarPolicy, GROUP, PolicySpec, SidecarPolicy, VERSION};
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

impl Written {
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
        if identity.version != VERSION {
            let what = format!(
                "the version {:?} is not known; this program knows {GROUP}/{VERSION}",
                identity.version
            );
            return Err(vec![Wrong::new("unknown-version", "apiVersion", what)]);
        }
        let (id, spec) = match identity.kind.as_str() {
            "SidecarPolicy" => {
                let policy: SidecarPolicy = typed(object)?;
                let namespace = identity.namespace.as_deref().unwrap_or(self.default_namespace);
                (PolicyId::namespaced(namespace, &identity.name), policy.spec)
            }
            "ClusterSidecarPolicy" => {
                let policy: ClusterSidecarPolicy = typed(object)?;
                (PolicyId::cluster(&identity.name), policy.spec)
            }
            kind => {
                let what = format!(
                    "{GROUP} has no kind {kind:?}; it has SidecarPolicy and ClusterSidecarPolicy"
                );
                return Err(vec![Wrong::new("unknown-kind", "kind", what)]);
            }
        };
        // Neither uid nor generation exist before the API server has the policy.
        match inject::compile(id, "", 0, &spec) {
            Ok(policy) => Ok((policy, spec)),
            Err(invalid) => {
                let problems = invalid.problems.into_iter();
                Err(problems
                    .map(|problem| Wrong::new("invalid-policy", problem.path, problem.message))
                    .collect())
            }
        }
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

impl Wrong {
    fn new(rule: &'static str, path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { rule, path: path.into(), message: message.into() }
    }
}

/// Reads an object into its type. A field that does not fit, or that the type does not have, is a
/// problem: the API server would refuse it too.
fn typed<T: DeserializeOwned>(object: &Node) -> Result<T, Vec<Wrong>> {
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
    if unknown.is_empty() {
        return Ok(typed);
    }
    let what = "there is no such field; check its name and its place";
    Err(unknown.into_iter().map(|path| Wrong::new("unknown-field", path, what)).collect())
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
