//! `kubectl sidecar rollout`

mod history;
mod pause;
mod status;
mod target;
mod undo;

use super::{Ending, Error as CommandError, Streams};
use crate::{
    arguments::{RolloutArguments, RolloutCommand},
    cluster,
};

/// Why a command about a rollout could not run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("{policy} has no revision {revision:?}; it has {known}")]
    NoRevision { policy: String, revision: String, known: String },
    #[error(
        "{policy} has no revision beside the current one, so there is nothing to go back to; \
         spec.revisionHistoryLimit says how many are kept"
    )]
    NothingEarlier { policy: String },
    #[error(
        "it cannot be told which revision {policy} has now: the operator is of another version than this program, and \
         has not accepted the last change; wait until it has, or name the revision to go back to with --to-revision"
    )]
    CurrentUnknown { policy: String },
    #[error(
        "the revisions of {policy} have {fields}, which this program does not know and so could not put back: the \
         operator in the cluster is newer; use the program of its version"
    )]
    UnknownContent { policy: String, fields: String },
    #[error("the API server has not answered for {seconds} s")]
    NoAnswer { seconds: u64 },
    #[error(
        "{policy} was changed by somebody else meanwhile, so nothing was put back; look at what it is now, and run \
         it again"
    )]
    ChangedMeanwhile { policy: String },
}

/// Follows or steers the rollout of a policy.
pub(super) fn run(
    arguments: &RolloutArguments,
    streams: &mut Streams<'_>,
) -> Result<Ending, CommandError> {
    cluster::run(async {
        match &arguments.command {
            RolloutCommand::Status(arguments) => status::run(arguments, streams).await,
            RolloutCommand::Pause(named) => pause::run(named, true, streams).await,
            RolloutCommand::Resume(named) => pause::run(named, false, streams).await,
            RolloutCommand::Undo(arguments) => undo::run(arguments, streams).await,
            RolloutCommand::History(arguments) => history::run(arguments, streams).await,
        }
    })
}
