//! Annotations written on a workload, carried into its pod template and out again.
//!
//! The template then differs, and the workload rolls by its own strategy. `sidecarpolicy.dev/carried`
//! on the workload records what was carried: a key of the template that is not in it is its owner's.
//!
//! A writer who replaces the annotations of a workload takes the record away and often leaves the
//! template as it was. So the record before the change counts too, for what the template held then.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use crds::keys;

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor, value::MapAccessDeserializer},
};

use crate::{
    PolicySet,
    injection::unknown_name,
    journal::{Journal, MapEdits, MetadataEdits},
    pod::{Entries, Metadata, Text, metadata, read_from_object},
    reader::{Raw, read},
    requests,
    select::Lookup,
};

/// The kinds of workload whose annotations are carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum WorkloadKind {
    /// `apps/v1` Deployment.
    Deployment,
    /// `apps/v1` StatefulSet.
    StatefulSet,
    /// `apps/v1` DaemonSet.
    DaemonSet,
    /// `apps/v1` ReplicaSet.
    ReplicaSet,
    /// `batch/v1` Job.
    Job,
    /// `batch/v1` CronJob.
    CronJob,
}

impl WorkloadKind {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Deployment,
        Self::StatefulSet,
        Self::DaemonSet,
        Self::ReplicaSet,
        Self::Job,
        Self::CronJob,
    ];

    /// The kind of this name, if its annotations are carried.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// The name of the kind.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Deployment => "Deployment",
            Self::StatefulSet => "StatefulSet",
            Self::DaemonSet => "DaemonSet",
            Self::ReplicaSet => "ReplicaSet",
            Self::Job => "Job",
            Self::CronJob => "CronJob",
        }
    }

    /// JSON pointer of the metadata of the pod template.
    fn template_metadata(self) -> &'static str {
        match self {
            Self::CronJob => "/spec/jobTemplate/spec/template/metadata",
            _ => "/spec/template/metadata",
        }
    }
}

/// What is being done to a workload.
#[derive(Clone, Copy, Debug)]
pub enum Operation<'o> {
    /// It is created.
    Create,
    /// It is changed; with the workload before the change, where that is known.
    Update(Option<&'o Workload<'o>>),
}

/// A workload, borrowed from its JSON.
#[derive(Debug, Deserialize)]
#[serde(remote = "Self")]
pub struct Workload<'a> {
    /// Object metadata.
    #[serde(borrow, default, deserialize_with = "metadata")]
    pub metadata: Metadata<'a>,
    /// The spec, not yet read.
    #[serde(borrow, default)]
    pub spec: Option<Raw<'a>>,
}

read_from_object!(Workload);

/// What happens to a workload.
#[derive(Debug, Default)]
pub struct Carried {
    /// What the person who writes the workload is told.
    pub warnings: Vec<String>,
    /// Keys of the pod template that change.
    pub keys: Vec<String>,
    /// What changes in the workload.
    pub edits: Journal,
}

/// The parts of a workload spec that decisions rest on.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[serde(remote = "Self")]
struct WorkloadSpec<'a> {
    #[serde(borrow)]
    template: Option<Template<'a>>,
    #[serde(borrow)]
    job_template: Option<JobTemplate<'a>>,
    paused: Option<bool>,
    #[serde(borrow)]
    update_strategy: Option<UpdateStrategy<'a>>,
}

read_from_object!(WorkloadSpec);

#[derive(Debug, Deserialize)]
#[serde(remote = "Self")]
struct Template<'a> {
    #[serde(borrow, default, deserialize_with = "metadata")]
    metadata: Metadata<'a>,
}

read_from_object!(Template);

#[derive(Debug, Deserialize)]
#[serde(remote = "Self")]
struct JobTemplate<'a> {
    #[serde(borrow)]
    spec: Option<JobSpec<'a>>,
}

read_from_object!(JobTemplate);

#[derive(Debug, Deserialize)]
#[serde(remote = "Self")]
struct JobSpec<'a> {
    #[serde(borrow)]
    template: Option<Template<'a>>,
}

read_from_object!(JobSpec);

#[derive(Debug, Deserialize)]
#[serde(remote = "Self")]
struct UpdateStrategy<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<Text<'a>>,
}

read_from_object!(UpdateStrategy);

/// Carries the annotations of a workload that is created or changed.
///
/// Objects with a controller owner are never touched: their controller copies annotations down, and
/// carrying them there would make it create new objects without end. The template of a Job cannot
/// change, so on update there is a warning only.
#[must_use]
pub fn carry(
    kind: WorkloadKind,
    operation: Operation<'_>,
    workload: &Workload<'_>,
    namespace: &str,
    policies: &PolicySet,
) -> Carried {
    let mut carried = Carried::default();
    if workload.metadata.has_controller() {
        return carried;
    }
    let annotations = &workload.metadata.annotations;
    carried.warnings.extend(unknown(annotations, namespace, policies, |_| true));
    let spec = match read_spec(workload) {
        Ok(spec) => spec,
        Err(error) => {
            carried.warnings.push(format!(
                "the annotations of the workload were not carried into its pod template: spec: {error}"
            ));
            return carried;
        }
    };
    let Some(template) = spec.template(kind) else { return carried };
    let recorded = Recorded {
        now: read_record(&workload.metadata, &mut carried.warnings),
        before: match operation {
            Operation::Create | Operation::Update(None) => BTreeMap::new(),
            Operation::Update(Some(before)) => carried_before(kind, before),
        },
    };
    let plan = Plan::make(&workload.metadata, &template.metadata, &recorded, &mut carried.warnings);
    // What was carried is warned about where it comes from.
    let is_own = |key: &str| {
        let found = template.metadata.annotations.value(key);
        annotations.value(key) != found
            && !plan.template.changes.iter().any(|(changed, _)| changed == key)
    };
    let of_template = unknown(&template.metadata.annotations, namespace, policies, is_own);
    carried.warnings.extend(of_template);
    if plan.template.changes.is_empty() && plan.workload.changes.is_empty() {
        return carried;
    }
    if matches!(operation, Operation::Update(_)) {
        if kind == WorkloadKind::Job {
            let told = "the pod template of a Job cannot change; the annotations take effect when the Job is created anew";
            carried.warnings.extend((!plan.template.changes.is_empty()).then(|| told.to_owned()));
            return carried;
        }
        if !plan.template.changes.is_empty() {
            carried.warnings.extend(slow_change(kind, &spec));
        }
    }
    carried.keys = plan.template.changes.iter().map(|(key, _)| key.to_string()).collect();
    carried.edits = plan.into_journal(kind, workload, &template.metadata);
    carried
}

/// Warnings of annotations that name policies or parameters which do not exist.
fn unknown(
    annotations: &Entries<'_>,
    namespace: &str,
    policies: &PolicySet,
    counts: impl Fn(&str) -> bool,
) -> Vec<String> {
    let names = requests::unknown_names(annotations, namespace, policies);
    let names =
        names.into_iter().map(|(key, name)| (key.to_owned(), unknown_name(&name, namespace)));
    let parameters = requests::unknown_parameters(annotations, namespace, policies);
    let all = names.chain(parameters).filter(|(key, _)| counts(key));
    all.map(|(key, wrong)| format!("annotation {key}: {wrong}")).collect()
}

fn read_spec<'a>(workload: &Workload<'a>) -> Result<WorkloadSpec<'a>, serde_json::Error> {
    workload.spec.map_or_else(|| Ok(WorkloadSpec::default()), |raw| read(raw.get()))
}

impl<'a> WorkloadSpec<'a> {
    fn template(&self, kind: WorkloadKind) -> Option<&Template<'a>> {
        match kind {
            WorkloadKind::CronJob => self.job_template.as_ref()?.spec.as_ref()?.template.as_ref(),
            _ => self.template.as_ref(),
        }
    }
}

/// Says when running pods will not follow by themselves.
fn slow_change(kind: WorkloadKind, spec: &WorkloadSpec<'_>) -> Option<String> {
    let on_delete = || {
        let strategy = spec.update_strategy.as_ref().and_then(|strategy| strategy.kind.as_ref());
        strategy.is_some_and(|strategy| strategy.as_str() == "OnDelete")
    };
    let why = match kind {
        WorkloadKind::ReplicaSet => "a ReplicaSet does not roll",
        WorkloadKind::Deployment if spec.paused == Some(true) => "the Deployment is paused",
        WorkloadKind::StatefulSet | WorkloadKind::DaemonSet if on_delete() => {
            "its update strategy is OnDelete"
        }
        _ => return None,
    };
    Some(format!("{why}: running pods change when they are next created"))
}

/// What changes in the template, and in the record on the workload.
struct Plan {
    template: MapEdits,
    workload: MapEdits,
}

impl Plan {
    fn make(
        workload: &Metadata<'_>,
        template: &Metadata<'_>,
        recorded: &Recorded,
        warnings: &mut Vec<String>,
    ) -> Self {
        let wanted: BTreeMap<&str, &str> =
            workload.annotations.iter().filter(|(key, _)| is_carried_key(key)).collect();
        let mut record: BTreeMap<&str, &str> = BTreeMap::new();
        let mut edits =
            MapEdits { present: template.annotations.is_present(), ..Default::default() };
        for (key, value) in &wanted {
            let found = template.annotations.value(key);
            let ours = found.is_none_or(|found| recorded.has(key, found));
            if ours {
                edits.set((*key).to_owned(), found, (*value).to_owned());
                record.insert(key, value);
            } else if found != Some(value) {
                warnings.push(format!(
                    "annotation {key} of the workload has no effect: its pod template sets another value"
                ));
            }
        }
        for key in recorded.keys().filter(|key| !wanted.contains_key(key)) {
            let found = template.annotations.value(key);
            if is_carried_key(key) && found.is_some_and(|found| recorded.has(key, found)) {
                edits.remove(key.to_owned(), found);
            }
        }
        let record_text = workload.annotations.value(keys::CARRIED);
        let mut workload_edits =
            MapEdits { present: workload.annotations.is_present(), ..Default::default() };
        if record.is_empty() {
            workload_edits.remove(keys::CARRIED, record_text);
        } else if let Ok(text) = serde_json::to_string(&record) {
            workload_edits.set(keys::CARRIED, record_text, text);
        }
        Self { template: edits, workload: workload_edits }
    }

    fn into_journal(
        self,
        kind: WorkloadKind,
        workload: &Workload<'_>,
        template: &Metadata<'_>,
    ) -> Journal {
        let edits = |pointer, present, annotations| MetadataEdits {
            pointer,
            present,
            labels: MapEdits::default(),
            annotations,
        };
        Journal {
            metadata: vec![
                edits("/metadata", workload.metadata.present, self.workload),
                edits(kind.template_metadata(), template.present, self.template),
            ],
            ..Journal::default()
        }
    }
}

/// Key and value of what was carried into a template.
struct Recorded {
    /// By the workload as it is written.
    now: BTreeMap<String, String>,
    /// By the workload before the change, where its template held what the record said.
    before: BTreeMap<String, String>,
}

impl Recorded {
    /// Whether a key of the template was carried, and has not been changed since.
    fn has(&self, key: &str, found: &str) -> bool {
        [&self.now, &self.before]
            .iter()
            .any(|record| record.get(key).is_some_and(|was| was == found))
    }

    fn keys(&self) -> impl Iterator<Item = &str> {
        let keys: BTreeSet<&str> =
            self.now.keys().chain(self.before.keys()).map(String::as_str).collect();
        keys.into_iter()
    }
}

fn read_record(workload: &Metadata<'_>, warnings: &mut Vec<String>) -> BTreeMap<String, String> {
    let Some(text) = workload.annotations.value(keys::CARRIED) else { return BTreeMap::new() };
    serde_json::from_str(text).unwrap_or_else(|_| {
        warnings.push(format!(
            "annotation {} is not a JSON map of strings; it is written anew",
            keys::CARRIED
        ));
        BTreeMap::new()
    })
}

/// What the template of a workload held before a change because it was carried there.
fn carried_before(kind: WorkloadKind, before: &Workload<'_>) -> BTreeMap<String, String> {
    // Whatever is wrong with it is not the fault of who writes now.
    let mut record = read_record(&before.metadata, &mut Vec::new());
    if record.is_empty() {
        return record;
    }
    let spec = read_spec(before).unwrap_or_default();
    let template = spec.template(kind).map(|template| &template.metadata.annotations);
    record.retain(|key, was| template.and_then(|held| held.value(key)) == Some(was));
    record
}

/// Whether an annotation of a workload is meant for its pods.
#[must_use]
pub fn is_carried_key(key: &str) -> bool {
    key == keys::INJECT
        || key == keys::SKIP
        || key.starts_with(keys::PARAMETER_PREFIX)
        || key.starts_with(keys::CLUSTER_PARAMETER_PREFIX)
}
