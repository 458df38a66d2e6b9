//! Proof that the API server calls the webhook by the configurations as they are: that they are stored
//! does not say that it has loaded them, or that it can call by them.
//!
//! The operator shows the API server, by a dry run, an object that only the probe entries match. The
//! webhook answers with the hash in the path that it was called by, as a warning.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use kube::{Client, core::Status};
use serde_json::json;
use tokio::{task::JoinSet, time};

use super::entries::{FailScopes, Hashes, PROBE_LABEL, PROBE_NAME};
use crate::{
    certificates::Certificate,
    dry_run::{self, Answer},
    metrics::{Controller, Metrics},
};

/// When the API server is asked again; doubled each time.
const RETRY: Duration = Duration::from_millis(100);
/// Longest time until it is asked again.
const LONGEST_RETRY: Duration = Duration::from_secs(5);
/// When it is asked again after a proof: what was in its way once may be again.
const AGAIN: Duration = Duration::from_secs(60);
/// Answers without a proof after which something is wrong: six seconds at least.
const LASTING: u32 = 7;

/// Whether the API server was seen to call by the configurations as they are.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) enum Proof {
    /// It is being asked.
    #[default]
    Pending,
    /// It was.
    Given,
    /// It was not, and is asked again.
    Missing {
        /// What it says.
        doubt: Doubt,
        /// Whether that has been so for longer than it takes to load a configuration.
        lasting: bool,
    },
}

/// Why there is no proof, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Doubt {
    /// It answered, and does not call by the configurations.
    NotCalled(String),
    /// It could not be asked.
    NotAsked(String),
}

impl Doubt {
    /// Whether it is of the same kind. The words may have a port or a time in them, which differ each time.
    fn is_like(&self, other: &Self) -> bool {
        matches!(
            (self, other),
            (Self::NotCalled(_), Self::NotCalled(_)) | (Self::NotAsked(_), Self::NotAsked(_))
        )
    }
}

/// What the configurations held that the API server was seen to call by.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Proven {
    /// The authorities that each configuration carries in all its entries.
    pub(crate) authorities: Vec<Vec<Certificate>>,
    /// The scopes that `Fail` entries stood for.
    pub(crate) fail_scopes: FailScopes,
    /// When the authorities were first seen.
    pub(crate) at: Timestamp,
}

/// What is to be proven.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Expected {
    /// Hashes of the configurations.
    pub(super) hashes: Hashes,
    /// Their generations: also a change that was taken back is one.
    pub(super) generations: [Option<i64>; 2],
    /// The authorities that each carries in all its entries.
    pub(super) authorities: Vec<Vec<Certificate>>,
    /// The scopes that their `Fail` entries stand for.
    pub(super) fail_scopes: FailScopes,
}

/// Asks the API server until there is proof.
pub(super) struct Probe {
    client: Client,
    namespace: String,
    metrics: Metrics,
    expected: Option<Expected>,
    proof: Proof,
    proven: Option<Arc<Proven>>,
    tasks: JoinSet<Asked>,
}

struct Asked {
    /// How often there had been no proof before.
    failures: u32,
    answer: Result<(), Doubt>,
}

impl Probe {
    /// Has asked nothing yet; will ask in this namespace.
    pub(super) fn new(client: Client, namespace: String, metrics: Metrics) -> Self {
        Self {
            client,
            namespace,
            metrics,
            expected: None,
            proof: Proof::default(),
            proven: None,
            tasks: JoinSet::new(),
        }
    }

    /// The configurations are like this now; `None`: not as they have to be.
    pub(super) fn expect(&mut self, expected: Option<Expected>) {
        if self.expected == expected {
            return;
        }
        self.expected = expected;
        self.proof = Proof::Pending;
        // What is being asked about former ones is of no interest any more.
        self.tasks = JoinSet::new();
        self.ask(0, Duration::ZERO);
    }

    /// Whether there is proof of the configurations as they are.
    pub(super) fn proof(&self) -> &Proof {
        &self.proof
    }

    /// The last ones of which there was.
    pub(super) fn proven(&self) -> Option<&Arc<Proven>> {
        self.proven.as_ref()
    }

    /// Waits until more is known. `None` when nothing is being asked.
    pub(super) async fn next(&mut self) -> Option<()> {
        loop {
            if let Ok(asked) = self.tasks.join_next().await? {
                self.take(asked);
                return Some(());
            }
        }
    }

    fn take(&mut self, Asked { failures, answer }: Asked) {
        let Some(expected) = &self.expected else { return };
        match answer {
            Ok(()) => {
                if self.proof != Proof::Given {
                    tracing::info!(
                        mutating = expected.hashes.mutating,
                        validating = expected.hashes.validating,
                        "the API server calls by the webhook configurations as they are"
                    );
                    self.proof = Proof::Given;
                    self.proven = Some(Arc::new(self.proven_now(expected)));
                }
                self.ask(0, AGAIN);
            }
            Err(doubt) => {
                let failures = failures.saturating_add(1);
                if failures == LASTING {
                    self.metrics.failed(Controller::WebhookConfiguration);
                    tracing::warn!(
                        ?doubt,
                        "no proof that the API server calls by the webhook configurations as they are; trying again"
                    );
                }
                let doubt = match &self.proof {
                    Proof::Missing { doubt: before, lasting: true } if before.is_like(&doubt) => {
                        before.clone()
                    }
                    _ => doubt,
                };
                self.proof = Proof::Missing { doubt, lasting: failures >= LASTING };
                self.ask(failures, (RETRY * (1 << (failures - 1).min(8))).min(LONGEST_RETRY));
            }
        }
    }

    /// What there is proof of. Authorities that were proven before have been so since then.
    fn proven_now(&self, expected: &Expected) -> Proven {
        let before = self.proven.as_ref();
        let known = before.filter(|before| before.authorities == expected.authorities);
        Proven {
            authorities: expected.authorities.clone(),
            fail_scopes: expected.fail_scopes.clone(),
            at: known.map_or_else(Timestamp::now, |before| before.at),
        }
    }

    fn ask(&mut self, failures: u32, pause: Duration) {
        let Some(expected) = &self.expected else { return };
        let hashes = expected.hashes.clone();
        let (client, namespace) = (self.client.clone(), self.namespace.clone());
        self.tasks.spawn(async move {
            time::sleep(pause).await;
            let answer = match dry_run::create(&client, &namespace, pod_template()).await {
                Ok(answer) => judge(&answer, &hashes),
                Err(error) => Err(Doubt::NotAsked(error.to_string())),
            };
            Asked { failures, answer }
        });
    }
}

/// An object that nothing but the probe entries is interested in; Pod Security finds no fault with it.
fn pod_template() -> String {
    let (label, value) = PROBE_LABEL;
    json!({
        "apiVersion": "v1",
        "kind": "PodTemplate",
        "metadata": { "name": "probe", "labels": { label: value } },
        "template": { "spec": {
            "securityContext": {
                "runAsNonRoot": true,
                "seccompProfile": { "type": "RuntimeDefault" },
            },
            "containers": [{
                "name": "none",
                "image": "none",
                "securityContext": {
                    "allowPrivilegeEscalation": false,
                    "capabilities": { "drop": ["ALL"] },
                },
            }],
        } },
    })
    .to_string()
}

/// Whether both configurations were gone by. An answer that refuses the object for another reason, such
/// as the policy of somebody else, is as good a proof.
fn judge(answer: &Answer, hashes: &Hashes) -> Result<(), Doubt> {
    let told: Vec<&str> = answer
        .warnings
        .iter()
        .filter_map(|warning| warning.strip_prefix(PROBE_LABEL.0)?.strip_prefix(": "))
        .collect();
    let missing: Vec<&str> = [("mutating", &hashes.mutating), ("validating", &hashes.validating)]
        .into_iter()
        .filter(|(_, hash)| !told.contains(&hash.as_str()))
        .map(|(kind, _)| kind)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    if (200..300).contains(&answer.status) {
        return Err(Doubt::NotCalled(format!(
            "it has not loaded the {} one",
            missing.join(" and the ")
        )));
    }
    let message = serde_json::from_slice::<Status>(&answer.body)
        .map(|status| status.message)
        .ok()
        .filter(|message| !message.is_empty())
        .unwrap_or_else(|| format!("HTTP status {}", answer.status));
    // It tried to call: the answer is about the webhook, and not about the question.
    let called = message.contains(&format!("failed calling webhook \"{PROBE_NAME}\""));
    Err(if called { Doubt::NotCalled(message) } else { Doubt::NotAsked(message) })
}

#[cfg(test)]
#[path = "probe_tests.rs"]
mod tests;
