//! `kubectl sidecar inject`

use inject::Reason;

use super::{Ending, Error, Streams};
use crate::{
    arguments::InjectArguments,
    document::Node,
    facts::Facts,
    injection::{self, Report},
    manifests::{self, STANDARD_INPUT},
    objects,
    output::{self, Manifest},
    policies,
};

/// Prints manifests with the sidecars that the policies put into them.
pub(super) fn run(arguments: &InjectArguments, streams: &mut Streams<'_>) -> Result<Ending, Error> {
    let sources = arguments.policy.iter().chain(&arguments.filename);
    if sources.filter(|source| *source == STANDARD_INPUT).count() > 1 {
        return Err(Error::StandardInputTwice);
    }
    let policy_documents = manifests::read(&arguments.policy, streams.input)?;
    let policies = policies::compile(&policy_documents, &arguments.namespace)?;
    let documents = manifests::read(&arguments.filename, streams.input)?;
    let facts = Facts::new(policies, &arguments.namespace, &documents);

    let mut ending = Ending::Clean;
    let mut manifests = Vec::with_capacity(documents.len());
    for mut document in documents {
        let reports = document.root.as_mut().map(|root| inject_into_each(root, &facts));
        let reports = reports.transpose()?.unwrap_or_default();
        for report in &reports {
            for message in messages(report) {
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

/// Injects into an object, or into each of a `List`.
fn inject_into_each(root: &mut Node, facts: &Facts) -> Result<Vec<Report>, injection::Error> {
    let mut reports = Vec::new();
    objects::visit_mut(root, &mut |object| reports.push(injection::inject_into(object, facts)));
    reports.into_iter().filter_map(Result::transpose).collect()
}

/// What was not injected and why, and what else people should know.
fn messages(report: &Report) -> Vec<String> {
    let mut messages = Vec::new();
    if let Some(why) = &report.unreadable {
        messages.push(format!("left as it is, for its pods cannot be read: {why}"));
    }
    for (policy, reason) in &report.decisions {
        match reason {
            // The warnings and the refusal tell of the last two.
            Reason::Injected
            | Reason::AlreadyInjected
            | Reason::WouldInject
            | Reason::Conflict(_) => {}
            reason => messages.push(format!("{} {policy}: not injected: {reason}", policy.kind())),
        }
    }
    messages.extend(report.warnings.iter().map(|warning| format!("warning: {warning}")));
    messages.extend(report.denied.iter().map(|denied| format!("denied: {denied}")));
    messages
}
