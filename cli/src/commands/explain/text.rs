//! The answer for people.

use std::io::{self, Write};

use anstyle::Style;
use inject::{ContainerList, Reason};

use super::{AboutPolicy, Answer, Counts, Running};
use crate::{
    cluster::Absence,
    injection::Decided,
    live::{Found, Standing},
    output::styles::{self, Colours},
};

pub(super) fn write(
    answers: &[Answer<'_>],
    colours: Colours,
    out: &mut dyn Write,
) -> io::Result<()> {
    for (position, answer) in answers.iter().enumerate() {
        if position > 0 {
            writeln!(out)?;
        }
        write_answer(answer, colours, out)?;
    }
    Ok(())
}

fn write_answer(answer: &Answer<'_>, colours: Colours, out: &mut dyn Write) -> io::Result<()> {
    let Answer { report, policies, found } = answer;
    writeln!(out, "{}", colours.paint(styles::HEADING, &report.object))?;
    if let Some(why) = &report.unreadable {
        writeln!(out, "  left as it is, for its pods cannot be read: {why}")?;
    } else if policies.is_empty() {
        writeln!(out, "  there is no policy that could reach it")?;
    }
    for about in policies {
        write_policy(about, colours, out)?;
    }
    for warning in further_warnings(answer) {
        writeln!(out, "  {}: {warning}", colours.paint(styles::WARNING, "warning"))?;
    }
    if let Some(denied) = &report.denied {
        let what = match found {
            None => "the pods would be refused",
            Some(Found::Pod { .. }) => "created anew, the pod would be refused",
            Some(Found::Workload { .. }) => "its next pods would be refused",
        };
        writeln!(out, "  {}: {denied}", colours.paint(styles::BAD, what))?;
    }
    Ok(())
}

fn write_policy(about: &AboutPolicy<'_>, colours: Colours, out: &mut dyn Write) -> io::Result<()> {
    let AboutPolicy { policy, now, kept_back, not_ready, running, is_in_the_way } = about;
    write!(out, "  {} {policy}: ", policy.kind())?;
    match (running, now) {
        (Running::Pod { standing, .. }, _) => write_standing(standing, colours, out)?,
        (_, Ok(decided)) => write_decision(decided, colours, out)?,
        (_, Err(Absence::Gone)) => {
            let told = colours.paint(styles::WARNING, "not injected");
            writeln!(out, "{told}: {}", Absence::Gone)?;
        }
        (_, Err(absence)) => writeln!(out, "its pods say something of it; {absence}")?,
    }
    let now = now.as_ref().ok();
    let comes_in = match running {
        Running::Pod { standing: Standing::Current { .. }, .. } => true,
        Running::Pod { .. } => false,
        _ => true,
    };
    if let Some(decided) = now.filter(|_| comes_in) {
        write_details(decided, matches!(running, Running::Pod { .. }), out)?;
    }
    match running {
        Running::Pod { standing, changes, is_older } => {
            for change in *changes {
                writeln!(out, "    {change}")?;
            }
            if matches!(standing, Standing::Missing { .. }) {
                let why = if *is_older {
                    "the pod is older than the policy"
                } else {
                    "when the pod was created, the policy was not meant for it yet, or the webhook did not answer"
                };
                writeln!(out, "    {why}")?;
            }
            let now = now.map(|decided| &decided.reason).filter(|_| !is_in_the_way);
            if let (true, Some(Reason::Conflict(conflict))) = (standing.is_injected(), now) {
                writeln!(out, "    created anew, it would not get it: {conflict}")?;
            }
        }
        Running::Pods(counts) => writeln!(out, "    {}", shown(counts))?,
        Running::Unknown => {}
    }
    if let Some(revision) = kept_back {
        writeln!(out, "    its partition keeps a part of the pods at revision {revision}")?;
    }
    let goes_in = now.is_some_and(Decided::is_injected);
    if let Some(why) = not_ready.as_ref().filter(|_| goes_in) {
        let why = format!("the policy is not ready, so the next pod may go without it: {why}");
        writeln!(out, "    {}", colours.paint(styles::WARNING, why))?;
    }
    Ok(())
}

fn write_standing(standing: &Standing, colours: Colours, out: &mut dyn Write) -> io::Result<()> {
    let (result, style) = match standing {
        Standing::Current { .. } => ("injected", styles::GOOD),
        standing if standing.is_injected() => ("injected", styles::WARNING),
        Standing::Skipped { .. } | Standing::Missing { .. } => ("not injected", styles::BAD),
        Standing::Absent { .. } | Standing::Audited { .. } | Standing::Unrecorded => {
            ("not injected", styles::WARNING)
        }
        _ => ("not injected", styles::HEADING),
    };
    writeln!(out, "{}: {standing}", colours.paint(style, result))
}

fn write_decision(decided: &Decided, colours: Colours, out: &mut dyn Write) -> io::Result<()> {
    let (result, style) = result(&decided.reason);
    write!(out, "{}", colours.paint(style, result))?;
    if decided.reason != Reason::Injected {
        write!(out, ": {}", decided.reason)?;
    }
    writeln!(out)
}

fn result(reason: &Reason) -> (&'static str, Style) {
    match reason {
        Reason::Injected | Reason::AlreadyInjected => ("injected", styles::GOOD),
        Reason::WouldInject => ("not injected", styles::WARNING),
        Reason::Conflict(_) => ("not injected", styles::BAD),
        _ => ("not injected", styles::HEADING),
    }
}

/// What a policy brings, and what the app keeps of its own.
fn write_details(decided: &Decided, is_running: bool, out: &mut dyn Write) -> io::Result<()> {
    let is_told = matches!(decided.reason, Reason::Injected | Reason::WouldInject);
    if is_told || (is_running && decided.reason == Reason::AlreadyInjected) {
        for (name, list) in &decided.containers {
            writeln!(out, "    {} {name:?}", brought(*list))?;
        }
    }
    for notice in &decided.notices {
        writeln!(out, "    {} {notice}", if notice.is_kept() { "kept:" } else { "note:" })?;
    }
    Ok(())
}

fn brought(list: ContainerList) -> &'static str {
    match list {
        ContainerList::InitContainers => "brings the init container",
        ContainerList::Containers => "brings the container",
    }
}

/// `running pods: 3: 1 current, 1 outdated, 1 missing`
fn shown(counts: &Counts) -> String {
    let Counts { pods, current, outdated, surplus, skipped, missing, opted_out } = *counts;
    if pods == 0 {
        return "running pods: none".to_owned();
    }
    let states = [
        (current, "current"),
        (outdated, "outdated"),
        (surplus, "surplus"),
        (skipped, "skipped"),
        (missing, "missing"),
        (opted_out, "opted out"),
    ];
    let without = pods - states.iter().map(|(count, _)| count).sum::<usize>();
    let told: Vec<String> = states
        .into_iter()
        .chain([(without, "without it")])
        .filter(|(count, _)| *count > 0)
        .map(|(count, state)| format!("{count} {state}"))
        .collect();
    format!("running pods: {}", told.join(", "))
}

/// The warnings that no decision tells.
fn further_warnings<'a>(answer: &'a Answer<'_>) -> Vec<&'a str> {
    let told = |warning: &str| {
        answer.policies.iter().filter_map(|about| about.now.as_ref().ok()).any(|decided| {
            let policy = format!("{} {}", decided.policy.kind(), decided.policy);
            warning.strip_prefix(&policy).is_some_and(|rest| {
                rest.ends_with(&decided.reason.to_string())
                    || decided.notices.iter().any(|notice| rest.ends_with(&notice.to_string()))
            })
        })
    };
    answer.report.warnings.iter().map(String::as_str).filter(|warning| !told(warning)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn running_pods_are_counted_by_state() {
        assert_eq!(shown(&Counts::default()), "running pods: none");
        let counts = Counts { pods: 6, current: 3, outdated: 1, missing: 1, ..Counts::default() };
        assert_eq!(shown(&counts), "running pods: 3 current, 1 outdated, 1 missing, 1 without it");
    }
}
