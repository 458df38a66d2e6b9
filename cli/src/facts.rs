//! What an admission request brings beside the object: policies, namespaces, exclusions. It comes
//! from files or from the cluster.

use std::collections::BTreeMap;

use inject::{Exclusions, Namespace, PolicySet};

use crate::{
    cluster::usual_exclusions,
    document::Node,
    manifests::Document,
    objects::{self, Identity},
};

/// The facts that decisions rest on.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    pub(crate) policies: PolicySet,
    pub(crate) exclusions: Exclusions,
    /// Namespace of objects that name none.
    pub(crate) default_namespace: String,
    /// Whether the objects are stored ones, of which a mirror pod is one by its own word: nobody else can have made
    /// it.
    pub(crate) are_stored: bool,
    /// The namespaces that manifests or the cluster describe, by name.
    described: BTreeMap<String, Namespace>,
}

impl Facts {
    /// Facts from policies and from the `Namespace` objects among the manifests.
    pub(crate) fn new(
        policies: PolicySet,
        default_namespace: &str,
        documents: &[Document],
    ) -> Self {
        let mut described = BTreeMap::new();
        for root in documents.iter().filter_map(|document| document.root.as_ref()) {
            objects::visit(root, &mut |object| {
                if let Some(namespace) = described_namespace(object) {
                    described.insert(namespace.name.clone(), namespace);
                }
            });
        }
        Self {
            policies,
            exclusions: usual_exclusions(),
            default_namespace: default_namespace.to_owned(),
            are_stored: false,
            described,
        }
    }

    /// The facts, with namespaces of the cluster. Those that the manifests describe stay as they are there.
    pub(crate) fn with_namespaces(mut self, namespaces: Vec<Namespace>) -> Self {
        for namespace in namespaces {
            self.described.entry(namespace.name.clone()).or_insert(namespace);
        }
        self
    }

    /// The facts, with the exclusions of an installation.
    pub(crate) fn with_exclusions(self, exclusions: Exclusions) -> Self {
        Self { exclusions, ..self }
    }

    /// The facts, for objects that a cluster stores.
    pub(crate) fn of_stored_objects(self) -> Self {
        Self { are_stored: true, ..self }
    }

    /// The same facts for other policies.
    pub(crate) fn asking(&self, policies: PolicySet) -> Self {
        Self { policies, ..self.clone() }
    }

    /// What is known of a namespace; of one that nothing describes, its name.
    pub(crate) fn namespace(&self, name: &str) -> Namespace {
        let mut namespace = self
            .described
            .get(name)
            .cloned()
            .unwrap_or_else(|| Namespace { name: name.to_owned(), ..Namespace::default() });
        // The API server sets it on every namespace.
        namespace.labels.insert("kubernetes.io/metadata.name".to_owned(), name.to_owned());
        namespace
    }
}

/// What a `Namespace` object says; `None` for any other object.
pub(crate) fn described_namespace(object: &Node) -> Option<Namespace> {
    let identity = Identity::of(object)?;
    if !identity.group.is_empty() || identity.kind != "Namespace" {
        return None;
    }
    let texts = |key| {
        let entries = object.descend(&["metadata", key]).map(Node::entries).unwrap_or_default();
        let texts =
            entries.iter().filter_map(|(key, node)| Some((key.clone(), node.text()?.to_owned())));
        texts.collect()
    };
    Some(Namespace {
        name: identity.name,
        labels: texts("labels"),
        annotations: texts("annotations"),
    })
}
