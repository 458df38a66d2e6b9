//! What is added to the pod itself: labels, annotations, secrets, aliases, groups. Only what is
//! absent is added; the grace period is raised.

use crds::keys;
use serde::Deserialize;

use crate::{
    Conflict, Notice,
    content::{PodAdditions, Rendered},
    journal::{FieldEdit, ListEdits, MapEdits, SpecEdits},
    pod::{Entries, Named, Spec},
    reader::{self, Raw},
    select::Lookup,
};

use super::{
    Merge,
    host_aliases::{AliasAddition, host_alias_edits},
    json_of, malformed,
};

/// Seconds that a pod has to end where it does not say.
const GRACE_PERIOD: i64 = 30;

/// Most bytes that the API server takes in all annotations of an object, keys and values.
pub(crate) const ANNOTATIONS: usize = 256 << 10;
/// Most bytes of them that apps and policies may take; the others are left for what is recorded of the
/// policies themselves.
pub(crate) const OTHER_ANNOTATIONS: usize = ANNOTATIONS - OWN_ANNOTATIONS;
const OWN_ANNOTATIONS: usize = 16 << 10;

/// What is added to the pod itself.
#[derive(Default)]
pub(crate) struct PodEdits<'s> {
    labels: Vec<(&'s str, &'s str)>,
    annotations: Vec<(&'s str, &'s str)>,
    /// Annotations of our own, which take the place of what is there.
    files: Vec<(&'s str, &'s str)>,
    image_pull_secrets: Vec<(&'s str, &'s Rendered)>,
    pub(super) host_aliases: Vec<AliasAddition<'s>>,
    shares_process_namespace: Option<bool>,
    grace_period: Option<i64>,
    fs_group: Option<i64>,
    supplemental_groups: Vec<i64>,
}

/// The part of a pod's security context that policies add to.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct SecurityContext {
    fs_group: Option<i64>,
    supplemental_groups: Option<Vec<i64>>,
}

impl PodEdits<'_> {
    pub(super) fn is_empty(&self) -> bool {
        self.labels.is_empty()
            && self.annotations.is_empty()
            && self.files.is_empty()
            && self.image_pull_secrets.is_empty()
            && self.host_aliases.is_empty()
            && self.shares_process_namespace.is_none()
            && self.grace_period.is_none()
            && self.fs_group.is_none()
            && self.supplemental_groups.is_empty()
    }

    pub(super) fn take(&mut self, more: Self) {
        self.labels.extend(more.labels);
        self.annotations.extend(more.annotations);
        self.files.extend(more.files);
        self.image_pull_secrets.extend(more.image_pull_secrets);
        self.host_aliases.extend(more.host_aliases);
        self.shares_process_namespace =
            self.shares_process_namespace.or(more.shares_process_namespace);
        self.grace_period = self.grace_period.max(more.grace_period);
        self.fs_group = self.fs_group.or(more.fs_group);
        self.supplemental_groups.extend(more.supplemental_groups);
    }

    /// Sets the labels and annotations that go in.
    pub(crate) fn set_metadata(
        &self,
        labels: &mut MapEdits,
        annotations: &mut MapEdits,
        found: &Entries<'_>,
    ) {
        for (key, value) in &self.labels {
            labels.set((*key).to_owned(), None, (*value).to_owned());
        }
        for (key, value) in &self.annotations {
            annotations.set((*key).to_owned(), None, (*value).to_owned());
        }
        for (key, value) in &self.files {
            annotations.set((*key).to_owned(), found.value(key), (*value).to_owned());
        }
    }

    /// The edits of the pod's spec.
    pub(super) fn spec_edits(&self, spec: &Spec<'_>) -> Result<SpecEdits, Conflict> {
        let list = |found: Option<Raw<'_>>, items| ListEdits {
            present: found.is_some(),
            before: false,
            items,
        };
        let secrets = self.image_pull_secrets.iter().map(|(_, secret)| *secret);
        let (entries, new) = host_alias_edits(&self.host_aliases, spec)?;
        let mut edits = SpecEdits {
            host_aliases: entries,
            lists: vec![
                ("imagePullSecrets", list(spec.image_pull_secrets, json_of(secrets))),
                ("hostAliases", new),
            ],
            fields: Vec::new(),
        };
        if let Some(shares) = self.shares_process_namespace {
            edits.fields.push(FieldEdit {
                pointer: "/spec/shareProcessNamespace",
                present: false,
                json: shares.to_string(),
            });
        }
        if let Some(seconds) = self.grace_period {
            edits.fields.push(FieldEdit {
                pointer: "/spec/terminationGracePeriodSeconds",
                present: spec.termination_grace_period_seconds.is_some(),
                json: seconds.to_string(),
            });
        }
        self.add_groups(spec, &mut edits)?;
        Ok(edits)
    }

    fn add_groups(&self, spec: &Spec<'_>, edits: &mut SpecEdits) -> Result<(), Conflict> {
        if self.fs_group.is_none() && self.supplemental_groups.is_empty() {
            return Ok(());
        }
        let groups = self.supplemental_groups.iter().map(ToString::to_string);
        if spec.security_context.is_none() {
            let mut fields = Vec::new();
            if let Some(group) = self.fs_group {
                fields.push(format!("\"fsGroup\":{group}"));
            }
            if !self.supplemental_groups.is_empty() {
                let list = groups.collect::<Vec<_>>().join(",");
                fields.push(format!("\"supplementalGroups\":[{list}]"));
            }
            edits.fields.push(FieldEdit {
                pointer: "/spec/securityContext",
                present: false,
                json: format!("{{{}}}", fields.join(",")),
            });
            return Ok(());
        }
        if let Some(group) = self.fs_group {
            edits.fields.push(FieldEdit {
                pointer: "/spec/securityContext/fsGroup",
                present: false,
                json: group.to_string(),
            });
        }
        let list = ListEdits {
            present: security_context(spec)?.supplemental_groups.is_some(),
            before: false,
            items: groups.map(Into::into).collect(),
        };
        edits.lists.push(("securityContext/supplementalGroups", list));
        Ok(())
    }
}

impl<'s> Merge<'_, 's> {
    /// What the policy would add to the pod itself.
    pub(super) fn attempt_pod(
        &self,
        wanted: &'s PodAdditions,
        notices: &mut Vec<Notice>,
    ) -> Result<PodEdits<'s>, Conflict> {
        let mut edits = PodEdits {
            labels: absent(
                "label",
                &wanted.labels,
                &self.metadata.labels,
                &self.pod.labels,
                notices,
            ),
            annotations: absent(
                "annotation",
                &wanted.annotations,
                &self.metadata.annotations,
                &self.pod.annotations,
                notices,
            ),
            ..PodEdits::default()
        };
        let carried = |(key, content): &(String, String)| {
            self.metadata.annotations.value(key) == Some(content)
        };
        let files = wanted.files.iter().filter(|file| !carried(file));
        edits.files = files.map(|(key, content)| (key.as_str(), content.as_str())).collect();
        self.check_annotations(&edits)?;
        self.attempt_lists(wanted, &mut edits)?;
        self.attempt_process_namespace(wanted, &mut edits, notices);
        if let Some(seconds) = wanted.grace_period
            && seconds > self.grace_period(&self.pod)
        {
            edits.grace_period = Some(seconds);
        }
        self.attempt_groups(wanted, &mut edits, notices)?;
        Ok(edits)
    }

    /// Seconds that the pod has to end, with what these edits give it.
    pub(super) fn grace_period(&self, edits: &PodEdits<'_>) -> i64 {
        let of_pod = self.spec.termination_grace_period_seconds.unwrap_or(GRACE_PERIOD);
        of_pod.max(edits.grace_period.unwrap_or(of_pod))
    }

    /// The API server refuses a pod with more annotations than that.
    fn check_annotations(&self, edits: &PodEdits<'_>) -> Result<(), Conflict> {
        let size = |(key, value): (&str, &str)| key.len() + value.len();
        let stays = |(key, _): &(&str, &str)| {
            let is_replaced = |(file, _): &(&str, &str)| file == key;
            ![keys::INJECTED, keys::SKIPPED, keys::PLACE].contains(key)
                && !edits.files.iter().any(is_replaced)
        };
        let of_pod: usize = self.metadata.annotations.iter().filter(stays).map(size).sum();
        let taken = self.pod.annotations.iter().chain(&self.pod.files);
        let new = edits.annotations.iter().chain(&edits.files);
        let added: usize = taken.chain(new).copied().map(size).sum();
        let bytes = of_pod + added + OWN_ANNOTATIONS;
        if bytes <= ANNOTATIONS {
            return Ok(());
        }
        Err(Conflict::Annotations { bytes, most: ANNOTATIONS })
    }

    fn attempt_lists(
        &self,
        wanted: &'s PodAdditions,
        edits: &mut PodEdits<'s>,
    ) -> Result<(), Conflict> {
        if !wanted.image_pull_secrets.is_empty() {
            let found: Vec<Named<'_>> =
                read_list(self.spec.image_pull_secrets, "spec.imagePullSecrets")?;
            for (name, secret) in &wanted.image_pull_secrets {
                let of_pod = found.iter().any(|found| found.name.as_str() == name);
                if !of_pod && !self.pod.image_pull_secrets.iter().any(|(taken, _)| taken == name) {
                    edits.image_pull_secrets.push((name, secret));
                }
            }
        }
        self.attempt_host_aliases(wanted, edits)
    }

    fn attempt_process_namespace(
        &self,
        wanted: &PodAdditions,
        edits: &mut PodEdits<'_>,
        notices: &mut Vec<Notice>,
    ) {
        let Some(shares) = wanted.shares_process_namespace else { return };
        let found = self.spec.share_process_namespace.or(self.pod.shares_process_namespace);
        match found {
            // What is absent is false.
            None if shares => edits.shares_process_namespace = Some(true),
            Some(found) if found != shares => {
                notices.push(Notice::PodFieldKept { field: "shareProcessNamespace" });
            }
            _ => {}
        }
    }

    fn attempt_groups(
        &self,
        wanted: &PodAdditions,
        edits: &mut PodEdits<'_>,
        notices: &mut Vec<Notice>,
    ) -> Result<(), Conflict> {
        if wanted.fs_group.is_none() && wanted.supplemental_groups.is_empty() {
            return Ok(());
        }
        let found = security_context(self.spec)?;
        match (wanted.fs_group, found.fs_group.or(self.pod.fs_group)) {
            (Some(group), None) => edits.fs_group = Some(group),
            (Some(group), Some(found)) if group != found => {
                notices.push(Notice::PodFieldKept { field: "securityContext.fsGroup" });
            }
            _ => {}
        }
        let of_pod = found.supplemental_groups.unwrap_or_default();
        for group in &wanted.supplemental_groups {
            if !of_pod.contains(group)
                && !self.pod.supplemental_groups.contains(group)
                && !edits.supplemental_groups.contains(group)
            {
                edits.supplemental_groups.push(*group);
            }
        }
        Ok(())
    }
}

/// The entries that neither the pod nor an earlier policy has; another value there is kept.
fn absent<'s>(
    kind: &'static str,
    wanted: &'s [(String, String)],
    of_pod: &Entries<'_>,
    taken: &[(&'s str, &'s str)],
    notices: &mut Vec<Notice>,
) -> Vec<(&'s str, &'s str)> {
    let mut added = Vec::new();
    for (key, value) in wanted {
        let taken = taken.iter().find_map(|(found, value)| (found == key).then_some(*value));
        match of_pod.value(key).or(taken) {
            None => added.push((key.as_str(), value.as_str())),
            Some(found) if found == value => {}
            Some(_) => notices.push(Notice::MetadataKept { kind, key: key.clone() }),
        }
    }
    added
}

fn security_context(spec: &Spec<'_>) -> Result<SecurityContext, Conflict> {
    let read =
        spec.security_context.map_or_else(|| Ok(None), |raw| serde_json::from_str(raw.get()));
    let read: Option<SecurityContext> =
        read.map_err(|error| malformed("spec.securityContext", &error))?;
    Ok(read.unwrap_or_default())
}

pub(super) fn read_list<'p, T: Deserialize<'p>>(
    raw: Option<Raw<'p>>,
    field: &str,
) -> Result<Vec<T>, Conflict> {
    let list = raw.map_or_else(|| Ok(Vec::new()), |raw| reader::read(raw.get()));
    list.map_err(|error| malformed(field, &error))
}
