//! The command line: what can be asked, and how. One file for each command, and what they share.

mod asked;
mod catalog;
mod check;
mod cluster;
mod completion;
mod diff;
mod explain;
mod export;
mod files;
mod inject;
mod lint;
mod rollout;
mod status;
mod test;
mod uninject;

use clap::{Parser, Subcommand};

pub(crate) use asked::Asked;
pub(crate) use catalog::{
    CatalogArguments, CatalogCommand, CatalogListArguments, DryRun, InstallArguments, ShowArguments,
};
pub(crate) use check::CheckArguments;
pub(crate) use cluster::ClusterArguments;
pub(crate) use completion::CompletionArguments;
pub(crate) use diff::DiffArguments;
pub(crate) use explain::ExplainArguments;
pub(crate) use export::{ExportArguments, ExportForm};
pub(crate) use files::Files;
pub(crate) use inject::InjectArguments;
pub(crate) use lint::LintArguments;
pub(crate) use rollout::{
    HistoryArguments, NamedPolicy, RolloutArguments, RolloutCommand, RolloutStatusArguments,
    UndoArguments,
};
pub(crate) use status::StatusArguments;
pub(crate) use test::TestArguments;
pub(crate) use uninject::UninjectArguments;

/// Asks the sidecar policies: the same decisions as in the cluster, at the command line.
#[derive(Debug, Parser)]
#[command(
    name = "kubectl-sidecar",
    bin_name = "kubectl sidecar",
    disable_help_subcommand = true,
    after_help = AFTER_HELP
)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

const AFTER_HELP: &str = "\
Colours are used on terminals only, and never where the variable NO_COLOR is set.

Exit codes:
  0  done
  1  done, and there are findings, such as a pod that would be refused
  2  could not run: wrong arguments, or files that cannot be read or used";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Explain(ExplainArguments),
    Diff(DiffArguments),
    Status(StatusArguments),
    Rollout(RolloutArguments),
    Inject(InjectArguments),
    Uninject(UninjectArguments),
    Check(CheckArguments),
    Lint(LintArguments),
    Test(TestArguments),
    Export(ExportArguments),
    Catalog(CatalogArguments),
    /// Print the version of this program.
    Version,
    Completion(CompletionArguments),
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definitions_are_consistent() {
        Arguments::command().debug_assert();
    }
}
