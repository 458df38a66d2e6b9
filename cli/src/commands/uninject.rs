//! `kubectl sidecar uninject`

use super::{Ending, Error, Streams};
use crate::{
    arguments::UninjectArguments,
    document::Node,
    facts::Facts,
    injection,
    inputs::Inputs,
    objects,
    output::{self, Manifest},
    policies::{Contents, Written},
    uninjection::{self, Removal},
};

/// Prints manifests without what the policies put into them.
pub(super) fn run(
    arguments: &UninjectArguments,
    streams: &mut Streams<'_>,
) -> Result<Ending, Error> {
    let Inputs { documents, facts, policies } = Inputs::read(&arguments.files, streams.input)?;
    let contents: Vec<Contents<'_>> = policies.iter().map(Written::contents).collect();
    let mut ending = Ending::Clean;
    let mut manifests = Vec::with_capacity(documents.len());
    for mut document in documents {
        let removals = match &mut document.root {
            Some(root) => take_out_of_each(root, &facts, &contents)?,
            None => Vec::new(),
        };
        for removal in &removals {
            for message in removal.left.iter().chain(&removal.notes) {
                writeln!(streams.messages, "{}: {message}", removal.object)?;
            }
            if !removal.left.is_empty() {
                ending = Ending::Findings;
            }
        }
        let changed = removals.iter().any(|removal| removal.changed);
        manifests.push(Manifest { document, changed });
    }
    output::write(&manifests, arguments.output, streams.output)?;
    Ok(ending)
}

fn take_out_of_each(
    root: &mut Node,
    facts: &Facts,
    policies: &[Contents<'_>],
) -> Result<Vec<Removal>, injection::Error> {
    let mut removals = Vec::new();
    objects::visit_mut(root, &mut |object| {
        removals.push(uninjection::take_out_of(object, facts, policies));
    });
    removals.into_iter().filter_map(Result::transpose).collect()
}
