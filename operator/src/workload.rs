//! Workloads as they are watched: the fields that rollouts and the annotations of owners need, in one
//! watch for both.

use std::collections::BTreeMap;

use futures::{Stream, StreamExt, stream};
use inject::WorkloadKind;
use k8s_openapi::apimachinery::pkg::{apis::meta::v1::ObjectMeta, util::intstr::IntOrString};
use kube::{
    Api, Client,
    api::{ApiResource, GroupVersionKind},
    runtime::watcher::{self, Event},
};
use runtime::watch::begin_again;
use serde::Deserialize;

use crate::metadata;

/// Workloads that the API server sends at a time: whole objects, of which little is kept.
const PAGE_SIZE: u32 = 100;
/// The label by which a Deployment tells its ReplicaSets apart: there are many, and nobody asks for them.
const NOT_OF_A_DEPLOYMENT: &str = "!pod-template-hash";

/// A workload: what is not named here is passed over while reading.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct WatchedWorkload {
    /// Standard object metadata, without what nobody here asks for.
    #[serde(deserialize_with = "metadata::read")]
    pub(crate) metadata: ObjectMeta,
    /// Of its spec.
    pub(crate) spec: Spec,
    /// Of its status.
    pub(crate) status: Status,
}

/// Of the specs of all kinds.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Spec {
    pub(crate) replicas: Option<i64>,
    pub(crate) paused: bool,
    /// Of a Deployment.
    pub(crate) strategy: Strategy,
    /// Of the other kinds that roll.
    pub(crate) update_strategy: Strategy,
    pub(crate) template: Option<Template>,
    /// Of a CronJob.
    pub(crate) job_template: Option<JobTemplate>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Strategy {
    #[serde(rename = "type")]
    pub(crate) kind: Option<String>,
    pub(crate) rolling_update: Option<RollingUpdate>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct RollingUpdate {
    pub(crate) max_unavailable: Option<IntOrString>,
    pub(crate) max_surge: Option<IntOrString>,
    pub(crate) partition: Option<i64>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct JobTemplate {
    pub(crate) spec: Option<JobSpec>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct JobSpec {
    pub(crate) template: Option<Template>,
}

/// A pod template.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Template {
    pub(crate) metadata: Option<TemplateMetadata>,
}

/// The metadata of a pod template.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct TemplateMetadata {
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) annotations: Option<BTreeMap<String, String>>,
}

/// Of the statuses of all kinds.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Status {
    pub(crate) observed_generation: i64,
    pub(crate) replicas: i64,
    pub(crate) updated_replicas: i64,
    pub(crate) current_revision: Option<String>,
    pub(crate) update_revision: Option<String>,
    pub(crate) desired_number_scheduled: i64,
    pub(crate) updated_number_scheduled: i64,
    pub(crate) conditions: Vec<Condition>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Condition {
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) status: String,
    pub(crate) message: String,
}

impl WatchedWorkload {
    /// The metadata of its pod template.
    pub(crate) fn template_metadata(&self) -> Option<&TemplateMetadata> {
        let of_jobs = || self.spec.job_template.as_ref()?.spec.as_ref()?.template.as_ref();
        self.spec.template.as_ref().or_else(of_jobs)?.metadata.as_ref()
    }
}

runtime::object!(WatchedWorkload);

/// The resource of a kind, as the API server serves it.
pub(crate) fn resource(kind: WorkloadKind) -> ApiResource {
    let group = match kind {
        WorkloadKind::Job | WorkloadKind::CronJob => "batch",
        _ => "apps",
    };
    ApiResource::from_gvk(&GroupVersionKind::gvk(group, "v1", kind.name()))
}

/// What a watch of workloads tells.
pub(crate) type WorkloadEvent = (WorkloadKind, Result<Event<WatchedWorkload>, watcher::Error>);

/// Watches all workloads of these kinds, but for ReplicaSets of Deployments.
pub(crate) fn watch(
    client: &Client,
    kinds: &[WorkloadKind],
) -> impl Stream<Item = WorkloadEvent> + Send + use<> {
    let watches = kinds.iter().map(|kind| {
        let kind = *kind;
        let api = Api::all_with(client.clone(), &resource(kind));
        let config = watcher::Config::default().page_size(PAGE_SIZE);
        let config = match kind {
            WorkloadKind::ReplicaSet => config.labels(NOT_OF_A_DEPLOYMENT),
            _ => config,
        };
        begin_again(watcher::watcher(api, config)).map(move |event| (kind, event)).boxed()
    });
    stream::select_all(watches)
}
