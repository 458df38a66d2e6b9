//! Reads policies from manifests and compiles them.

use std::{collections::HashMap, sync::Arc};

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
    #[error("{}", problems.join("\n"))]
    Invalid {
        /// Each with the place it stands at.
        problems: Vec<String>,
    },
}

/// Compiles the policies among documents; objects of other kinds are passed over. A
/// `SidecarPolicy` that names no namespace is taken for one of the default namespace.
pub(crate) fn compile(documents: &[Document], default_namespace: &str) -> Result<PolicySet, Error> {
    let mut compilation = Compilation { default_namespace, ..Compilation::default() };
    for document in documents {
        let Some(root) = &document.root else { continue };
        objects::visit(root, &mut |object| compilation.add(object, &document.location));
    }
    if !compilation.problems.is_empty() {
        return Err(Error::Invalid { problems: compilation.problems });
    }
    if compilation.policies.is_empty() {
        let mut sources: Vec<&str> =
            documents.iter().map(|document| document.location.file.as_ref()).collect();
        sources.dedup();
        return Err(Error::None { sources: sources.join(", ") });
    }
    Ok(compilation.policies)
}

#[derive(Default)]
struct Compilation<'a> {
    default_namespace: &'a str,
    policies: PolicySet,
    /// Where each policy stands.
    seen: HashMap<PolicyId, Location>,
    problems: Vec<String>,
}

impl Compilation<'_> {
    fn add(&mut self, object: &Node, document: &Location) {
        let Some(identity) = Identity::of(object).filter(|identity| identity.group == GROUP) else {
            return;
        };
        let location = Location { line: object.line, ..document.clone() };
        match self.policy(object, &identity) {
            Ok(policy) => self.keep(policy, &location),
            Err(problems) => self.problems.extend(problems.into_iter().map(|problem| {
                let location = Location { line: object.line_of(&problem.path), ..location.clone() };
                format!("{location}: {identity}: {}", problem.message)
            })),
        }
    }

    fn policy(&self, object: &Node, identity: &Identity) -> Result<Policy, Vec<Problem>> {
        if identity.version != VERSION {
            let what = format!(
                "the version {:?} is not known; this program knows {GROUP}/{VERSION}",
                identity.version
            );
            return Err(vec![Problem::at("apiVersion", &what)]);
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
                return Err(vec![Problem::at("kind", &what)]);
            }
        };
        compiled(id, &spec)
    }

    fn keep(&mut self, policy: Policy, location: &Location) {
        if let Some(first) = self.seen.get(&policy.id) {
            self.problems.push(format!(
                "{location}: {} {} is there already: {first}; remove one of them",
                policy.id.kind(),
                policy.id
            ));
            return;
        }
        self.seen.insert(policy.id.clone(), location.clone());
        self.policies.insert(Arc::new(policy));
    }
}

/// A field of a policy and what is wrong with it, the path included.
struct Problem {
    path: String,
    message: String,
}

impl Problem {
    fn at(path: impl Into<String>, what: &str) -> Self {
        let path = path.into();
        Self { message: format!("{path}: {what}"), path }
    }
}

/// Reads an object into its type. A field that does not fit, or that the type does not have, is a
/// problem: the API server would refuse it too.
fn typed<T: DeserializeOwned>(object: &Node) -> Result<T, Vec<Problem>> {
    let json = object.to_json();
    let mut deserializer = serde_json::Deserializer::from_str(&json);
    let mut track = serde_path_to_error::Track::new();
    let tracked = serde_path_to_error::Deserializer::new(&mut deserializer, &mut track);
    let mut unknown = Vec::new();
    let read = serde_ignored::deserialize(tracked, |path| unknown.push(field_path(&path)));
    let typed = read.map_err(|error| {
        // Its position is one in the JSON that was made of the document.
        vec![Problem::at(track.path().to_string(), &manifests::without_position(&error))]
    })?;
    unknown.retain(|path| !matches!(path.as_str(), "apiVersion" | "kind"));
    if unknown.is_empty() {
        return Ok(typed);
    }
    let problem = |path| Problem::at(path, "there is no such field; check its name and its place");
    Err(unknown.into_iter().map(problem).collect())
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

fn compiled(id: PolicyId, spec: &PolicySpec) -> Result<Policy, Vec<Problem>> {
    // Neither uid nor generation exist before the API server has the policy.
    inject::compile(id, "", 0, spec).map_err(|invalid| {
        let problems = invalid.problems.into_iter();
        problems
            .map(|problem| Problem { message: problem.to_string(), path: problem.path })
            .collect()
    })
}
