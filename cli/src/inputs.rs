//! What commands are asked about: manifests, and the policies that are asked.

use std::{collections::BTreeSet, io::Read};

use crate::{
    arguments::{Asked, Files},
    cluster::{self, Cluster},
    commands::{Error, Streams},
    facts::Facts,
    manifests::{self, Document, STANDARD_INPUT},
    objects::{self, Identity},
    policies::{self, Written},
};

/// Namespace of what names none, where no cluster is asked.
const DEFAULT_NAMESPACE: &str = "default";

/// Manifests and what decisions about them rest on.
#[derive(Debug)]
pub(crate) struct Inputs {
    pub(crate) documents: Vec<Document>,
    pub(crate) facts: Facts,
    /// The policies as they are written; none if they are those of a cluster.
    pub(crate) policies: Vec<Written>,
}

impl Inputs {
    /// Reads manifests and policies from files.
    pub(crate) fn read(files: &Files, input: &mut dyn Read) -> Result<Self, Error> {
        Self::read_files(&files.filename, &files.policy, &files.namespace, input)
    }

    /// Reads manifests, and policies from files or else from the cluster.
    pub(crate) fn ask(asked: &Asked, streams: &mut Streams<'_>) -> Result<Self, Error> {
        if asked.policy.is_empty() {
            let documents = manifests::read(&asked.filename, streams.input)?;
            return cluster::run(Self::ask_cluster(documents, asked, streams));
        }
        let namespace = asked.namespace.as_deref().unwrap_or(DEFAULT_NAMESPACE);
        Self::read_files(&asked.filename, &asked.policy, namespace, streams.input)
    }

    fn read_files(
        filename: &[String],
        policy: &[String],
        namespace: &str,
        input: &mut dyn Read,
    ) -> Result<Self, Error> {
        let sources = policy.iter().chain(filename);
        if sources.filter(|source| *source == STANDARD_INPUT).count() > 1 {
            return Err(Error::StandardInputTwice);
        }
        let policy_documents = manifests::read(policy, input)?;
        let policies = policies::compile(&policy_documents, namespace)?;
        let documents = manifests::read(filename, input)?;
        let facts = Facts::new(policies.set, namespace, &documents);
        Ok(Self { documents, facts, policies: policies.written })
    }

    async fn ask_cluster(
        documents: Vec<Document>,
        asked: &Asked,
        streams: &mut Streams<'_>,
    ) -> Result<Self, Error> {
        let cluster = Cluster::connect(&asked.cluster).await?;
        let default = asked.namespace.as_ref().unwrap_or(&cluster.default_namespace);
        let names = namespaces_of_pods(&documents, default);
        let (policies, namespaces) =
            futures::try_join!(cluster.policies(&names), cluster.namespaces(&names))?;
        for note in &policies.notes {
            writeln!(streams.messages, "{note}")?;
        }
        let facts = Facts::new(policies.set, default, &documents).with_namespaces(namespaces);
        Ok(Self { documents, facts, policies: Vec::new() })
    }
}

/// The namespaces of the objects that describe pods.
fn namespaces_of_pods(documents: &[Document], default: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for root in documents.iter().filter_map(|document| document.root.as_ref()) {
        objects::visit(root, &mut |object| {
            let identity = Identity::of(object).filter(|found| found.pod_template().is_some());
            names.extend(identity.and_then(|found| found.or_namespace(default).namespace));
        });
    }
    names
}
