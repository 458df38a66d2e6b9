//! `kubectl sidecar explain`

mod structured;
mod text;

use inject::PolicyId;
use serde::Serialize;

use super::{Ending, Error, Streams};
use crate::{
    arguments::ExplainArguments,
    cluster::StoredPolicy,
    injection::{self, Decided, Report},
    inputs::{Inquiry, Subject},
    live::{Change, Found, Purpose, RunningPod, Standing},
};

/// Says for each policy whether it goes into pods, or went into them, and why.
pub(super) fn run(
    arguments: &ExplainArguments,
    streams: &mut Streams<'_>,
) -> Result<Ending, Error> {
    let inquiry = Inquiry::read(&arguments.asked, Purpose::Decisions, streams)?;
    let mut answers = Vec::with_capacity(inquiry.subjects.len());
    for subject in &inquiry.subjects {
        answers.extend(Answer::about(subject, &inquiry)?);
    }
    if answers.is_empty() {
        writeln!(streams.messages, "nothing among the manifests describes pods")?;
    }
    match arguments.output.structured() {
        None => text::write(&answers, streams.colours, streams.output)?,
        Some(form) => structured::write(&answers, form, streams.output)?,
    }
    let denied = answers.iter().any(|answer| answer.report.denied.is_some());
    Ok(if denied { Ending::Findings } else { Ending::Clean })
}

/// What there is to say about an object.
struct Answer<'a> {
    report: Report,
    policies: Vec<AboutPolicy<'a>>,
    /// What became of the object in the cluster.
    found: Option<&'a Found>,
}

/// What there is to say about a policy and an object.
struct AboutPolicy<'a> {
    policy: PolicyId,
    /// What the heart decides about it now; `None` if there is no such policy.
    now: Option<Decided>,
    /// There may be such a policy, which this person may not read.
    is_hidden: bool,
    /// The revision that a partition keeps a part of the pods at.
    kept_back: Option<&'a str>,
    /// Why the operator does not promise that the next pod gets it.
    not_ready: Option<String>,
    running: Running<'a>,
}

/// How running pods stand to a policy.
enum Running<'a> {
    /// None are asked about.
    Unknown,
    /// The pod itself, what changed in the policy since it went in, and whether the pod is older than the
    /// policy.
    Pod { standing: Standing, changes: &'a [Change], is_older: bool },
    /// The pods of a workload.
    Pods(Counts),
}

/// How many pods of a workload stand to a policy in which way.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
struct Counts {
    #[serde(rename = "running")]
    pods: usize,
    current: usize,
    outdated: usize,
    surplus: usize,
    skipped: usize,
    missing: usize,
}

impl<'a> Answer<'a> {
    /// `None` for an object that describes no pods.
    fn about(subject: &'a Subject, inquiry: &'a Inquiry) -> Result<Option<Self>, Error> {
        let decided = injection::inject_into(&mut subject.object.clone(), &inquiry.facts)?;
        let Some(mut report) = decided else { return Ok(None) };
        let found = subject.found.as_ref();
        report.object = subject.shown(report.object);
        let decisions = std::mem::take(&mut report.decisions);
        let gone = gone(found, &decisions);
        let decided = decisions.into_iter().map(|decided| (decided.policy.clone(), Some(decided)));
        let gone = gone.into_iter().map(|policy| (policy, None));
        let policies = decided.chain(gone).map(|(policy, now)| {
            let stored = inquiry.stored.known.get(&policy);
            let is_hidden = now.is_none() && inquiry.stored.hides(&policy);
            let running = match found {
                None => Running::Unknown,
                Some(Found::Workload { .. }) if is_hidden => Running::Unknown,
                Some(Found::Workload { pods }) => {
                    Running::Pods(Counts::of(pods, &policy, now.as_ref()))
                }
                Some(Found::Pod { pod, changes }) => {
                    let name = policy.to_string();
                    let standing = if is_hidden {
                        Standing::of_hidden(&pod.record, &name)
                    } else {
                        Standing::of(&pod.record, &name, now.as_ref())
                    };
                    match standing {
                        None => Running::Unknown,
                        Some(standing) => Running::Pod {
                            standing,
                            changes: changes.get(&name).map(Vec::as_slice).unwrap_or_default(),
                            is_older: stored.is_some_and(|stored| pod.created < stored.created),
                        },
                    }
                }
            };
            let not_ready = stored.and_then(StoredPolicy::not_ready);
            let kept_back = stored.and_then(StoredPolicy::kept_back);
            AboutPolicy { policy, now, is_hidden, kept_back, not_ready, running }
        });
        let policies = policies.collect();
        Ok(Some(Self { report, policies, found }))
    }
}

/// The policies that pods say something of and that are not there any more.
fn gone(found: Option<&Found>, decisions: &[Decided]) -> Vec<PolicyId> {
    let pods: &[RunningPod] = match found {
        None => &[],
        Some(Found::Pod { pod, .. }) => std::slice::from_ref(pod),
        Some(Found::Workload { pods }) => pods,
    };
    let recorded =
        pods.iter().flat_map(|pod| pod.record.injected.keys().chain(pod.record.skipped.keys()));
    let mut gone: Vec<PolicyId> = recorded
        .filter(|name| decisions.iter().all(|decided| decided.policy.to_string() != **name))
        .filter_map(|name| PolicyId::read(name))
        .collect();
    gone.sort();
    gone.dedup();
    gone
}

impl AboutPolicy<'_> {
    /// Whether pods have the policy: those that run, or else the next ones.
    fn is_injected(&self) -> bool {
        match &self.running {
            Running::Pod { standing, .. } => standing.is_injected(),
            _ => self.now.as_ref().is_some_and(Decided::is_injected),
        }
    }
}

impl Counts {
    fn of(pods: &[RunningPod], policy: &PolicyId, now: Option<&Decided>) -> Self {
        let name = policy.to_string();
        let mut counts = Self { pods: pods.len(), ..Self::default() };
        for pod in pods {
            match Standing::of(&pod.record, &name, now) {
                Some(Standing::Current { .. }) => counts.current += 1,
                Some(Standing::Outdated { .. }) => counts.outdated += 1,
                Some(Standing::Surplus { .. } | Standing::Orphaned { .. }) => counts.surplus += 1,
                Some(Standing::Skipped { .. }) => counts.skipped += 1,
                Some(Standing::Missing { .. }) => counts.missing += 1,
                Some(
                    Standing::Hidden { .. }
                    | Standing::Audited { .. }
                    | Standing::OptedOut { .. }
                    | Standing::NotMatched { .. },
                )
                | None => {}
            }
        }
        counts
    }
}
