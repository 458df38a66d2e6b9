//! `kubectl sidecar rollout history`

use std::io;

use serde::Serialize;
use serde_json::Value;

use super::{CommandError, Ending, Error, Streams, target::Target};
use crate::{
    arguments::HistoryArguments,
    cluster::Revision,
    output::{Cell, Column, Layout, ListFormat, Structured, write_structured},
};

const COLUMNS: [Column; 5] = [
    Column { heading: "REVISION", right: true },
    Column { heading: "HASH", right: false },
    Column { heading: "CREATED", right: false },
    Column { heading: "IMAGES", right: false },
    Column { heading: "STATE", right: false },
];

/// Lists the revisions of a policy, or prints one.
pub(super) async fn run(
    arguments: &HistoryArguments,
    streams: &mut Streams<'_>,
) -> Result<Ending, CommandError> {
    let target = Target::find(&arguments.named).await?;
    let revisions = target.revisions(streams).await?;
    if let Some(wanted) = &arguments.revision {
        let revision = find(&revisions, wanted, &target)?;
        let form = match arguments.output {
            ListFormat::Json => Structured::Json,
            _ => Structured::Yaml,
        };
        write_structured(&without_empty(&revision.content), form, streams.output)?;
        return Ok(Ending::Clean);
    }
    let status = target.status();
    let entries = revisions.iter().map(|revision| {
        let is = |hash: &Option<String>| hash.as_ref() == Some(&revision.hash);
        Entry {
            number: revision.number,
            revision: &revision.hash,
            created: &revision.created,
            images: images(&revision.content),
            is_current: is(&status.revision),
            is_previous: is(&status.previous_revision),
        }
    });
    let entries: Vec<Entry<'_>> = entries.collect();
    write(&entries, arguments.output, streams)?;
    Ok(Ending::Clean)
}

/// The revision that people name by its number or its hash.
pub(super) fn find<'r>(
    revisions: &'r [Revision],
    wanted: &str,
    target: &Target,
) -> Result<&'r Revision, Error> {
    let is_wanted =
        |revision: &&Revision| revision.number.to_string() == wanted || revision.hash == wanted;
    revisions.iter().find(is_wanted).ok_or_else(|| {
        let known: Vec<String> = revisions
            .iter()
            .map(|revision| format!("{} ({})", revision.number, revision.hash))
            .collect();
        let known = if known.is_empty() { "none yet".to_owned() } else { known.join(", ") };
        Error::NoRevision { policy: target.shown(), revision: wanted.to_owned(), known }
    })
}

/// The answer for scripts.
#[derive(Serialize)]
struct Answer<'e> {
    revisions: &'e [Entry<'e>],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Entry<'r> {
    number: i64,
    revision: &'r str,
    created: &'r str,
    images: Vec<String>,
    is_current: bool,
    is_previous: bool,
}

fn write(entries: &[Entry<'_>], output: ListFormat, streams: &mut Streams<'_>) -> io::Result<()> {
    let answer = Answer { revisions: entries };
    match output {
        ListFormat::Json => write_structured(&answer, Structured::Json, streams.output),
        ListFormat::Yaml => write_structured(&answer, Structured::Yaml, streams.output),
        ListFormat::Name => {
            entries.iter().try_for_each(|entry| writeln!(streams.output, "{}", entry.revision))
        }
        ListFormat::Table if entries.is_empty() => {
            writeln!(streams.messages, "there are no revisions yet")
        }
        ListFormat::Table => {
            let rows: Vec<Vec<Cell>> = entries.iter().map(row).collect();
            let layout = Layout::of(&COLUMNS, &rows);
            layout.write_headings(streams.colours, streams.output)?;
            rows.iter().try_for_each(|row| layout.write_row(row, streams.colours, streams.output))
        }
    }
}

fn row(entry: &Entry<'_>) -> Vec<Cell> {
    let state = match (entry.is_current, entry.is_previous) {
        (true, _) => "current",
        (false, true) => "previous",
        (false, false) => "",
    };
    let images = entry.images.join(", ");
    vec![
        entry.number.into(),
        entry.revision.into(),
        entry.created.into(),
        images.into(),
        state.into(),
    ]
}

fn images(content: &Value) -> Vec<String> {
    let sidecars = content["sidecars"].as_array().into_iter().flatten();
    sidecars.filter_map(|sidecar| sidecar["image"].as_str()).map(str::to_owned).collect()
}

/// The fields that put something in.
fn without_empty(content: &Value) -> Value {
    let fields = content.as_object().into_iter().flatten();
    let said = fields
        .filter(|(_, value)| !value.is_null() && !value.as_array().is_some_and(Vec::is_empty));
    said.map(|(name, value)| (name.clone(), value.clone()))
        .collect::<serde_json::Map<_, _>>()
        .into()
}
