//! What there is to find in policies: all that the cluster would refuse, and what is likely to hurt.

use inject::{Clash, Footprint, advice, clash, unknown_fields};
use serde::Serialize;

use super::bounds::Schemas;
use crate::policies::{Policies, Problem, Written};

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Level {
    /// The cluster refuses the policy, or one of two.
    Error,
    /// It may not do what was meant.
    Warning,
    /// It is legal and likely to hurt.
    Advice,
}

impl Level {
    /// The word for it.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Advice => "advice",
        }
    }
}

/// Something to look at in a policy.
#[derive(Debug, Serialize)]
pub(super) struct Finding {
    pub(super) level: Level,
    /// Stable name of the rule.
    pub(super) rule: &'static str,
    pub(super) file: String,
    /// Number of the document in its file, from 1.
    pub(super) document: usize,
    /// Line of the file, from 1.
    pub(super) line: usize,
    /// Kind and name of the policy.
    pub(super) policy: String,
    /// The field.
    pub(super) path: String,
    pub(super) message: String,
    /// What to do.
    pub(super) remedy: &'static str,
}

/// Everything that is found, by file and line. Fails only if the program's own schema cannot be read.
pub(super) fn of(policies: &Policies) -> serde_json::Result<Vec<Finding>> {
    let schemas = Schemas::new()?;
    let mut findings: Vec<Finding> = policies.problems.iter().map(of_problem).collect();
    for written in &policies.written {
        let policy = serde_json::from_str(&written.object.to_json())?;
        let is_cluster = written.policy.id.namespace.is_none();
        findings.extend(schemas.exceeded(is_cluster, &policy).into_iter().map(
            |(path, message)| {
                let remedy = "stay within the bounds; split the policy if it needs more";
                written.finding(Level::Error, "out-of-bounds", &path, &message, remedy)
            },
        ));
        findings.extend(unknown_fields(&written.spec).into_iter().map(|path| {
            let message =
                "this version of Kubernetes knows no such field; it goes into pods as it is";
            let remedy = "check its name and place; keep it if your API server is newer";
            written.finding(Level::Warning, "unknown-kubernetes-field", &path, message, remedy)
        }));
        findings.extend(advice(&written.spec).into_iter().map(|advice| {
            let inject::Advice { rule, path, message, remedy } = advice;
            written.finding(Level::Advice, rule, &path, &message, remedy)
        }));
    }
    findings.extend(clashes(&policies.written));
    let place = |finding: &Finding| (finding.file.clone(), finding.line);
    findings.sort_by_cached_key(place);
    Ok(findings)
}

fn of_problem(problem: &Problem) -> Finding {
    let remedy = match problem.rule {
        "unknown-field" => {
            "correct its name or its place; kubectl explain scp.spec lists the fields"
        }
        "wrong-type" => "write a value of the type; kubectl explain scp.spec shows it",
        "unknown-version" | "unknown-kind" => "use what this program knows, or a newer program",
        "duplicate-policy" => "remove one of them, or rename it",
        _ => "change the field as the message says; the cluster refuses the policy",
    };
    Finding {
        level: Level::Error,
        rule: problem.rule,
        file: problem.location.file.to_string(),
        document: problem.location.document,
        line: problem.location.line,
        policy: problem.policy.clone(),
        path: problem.path.clone(),
        message: problem.message.clone(),
        remedy,
    }
}

impl Written {
    fn finding(
        &self,
        level: Level,
        rule: &'static str,
        path: &str,
        message: &str,
        remedy: &'static str,
    ) -> Finding {
        let location = self.location_of(path);
        Finding {
            level,
            rule,
            file: location.file.to_string(),
            document: location.document,
            line: location.line,
            policy: format!("{} {}", self.policy.id.kind(), self.policy.id),
            path: path.to_owned(),
            message: message.to_owned(),
            remedy,
        }
    }
}

/// Of two policies that clash, the later one by precedence is refused.
fn clashes(policies: &[Written]) -> Vec<Finding> {
    let footprints = policies.iter().map(|written| {
        let policy = &written.policy;
        let selectors = (&policy.pod_selector, &policy.namespace_selector);
        (Footprint::of(policy.id.clone(), &written.spec, selectors.0, selectors.1), written)
    });
    let mut footprints: Vec<(Footprint, &Written)> = footprints.collect();
    footprints.sort_by(|(left, _), (right, _)| left.precedence().cmp(&right.precedence()));
    let mut findings = Vec::new();
    for (position, (footprint, written)) in footprints.iter().enumerate() {
        for (earlier, _) in &footprints[..position] {
            findings.extend(clash(footprint, earlier).map(|clash| of_clash(written, &clash)));
        }
    }
    findings
}

fn of_clash(written: &Written, clash: &Clash) -> Finding {
    let words = clash.to_string();
    let message = words.strip_prefix(&format!("{}: ", clash.path)).unwrap_or(&words);
    let remedy = "change one of the two, or let them select different pods";
    written.finding(Level::Error, "clash", &clash.path, message, remedy)
}
