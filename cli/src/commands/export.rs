//! `kubectl sidecar export`

use inject::{Exclusions, Invalid, MutatingAdmissionPolicy};

use super::{Ending, Error, Streams};
use crate::{
    arguments::{ExportArguments, ExportForm},
    cluster::USUAL_NAMESPACE,
    manifests,
    output::{Format, Structured, write_structured},
    policies::{self, Written},
};

/// Prints policies in another form.
pub(super) fn run(arguments: &ExportArguments, streams: &mut Streams<'_>) -> Result<Ending, Error> {
    let ExportForm::MutatingAdmissionPolicy = arguments.form;
    let documents = manifests::read(&arguments.filename, streams.input)?;
    let policies = policies::compile(&documents, &arguments.namespace)?.written;
    let mut objects = Vec::with_capacity(2 * policies.len());
    let mut ending = Ending::Clean;
    for written in &policies {
        match expressed(written, &policies) {
            Ok(MutatingAdmissionPolicy { policy, binding }) => objects.extend([policy, binding]),
            Err(invalid) => {
                ending = Ending::Findings;
                for problem in invalid.problems {
                    let location = written.location_of(&problem.path);
                    let id = &written.policy.id;
                    writeln!(streams.messages, "{location}: {} {id}: {problem}", id.kind())?;
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

fn expressed(written: &Written, all: &[Written]) -> Result<MutatingAdmissionPolicy, Invalid> {
    let exclusions = Exclusions::new(USUAL_NAMESPACE, &[]);
    let others = all.iter().map(|other| &*other.policy);
    inject::mutating_admission_policy(&written.policy, &written.spec, &exclusions, others)
}
