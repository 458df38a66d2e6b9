//! `kubectl sidecar lint`

mod bounds;
mod findings;
mod sarif;

use std::io::{self, Write};

use serde::Serialize;

use super::{Ending, Error, Streams};
use crate::{
    arguments::LintArguments,
    manifests,
    output::{
        LintFormat, Structured,
        styles::{self, Colours},
        write_structured,
    },
    policies,
};
use findings::{Finding, Level};

/// Finds what is wrong with policies, and what is likely to hurt.
pub(super) fn run(arguments: &LintArguments, streams: &mut Streams<'_>) -> Result<Ending, Error> {
    let documents = manifests::read(&arguments.filename, streams.input)?;
    let policies = policies::read(&documents, &arguments.namespace)?;
    let findings = findings::of(&policies).map_err(Error::Schema)?;
    let answer = Answer { findings: &findings };
    match arguments.output {
        LintFormat::Text => {
            for finding in &findings {
                write_finding(finding, streams.colours, streams.output)?;
            }
            let policies = policies.written.len();
            write_summary(&findings, policies, streams.messages)?;
        }
        LintFormat::Json => write_structured(&answer, Structured::Json, streams.output)?,
        LintFormat::Yaml => write_structured(&answer, Structured::Yaml, streams.output)?,
        LintFormat::Sarif => {
            write_structured(&sarif::log(&findings), Structured::Json, streams.output)?;
        }
    }
    let has_errors = findings.iter().any(|finding| finding.level == Level::Error);
    Ok(if has_errors { Ending::Findings } else { Ending::Clean })
}

/// The answer for scripts.
#[derive(Serialize)]
struct Answer<'a> {
    findings: &'a [Finding],
}

fn write_finding(finding: &Finding, colours: Colours, out: &mut dyn Write) -> io::Result<()> {
    let Finding { level, rule, policy, path, message, remedy, .. } = finding;
    let place = format!("{}:{}:", finding.file, finding.line);
    let style = match level {
        Level::Error => styles::BAD,
        Level::Warning => styles::WARNING,
        Level::Advice => styles::PLACE,
    };
    writeln!(
        out,
        "{} {}: {policy}: {path}: {message} ({rule})",
        colours.paint(styles::HEADING, place),
        colours.paint(style, level.as_str()),
    )?;
    writeln!(out, "    {remedy}")
}

fn write_summary(findings: &[Finding], usable: usize, out: &mut dyn Write) -> io::Result<()> {
    let count = |level| findings.iter().filter(|finding| finding.level == level).count();
    writeln!(
        out,
        "policies that compile: {usable}; errors: {}, warnings: {}, advice: {}",
        count(Level::Error),
        count(Level::Warning),
        count(Level::Advice)
    )
}
