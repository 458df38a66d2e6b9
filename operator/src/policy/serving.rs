//! Asks every ready webhook replica which policies it serves, in which generation.

use std::{
    collections::{BTreeMap, HashMap},
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use futures::{
    StreamExt,
    future::{Either, join_all, select},
};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::{Request, StatusCode, body::Bytes, client::conn::http1::SendRequest};
use hyper_util::rt::TokioIo;
use inject::PolicyId;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::{
    Api, ResourceExt,
    runtime::watcher::{self, Event},
};
use runtime::watch::{Interruptions, begin_again};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{InvalidDnsNameError, ServerName},
};
use serde::Deserialize;
use tokio::{
    net::TcpStream,
    sync::{Notify, watch},
    time::Instant,
};
use tokio_rustls::TlsConnector;

use crate::{
    certificates::{Certificate, Trusted},
    context::Context,
    metrics::Controller,
};

/// How long one replica may take to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);
/// How often replicas are asked when nothing seems to have changed.
const RESYNC_INTERVAL: Duration = Duration::from_secs(15);
/// Largest answer that is read, in bytes; 10 000 policies need about 1 MB.
const ANSWER_BYTES: usize = 32 * 1024 * 1024;

/// What every ready replica answered, by its address.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Answers {
    replicas: BTreeMap<SocketAddr, Result<Served, String>>,
}

/// What one replica serves.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub(super) struct Served {
    policies: HashMap<String, ServedPolicy>,
}

/// One policy as a replica has it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
struct ServedPolicy {
    uid: String,
    generation: i64,
    /// The revision that it keeps pods at.
    #[serde(default)]
    previous: Option<String>,
    /// One that it can keep no pod at.
    #[serde(default)]
    unusable: Option<Unusable>,
}

/// A previous revision that a replica can make nothing of.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
struct Unusable {
    revision: String,
    why: String,
}

/// How many replicas serve a policy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Coverage {
    /// Replicas that serve this very generation, and the revision that pods are kept at.
    pub(super) serving: usize,
    /// Replicas that are ready.
    pub(super) endpoints: usize,
    /// What is the matter with one that does not, if it did not answer.
    pub(super) problem: Option<String>,
    /// The revision that a partition keeps pods at.
    pub(super) kept: Option<Kept>,
}

/// The revision that a partition keeps pods at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kept {
    /// Its content is stored.
    At(String),
    /// Its content is not, so new pods get the current revision.
    Lost(String),
    /// Its content is, and for this reason cannot go into pods, so new ones get the current revision.
    Unusable(String, String),
}

impl Answers {
    /// Has replicas that still do not answer say so in the same words: those of the library may have a time
    /// in them, and each change of a word would be written to every policy.
    fn keep_words(&self, replicas: &mut BTreeMap<SocketAddr, Result<Served, String>>) {
        for (address, answer) in replicas {
            if let (Err(words), Some(Err(before))) = (answer, self.replicas.get(address)) {
                words.clone_from(before);
            }
        }
    }

    /// Whether there are replicas, and all of them answer.
    pub(super) fn are_complete(&self) -> bool {
        !self.replicas.is_empty() && self.replicas.values().all(Result::is_ok)
    }

    /// How many replicas serve this generation of a policy, and keep pods where they should.
    pub(super) fn coverage(
        &self,
        id: &PolicyId,
        uid: &str,
        generation: i64,
        kept: Option<Kept>,
    ) -> Coverage {
        let key = id.to_string();
        let served = self.replicas.values().filter_map(|answer| {
            let served = answer.as_ref().ok()?.policies.get(&key)?;
            (served.uid == uid && served.generation == generation).then_some(served)
        });
        let keeps = |served: &&ServedPolicy| match &kept {
            Some(Kept::At(revision)) => {
                served.previous.as_ref() == Some(revision) || served.objection(revision).is_some()
            }
            _ => true,
        };
        let serving: Vec<&ServedPolicy> = served.filter(keeps).collect();
        let problem = self.replicas.iter().find_map(|(address, answer)| {
            answer.as_ref().err().map(|problem| format!("{address}: {problem}"))
        });
        let unusable = |revision: &String| {
            let why = serving.iter().find_map(|served| served.objection(revision))?;
            Some(Kept::Unusable(revision.clone(), why.to_owned()))
        };
        let objection = match &kept {
            Some(Kept::At(revision)) => unusable(revision),
            _ => None,
        };
        Coverage {
            serving: serving.len(),
            endpoints: self.replicas.len(),
            problem,
            kept: objection.or(kept),
        }
    }
}

impl ServedPolicy {
    /// Why it keeps no pod at this revision.
    fn objection(&self, revision: &str) -> Option<&str> {
        let unusable = self.unusable.as_ref().filter(|found| found.revision == revision)?;
        Some(&unusable.why)
    }
}

/// Asks when `ask` says so, when replicas come and go, and when the authorities change; runs until
/// the process ends.
pub(super) async fn run(
    context: Arc<Context>,
    mut trusted: watch::Receiver<Trusted>,
    ask: Arc<Notify>,
    answers: watch::Sender<Option<Answers>>,
) {
    let slices: Api<EndpointSlice> = Api::namespaced(context.client.clone(), &context.namespace);
    let selector = format!("kubernetes.io/service-name={}", context.webhook_service);
    let config = watcher::Config::default().labels(&selector);
    let mut events = std::pin::pin!(begin_again(watcher::watcher(slices, config)));
    let mut interruptions = Interruptions::default();
    let mut endpoints = Endpoints::default();
    let mut next = Instant::now() + RESYNC_INTERVAL;
    loop {
        tokio::select! {
            Some(event) = events.next() => {
                interruptions.log("endpointslices", &event);
                let Ok(event) = event else {
                    context.metrics.failed(Controller::Policy);
                    continue;
                };
                endpoints.see(event);
            }
            Ok(()) = trusted.changed() => {}
            () = ask.notified() => {}
            () = tokio::time::sleep_until(next) => {}
        }
        next = Instant::now() + RESYNC_INTERVAL;
        let authorities = trusted.borrow_and_update().clone();
        let Some(addresses) = endpoints.ready() else { continue };
        let mut replicas =
            ask_all(&context, authorities.and_then(Result::ok).as_deref(), addresses).await;
        if let Some(before) = &*answers.borrow() {
            before.keep_words(&mut replicas);
        }
        let new = Some(Answers { replicas });
        answers.send_if_modified(|before| {
            let changed = *before != new;
            if changed {
                *before = new;
            }
            changed
        });
    }
}

/// The EndpointSlices of the webhook's Service.
#[derive(Default)]
struct Endpoints {
    slices: HashMap<String, EndpointSlice>,
    listed: HashMap<String, EndpointSlice>,
    is_listed: bool,
}

impl Endpoints {
    fn see(&mut self, event: Event<EndpointSlice>) {
        match event {
            Event::Apply(slice) => {
                self.slices.insert(slice.name_any(), slice);
            }
            Event::Delete(slice) => {
                self.slices.remove(&slice.name_any());
            }
            Event::Init => self.listed.clear(),
            Event::InitApply(slice) => {
                self.listed.insert(slice.name_any(), slice);
            }
            Event::InitDone => {
                self.slices = std::mem::take(&mut self.listed);
                self.is_listed = true;
            }
        }
    }

    /// One address of each ready replica; `None` before the first list is complete.
    fn ready(&self) -> Option<Vec<SocketAddr>> {
        self.is_listed.then(|| ready_addresses(self.slices.values()))
    }
}

fn ready_addresses<'s>(slices: impl Iterator<Item = &'s EndpointSlice>) -> Vec<SocketAddr> {
    // With two address families a pod stands in two slices.
    let mut by_pod: BTreeMap<String, SocketAddr> = BTreeMap::new();
    for slice in slices {
        let port = slice.ports.iter().flatten().find_map(|port| port.port);
        let Some(port) = port.and_then(|port| u16::try_from(port).ok()) else { continue };
        for endpoint in slice.endpoints.iter().flatten() {
            // Absent means ready.
            let conditions = endpoint.conditions.as_ref();
            if conditions.and_then(|conditions| conditions.ready) == Some(false) {
                continue;
            }
            let address = endpoint.addresses.first().and_then(|address| address.parse().ok());
            let Some(address) = address else { continue };
            let target = endpoint.target_ref.as_ref().and_then(|target| target.name.clone());
            let pod = target.unwrap_or_else(|| format!("{address}"));
            by_pod.entry(pod).or_insert(SocketAddr::new(address, port));
        }
    }
    by_pod.into_values().collect()
}

async fn ask_all(
    context: &Context,
    authorities: Option<&Vec<Certificate>>,
    addresses: Vec<SocketAddr>,
) -> BTreeMap<SocketAddr, Result<Served, String>> {
    let client = authorities
        .ok_or(AskError::NoAuthority)
        .and_then(|authorities| Client::new(authorities, &context.webhook_names()[0]));
    let asked = addresses.into_iter().map(async |address| {
        let answer = match &client {
            Ok(client) => client.ask(address).await.map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        (address, answer)
    });
    join_all(asked).await.into_iter().collect()
}

/// Asks replicas over TLS, as the API server does: same name, same authorities.
struct Client {
    connector: TlsConnector,
    name: ServerName<'static>,
}

/// A replica could not be asked.
#[derive(Debug, thiserror::Error)]
enum AskError {
    #[error("there is no certificate authority yet")]
    NoAuthority,
    #[error("TLS: {0}")]
    Tls(#[from] rustls::Error),
    #[error("the Service has no valid DNS name: {0}")]
    Name(#[from] InvalidDnsNameError),
    #[error("no connection: {0}")]
    Connect(#[from] std::io::Error),
    #[error("HTTP: {0}")]
    Http(#[from] hyper::Error),
    #[error("the request cannot be written: {0}")]
    Request(#[from] hyper::http::Error),
    #[error("it answered with status {0}")]
    Status(StatusCode),
    #[error("its answer cannot be read: {0}")]
    Body(Box<dyn std::error::Error + Send + Sync>),
    #[error("it does not speak our language: {0}")]
    Malformed(#[from] serde_json::Error),
    #[error("no answer within {} seconds", ANSWER_TIMEOUT.as_secs())]
    Timeout(#[from] tokio::time::error::Elapsed),
}

impl Client {
    fn new(authorities: &[Certificate], name: &str) -> Result<Self, AskError> {
        let mut roots = RootCertStore::empty();
        for authority in authorities {
            roots.add(authority.der().clone())?;
        }
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from(name.to_owned())?;
        Ok(Self { connector: TlsConnector::from(Arc::new(config)), name })
    }

    async fn ask(&self, address: SocketAddr) -> Result<Served, AskError> {
        tokio::time::timeout(ANSWER_TIMEOUT, self.request(address)).await?
    }

    async fn request(&self, address: SocketAddr) -> Result<Served, AskError> {
        let stream = TcpStream::connect(address).await?;
        let stream = self.connector.connect(self.name.clone(), stream).await?;
        let (sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let request = Request::get("/served")
            .header("host", self.name.to_str().as_ref())
            .body(Empty::<Bytes>::new())?;
        // The connection has to be driven while the answer is awaited.
        let exchange = std::pin::pin!(exchange(sender, request));
        match select(exchange, std::pin::pin!(connection)).await {
            Either::Left((served, _)) => served,
            Either::Right((_, exchange)) => exchange.await,
        }
    }
}

async fn exchange(
    mut sender: SendRequest<Empty<Bytes>>,
    request: Request<Empty<Bytes>>,
) -> Result<Served, AskError> {
    let response = sender.send_request(request).await?;
    if response.status() != StatusCode::OK {
        return Err(AskError::Status(response.status()));
    }
    let body = Limited::new(response.into_body(), ANSWER_BYTES);
    let bytes = body.collect().await.map_err(AskError::Body)?.to_bytes();
    Ok(serde_json::from_slice(&bytes)?)
}

#[cfg(test)]
#[path = "serving_tests.rs"]
mod tests;
