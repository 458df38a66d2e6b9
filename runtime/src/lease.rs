//! Leader election by a `Lease`: one leader at any time.
//!
//! [`decide`] is pure. Every write carries the `resourceVersion` it was decided on, so of two
//! candidates that decide alike only one succeeds. The clocks of others are not trusted: a lease has
//! expired only when this process saw no change of it for its whole duration.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use jiff::Timestamp;
use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
};
use kube::{Api, Client, api::PostParams};
use tokio::time::{sleep, timeout};

/// How long a lease holds without being renewed.
const DURATION: Duration = Duration::from_secs(15);
/// [`DURATION`] as it is written into the lease, in seconds.
const DURATION_SECONDS: i32 = 15;
/// How often the leader renews.
const RENEW_INTERVAL: Duration = Duration::from_secs(5);
/// How long the leader goes on without a successful renewal. Shorter than [`DURATION`], so that
/// a leader has stopped before another one starts.
const RENEW_DEADLINE: Duration = Duration::from_secs(10);
/// How long one request may take; a renewal that gets no answer is tried again before the deadline.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(3);
/// How often a candidate looks at the lease, and how soon a failed request is repeated.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// What a candidate does about the lease that it sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// There is no lease: create it.
    Create,
    /// Nobody holds it, or its holder is gone: take it.
    Acquire,
    /// This process holds it: renew it.
    Renew,
    /// Another holds it: look again; it expires after this time unless it changes.
    Wait(Duration),
}

/// The lease as it was seen, and since when it has looked like that.
#[derive(Clone, Debug)]
pub struct Sighting {
    /// The lease; `None` when there is none.
    pub lease: Option<Lease>,
    /// When this process first saw it in this state, by its own clock.
    pub unchanged_since: Instant,
}

/// Decides what to do about a lease. `identity` is the candidate's own name.
#[must_use]
pub fn decide(now: Instant, sighting: &Sighting, identity: &str) -> Decision {
    let Some(lease) = &sighting.lease else { return Decision::Create };
    match holder(lease) {
        None => Decision::Acquire,
        Some(holder) if holder == identity => Decision::Renew,
        Some(_) => {
            let unchanged = now.saturating_duration_since(sighting.unchanged_since);
            match duration(lease).checked_sub(unchanged) {
                Some(remaining) if !remaining.is_zero() => Decision::Wait(remaining),
                _ => Decision::Acquire,
            }
        }
    }
}

/// The next sighting, after the lease was read again.
#[must_use]
pub fn observe(now: Instant, previous: Option<Sighting>, lease: Option<Lease>) -> Sighting {
    match previous {
        Some(previous) if version(previous.lease.as_ref()) == version(lease.as_ref()) => {
            Sighting { lease, ..previous }
        }
        _ => Sighting { lease, unchanged_since: now },
    }
}

/// A process that wants to lead.
pub struct Candidate {
    leases: Api<Lease>,
    name: String,
    identity: String,
}

impl Candidate {
    /// A candidate named `identity`, unique among all candidates, for the lease `name` in `namespace`.
    #[must_use]
    pub fn new(client: Client, namespace: &str, name: &str, identity: &str) -> Self {
        Self {
            leases: Api::namespaced(client, namespace),
            name: name.to_owned(),
            identity: identity.to_owned(),
        }
    }

    /// Waits until this process leads. Errors of the API server are logged and tried again.
    pub async fn lead(self) -> Leadership {
        let mut sighting = None;
        loop {
            let started = Instant::now();
            match self.attempt(&mut sighting).await {
                Ok(Some(lease)) => {
                    tracing::info!(lease = self.name, identity = self.identity, "became leader");
                    return Leadership {
                        term: Term::starting(started),
                        candidate: self,
                        lease,
                        renewed: started,
                    };
                }
                Ok(None) => {}
                Err(error) => tracing::warn!(
                    lease = self.name,
                    error = %error,
                    "leader election: cannot read or write the lease; trying again"
                ),
            }
            sleep(RETRY_INTERVAL).await;
        }
    }

    /// Reads the lease, decides and acts once. Gives the lease if it is now ours.
    async fn attempt(&self, sighting: &mut Option<Sighting>) -> Result<Option<Lease>, LeaseError> {
        let lease = self.read().await?;
        let seen = observe(Instant::now(), sighting.take(), lease);
        let decision = decide(Instant::now(), &seen, &self.identity);
        let written = match (&decision, &seen.lease) {
            (Decision::Wait(remaining), Some(lease)) => {
                tracing::debug!(
                    lease = self.name,
                    holder = holder(lease),
                    remaining_seconds = remaining.as_secs(),
                    "another replica leads"
                );
                None
            }
            (_, lease) => self.write(held(lease.as_ref(), &self.identity, &self.name)).await?,
        };
        *sighting = Some(seen);
        Ok(written)
    }

    async fn read(&self) -> Result<Option<Lease>, LeaseError> {
        Ok(timeout(REQUEST_TIMEOUT, self.leases.get_opt(&self.name)).await??)
    }

    /// Writes a lease; `None` when somebody else was quicker.
    async fn write(&self, lease: Lease) -> Result<Option<Lease>, LeaseError> {
        let parameters = PostParams::default();
        let written = if lease.metadata.resource_version.is_some() {
            timeout(REQUEST_TIMEOUT, self.leases.replace(&self.name, &parameters, &lease)).await?
        } else {
            timeout(REQUEST_TIMEOUT, self.leases.create(&parameters, &lease)).await?
        };
        match written {
            Ok(lease) => Ok(Some(lease)),
            Err(kube::Error::Api(status)) if status.code == 409 || status.code == 404 => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

/// The time for which this process leads, until it is lost or released.
pub struct Leadership {
    candidate: Candidate,
    lease: Lease,
    renewed: Instant,
    term: Term,
}

impl Leadership {
    /// Tells writers whether they still may write.
    #[must_use]
    pub fn term(&self) -> Term {
        self.term.clone()
    }

    /// Renews the lease until it is lost, and says why it was.
    pub async fn hold(&mut self) -> Lost {
        let mut pause = RENEW_INTERVAL;
        loop {
            sleep(pause).await;
            let started = Instant::now();
            pause = match self.renew(started).await {
                Ok(Renewal::Done) => RENEW_INTERVAL,
                Ok(Renewal::Overtaken) => RETRY_INTERVAL,
                Ok(Renewal::Taken(holder)) => return Lost::Taken { holder },
                Err(error) => {
                    tracing::warn!(
                        lease = self.candidate.name,
                        error = %error,
                        "cannot renew the leader lease; trying again"
                    );
                    RETRY_INTERVAL
                }
            };
            if self.renewed.elapsed() >= RENEW_DEADLINE {
                return Lost::NotRenewed { seconds: RENEW_DEADLINE.as_secs() };
            }
        }
    }

    /// Gives the lease back, so that another replica need not wait for it to expire.
    pub async fn release(self) -> Result<(), LeaseError> {
        self.term.end();
        let Some(lease) = self.candidate.read().await? else { return Ok(()) };
        if holder(&lease) == Some(self.candidate.identity.as_str()) {
            self.candidate.write(released(lease)).await?;
            tracing::info!(lease = self.candidate.name, "gave the leader lease back");
        }
        Ok(())
    }

    async fn renew(&mut self, started: Instant) -> Result<Renewal, LeaseError> {
        let candidate = &self.candidate;
        let renewed = held(Some(&self.lease), &candidate.identity, &candidate.name);
        if let Some(lease) = candidate.write(renewed).await? {
            self.lease = lease;
            self.renewed = started;
            self.term.extend(started);
            return Ok(Renewal::Done);
        }
        // Somebody wrote the lease: it is lost unless it still names this process.
        match candidate.read().await? {
            Some(lease) if holder(&lease) == Some(candidate.identity.as_str()) => {
                self.lease = lease;
                Ok(Renewal::Overtaken)
            }
            Some(lease) => Ok(Renewal::Taken(holder(&lease).map(ToOwned::to_owned))),
            None => {
                self.lease = Lease::default();
                Ok(Renewal::Overtaken)
            }
        }
    }
}

enum Renewal {
    Done,
    /// The lease changed, but nobody else took it: renew what it is now.
    Overtaken,
    Taken(Option<String>),
}

/// Whether this process still leads, by its own clock. A process that was stopped for a while finds
/// here that its time is over before it writes anything.
#[derive(Clone, Debug)]
pub struct Term {
    origin: Instant,
    /// Milliseconds after `origin`.
    ends: Arc<AtomicU64>,
}

impl Term {
    fn starting(started: Instant) -> Self {
        let term = Self { origin: started, ends: Arc::new(AtomicU64::new(0)) };
        term.extend(started);
        term
    }

    /// Whether this process may still write.
    #[must_use]
    pub fn is_current(&self) -> bool {
        milliseconds(self.origin.elapsed()) < self.ends.load(Ordering::Acquire)
    }

    fn extend(&self, renewed: Instant) {
        let end = renewed.saturating_duration_since(self.origin) + RENEW_DEADLINE;
        self.ends.store(milliseconds(end), Ordering::Release);
    }

    fn end(&self) {
        self.ends.store(0, Ordering::Release);
    }
}

/// Why leadership ended.
#[derive(Debug, thiserror::Error)]
pub enum Lost {
    /// Another replica holds the lease, or its holder was removed.
    #[error("the lease is now held by {}", holder.as_deref().unwrap_or("nobody"))]
    Taken {
        /// The new holder.
        holder: Option<String>,
    },
    /// The API server could not be reached in time.
    #[error("the lease could not be renewed for {seconds} seconds")]
    NotRenewed {
        /// How long, in seconds.
        seconds: u64,
    },
}

/// A lease could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    /// The API server refused or could not be reached.
    #[error("{}", in_short(.0))]
    Api(#[from] kube::Error),
    /// The API server did not answer in time.
    #[error("the API server did not answer within {} seconds", REQUEST_TIMEOUT.as_secs())]
    Timeout(#[from] tokio::time::error::Elapsed),
}

/// What the API server says, without the structure that it comes in.
fn in_short(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => status.message.clone(),
        other => other.to_string(),
    }
}

/// The lease, held by `identity` as of now.
fn held(lease: Option<&Lease>, identity: &str, name: &str) -> Lease {
    let before = lease.and_then(|lease| lease.spec.clone()).unwrap_or_default();
    let continued = before.holder_identity.as_deref() == Some(identity);
    let now = MicroTime(Timestamp::now());
    let transitions = before.lease_transitions.unwrap_or(0);
    Lease {
        metadata: lease.map_or_else(
            || ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() },
            |lease| ObjectMeta { name: Some(name.to_owned()), ..lease.metadata.clone() },
        ),
        spec: Some(LeaseSpec {
            holder_identity: Some(identity.to_owned()),
            lease_duration_seconds: Some(DURATION_SECONDS),
            acquire_time: before.acquire_time.filter(|_| continued).or_else(|| Some(now.clone())),
            renew_time: Some(now),
            lease_transitions: Some(if continued || lease.is_none() {
                transitions
            } else {
                transitions.saturating_add(1)
            }),
            ..before
        }),
    }
}

/// The lease, held by nobody.
fn released(mut lease: Lease) -> Lease {
    if let Some(spec) = &mut lease.spec {
        spec.holder_identity = None;
        spec.renew_time = Some(MicroTime(Timestamp::now()));
    }
    lease
}

fn holder(lease: &Lease) -> Option<&str> {
    let holder = lease.spec.as_ref()?.holder_identity.as_deref()?;
    (!holder.is_empty()).then_some(holder)
}

/// How long the lease holds by its holder's own word.
fn duration(lease: &Lease) -> Duration {
    lease
        .spec
        .as_ref()
        .and_then(|spec| u64::try_from(spec.lease_duration_seconds?).ok())
        .map_or(DURATION, Duration::from_secs)
}

fn version(lease: Option<&Lease>) -> Option<&str> {
    lease?.metadata.resource_version.as_deref()
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
#[path = "lease_tests.rs"]
mod tests;
