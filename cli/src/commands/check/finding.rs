//! What a check comes to, and how it is written.

use std::io::{self, Write};

use anstyle::Style;
use serde::Serialize;

use crate::output::styles::{self, Colours};

/// What a check comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum State {
    /// As it has to be.
    Ok,
    /// It works, or could not be looked at; people should know.
    Warning,
    /// Something does not work.
    Failed,
}

/// What one check found.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    /// What it is about, as people call it.
    pub(super) group: &'static str,
    /// Stable name of the check.
    pub(super) check: &'static str,
    pub(super) state: State,
    pub(super) message: String,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) hint: Option<String>,
}

/// Where a check writes what it finds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Check(pub(super) &'static str, pub(super) &'static str);

impl Check {
    pub(super) fn ok(self, message: impl Into<String>) -> Finding {
        self.finding(State::Ok, message, None)
    }

    pub(super) fn warning(self, message: impl Into<String>, hint: impl Into<String>) -> Finding {
        self.finding(State::Warning, message, Some(hint.into()))
    }

    pub(super) fn failed(self, message: impl Into<String>, hint: impl Into<String>) -> Finding {
        self.finding(State::Failed, message, Some(hint.into()))
    }

    fn finding(self, state: State, message: impl Into<String>, hint: Option<String>) -> Finding {
        let Self(group, check) = self;
        Finding { group, check, state, message: message.into(), hint }
    }
}

/// Writes findings for people, under the names of their groups.
pub(super) fn write(findings: &[Finding], colours: Colours, out: &mut dyn Write) -> io::Result<()> {
    let mut group = "";
    for finding in findings {
        if finding.group != group {
            group = finding.group;
            writeln!(out, "{}", colours.paint(styles::HEADING, group))?;
        }
        let (word, style) = finding.state.shown();
        // Padded by hand: the codes of colours would count.
        let space = " ".repeat(7 - word.len());
        writeln!(out, "  {}{space}  {}", colours.paint(style, word), finding.message)?;
        if let Some(hint) = &finding.hint {
            writeln!(out, "           {hint}")?;
        }
    }
    Ok(())
}

/// Says how many there are of each.
pub(super) fn write_summary(findings: &[Finding], out: &mut dyn Write) -> io::Result<()> {
    let count = |state| findings.iter().filter(|finding| finding.state == state).count();
    let (ok, warnings, failed) = (count(State::Ok), count(State::Warning), count(State::Failed));
    writeln!(out, "ok: {ok}, warnings: {warnings}, failed: {failed}")
}

impl State {
    fn shown(self) -> (&'static str, Style) {
        match self {
            Self::Ok => ("ok", styles::GOOD),
            Self::Warning => ("warning", styles::WARNING),
            Self::Failed => ("failed", styles::BAD),
        }
    }
}
