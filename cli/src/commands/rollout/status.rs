//! `kubectl sidecar rollout status`

use std::{
    io::{self, IsTerminal as _},
    time::Duration,
};

use crds::{PodCounts, PolicyStatus};
use serde::Serialize;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::{CommandError, Ending, Error, Streams, target::Target};
use crate::{
    arguments::RolloutStatusArguments,
    output::{styles, write_structured},
    readiness::current_condition,
};

/// How often the policy is read anew. A watch would take a right more than to read it.
const PAUSE: Duration = Duration::from_secs(1);
/// How long the API server may not answer, as while it restarts.
const SILENCE: Duration = Duration::from_secs(60);

/// Waits until the rollout of a policy is done, and says how it ended.
pub(super) async fn run(
    arguments: &RolloutStatusArguments,
    streams: &mut Streams<'_>,
) -> Result<Ending, CommandError> {
    let timeout = Some(arguments.timeout).filter(|timeout| !timeout.is_zero());
    let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
    let is_up = || deadline.is_some_and(|deadline| Instant::now() >= deadline);
    let at_most = |moment| deadline.map_or(moment, |deadline| deadline.min(moment));
    let find = Target::find(&arguments.named);
    let mut target = match deadline {
        Some(deadline) => timeout_at(deadline, find)
            .await
            .map_err(|_| Error::NoAnswer { seconds: arguments.timeout.as_secs() })??,
        None => find.await?,
    };
    let mut uid = target.object["metadata"]["uid"].clone();
    let mut answered = Instant::now();
    let shows_progress = io::stderr().is_terminal();
    let mut shown = String::new();
    loop {
        let standing = Standing::of(&target.status(), target.generation());
        if standing.state != State::UnderWay || arguments.no_wait || is_up() {
            let timed_out = standing.state == State::UnderWay && is_up();
            write(&target, &standing, timed_out, arguments, streams)?;
            let is_done = standing.state == State::Done;
            return Ok(if is_done { Ending::Clean } else { Ending::Findings });
        }
        if shows_progress && standing.text() != shown {
            shown = standing.text();
            writeln!(streams.messages, "waiting: {shown}")?;
        }
        sleep_until(at_most(Instant::now() + PAUSE)).await;
        let patience = answered + SILENCE;
        match timeout_at(at_most(patience), target.read()).await {
            Ok(Ok(())) => answered = Instant::now(),
            Ok(Err(CommandError::Cluster(error)))
                if error.may_pass() && Instant::now() < patience =>
            {
                continue;
            }
            Ok(Err(error)) => return Err(error),
            Err(_) if is_up() => continue,
            Err(_) => return Err(Error::NoAnswer { seconds: SILENCE.as_secs() }.into()),
        }
        if target.object["metadata"]["uid"] != uid {
            uid = target.object["metadata"]["uid"].clone();
            writeln!(streams.messages, "the policy was deleted and made anew; going on with that")?;
        }
    }
}

/// How a rollout stands.
#[derive(Debug, PartialEq, Eq)]
struct Standing {
    state: State,
    reason: String,
    message: String,
    pods: PodCounts,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
enum State {
    UnderWay,
    Done,
    /// It cannot go on by itself.
    Stopped,
}

impl Standing {
    /// By what the operator wrote of this generation.
    fn of(status: &PolicyStatus, generation: i64) -> Self {
        let standing = |state, reason: &str, message: &str| Self {
            state,
            reason: reason.to_owned(),
            message: message.to_owned(),
            pods: status.pods.clone(),
        };
        let found = |kind| current_condition(status, kind, generation);
        if let Some(accepted) = found("Accepted").filter(|accepted| accepted.status == "False") {
            return standing(State::Stopped, &accepted.reason, &accepted.message);
        }
        let not_observed = || {
            let message = "the operator has not looked at the last change yet";
            standing(State::UnderWay, "NotObserved", message)
        };
        let Some(progressing) = found("Progressing") else { return not_observed() };
        let state = match (progressing.status.as_str(), progressing.reason.as_str()) {
            // Somebody paused it, and can let it go on.
            (_, "Paused" | "RollingOut" | "Waiting") => State::UnderWay,
            ("False", _) => State::Stopped,
            _ => State::Done,
        };
        if state == State::Done {
            match found("Ready") {
                Some(ready) if ready.status == "True" => {}
                Some(ready) => return standing(State::UnderWay, &ready.reason, &ready.message),
                None => return not_observed(),
            }
        }
        standing(state, &progressing.reason, &progressing.message)
    }

    fn text(&self) -> String {
        let PodCounts { injected, current, ready, missing, .. } = &self.pods;
        let missing =
            if *missing > 0 { format!(", {missing} miss the policy") } else { String::new() };
        format!(
            "{current} of {injected} pods are current, {ready} ready{missing} ({}: {})",
            self.reason, self.message
        )
    }
}

/// The answer for scripts.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer<'s> {
    policy: String,
    state: State,
    timed_out: bool,
    reason: &'s str,
    message: &'s str,
    revision: Option<String>,
    pods: &'s PodCounts,
}

fn write(
    target: &Target,
    standing: &Standing,
    timed_out: bool,
    arguments: &RolloutStatusArguments,
    streams: &mut Streams<'_>,
) -> io::Result<()> {
    if let Some(form) = arguments.output.structured() {
        let answer = Answer {
            policy: target.policy.to_string(),
            state: standing.state,
            timed_out,
            reason: &standing.reason,
            message: &standing.message,
            revision: target.status().revision,
            pods: &standing.pods,
        };
        return write_structured(&answer, form, streams.output);
    }
    let text = standing.text();
    let shown = target.shown();
    let (style, how) = match standing.state {
        State::Done => (styles::GOOD, "successfully rolled out"),
        State::Stopped => (styles::BAD, "stopped"),
        State::UnderWay if timed_out => (styles::BAD, "is not done, and time is up"),
        State::UnderWay => (styles::WARNING, "is under way"),
    };
    writeln!(streams.output, "{shown} {}: {text}", streams.colours.paint(style, how))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn state(conditions: &[(&str, &str, &str, i64)]) -> (State, String) {
        let conditions = conditions.iter().map(|(kind, status, reason, generation)| {
            json!({"type": kind, "status": status, "reason": reason, "message": "so",
                "observedGeneration": generation, "lastTransitionTime": "2026-01-01T00:00:00Z"})
        });
        let status = json!({"conditions": conditions.collect::<Vec<_>>()});
        let status: PolicyStatus = serde_json::from_value(status).expect("a status");
        let standing = Standing::of(&status, 2);
        (standing.state, standing.reason)
    }

    #[test]
    fn a_rollout_is_done_when_all_conditions_of_the_generation_say_so() {
        let ready = ("Ready", "True", "Ready", 2);
        let under_way = |reason: &str| (State::UnderWay, reason.to_owned());
        assert_eq!(state(&[]), under_way("NotObserved"));
        assert_eq!(
            state(&[ready, ("Progressing", "True", "Complete", 1)]),
            under_way("NotObserved")
        );
        for reason in ["RollingOut", "Waiting", "Paused"] {
            assert_eq!(state(&[ready, ("Progressing", "True", reason, 2)]), under_way(reason));
            assert_eq!(state(&[ready, ("Progressing", "False", reason, 2)]), under_way(reason));
        }
        for reason in ["Complete", "OnRecreate", "Audit"] {
            let progressing = ("Progressing", "True", reason, 2);
            assert_eq!(state(&[ready, progressing]), (State::Done, reason.to_owned()));
            assert_eq!(state(&[("Ready", "False", "No", 2), progressing]), under_way("No"));
            assert_eq!(state(&[("Ready", "True", "No", 1), progressing]), under_way("NotObserved"));
        }
        for reason in ["ProgressDeadlineExceeded", "NotPermitted", "NotAccepted"] {
            let progressing = ("Progressing", "False", reason, 2);
            assert_eq!(state(&[ready, progressing]), (State::Stopped, reason.to_owned()));
        }
        let refused = ("Accepted", "False", "Clash", 2);
        assert_eq!(state(&[refused]), (State::Stopped, "Clash".to_owned()));
    }
}
