//! What the program prints: in which forms, and how.

mod manifests;
mod structured;
pub(crate) mod styles;
mod table;
mod terminal;

use clap::ValueEnum;

pub(crate) use manifests::{Manifest, write, yaml};
pub(crate) use structured::write_structured;
pub(crate) use table::{Cell, Column, Layout};
pub(crate) use terminal::{Terminal, in_one_line};

/// How manifests are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// YAML; documents that did not change are written as they were.
    Yaml,
    /// JSON; several documents become one List.
    Json,
}

/// How an answer is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReportFormat {
    /// For people.
    Text,
    /// For scripts.
    Json,
    /// For scripts.
    Yaml,
}

impl ReportFormat {
    /// The form for scripts, if one is asked for.
    pub(crate) fn structured(self) -> Option<Structured> {
        match self {
            Self::Text => None,
            Self::Json => Some(Structured::Json),
            Self::Yaml => Some(Structured::Yaml),
        }
    }
}

/// How findings are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LintFormat {
    /// For people.
    Text,
    /// For scripts.
    Json,
    /// For scripts.
    Yaml,
    /// SARIF 2.1.0, which code scanning services read.
    Sarif,
}

/// How a list is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ListFormat {
    /// For people.
    Table,
    /// One name a line.
    Name,
    /// For scripts.
    Json,
    /// For scripts.
    Yaml,
}

/// How the answer to a change is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ChangeFormat {
    /// What became of each object.
    Text,
    /// One name a line.
    Name,
    /// The objects as they are then.
    Json,
    /// The objects as they are then.
    Yaml,
}

/// A form for scripts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Structured {
    Json,
    Yaml,
}
