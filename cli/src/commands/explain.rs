//! `kubectl sidecar explain`

use std::io::{self, Write};

use inject::{ContainerList, Reason};
use serde::Serialize;

use super::{Ending, Error, Streams};
use crate::{
    arguments::ExplainArguments,
    injection::{self, Decided, Report},
    inputs::Inputs,
    output::{
        ReportFormat, Structured,
        styles::{self, Colours},
        write_structured,
    },
};

/// Says for each policy whether it goes into the pods of manifests, and why.
pub(super) fn run(
    arguments: &ExplainArguments,
    streams: &mut Streams<'_>,
) -> Result<Ending, Error> {
    let Inputs { mut documents, facts, .. } = Inputs::ask(&arguments.asked, streams)?;
    let mut reports = Vec::new();
    for document in &mut documents {
        reports.extend(injection::inject_into_each(document.root.as_mut(), &facts)?);
    }
    if reports.is_empty() {
        writeln!(streams.messages, "nothing among the manifests describes pods")?;
    }
    match arguments.output {
        ReportFormat::Text => {
            for (position, report) in reports.iter().enumerate() {
                if position > 0 {
                    writeln!(streams.output)?;
                }
                write_report(report, streams.colours, streams.output)?;
            }
        }
        ReportFormat::Json => {
            write_structured(&Explanation::of(&reports), Structured::Json, streams.output)?;
        }
        ReportFormat::Yaml => {
            write_structured(&Explanation::of(&reports), Structured::Yaml, streams.output)?;
        }
    }
    let denied = reports.iter().any(|report| report.denied.is_some());
    Ok(if denied { Ending::Findings } else { Ending::Clean })
}

fn write_report(report: &Report, colours: Colours, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{}", colours.paint(styles::HEADING, &report.object))?;
    if let Some(why) = &report.unreadable {
        writeln!(out, "  left as it is, for its pods cannot be read: {why}")?;
    }
    for decided in &report.decisions {
        write_decision(decided, colours, out)?;
    }
    for warning in further_warnings(report) {
        writeln!(out, "  {}: {warning}", colours.paint(styles::WARNING, "warning"))?;
    }
    if let Some(denied) = &report.denied {
        writeln!(out, "  {}: {denied}", colours.paint(styles::BAD, "the pods would be refused"))?;
    }
    Ok(())
}

fn write_decision(decided: &Decided, colours: Colours, out: &mut dyn Write) -> io::Result<()> {
    let Decided { policy, reason, notices, containers } = decided;
    let (result, style) = match reason {
        Reason::Injected | Reason::AlreadyInjected => ("injected", styles::GOOD),
        Reason::WouldInject => ("not injected", styles::WARNING),
        Reason::Conflict(_) => ("not injected", styles::BAD),
        _ => ("not injected", styles::HEADING),
    };
    write!(out, "  {} {policy}: {}", policy.kind(), colours.paint(style, result))?;
    if *reason != Reason::Injected {
        write!(out, ": {reason}")?;
    }
    writeln!(out)?;
    if matches!(reason, Reason::Injected | Reason::WouldInject) {
        for (name, list) in containers {
            writeln!(out, "    {} {name:?}", brought(*list))?;
        }
    }
    for notice in notices {
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

/// The warnings that no decision tells.
fn further_warnings(report: &Report) -> Vec<&str> {
    let told = |warning: &str| {
        report.decisions.iter().any(|decided| {
            let policy = format!("{} {}", decided.policy.kind(), decided.policy);
            warning.strip_prefix(&policy).is_some_and(|rest| {
                rest.ends_with(&decided.reason.to_string())
                    || decided.notices.iter().any(|notice| rest.ends_with(&notice.to_string()))
            })
        })
    };
    report.warnings.iter().map(String::as_str).filter(|warning| !told(warning)).collect()
}

/// The answer for scripts.
#[derive(Serialize)]
struct Explanation<'a> {
    objects: Vec<ObjectExplanation<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ObjectExplanation<'a> {
    kind: &'a str,
    namespace: Option<&'a str>,
    name: &'a str,
    policies: Vec<PolicyExplanation<'a>>,
    warnings: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    denied: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unreadable: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PolicyExplanation<'a> {
    kind: &'static str,
    policy: String,
    injected: bool,
    /// A stable word.
    reason: &'static str,
    message: String,
    containers: Vec<ContainerExplanation<'a>>,
    /// What the app keeps of its own.
    kept: Vec<String>,
    notes: Vec<String>,
}

#[derive(Serialize)]
struct ContainerExplanation<'a> {
    name: &'a str,
    list: &'static str,
}

impl<'a> Explanation<'a> {
    fn of(reports: &'a [Report]) -> Self {
        let objects = reports.iter().map(|report| ObjectExplanation {
            kind: &report.object.kind,
            namespace: report.object.namespace.as_deref(),
            name: &report.object.name,
            policies: report.decisions.iter().map(PolicyExplanation::of).collect(),
            warnings: &report.warnings,
            denied: report.denied.as_deref(),
            unreadable: report.unreadable.as_deref(),
        });
        Self { objects: objects.collect() }
    }
}

impl<'a> PolicyExplanation<'a> {
    fn of(decided: &'a Decided) -> Self {
        let (kept, notes): (Vec<_>, Vec<_>) =
            decided.notices.iter().partition(|notice| notice.is_kept());
        let texts =
            |notices: Vec<&inject::Notice>| notices.iter().map(ToString::to_string).collect();
        let containers = decided.containers.iter();
        Self {
            kind: decided.policy.kind(),
            policy: decided.policy.to_string(),
            injected: decided.is_injected(),
            reason: decided.reason.as_str(),
            message: decided.reason.to_string(),
            containers: containers
                .map(|(name, list)| ContainerExplanation { name, list: list.field() })
                .collect(),
            kept: texts(kept),
            notes: texts(notes),
        }
    }
}
