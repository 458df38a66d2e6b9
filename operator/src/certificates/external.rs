//! A serving certificate that somebody else makes, such as cert-manager: its authority is taken from the
//! Secret and handed on to the webhook configurations. Nothing is written.
//!
//! An authority that is replaced stays trusted for a while: webhook replicas go on with the former
//! certificate until they have read the new one. What was trusted before stands in the webhook
//! configurations, so that an operator that starts in the middle goes on there.

use std::{mem, sync::Arc};

use futures::StreamExt;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, runtime::watcher};
use runtime::watch::{Interruptions, begin_again};
use tokio::{sync::watch, time::Instant};

use super::{
    CLOCK_INTERVAL, Certificate, Trusted, hand_on, log, measure, pause_until,
    plan::{OLD_AUTHORITIES, OLD_AUTHORITY_KEPT, later},
    secrets::{self, External},
};
use crate::{context::Context, metrics::Controller, seen::Seen, webhook_config::Published};

/// Runs until the process ends.
pub(super) async fn follow(
    context: Arc<Context>,
    mut published: watch::Receiver<Option<Arc<Published>>>,
    trusted: watch::Sender<Trusted>,
) {
    let secrets: Api<Secret> = Api::namespaced(context.client.clone(), &context.namespace);
    let name = &context.certificate_secret;
    let mut events = std::pin::pin!(begin_again(watcher::watch_object(secrets, name)));
    let mut interruptions = Interruptions::default();
    let mut secret = Seen::NotYet;
    let mut found = secrets::read_external(None);
    let mut changed = Timestamp::MIN;
    let mut next_look = Instant::now() + CLOCK_INTERVAL;
    loop {
        tokio::select! {
            Some(event) = events.next() => {
                log(&context, &mut interruptions, name, &event);
                secret.see(event);
                let before = mem::replace(&mut found, secrets::read_external(secret.object()));
                if found != before {
                    changed = Timestamp::now();
                }
            }
            Ok(()) = published.changed() => {}
            () = tokio::time::sleep_until(next_look) => {}
        }
        let published = published.borrow_and_update().clone();
        let (Some(published), true) = (published, secret.is_known()) else { continue };
        measure(&context, found.authority(), found.leaf.as_ref().ok());
        let now = Timestamp::now();
        let plan = plan(&Facts { now, changed, found: &found, published: &published.authorities });
        next_look = Instant::now() + pause_until(plan.look_again, now);
        if hand_on(&trusted, plan.trusted.as_deref().map_err(String::as_str)) {
            match &plan.trusted {
                Ok(all) => tracing::info!(
                    secret = name,
                    authorities = all.len(),
                    "trusting the certificate authorities of the Secret, and those from before"
                ),
                Err(problem) => {
                    context.metrics.failed(Controller::Certificates);
                    tracing::error!(
                        secret = name,
                        problem,
                        "no certificate authority can be published"
                    );
                }
            }
        }
    }
}

/// What is known.
struct Facts<'f> {
    /// The time.
    now: Timestamp,
    /// When the Secret last changed, or was first seen by this process.
    changed: Timestamp,
    /// What it holds.
    found: &'f External,
    /// The authorities that each of the webhook configurations carries.
    published: &'f [Vec<Certificate>],
}

/// What is to be done.
#[derive(Debug, PartialEq)]
struct Plan {
    /// The authorities to be trusted, or why there are none.
    trusted: Result<Vec<Certificate>, String>,
    /// When that may change by itself.
    look_again: Timestamp,
}

fn plan(facts: &Facts<'_>) -> Plan {
    let never = Timestamp::MAX;
    let current = match &facts.found.authorities {
        Ok(current) => current,
        Err(problem) => return Plan { trusted: Err(problem.clone()), look_again: never },
    };
    let drop_old = later(facts.changed, OLD_AUTHORITY_KEPT);
    let mut old: Vec<Certificate> = Vec::new();
    for authority in facts.published.iter().flatten() {
        let is_known = current.contains(authority) || old.contains(authority);
        if !is_known && authority.is_valid_at(facts.now) && old.len() < OLD_AUTHORITIES {
            old.push(authority.clone());
        }
    }
    if old.is_empty() || drop_old <= facts.now {
        return Plan { trusted: Ok(current.clone()), look_again: never };
    }
    let all = current.iter().cloned().chain(old).collect();
    Plan { trusted: Ok(all), look_again: drop_old }
}

#[cfg(test)]
#[path = "external_tests.rs"]
mod tests;
