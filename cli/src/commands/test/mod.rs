//! `kubectl sidecar test`

mod cases;

use std::{
    fmt::Write as _,
    fs,
    io::{self, Write},
    path::Path,
};

use super::{Ending, Error, Streams, diff};
use crate::{
    arguments::TestArguments,
    facts::Facts,
    injection::{self, Report},
    manifests,
    output::{
        self, Manifest,
        styles::{self, Colours},
    },
    policies,
};
use cases::Case;

pub(crate) use cases::Error as TestError;

/// Injects policies into example manifests and compares with what is expected.
pub(super) fn run(arguments: &TestArguments, streams: &mut Streams<'_>) -> Result<Ending, Error> {
    let cases = cases::find(Path::new(&arguments.folder))?;
    let mut failed = 0;
    for case in &cases {
        let found = outcome(case)?;
        let expected = read_expected(case)?;
        let passed = expected.as_deref() == Some(found.as_str());
        let result = match (passed, arguments.update) {
            (true, _) => Outcome::Passed,
            (false, true) => {
                write_expected(case, &found)?;
                Outcome::Updated
            }
            (false, false) => {
                failed += 1;
                Outcome::Failed { expected: expected.unwrap_or_default(), found }
            }
        };
        write_outcome(case, &result, streams.colours, streams.output)?;
    }
    writeln!(streams.messages, "tests: {}, failed: {failed}", cases.len())?;
    Ok(if failed > 0 { Ending::Findings } else { Ending::Clean })
}

enum Outcome {
    Passed,
    Updated,
    Failed { expected: String, found: String },
}

/// What comes out: the decisions about each object as comments, then the manifests.
fn outcome(case: &Case) -> Result<String, Error> {
    let read = |file: &Path| manifests::read(&[file.display().to_string()], &mut io::empty());
    let policies = policies::compile(&read(&case.policies)?, NAMESPACE)?;
    let documents = read(&case.input)?;
    let facts = Facts::new(policies.set, NAMESPACE, &documents);
    let mut text = String::new();
    let mut manifests = Vec::with_capacity(documents.len());
    for mut document in documents {
        let reports = injection::inject_into_each(document.root.as_mut(), &facts)?;
        for report in &reports {
            push_decisions(&mut text, report);
        }
        let changed = reports.iter().any(|report| report.changed);
        manifests.push(Manifest { document, changed });
    }
    text.push_str("---\n");
    text.push_str(output::yaml(&manifests).trim_start_matches("---\n"));
    Ok(text)
}

/// Namespace of objects that name none.
const NAMESPACE: &str = "default";

fn push_decisions(text: &mut String, report: &Report) {
    let mut line = |words: &str| {
        let _ = writeln!(text, "# {}", words.replace('\r', "\\r").replace('\n', "\\n"));
    };
    line(&report.object.to_string());
    if let Some(why) = &report.unreadable {
        line(&format!("  the pods cannot be read: {why}"));
    }
    for decided in &report.decisions {
        let (policy, reason) = (&decided.policy, &decided.reason);
        line(&format!("  {} {policy}: {}", policy.kind(), reason.as_str()));
    }
    for warning in &report.warnings {
        line(&format!("  warning: {warning}"));
    }
    if let Some(denied) = &report.denied {
        line(&format!("  the pods would be refused: {denied}"));
    }
}

/// What is expected; `None` if nothing is yet.
fn read_expected(case: &Case) -> Result<Option<String>, Error> {
    match fs::read_to_string(&case.expected) {
        Ok(text) => Ok(Some(text.replace("\r\n", "\n"))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(TestError::Unreadable { path: case.expected.clone(), source }.into()),
    }
}

fn write_expected(case: &Case, text: &str) -> Result<(), Error> {
    fs::write(&case.expected, text)
        .map_err(|source| TestError::Unwritable { path: case.expected.clone(), source }.into())
}

fn write_outcome(
    case: &Case,
    outcome: &Outcome,
    colours: Colours,
    out: &mut dyn Write,
) -> io::Result<()> {
    let (word, style) = match outcome {
        Outcome::Passed => ("ok", styles::GOOD),
        Outcome::Updated => ("updated", styles::WARNING),
        Outcome::Failed { .. } => ("failed", styles::BAD),
    };
    writeln!(out, "{} {}", colours.paint(style, word), case.name)?;
    if let Outcome::Failed { expected, found } = outcome {
        let texts = diff::Texts { before: expected, after: found };
        let names = (case.expected.display().to_string(), "what comes out");
        diff::write_difference(&texts, (&names.0, names.1), colours, out)?;
    }
    Ok(())
}
