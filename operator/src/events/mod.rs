//! Events on the owners of pods: what was injected, what was not, and what is missing. Written from
//! the watch of pods, since the webhook makes no API call; so a dry run makes no event.

mod limiter;

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use inject::PolicyId;
use jiff::Timestamp;
use k8s_openapi::api::{apps::v1::ReplicaSet, core::v1::ObjectReference};
use kube::{
    Api,
    runtime::events::{Event, EventType, Recorder, Reporter},
};
use tokio::sync::mpsc;

use crate::{
    context::{Context, FIELD_MANAGER, WriteError},
    metrics::Controller,
    owner::{Owner, Uid},
    shorten::shortened,
};
use limiter::Limiter;

/// Events that wait to be written; what comes beyond is not written.
const QUEUE: usize = 64;
/// Most Deployments that are known by their ReplicaSets.
const OWNERS: usize = 1024;
/// Longest note that an event takes, in bytes.
const NOTE_LENGTH: usize = 1000;

/// Something happened to a pod.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct News {
    /// The policy concerned.
    pub(crate) policy: Arc<PolicyId>,
    /// Its current revision.
    pub(crate) revision: String,
    /// Namespace of the pod.
    pub(crate) namespace: String,
    /// Name of the pod.
    pub(crate) pod: String,
    /// Uid of the pod.
    pub(crate) uid: Uid,
    /// Controller of the pod.
    pub(crate) owner: Option<Owner>,
    /// What happened.
    pub(crate) what: What,
}

/// What happened to a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// It came with the policy.
    Injected,
    /// It came without, for this reason.
    Skipped(Arc<str>),
    /// It should have the policy, and has not.
    Missing,
}

impl News {
    fn reason(&self) -> &'static str {
        match self.what {
            What::Injected => "SidecarsInjected",
            What::Skipped(_) => "SidecarsSkipped",
            What::Missing => "SidecarsMissing",
        }
    }

    fn event(&self) -> Event {
        let Self { policy, pod, .. } = self;
        let (type_, note) = match &self.what {
            What::Injected => {
                let note = format!("pod {pod} has policy {policy}, revision {}", self.revision);
                (EventType::Normal, note)
            }
            What::Skipped(reason) => (
                EventType::Warning,
                format!("pod {pod} was admitted without policy {policy}: {reason}"),
            ),
            What::Missing => (
                EventType::Warning,
                format!(
                    "pod {pod} should have policy {policy} and was created without it, before the policy or while the webhook was away; restart its workload"
                ),
            ),
        };
        Event {
            type_,
            reason: self.reason().to_owned(),
            note: Some(shortened(&note, NOTE_LENGTH).to_owned()),
            action: "Inject".to_owned(),
            secondary: None,
        }
    }

    /// What repeats itself: the same for all pods of one owner.
    fn subject(&self) -> impl std::hash::Hash + '_ {
        let owner = self.owner.as_ref();
        let owner = owner.map(|owner| owner.deployment.as_ref().unwrap_or(&owner.uid).as_str());
        let bare = owner.is_none().then_some(self.uid);
        (&self.namespace, owner, bare, &self.policy, self.reason(), self.revision.as_str())
    }
}

/// Takes news, and has those written that are worth it.
pub(crate) struct Teller {
    limiter: Limiter,
    queue: mpsc::Sender<News>,
}

impl Teller {
    /// A teller, and where its news come out.
    pub(crate) fn new() -> (Self, mpsc::Receiver<News>) {
        let (queue, news) = mpsc::channel(QUEUE);
        (Self { limiter: Limiter::default(), queue }, news)
    }

    /// Tells what was not told a moment ago, unless there is too much to tell.
    pub(crate) fn tell(&mut self, news: Vec<News>, now: Timestamp) {
        for news in news {
            if self.queue.capacity() > 0 && self.limiter.allows(&news.subject(), now.as_second()) {
                // The capacity was just looked at, and nobody else sends.
                let _ = self.queue.try_send(news);
            }
        }
    }
}

/// Writes the news that come; runs until the process ends.
pub(crate) async fn run(context: Arc<Context>, mut news: mpsc::Receiver<News>) {
    let reporter = Reporter { controller: FIELD_MANAGER.to_owned(), instance: None };
    let recorder = Recorder::new(context.client.clone(), reporter);
    let mut deployments = HashMap::new();
    while let Some(news) = news.recv().await {
        if let Err(error) = write(&context, &recorder, &mut deployments, &news).await {
            context.metrics.failed(Controller::Events);
            tracing::warn!(
                policy = %news.policy, namespace = news.namespace, pod = news.pod, error = %error,
                "cannot write an event about the pod"
            );
        }
    }
}

async fn write(
    context: &Context,
    recorder: &Recorder,
    deployments: &mut HashMap<String, ObjectReference>,
    news: &News,
) -> Result<(), WriteError> {
    let regarding = match &news.owner {
        Some(owner) if owner.deployment.is_some() => {
            deployment(context, deployments, &news.namespace, owner).await?
        }
        Some(owner) => owner.reference(&news.namespace),
        None => ObjectReference {
            api_version: Some("v1".to_owned()),
            kind: Some("Pod".to_owned()),
            name: Some(news.pod.clone()),
            namespace: Some(news.namespace.clone()),
            uid: Some(news.uid.text()),
            ..ObjectReference::default()
        },
    };
    context.write(recorder.publish(&news.event(), &regarding)).await
}

/// The Deployment of a ReplicaSet, by its own word, or else the ReplicaSet.
async fn deployment(
    context: &Context,
    known: &mut HashMap<String, ObjectReference>,
    namespace: &str,
    owner: &Owner,
) -> Result<ObjectReference, WriteError> {
    if let Some(found) = known.get(&owner.uid) {
        return Ok(found.clone());
    }
    let api: Api<ReplicaSet> = Api::namespaced(context.client.clone(), namespace);
    let found = context.write(api.get_metadata_opt(&owner.name)).await?;
    let found = found.filter(|found| found.metadata.uid.as_ref() == Some(&owner.uid));
    let owners = found.and_then(|found| found.metadata.owner_references);
    let deployment = Owner::of_pod(owners, &BTreeMap::new());
    let reference = deployment.as_ref().unwrap_or(owner).reference(namespace);
    if known.len() >= OWNERS {
        known.clear();
    }
    known.insert(owner.uid.clone(), reference.clone());
    Ok(reference)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn news(pod: &str, what: What) -> News {
        News {
            policy: Arc::new(PolicyId::namespaced("shop", "log")),
            revision: "r".to_owned(),
            namespace: "shop".to_owned(),
            pod: pod.to_owned(),
            uid: Uid::of(pod),
            owner: Some(Owner {
                api_version: "apps/v1".to_owned(),
                kind: "StatefulSet".to_owned(),
                name: "api".to_owned(),
                uid: "owner".to_owned(),
                deployment: None,
            }),
            what,
        }
    }

    fn told(news: Vec<News>) -> Vec<&'static str> {
        let (mut teller, mut receiver) = Teller::new();
        teller.tell(news, Timestamp::UNIX_EPOCH);
        std::iter::from_fn(|| receiver.try_recv().ok()).map(|news| news.reason()).collect()
    }

    #[test]
    fn an_owner_is_told_once_of_many_pods() {
        let pods = (0..50).map(|number| news(&format!("api-{number}"), What::Missing)).collect();
        assert_eq!(told(pods), ["SidecarsMissing"]);
    }

    #[test]
    fn different_news_are_all_told() {
        let skipped = What::Skipped("a volume of that name".into());
        let all = vec![news("a", What::Injected), news("b", skipped), news("c", What::Missing)];
        assert_eq!(told(all), ["SidecarsInjected", "SidecarsSkipped", "SidecarsMissing"]);
        let bare = |pod| News { owner: None, ..news(pod, What::Missing) };
        assert_eq!(told(vec![bare("a"), bare("b")]).len(), 2, "a bare pod is its own owner");
    }

    #[test]
    fn reasons_of_others_are_cut() {
        let note = news("a", What::Skipped("ü".repeat(1000).into())).event().note.unwrap();
        assert!(note.len() <= NOTE_LENGTH && note.contains("shop/log"));
    }
}
