//! What commands are asked about: manifests and objects of a cluster, and the policies that are asked.

use std::{collections::BTreeSet, io::Read};

use crate::{
    arguments::{Asked, Files},
    cluster::{self, Cluster, Reference, Resource, StoredPolicies, USUAL_NAMESPACE},
    commands::{Error, Streams},
    document::Node,
    facts::Facts,
    live::{self, Found, Live, Purpose, Surroundings},
    manifests::{self, Document, STANDARD_INPUT},
    objects::{self, Identity},
    policies::{self, Policies, Written},
};

/// Namespace of what names none, where no cluster is asked.
pub(crate) const DEFAULT_NAMESPACE: &str = "default";

/// Manifests and what decisions about them rest on.
#[derive(Debug)]
pub(crate) struct Inputs {
    pub(crate) documents: Vec<Document>,
    pub(crate) facts: Facts,
    /// The policies as they are written.
    pub(crate) policies: Vec<Written>,
}

impl Inputs {
    /// Reads manifests and policies from files.
    pub(crate) fn read(files: &Files, input: &mut dyn Read) -> Result<Self, Error> {
        let Files { filename, policy, namespace } = files;
        one_reads_standard_input(policy.iter().chain(filename))?;
        let policies = read_policies(policy, namespace, input)?;
        let documents = manifests::read(filename, input)?;
        let facts = Facts::new(policies.set, namespace, &documents);
        Ok(Self { documents, facts, policies: policies.written })
    }
}

/// Objects that people ask about, and what decisions about them rest on.
#[derive(Debug)]
pub(crate) struct Inquiry {
    pub(crate) subjects: Vec<Subject>,
    pub(crate) facts: Facts,
    /// The policies of the cluster, if they are asked; none otherwise.
    pub(crate) stored: StoredPolicies,
}

/// An object that people ask about.
#[derive(Debug)]
pub(crate) struct Subject {
    /// As the heart is asked about it.
    pub(crate) object: Node,
    /// What became of it, if it is an object of a cluster.
    pub(crate) found: Option<Found>,
}

impl Subject {
    /// What people call it: a pod by its name, also if that was made up.
    pub(crate) fn shown(&self, identity: Identity) -> Identity {
        match &self.found {
            Some(Found::Pod { pod, .. }) => Identity { name: pod.name.clone(), ..identity },
            _ => identity,
        }
    }
}

impl Inquiry {
    /// Reads objects from files or the cluster, and policies from files or else from the cluster.
    pub(crate) fn read(
        asked: &Asked,
        purpose: Purpose,
        streams: &mut Streams<'_>,
    ) -> Result<Self, Error> {
        one_reads_standard_input(asked.policy.iter().chain(&asked.filename))?;
        let documents = manifests::read(&asked.filename, streams.input)?;
        if asked.objects.is_empty() && !asked.policy.is_empty() {
            let namespace = asked.namespace.as_deref().unwrap_or(DEFAULT_NAMESPACE);
            let policies = read_policies(&asked.policy, namespace, streams.input)?;
            let facts = Facts::new(policies.set, namespace, &documents);
            return Ok(Self {
                subjects: subjects(&documents),
                facts,
                stored: StoredPolicies::default(),
            });
        }
        let references = Reference::read(&asked.objects, &Resource::WITH_PODS)?;
        cluster::run(Self::read_from_cluster(&documents, &references, asked, purpose, streams))
    }

    async fn read_from_cluster(
        documents: &[Document],
        references: &[Reference],
        asked: &Asked,
        purpose: Purpose,
        streams: &mut Streams<'_>,
    ) -> Result<Self, Error> {
        let cluster = Cluster::connect(&asked.cluster).await?;
        let namespace = asked.namespace.as_ref().unwrap_or(&cluster.default_namespace);
        let mut names = namespaces_of_pods(documents, namespace);
        if !references.is_empty() {
            names.insert(namespace.clone());
        }
        let objects = live::read(&cluster, namespace, references).await?;
        let policies = if asked.policy.is_empty() {
            let policies = cluster.policies(&names).await?;
            for note in &policies.notes {
                writeln!(streams.messages, "{note}")?;
            }
            policies
        } else {
            let read = read_policies(&asked.policy, namespace, streams.input)?;
            StoredPolicies::given(read.set)
        };
        let (described, installed) =
            futures::try_join!(cluster.namespaces(&names), cluster.installation())?;
        if let Some(note) = installed.note() {
            writeln!(streams.messages, "{note}")?;
        }
        let installation = installed.seen();
        let mut facts =
            Facts::new(policies.set.clone(), namespace, documents).with_namespaces(described);
        if !references.is_empty() {
            facts = facts.of_stored_objects();
        }
        if let Some(installation) = installation {
            facts = facts.with_exclusions(installation.exclusions());
        }
        let operator_namespace = installation.map_or(USUAL_NAMESPACE, |found| &found.namespace);
        let (cluster, stored) = (&cluster, &policies.known);
        let around = Surroundings { cluster, facts: &facts, stored, operator_namespace, purpose };
        let mut subjects = subjects(documents);
        for object in objects {
            let Live { object, found } = live::look_at(object, &around).await?;
            subjects.push(Subject { object, found: Some(found) });
        }
        Ok(Self { subjects, facts, stored: policies })
    }
}

fn one_reads_standard_input<'s>(sources: impl Iterator<Item = &'s String>) -> Result<(), Error> {
    if sources.filter(|source| *source == STANDARD_INPUT).count() > 1 {
        return Err(Error::StandardInputTwice);
    }
    Ok(())
}

fn read_policies(
    files: &[String],
    namespace: &str,
    input: &mut dyn Read,
) -> Result<Policies, Error> {
    let documents = manifests::read(files, input)?;
    Ok(policies::compile(&documents, namespace)?)
}

/// The objects of manifests that describe pods.
fn subjects(documents: &[Document]) -> Vec<Subject> {
    let mut subjects = Vec::new();
    for root in documents.iter().filter_map(|document| document.root.as_ref()) {
        objects::visit(root, &mut |object| {
            if Identity::of(object).is_some_and(|found| found.pod_template().is_some()) {
                subjects.push(Subject { object: object.clone(), found: None });
            }
        });
    }
    subjects
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
