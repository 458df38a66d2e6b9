//! `kubectl sidecar check`: one file for each group of checks.

mod api_server;
mod calls;
mod configurations;
mod definitions;
mod finding;
mod look;
mod others;
mod pods;
mod programs;
mod requirements;
mod rights;

use serde::Serialize;

use super::{Ending, Error, Streams};
use crate::{
    arguments::CheckArguments,
    cluster::{self, Cluster, USUAL_NAMESPACE},
    output::write_structured,
};
use finding::{Finding, State};
use look::Look;
use programs::Installed;

/// Finds out whether an installation works, or can be made.
pub(super) fn run(arguments: &CheckArguments, streams: &mut Streams<'_>) -> Result<Ending, Error> {
    let findings = cluster::run(async { Ok(findings(arguments).await?) })?;
    let answer = Answer { checks: &findings };
    match arguments.output.structured() {
        None => {
            finding::write(&findings, streams.colours, streams.output)?;
            finding::write_summary(&findings, streams.messages)?;
        }
        Some(form) => write_structured(&answer, form, streams.output)?,
    }
    let has_failed = findings.iter().any(|finding| finding.state == State::Failed);
    Ok(if has_failed { Ending::Findings } else { Ending::Clean })
}

/// The answer for scripts.
#[derive(Serialize)]
struct Answer<'a> {
    checks: &'a [Finding],
}

/// Fails only where no API server answers.
async fn findings(arguments: &CheckArguments) -> Result<Vec<Finding>, cluster::Error> {
    let look = Look { cluster: Cluster::connect(&arguments.cluster).await? };
    let mut findings = api_server::check(&look).await?;
    if arguments.pre {
        let namespace = arguments.namespace.as_deref().unwrap_or(USUAL_NAMESPACE);
        findings.extend(requirements::check(&look, namespace).await);
        return Ok(findings);
    }
    findings.extend(definitions::check(&look).await);
    let (found, installed) = programs::check(&look, arguments.namespace.as_deref()).await;
    findings.extend(found);
    if let Some(installed) = installed {
        // It takes seconds to see somebody lead; the rest goes on meanwhile.
        let (leader, rest) =
            futures::join!(programs::leader(&look, &installed), of_installation(&look, &installed));
        findings.push(leader);
        findings.extend(rest);
    }
    if let Some(namespace) = &arguments.pods_in {
        findings.extend(pods::check(&look, namespace).await);
    }
    findings.extend(others::check(&look).await);
    Ok(findings)
}

async fn of_installation(look: &Look, installed: &Installed) -> Vec<Finding> {
    let (mut findings, hashes) = configurations::check(look, installed).await;
    findings.push(calls::check(look, installed, hashes.as_ref()).await);
    findings.extend(rights::check(look, installed).await);
    findings
}
