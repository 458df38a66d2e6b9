//! `kubectl sidecar explain`

mod structured;
mod text;

use inject::PolicyId;
use serde::Serialize;

use super::{Ending, Error, Streams};
use crate::{
    arguments::ExplainArguments,
    cluster::{Absence, StoredPolicy},
    injection::{self, Decided, Report},
    inputs::{Inquiry, Subject},
    live::{Change, Found, Purpose, Record, RunningPod, Standing},
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
    /// What the heart decides about it now, or why it decides nothing.
    now: Result<Decided, Absence>,
    /// The revision that a partition keeps a part of the pods at.
    kept_back: Option<&'a str>,
    /// Why the operator does not promise that the next pod gets it.
    not_ready: Option<String>,
    running: Running<'a>,
    /// What would be in its way if the pod were created anew is not known.
    is_in_the_way: bool,
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
#[serde(rename_all = "camelCase")]
struct Counts {
    #[serde(rename = "running")]
    pods: usize,
    current: usize,
    outdated: usize,
    surplus: usize,
    skipped: usize,
    missing: usize,
    opted_out: usize,
}

impl<'a> Answer<'a> {
    /// `None` for an object that describes no pods.
    fn about(subject: &'a Subject, inquiry: &'a Inquiry) -> Result<Option<Self>, Error> {
        let decided = injection::inject_into(&mut subject.object.clone(), &inquiry.facts)?;
        let Some(mut report) = decided else { return Ok(None) };
        let found = subject.found.as_ref();
        report.object = subject.shown(report.object);
        let is_in_the_way = matches!(found, Some(Found::Pod { is_in_the_way: true, .. }));
        if is_in_the_way {
            report.denied = None;
            report.warnings = vec![
                "what went in cannot be told from the app's own: what would be in its way if the pod were \
                 created anew is not told"
                    .to_owned(),
            ];
        }
        let decisions = std::mem::take(&mut report.decisions);
        let absent = absent(found, &decisions);
        let absent = absent.into_iter().map(|policy| {
            let absence = inquiry.stored.absence(&policy);
            (policy, Err(absence))
        });
        let decided = decisions.into_iter().map(|decided| (decided.policy.clone(), Ok(decided)));
        let policies = decided.chain(absent).map(|(policy, now)| {
            let stored = inquiry.stored.known.get(&policy);
            let running = running(found, &policy, &now, stored);
            AboutPolicy {
                policy,
                is_in_the_way,
                kept_back: stored.and_then(StoredPolicy::kept_back),
                not_ready: stored.and_then(StoredPolicy::not_ready),
                now,
                running,
            }
        });
        let policies = policies.collect();
        Ok(Some(Self { report, policies, found }))
    }
}

/// How running pods stand to a policy.
fn running<'a>(
    found: Option<&'a Found>,
    policy: &PolicyId,
    now: &Result<Decided, Absence>,
    stored: Option<&StoredPolicy>,
) -> Running<'a> {
    let name = policy.to_string();
    match found {
        None => Running::Unknown,
        Some(Found::Workload { pods }) => match now {
            Ok(_) | Err(Absence::Gone) => Running::Pods(Counts::of(pods, &name, now)),
            Err(_) => Running::Unknown,
        },
        Some(Found::Pod { pod, changes, .. }) => {
            let Some(standing) = standing(&pod.record, &name, now) else { return Running::Unknown };
            Running::Pod {
                standing,
                changes: changes.get(&name).map(Vec::as_slice).unwrap_or_default(),
                is_older: stored.is_some_and(|stored| pod.created < stored.created),
            }
        }
    }
}

fn standing(record: &Record, policy: &str, now: &Result<Decided, Absence>) -> Option<Standing> {
    match now {
        Ok(decided) => Some(Standing::of(record, policy, decided)),
        Err(absence) => Standing::of_absent(record, policy, *absence),
    }
}

/// The policies that pods say something of and about which nothing is decided.
fn absent(found: Option<&Found>, decisions: &[Decided]) -> Vec<PolicyId> {
    let pods: &[RunningPod] = match found {
        None => &[],
        Some(Found::Pod { pod, .. }) => std::slice::from_ref(pod),
        Some(Found::Workload { pods }) => pods,
    };
    let recorded =
        pods.iter().flat_map(|pod| pod.record.injected.keys().chain(pod.record.skipped.keys()));
    let mut absent: Vec<PolicyId> = recorded
        .filter(|name| decisions.iter().all(|decided| decided.policy.to_string() != **name))
        .filter_map(|name| PolicyId::read(name))
        .collect();
    absent.sort();
    absent.dedup();
    absent
}

impl AboutPolicy<'_> {
    /// Whether pods have the policy: those that run, or else the next ones; `None` if that is not known.
    fn is_injected(&self) -> Option<bool> {
        match (&self.running, &self.now) {
            (Running::Pod { standing, .. }, _) => Some(standing.is_injected()),
            (_, Ok(decided)) => Some(decided.is_injected()),
            (_, Err(Absence::Gone)) => Some(false),
            (_, Err(_)) => None,
        }
    }
}

impl Counts {
    fn of(pods: &[RunningPod], policy: &str, now: &Result<Decided, Absence>) -> Self {
        let mut counts = Self { pods: pods.len(), ..Self::default() };
        for pod in pods {
            let Some(standing) = standing(&pod.record, policy, now) else { continue };
            match standing {
                Standing::Current { .. } => counts.current += 1,
                Standing::Outdated { .. } => counts.outdated += 1,
                Standing::Surplus { .. } | Standing::Absent { revision: Some(_), .. } => {
                    counts.surplus += 1;
                }
                Standing::Skipped { .. } => counts.skipped += 1,
                Standing::Missing { .. } => counts.missing += 1,
                Standing::OptedOut { .. } => counts.opted_out += 1,
                Standing::Absent { .. }
                | Standing::Audited { .. }
                | Standing::Unrecorded
                | Standing::NotMatched { .. } => {}
            }
        }
        counts
    }
}
