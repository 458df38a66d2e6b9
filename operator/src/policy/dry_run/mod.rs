//! Asks the API server what it thinks of what a policy puts in: a dry-run create of a `PodTemplate`
//! that was made up for the policy.
//!
//! Each policy is asked about once a generation, beside all else that the controller does, and again
//! after a while as long as there is no answer.

mod answer;
mod question;

use std::{collections::HashMap, sync::Arc, time::Duration};

use inject::PolicyId;
use kube::Client;
use tokio::{sync::Semaphore, task::JoinSet, time};

use crate::{
    dry_run::{self, DryRunError},
    metrics::{Controller, Metrics},
};
pub(super) use question::Question;

/// Questions at a time.
const AT_ONCE: usize = 4;
/// When a question that was not answered is asked again; doubled each time.
const RETRY: Duration = Duration::from_secs(2);
/// Longest time until it is asked again.
const LONGEST_RETRY: Duration = Duration::from_secs(300);

/// What the API server thinks of a policy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It was not asked yet.
    #[default]
    Pending,
    /// It could not be asked; why, for people.
    Unanswered(String),
    /// No pod can be made up that the policy goes into; why, for people.
    NoSample(String),
    /// It accepts it.
    Agrees {
        /// What Pod Security says of level `restricted`, if anything.
        pod_security: Option<String>,
    },
    /// It does not know fields; which, for people.
    UnknownField(String),
    /// It refuses it; why, for people.
    Refused(String),
}

impl Verdict {
    /// Whether pods would be refused with what the policy puts in, or be without a part of it.
    pub(super) fn objects(&self) -> bool {
        matches!(self, Self::UnknownField(_) | Self::Refused(_))
    }
}

/// What is written in a policy: its uid and generation.
type Version = (String, i64);

/// What the API server thinks of every policy.
pub(super) struct DryRuns {
    client: Client,
    /// Where the templates would be.
    namespace: String,
    metrics: Metrics,
    verdicts: HashMap<PolicyId, (Version, Verdict)>,
    tasks: JoinSet<Asked>,
    permits: Arc<Semaphore>,
}

/// A question that was asked.
struct Asked {
    id: PolicyId,
    version: Version,
    question: Question,
    /// How often it had not been answered before.
    failures: u32,
    answer: Result<Verdict, AskError>,
}

/// There is no answer about the policy.
#[derive(Debug, thiserror::Error)]
enum AskError {
    #[error(transparent)]
    DryRun(#[from] DryRunError),
    #[error("{0}")]
    NoAnswer(String),
}

impl DryRuns {
    /// Has asked nothing yet.
    pub(super) fn new(client: Client, namespace: String, metrics: Metrics) -> Self {
        Self {
            client,
            namespace,
            metrics,
            verdicts: HashMap::new(),
            tasks: JoinSet::new(),
            permits: Arc::new(Semaphore::new(AT_ONCE)),
        }
    }

    /// A policy was written. `question`: what to ask, or why nothing can be asked.
    pub(super) fn ask(
        &mut self,
        id: &PolicyId,
        version: Version,
        question: Result<Question, String>,
    ) {
        let verdict = match question {
            Ok(question) => {
                self.spawn(id.clone(), version.clone(), question, 0);
                Verdict::Pending
            }
            Err(why) => Verdict::NoSample(why),
        };
        self.verdicts.insert(id.clone(), (version, verdict));
    }

    /// A policy is gone, or does not compile.
    pub(super) fn forget(&mut self, id: &PolicyId) {
        self.verdicts.remove(id);
    }

    /// What the API server thinks of a policy.
    pub(super) fn verdict(&self, id: &PolicyId) -> Verdict {
        self.verdicts.get(id).map(|(_, verdict)| verdict.clone()).unwrap_or_default()
    }

    /// The next policy of which more is known. `None` when nothing is being asked.
    pub(super) async fn next(&mut self) -> Option<PolicyId> {
        loop {
            let asked = self.tasks.join_next().await?;
            if let Ok(asked) = asked
                && let Some(policy) = self.take(asked)
            {
                return Some(policy);
            }
        }
    }

    fn take(&mut self, asked: Asked) -> Option<PolicyId> {
        let Asked { id, version, question, failures, answer } = asked;
        let (current, verdict) = self.verdicts.get_mut(&id)?;
        if *current != version {
            return None;
        }
        match answer {
            Ok(answer) => *verdict = answer,
            Err(error) => {
                if failures == 0 {
                    self.metrics.failed(Controller::Policy);
                    tracing::warn!(policy = %id, error = %error, "cannot ask the API server about the policy by a dry run; trying again");
                }
                *verdict = Verdict::Unanswered(error.to_string());
                self.spawn(id.clone(), version, question, failures.saturating_add(1));
            }
        }
        Some(id)
    }

    fn spawn(&mut self, id: PolicyId, version: Version, question: Question, failures: u32) {
        let (client, namespace) = (self.client.clone(), self.namespace.clone());
        let permits = Arc::clone(&self.permits);
        self.tasks.spawn(async move {
            if failures > 0 {
                time::sleep((RETRY * (1 << (failures - 1).min(8))).min(LONGEST_RETRY)).await;
            }
            // An error means that the semaphore was closed, which nobody does.
            let _permit = permits.acquire().await;
            let answer = ask(&client, &namespace, &question).await;
            Asked { id, version, question, failures, answer }
        });
    }
}

async fn ask(client: &Client, namespace: &str, question: &Question) -> Result<Verdict, AskError> {
    let answer = dry_run::create(client, namespace, question.body.clone()).await?;
    answer::verdict(question, answer.status, &answer.warnings, &answer.body)
        .map_err(AskError::NoAnswer)
}

#[cfg(test)]
#[path = "dry_run_tests.rs"]
mod tests;
