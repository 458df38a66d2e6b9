//! `kubectl sidecar catalog`

mod install;

use serde::Serialize;

use super::{Ending, Error, Streams};
use crate::{
    arguments::{CatalogArguments, CatalogCommand, CatalogListArguments, ShowArguments},
    catalog::{CATALOG, ReadyMade},
    output::{ListFormat, Structured, styles, write_structured},
};

/// Lists the ready-made policies, prints one, or puts them into a cluster.
pub(super) fn run(
    arguments: &CatalogArguments,
    streams: &mut Streams<'_>,
) -> Result<Ending, Error> {
    match &arguments.command {
        CatalogCommand::List(arguments) => list(arguments, streams),
        CatalogCommand::Show(arguments) => show(arguments, streams),
        CatalogCommand::Install(arguments) => install::run(arguments, streams),
    }
}

/// The answer for scripts.
#[derive(Serialize)]
struct Answer {
    policies: Vec<Entry>,
}

#[derive(Serialize)]
struct Entry {
    name: &'static str,
    summary: String,
}

fn list(arguments: &CatalogListArguments, streams: &mut Streams<'_>) -> Result<Ending, Error> {
    let entries = CATALOG.iter();
    let answer = || Answer {
        policies: entries
            .clone()
            .map(|entry| Entry { name: entry.name, summary: entry.summary() })
            .collect(),
    };
    match arguments.output {
        ListFormat::Table => {
            let width = CATALOG.iter().map(|entry| entry.name.len()).max().unwrap_or_default();
            let heading = format!("{:width$}  SUMMARY", "NAME");
            writeln!(streams.output, "{}", streams.colours.paint(styles::HEADING, heading))?;
            for entry in CATALOG {
                writeln!(streams.output, "{:width$}  {}", entry.name, entry.summary())?;
            }
        }
        ListFormat::Name => {
            for entry in CATALOG {
                writeln!(streams.output, "{}", entry.name)?;
            }
        }
        ListFormat::Json => write_structured(&answer(), Structured::Json, streams.output)?,
        ListFormat::Yaml => write_structured(&answer(), Structured::Yaml, streams.output)?,
    }
    Ok(Ending::Clean)
}

fn show(arguments: &ShowArguments, streams: &mut Streams<'_>) -> Result<Ending, Error> {
    let ReadyMade { policy, readme, .. } = find(&arguments.name)?;
    let text = if arguments.readme { readme } else { policy };
    streams.output.write_all(text.as_bytes())?;
    Ok(Ending::Clean)
}

fn find(name: &str) -> Result<&'static ReadyMade, Error> {
    CATALOG.iter().find(|entry| entry.name == name).ok_or_else(|| Error::NotInCatalog {
        name: name.to_owned(),
        known: CATALOG.iter().map(|entry| entry.name).collect::<Vec<_>>().join(", "),
    })
}
