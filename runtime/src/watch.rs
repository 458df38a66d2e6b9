//! Watches that begin again after an error: soon enough to see what was missing when it comes, without
//! spinning, and without a log line for each try.

use std::time::Duration;

use futures::TryStream;
use kube::{
    Error::Api,
    runtime::{
        utils::{Backoff, StreamBackoff},
        watcher::{DefaultBackoff, Error, Event},
    },
};
use tokio::time::Instant;

use crate::logging::with_causes;

/// Longest pause before a watch begins again. The API server may lack a custom resource definition,
/// and work waits for that.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// How long the same interruption is not told again.
const REPEAT: Duration = Duration::from_secs(10 * 60);

/// The watch, beginning again after every error, with growing pauses of at most five seconds.
pub fn begin_again<S: TryStream>(events: S) -> StreamBackoff<S, ShortPauses> {
    StreamBackoff::new(events, ShortPauses::default())
}

/// Pauses as other watches make them, none of them longer than five seconds. They are short again when
/// there was no error for two minutes: every try begins with an event that says nothing yet.
#[derive(Default)]
pub struct ShortPauses(DefaultBackoff);

impl Iterator for ShortPauses {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        Some(self.0.next()?.min(LONGEST_PAUSE))
    }
}

impl Backoff for ShortPauses {
    fn reset(&mut self) {}
}

/// Whether the API server knows no such resource: its custom resource definition is not there.
#[must_use]
pub fn is_not_served(error: &Error) -> bool {
    code(error) == Some(404)
}

fn code(error: &Error) -> Option<u16> {
    let (Error::InitialListFailed(Api(status))
    | Error::WatchStartFailed(Api(status))
    | Error::WatchFailed(Api(status))
    | Error::WatchError(status)) = error
    else {
        return None;
    };
    Some(status.code)
}

/// Logs the interruptions of one watch, those that are worth a line.
#[derive(Debug, Default)]
pub struct Interruptions {
    /// The HTTP status code of the last one that was told, if it had one, and when.
    told: Option<(Option<u16>, Instant)>,
}

impl Interruptions {
    /// Logs what the event says of the watch of this name: that it was interrupted, or goes on.
    pub fn log<K>(&mut self, watch: &str, event: &Result<Event<K>, Error>) {
        match event {
            // The list that begins may fail yet.
            Ok(Event::Init) => {}
            Ok(_) => self.log_end(watch),
            Err(error) => self.log_error(watch, error),
        }
    }

    /// The same for the watch of a single object.
    pub fn log_object<K>(&mut self, watch: &str, seen: &Result<Option<K>, Error>) {
        match seen {
            Ok(_) => self.log_end(watch),
            Err(error) => self.log_error(watch, error),
        }
    }

    fn log_end(&mut self, watch: &str) {
        if self.end() {
            tracing::info!(watch, "the watch goes on");
        }
    }

    fn log_error(&mut self, watch: &str, error: &Error) {
        if !self.is_news(error) {
            return;
        }
        if is_not_served(error) {
            tracing::error!(
                watch,
                "the custom resource definition is not there; waiting for it. The chart installs it, unless crds.install is false"
            );
        } else {
            let error = with_causes(error);
            tracing::warn!(watch, error, "a watch was interrupted; it begins again");
        }
    }

    /// Whether this one is worth a line: it differs from the one before, or that was a while ago.
    fn is_news(&mut self, error: &Error) -> bool {
        let (code, now) = (code(error), Instant::now());
        let is_known = self.told.is_some_and(|(told, at)| told == code && now - at < REPEAT);
        if !is_known {
            self.told = Some((code, now));
        }
        !is_known
    }

    /// The watch tells something. Whether there was an interruption before.
    fn end(&mut self) -> bool {
        self.told.take().is_some()
    }
}

#[cfg(test)]
mod tests {
    use kube::core::Status;

    use super::*;

    fn error(code: u16) -> Error {
        Error::InitialListFailed(Api(Box::new(Status { code, ..Status::default() })))
    }

    #[test]
    fn pauses_grow_to_five_seconds() {
        let mut pauses = ShortPauses::default();
        let first = pauses.next().unwrap();
        assert!(first >= Duration::from_millis(500), "{first:?}");
        // Every try begins with a sign of life, which must not make the next pause short.
        let later: Vec<Duration> = (0..10)
            .filter_map(|_| {
                pauses.reset();
                pauses.next()
            })
            .collect();
        assert!(later.iter().skip(4).all(|pause| *pause == LONGEST_PAUSE), "{later:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn the_same_interruption_is_told_once_in_a_while() {
        let mut interruptions = Interruptions::default();
        let mut told = 0;
        for _ in 0..240 {
            told += usize::from(interruptions.is_news(&error(404)));
            tokio::time::advance(Duration::from_secs(5)).await;
        }
        assert_eq!(told, 2, "in twenty minutes");
        assert!(interruptions.is_news(&error(500)), "another one is told at once");
        assert!(interruptions.end() && !interruptions.end());
        assert!(interruptions.is_news(&error(500)));
    }

    #[test]
    fn only_a_resource_that_is_not_there_is_not_served() {
        assert!(is_not_served(&error(404)));
        assert!(!is_not_served(&error(403)));
        assert!(!is_not_served(&Error::NoResourceVersion));
    }
}
