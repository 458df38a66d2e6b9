//! `kubectl sidecar inject`

use super::{Ending, Error, Streams};
use crate::{
    arguments::InjectArguments,
    injection,
    inputs::Inputs,
    output::{self, Manifest},
};

/// Prints manifests with the sidecars that the policies put into them.
pub(super) fn run(arguments: &InjectArguments, streams: &mut Streams<'_>) -> Result<Ending, Error> {
    let Inputs { documents, facts, .. } = Inputs::read(&arguments.files, streams.input)?;
    let mut ending = Ending::Clean;
    let mut manifests = Vec::with_capacity(documents.len());
    for mut document in documents {
        let reports = injection::inject_into_each(document.root.as_mut(), &facts)?;
        for report in &reports {
            for message in report.messages() {
                writeln!(streams.messages, "{}: {message}", report.object)?;
            }
            if report.denied.is_some() {
                ending = Ending::Findings;
            }
        }
        let changed = reports.iter().any(|report| report.changed);
        manifests.push(Manifest { document, changed });
    }
    output::write(&manifests, arguments.output, streams.output)?;
    Ok(ending)
}
