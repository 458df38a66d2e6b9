//! `kubectl sidecar export`

use std::sync::Arc;

use crds::PolicySpec;
use inject::{Exclusions, Invalid, MutatingAdmissionPolicy, Policy, Problem};

use super::{Ending, Error, Streams};
use crate::{
    arguments::{ExportArguments, ExportForm},
    cluster::{self, Cluster, Installed, PolicyName, USUAL_NAMESPACE, usual_exclusions},
    inputs::DEFAULT_NAMESPACE,
    manifests,
    output::{Format, Structured, write_structured},
    policies::{self, Written},
};

/// Prints policies in another form.
pub(super) fn run(arguments: &ExportArguments, streams: &mut Streams<'_>) -> Result<Ending, Error> {
    let ExportForm::MutatingAdmissionPolicy = arguments.form;
    let read = if arguments.policies.is_empty() {
        let documents = manifests::read(&arguments.filename, streams.input)?;
        let namespace = arguments.namespace.as_deref().unwrap_or(DEFAULT_NAMESPACE);
        let written = policies::compile(&documents, namespace)?.written;
        Read {
            subjects: written.into_iter().map(Subject::written).collect(),
            exclusions: given_exclusions(arguments).unwrap_or_else(usual_exclusions),
        }
    } else {
        cluster::run(read_from_cluster(arguments))?
    };
    let mut objects = Vec::with_capacity(2 * read.subjects.len());
    let mut ending = Ending::Clean;
    for subject in &read.subjects {
        match read.expressed(subject) {
            Ok(MutatingAdmissionPolicy { policy, binding }) => objects.extend([policy, binding]),
            Err(invalid) => {
                ending = Ending::Findings;
                for problem in invalid.problems {
                    writeln!(streams.messages, "{}: {problem}", subject.shown(&problem))?;
                }
            }
        }
    }
    match arguments.output {
        Format::Json => {
            let list = serde_json::json!({"apiVersion": "v1", "kind": "List", "items": objects});
            write_structured(&list, Structured::Json, streams.output)?;
        }
        Format::Yaml => {
            for (position, object) in objects.iter().enumerate() {
                if position > 0 {
                    writeln!(streams.output, "---")?;
                }
                write_structured(object, Structured::Yaml, streams.output)?;
            }
        }
    }
    Ok(ending)
}

/// The policies that are to be expressed, all in force beside one another.
struct Read {
    subjects: Vec<Subject>,
    exclusions: Exclusions,
}

struct Subject {
    policy: Arc<Policy>,
    spec: PolicySpec,
    /// Where it stands, if it comes from a file.
    written: Option<Written>,
    /// Fields that a newer operator knows and this program does not.
    unknown: Vec<String>,
}

async fn read_from_cluster(arguments: &ExportArguments) -> Result<Read, Error> {
    let names: Result<Vec<PolicyName>, cluster::Error> =
        arguments.policies.iter().map(|word| PolicyName::read(word)).collect();
    let names = names?;
    let cluster = Cluster::connect(&arguments.cluster).await?;
    let namespace = arguments.namespace.as_ref().unwrap_or(&cluster.default_namespace);
    let mut subjects = Vec::with_capacity(names.len());
    for name in &names {
        let (id, object) = cluster.policy_named(name, namespace).await?;
        let stored = policies::stored(&object).map_err(|problems| Error::UnusablePolicy {
            policy: format!("{} {id}", id.kind()),
            problems: problems.join("; "),
        })?;
        let unknown = stored.unknown.into_iter().filter(|path| path.starts_with("spec.")).collect();
        let (policy, spec) = (Arc::new(stored.policy), stored.spec);
        subjects.push(Subject { policy, spec, written: None, unknown });
    }
    let exclusions = match given_exclusions(arguments) {
        Some(exclusions) => exclusions,
        None => match cluster.installation().await? {
            Installed::Here(installation) => installation.exclusions(),
            Installed::Nowhere => usual_exclusions(),
            Installed::Hidden(error) => return Err(Error::ExclusionsUnknown(error)),
        },
    };
    Ok(Read { subjects, exclusions })
}

/// The namespaces that no policy reaches, where people name them.
fn given_exclusions(arguments: &ExportArguments) -> Option<Exclusions> {
    let given = arguments.excluded_namespaces.as_ref()?;
    Some(Exclusions::new(USUAL_NAMESPACE, given))
}

impl Read {
    fn expressed(&self, subject: &Subject) -> Result<MutatingAdmissionPolicy, Invalid> {
        let others = self.subjects.iter().map(|other| &*other.policy);
        let Subject { policy, spec, unknown, .. } = subject;
        let expressed = inject::mutating_admission_policy(policy, spec, &self.exclusions, others);
        if unknown.is_empty() {
            return expressed;
        }
        let message = "is not known to this program; the operator in the cluster is newer";
        let unknown = unknown.iter();
        let mut problems: Vec<Problem> = unknown
            .map(|path| Problem { path: path.clone(), message: message.to_owned() })
            .collect();
        problems.extend(expressed.err().into_iter().flat_map(|invalid| invalid.problems));
        Err(Invalid { problems })
    }
}

impl Subject {
    fn written(written: Written) -> Self {
        let (policy, spec) = (Arc::clone(&written.policy), written.spec.clone());
        Self { policy, spec, written: Some(written), unknown: Vec::new() }
    }

    /// Which policy a problem is about, and where it stands.
    fn shown(&self, problem: &Problem) -> String {
        let id = &self.policy.id;
        match &self.written {
            Some(written) => {
                format!("{}: {} {id}", written.location_of(&problem.path), id.kind())
            }
            None => format!("{} {id}", id.kind()),
        }
    }
}
