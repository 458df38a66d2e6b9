//! `kubectl sidecar diff`

use std::io::{self, Write};

use similar::{ChangeTag, TextDiff};

use super::{Ending, Error, Streams};
use crate::{
    arguments::DiffArguments,
    injection,
    inputs::{Inquiry, Subject},
    live::{Found, Purpose},
    output::styles::{self, Colours},
};

/// Lines around a change that are shown with it.
const CONTEXT: usize = 3;

/// Shows what injection changes in manifests and in objects of the cluster.
pub(super) fn run(arguments: &DiffArguments, streams: &mut Streams<'_>) -> Result<Ending, Error> {
    let Inquiry { subjects, facts, .. } =
        Inquiry::read(&arguments.asked, Purpose::Changes, streams)?;
    let mut ending = Ending::Clean;
    for subject in &subjects {
        let Subject { object, found } = subject;
        let mut injected = object.clone();
        let Some(mut report) = injection::inject_into(&mut injected, &facts)? else { continue };
        report.object = subject.shown(report.object);
        if let Some(why) = &report.unreadable {
            let object = &report.object;
            writeln!(streams.messages, "{object}: its pods cannot be read: {why}")?;
        }
        if let Some(denied) = &report.denied {
            let object = &report.object;
            writeln!(streams.messages, "{object}: the pods would be refused: {denied}")?;
        }
        if let Some(Found::Pod { is_in_the_way: true, .. }) = found {
            let object = &report.object;
            writeln!(
                streams.messages,
                "{object}: what went in cannot be told from the app's own, so that only what would come in \
                 anew is shown"
            )?;
        }
        if report.changed {
            let texts = Texts { before: &object.to_yaml(), after: &injected.to_yaml() };
            let (before, after) =
                (report.object.to_string(), format!("{}, injected", report.object));
            write_difference(&texts, (&before, &after), streams.colours, streams.output)?;
        }
        if report.changed || report.denied.is_some() {
            ending = Ending::Findings;
        }
    }
    Ok(ending)
}

/// What is compared.
pub(crate) struct Texts<'t> {
    pub(crate) before: &'t str,
    pub(crate) after: &'t str,
}

/// Writes the unified difference of two texts, with these names above it.
pub(crate) fn write_difference(
    texts: &Texts<'_>,
    (before, after): (&str, &str),
    colours: Colours,
    out: &mut dyn Write,
) -> io::Result<()> {
    let difference = TextDiff::from_lines(texts.before, texts.after);
    writeln!(out, "{}", colours.paint(styles::HEADING, format_args!("--- {before}")))?;
    writeln!(out, "{}", colours.paint(styles::HEADING, format_args!("+++ {after}")))?;
    for hunk in difference.unified_diff().context_radius(CONTEXT).iter_hunks() {
        writeln!(out, "{}", colours.paint(styles::PLACE, hunk.header()))?;
        for change in hunk.iter_changes() {
            let style = match change.tag() {
                ChangeTag::Delete => styles::BAD,
                ChangeTag::Insert => styles::GOOD,
                ChangeTag::Equal => anstyle::Style::new(),
            };
            let line = change.value().trim_end_matches(['\r', '\n']);
            writeln!(out, "{}", colours.paint(style, format_args!("{}{line}", change.tag())))?;
        }
    }
    Ok(())
}
