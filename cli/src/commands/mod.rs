//! The commands, one file or folder each.

mod catalog;
mod check;
mod completion;
mod diff;
mod explain;
mod export;
mod inject;
mod lint;
mod rollout;
mod status;
mod test;
mod uninject;
mod version;

use std::io::{self, Read, Write};

use crate::{
    arguments::{Arguments, Command},
    cluster, injection, manifests,
    output::styles::Colours,
    policies,
};

/// How a command ended that could run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Nothing to object to.
    Clean,
    /// There is something that people should look at.
    Findings,
}

/// Why a command could not run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Manifests(#[from] manifests::Error),
    #[error(transparent)]
    Policies(#[from] policies::Error),
    #[error(transparent)]
    Injection(#[from] injection::Error),
    #[error(transparent)]
    Cluster(#[from] cluster::Error),
    #[error("{policy} cannot be used: {problems}")]
    UnusablePolicy { policy: String, problems: String },
    #[error("there is no policy {name}; -A looks in all namespaces, -n in another one")]
    NoPolicy { name: String },
    #[error(
        "the namespaces that no policy reaches are not known, and the exported ones would reach them: {0}; ask somebody \
         who may, and name them with --excluded-namespaces ('' if there are none)"
    )]
    ExclusionsUnknown(cluster::Error),
    #[error(transparent)]
    Rollout(#[from] rollout::Error),
    #[error("--watch shows tables only; leave -o out")]
    WatchedForm,
    #[error("standard input (-) can be read once only; name a file in all places but one")]
    StandardInputTwice,
    #[error(transparent)]
    Tests(#[from] test::TestError),
    #[error("the catalogue has no policy {name:?}; it has {known}")]
    NotInCatalog { name: String, known: String },
    #[error("the schema of the policies cannot be read: {0}; please report this")]
    Schema(serde_json::Error),
    #[error("the output cannot be written: {0}")]
    Output(#[from] io::Error),
}

/// What commands read from and write to.
pub(crate) struct Streams<'a> {
    pub(crate) input: &'a mut dyn Read,
    pub(crate) output: &'a mut dyn Write,
    /// For people: what is no part of the answer itself.
    pub(crate) messages: &'a mut dyn Write,
    /// Whether the answer may have colours.
    pub(crate) colours: Colours,
    /// Whether the answer goes to a terminal.
    pub(crate) is_terminal: bool,
}

/// Runs the command that the arguments name.
pub(crate) fn run(arguments: Arguments, streams: &mut Streams<'_>) -> Result<Ending, Error> {
    match arguments.command {
        Command::Explain(arguments) => explain::run(&arguments, streams),
        Command::Diff(arguments) => diff::run(&arguments, streams),
        Command::Status(arguments) => status::run(&arguments, streams),
        Command::Rollout(arguments) => rollout::run(&arguments, streams),
        Command::Inject(arguments) => inject::run(&arguments, streams),
        Command::Uninject(arguments) => uninject::run(&arguments, streams),
        Command::Check(arguments) => check::run(&arguments, streams),
        Command::Lint(arguments) => lint::run(&arguments, streams),
        Command::Test(arguments) => test::run(&arguments, streams),
        Command::Export(arguments) => export::run(&arguments, streams),
        Command::Catalog(arguments) => catalog::run(&arguments, streams),
        Command::Version => version::run(streams),
        Command::Completion(arguments) => completion::run(&arguments, streams),
    }
}
