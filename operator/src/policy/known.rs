//! A policy as the operator knows it: what was observed, and the status that it should have. Pure.

use std::sync::Arc;

use crds::{FailurePolicy, Mode, Overhead, PodCounts, PolicySpec, PolicyStatus, SkippedPods};
use inject::{Exclusions, Footprint, Policy, PolicyId};
use jiff::Timestamp;
use kube::{ResourceExt, api::DynamicObject};
use serde_json::Value;

use super::{
    clashes::Clashing,
    conditions::{self, Acceptance, Configuration},
    dry_run::{Question, Verdict},
    serving::Coverage,
};
use crate::{
    rollout::{Progress, Settings},
    webhook_config::{Doubt, FailScope, Proof, Published},
};

/// A policy that exists.
#[derive(Debug)]
pub(super) struct KnownPolicy {
    /// `metadata.uid`.
    pub(super) uid: String,
    /// `metadata.generation`.
    pub(super) generation: i64,
    /// Whether it can be carried out.
    pub(super) acceptance: Acceptance,
    /// The compiled policy, if it is accepted.
    pub(super) compiled: Option<Arc<Policy>>,
    /// The pods that it blocks while the webhook is away.
    pub(super) fail_scope: Option<FailScope>,
    /// `spec.rollout`, if it is accepted.
    pub(super) settings: Settings,
    /// `spec.revisionHistoryLimit`.
    pub(super) history_limit: Option<i32>,
    /// When it was created, as Unix time.
    pub(super) created: i64,
    /// The status as it is stored.
    pub(super) status: PolicyStatus,
    resource_version: Option<String>,
    /// The version that our last write made, until the watch shows it: what comes before is older
    /// than the status that we know.
    awaited: Option<String>,
}

/// What a reading says of the spec.
#[derive(Debug)]
pub(super) enum SpecChange {
    /// It is the one that was read before.
    None,
    /// It is another one, and is not accepted.
    Refused,
    /// It is another one, and is accepted.
    Accepted(Box<Claims>),
}

/// What follows from an accepted spec for others. It is large, and not kept.
#[derive(Debug)]
pub(super) struct Claims {
    /// What it claims of pods.
    pub(super) footprint: Footprint,
    /// What the API server is asked about it, or why nothing can be.
    pub(super) question: Result<Question, String>,
}

impl KnownPolicy {
    /// Reads a policy as the watch shows it. `before` is what was known of it.
    pub(super) fn read(
        id: &PolicyId,
        object: &DynamicObject,
        exclusions: &Exclusions,
        before: Option<Self>,
    ) -> (Self, SpecChange) {
        let uid = object.uid().unwrap_or_default();
        let generation = object.metadata.generation.unwrap_or_default();
        let resource_version = object.resource_version();
        let before = before.filter(|before| before.uid == uid);
        let stored = object.data.get("status").cloned().unwrap_or(Value::Null);
        let (status, awaited) = match &before {
            Some(before) if before.awaited.is_some() && before.awaited != resource_version => {
                (before.status.clone(), before.awaited.clone())
            }
            _ => (serde_json::from_value(stored).unwrap_or_default(), None),
        };
        if let Some(before) = before
            && before.generation == generation
        {
            return (Self { status, resource_version, awaited, ..before }, SpecChange::None);
        }
        let created = object.creation_timestamp().map_or(0, |time| time.0.as_second());
        let assessment = assess(id, &uid, generation, object, exclusions);
        let change = assessment.claims.map_or(SpecChange::Refused, SpecChange::Accepted);
        let known = Self {
            uid,
            generation,
            acceptance: assessment.acceptance,
            compiled: assessment.compiled,
            fail_scope: assessment.fail_scope,
            settings: assessment.settings,
            history_limit: assessment.history_limit,
            created,
            status,
            resource_version,
            awaited,
        };
        (known, change)
    }

    /// Reason and message of the stored condition `Progressing`, if it speaks of this generation.
    pub(super) fn progress_before(&self) -> Option<(&str, &str)> {
        let condition = self.status.conditions.iter().find(|condition| {
            condition.type_ == "Progressing"
                && condition.observed_generation == Some(self.generation)
        });
        condition.map(|condition| (condition.reason.as_str(), condition.message.as_str()))
    }

    /// The revision before the current one. `history`: the newest other one that is stored, for a
    /// status that was lost.
    pub(super) fn previous_revision(&self, history: Option<String>) -> Option<String> {
        match (&self.compiled, &self.status.revision) {
            (Some(_), None) => history,
            (Some(policy), Some(_)) => {
                inject::previous_revision(&self.status, &policy.revision).map(str::to_owned)
            }
            (None, _) => self.status.previous_revision.clone(),
        }
    }

    /// The revision that its partition keeps pods at, as webhook replicas find it in the status.
    pub(super) fn kept_revision(&self) -> Option<&str> {
        let policy = self.compiled.as_ref().filter(|policy| !policy.partition.is_none())?;
        inject::previous_revision(&self.status, &policy.revision)
    }

    /// What is written in the policy is the same as long as this is.
    pub(super) fn version(&self) -> (String, i64) {
        (self.uid.clone(), self.generation)
    }

    /// Its status was written and is now stored in this version.
    pub(super) fn written(&mut self, status: PolicyStatus, resource_version: Option<String>) {
        self.status = status;
        if resource_version != self.resource_version {
            self.awaited = resource_version;
        }
    }

    /// A new list begins: events from before it will not come any more.
    pub(super) fn await_nothing(&mut self) {
        self.awaited = None;
    }

    /// Whether the webhook configurations stand for it.
    pub(super) fn configuration(
        &self,
        id: &PolicyId,
        published: Option<&Published>,
    ) -> Configuration {
        let pending = |why: &str| Configuration::Pending(why.to_owned());
        let Some(published) = published else {
            return pending("the webhook configurations have not been read yet");
        };
        if let Some(problem) = &published.problem {
            return pending(problem);
        }
        let Some(scopes) = &published.fail_scopes else {
            return pending("the webhook configurations are not filled yet");
        };
        if scopes.get(id) != self.fail_scope.as_ref() {
            return pending("the webhook configuration does not have its entry yet");
        }
        if let Some(words) = published.refused.get(id) {
            return pending(&format!(
                "the API server refuses its entry in the webhook configuration: {words}; correct its selectors. Until then it is applied as with failurePolicy Ignore"
            ));
        }
        let is_proven = published.proven.as_ref().is_some_and(|proven| {
            self.fail_scope.is_none() || proven.fail_scopes.get(id) == self.fail_scope.as_ref()
        });
        match &published.proof {
            Proof::Missing { doubt, lasting } if *lasting || !is_proven => {
                Configuration::NotSeen(doubt.clone())
            }
            Proof::Pending if !is_proven => {
                Configuration::NotSeen(Doubt::NotCalled("it is being asked".to_owned()))
            }
            // An earlier configuration stood for the policy too.
            Proof::Given | Proof::Pending | Proof::Missing { .. } => {
                Configuration::Applied { merged: published.merged.contains(id) }
            }
        }
    }

    /// The status that it should have.
    pub(super) fn wanted_status(
        &self,
        id: &PolicyId,
        observed: Observed,
        now: Timestamp,
    ) -> PolicyStatus {
        let Observed {
            clashing,
            dry_run,
            counts: (pods, skipped),
            overhead,
            coverage,
            configuration,
            only_begun,
            progress,
            history,
        } = observed;
        let facts = conditions::Facts {
            id,
            generation: self.generation,
            acceptance: &self.acceptance,
            clashing: &clashing,
            dry_run: &dry_run,
            coverage,
            configuration,
            only_begun,
            progress,
        };
        let revision = self.compiled.as_ref().map(|policy| policy.revision.clone());
        PolicyStatus {
            observed_generation: Some(self.generation),
            // What runs is still the last revision that compiled.
            revision: revision.or_else(|| self.status.revision.clone()),
            previous_revision: self.previous_revision(history),
            partitioned: match &self.compiled {
                Some(policy) => !policy.partition.is_none(),
                None => self.status.partitioned,
            },
            pods,
            skipped,
            overhead,
            conditions: conditions::conditions(&facts, &self.status.conditions, whole_seconds(now)),
        }
    }
}

/// What was observed of a policy.
pub(super) struct Observed {
    /// The policies that it clashes with.
    pub(super) clashing: Clashing,
    /// What the API server thinks of it.
    pub(super) dry_run: Verdict,
    /// Its pods, and why some were skipped.
    pub(super) counts: (PodCounts, Vec<SkippedPods>),
    /// What the injected containers ask for in all.
    pub(super) overhead: Option<Overhead>,
    /// Which webhook replicas serve it.
    pub(super) coverage: Coverage,
    /// Whether the webhook configurations stand for it.
    pub(super) configuration: Configuration,
    /// Whether this operator has only begun to look at webhook and configurations.
    pub(super) only_begun: bool,
    /// How far its rollout is.
    pub(super) progress: Progress,
    /// The newest stored revision beside the current one.
    pub(super) history: Option<String>,
}

/// Stored times have whole seconds; with fractions the stored status would always differ.
fn whole_seconds(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}

/// What a spec comes to.
struct Assessment {
    acceptance: Acceptance,
    compiled: Option<Arc<Policy>>,
    claims: Option<Box<Claims>>,
    fail_scope: Option<FailScope>,
    settings: Settings,
    history_limit: Option<i32>,
}

impl Assessment {
    fn refused(acceptance: Acceptance) -> Self {
        let settings = Settings::read(None);
        Self {
            acceptance,
            compiled: None,
            claims: None,
            fail_scope: None,
            settings,
            history_limit: None,
        }
    }
}

fn assess(
    id: &PolicyId,
    uid: &str,
    generation: i64,
    object: &DynamicObject,
    exclusions: &Exclusions,
) -> Assessment {
    if id.namespace.as_ref().is_some_and(|namespace| exclusions.contains(namespace)) {
        return Assessment::refused(Acceptance::NamespaceExcluded);
    }
    let spec = object.data.get("spec").cloned().unwrap_or(Value::Null);
    let spec: PolicySpec = match serde_json::from_value(spec) {
        Ok(spec) => spec,
        Err(error) => {
            let problem = format!("spec: cannot be read: {error}");
            return Assessment::refused(Acceptance::Invalid(problem));
        }
    };
    match inject::compile(id.clone(), uid, generation, &spec) {
        Ok(policy) => Assessment {
            acceptance: Acceptance::Accepted,
            claims: Some(Box::new(Claims {
                footprint: Footprint::of(
                    id.clone(),
                    &spec,
                    &policy.pod_selector,
                    &policy.namespace_selector,
                ),
                question: Question::of(id, &spec),
            })),
            compiled: Some(Arc::new(policy)),
            fail_scope: fail_scope(&spec),
            settings: Settings::read(spec.rollout.as_ref()),
            history_limit: spec.revision_history_limit,
        },
        Err(invalid) => Assessment::refused(Acceptance::Invalid(invalid.to_string())),
    }
}

/// Only pods that an enforced policy reaches may wait for the webhook.
fn fail_scope(spec: &PolicySpec) -> Option<FailScope> {
    let fails = spec.failure_policy == FailurePolicy::Fail && spec.mode == Mode::Enforce;
    fails.then(|| FailScope {
        namespace_selector: spec.namespace_selector.clone().unwrap_or_default(),
        pod_selector: spec.pod_selector.clone().unwrap_or_default(),
    })
}

#[cfg(test)]
#[path = "known_tests.rs"]
mod tests;
