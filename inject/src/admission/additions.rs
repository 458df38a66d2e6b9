//! What goes into the pod itself: volumes, labels and annotations, secrets, groups and single fields,
//! each only where it is absent; the grace period is raised.

use super::{Parts, Variable, add, cel, refusals::fields, variable};

/// Seconds that a pod has to end where it does not say.
const GRACE_PERIOD: &str = "(has(object.spec.terminationGracePeriodSeconds) ? object.spec.terminationGracePeriodSeconds : 30)";

impl Parts<'_> {
    /// The elements of lists that are not there.
    pub(super) fn additions(self) -> Vec<Variable> {
        let mut variables = Vec::new();
        let volumes = self.content.volumes.iter();
        let volumes = volumes.map(|volume| (volume.name.as_str(), &*volume.rendered.json));
        let of_volumes: Vec<_> = volumes.collect();
        if !of_volumes.is_empty() {
            variables
                .push(variable("newVolumes", absent_by_name("variables.volumes", &of_volumes)));
        }
        let secrets = self.content.pod.image_pull_secrets.iter();
        let secrets: Vec<_> =
            secrets.map(|(name, secret)| (name.as_str(), &*secret.json)).collect();
        if !secrets.is_empty() {
            let found = cel::or_empty("object.spec", "imagePullSecrets", "[]");
            variables.push(variable("imagePullSecrets", found));
            let new = absent_by_name("variables.imagePullSecrets", &secrets);
            variables.push(variable("newImagePullSecrets", new));
        }
        let groups = &self.content.pod.supplemental_groups;
        if !groups.is_empty() {
            let there = "has(object.spec.securityContext) && has(object.spec.securityContext.supplementalGroups)";
            let mut each: Vec<i64> = Vec::with_capacity(groups.len());
            for group in groups {
                if !each.contains(group) {
                    each.push(*group);
                }
            }
            variables.push(variable(
                "newGroups",
                format!(
                    "{each:?}.filter(group, !({there} && group in object.spec.securityContext.supplementalGroups))"
                ),
            ));
        }
        variables
    }

    /// That nothing of it has to be added, as tests.
    pub(super) fn nothing_added(self) -> Vec<String> {
        let pod = &self.content.pod;
        let mut tests = Vec::new();
        let mut empty = |list: &str| tests.push(format!("variables.{list}.size() == 0"));
        if !self.content.volumes.is_empty() {
            empty("newVolumes");
        }
        if !pod.image_pull_secrets.is_empty() {
            empty("newImagePullSecrets");
        }
        if !pod.supplemental_groups.is_empty() {
            empty("newGroups");
        }
        tests.extend(self.metadata().map(|(map, key, _)| has_key(map, key)));
        tests.extend(self.fields().into_iter().map(|(absent, _)| format!("!({absent})")));
        tests
    }

    /// The edits.
    pub(super) fn added_edits(self) -> Vec<String> {
        let mut edits = Vec::new();
        for map in ["labels", "annotations"] {
            let added: Vec<_> = self.metadata().filter(|(of, ..)| *of == map).collect();
            if added.is_empty() {
                continue;
            }
            let path = cel::text(&format!("/metadata/{map}"));
            edits.push(format!("(has(object.metadata.{map}) ? [] : [{}])", add(&path, "{}")));
            for (_, key, value) in added {
                let mut pointer = format!("/metadata/{map}");
                crate::json::push_pointer_segment(&mut pointer, key);
                let edit = add(&cel::text(&pointer), &cel::text(value));
                edits.push(format!("({} ? [] : [{edit}])", has_key(map, key)));
            }
        }
        if !self.content.volumes.is_empty() {
            edits.push(append("object.spec", "volumes", "newVolumes", "/spec/volumes"));
        }
        let pod = &self.content.pod;
        if !pod.image_pull_secrets.is_empty() {
            let path = "/spec/imagePullSecrets";
            edits.push(append("object.spec", "imagePullSecrets", "newImagePullSecrets", path));
        }
        if pod.fs_group.is_some() || !pod.supplemental_groups.is_empty() {
            let whole = add("'/spec/securityContext'", "{}");
            edits.push(format!("(has(object.spec.securityContext) ? [] : [{whole}])"));
        }
        edits.extend(
            self.fields().into_iter().map(|(absent, edit)| format!("({absent} ? [{edit}] : [])")),
        );
        if !pod.supplemental_groups.is_empty() {
            let path = "/spec/securityContext/supplementalGroups";
            let whole = add(&cel::text(path), "[]");
            let each = add(&cel::text(&format!("{path}/-")), "group");
            edits.push(format!(
                "(variables.newGroups.size() == 0 || has(object.spec.securityContext) && has(object.spec.securityContext.supplementalGroups) ? [] : [{whole}]) + variables.newGroups.map(group, {each})"
            ));
        }
        edits
    }

    /// Labels and annotations: which map, key, value.
    fn metadata(&self) -> impl Iterator<Item = (&'static str, &str, &str)> {
        let pod = &self.content.pod;
        let labels = pod.labels.iter().map(|(key, value)| ("labels", key.as_str(), value.as_str()));
        let annotations = pod.annotations.iter();
        labels.chain(annotations.map(|(key, value)| ("annotations", key.as_str(), value.as_str())))
    }

    /// Single fields: when they are to be set, and the edit.
    fn fields(self) -> Vec<(String, String)> {
        let pod = &self.content.pod;
        let mut fields = Vec::new();
        if pod.shares_process_namespace == Some(true) {
            let absent = "!has(object.spec.shareProcessNamespace)".to_owned();
            fields.push((absent, add("'/spec/shareProcessNamespace'", "true")));
        }
        if let Some(seconds) = pod.grace_period {
            let edit = add("'/spec/terminationGracePeriodSeconds'", &seconds.to_string());
            fields.push((format!("{GRACE_PERIOD} < {seconds}"), edit));
        }
        if let Some(group) = pod.fs_group {
            let absent =
                "!(has(object.spec.securityContext) && has(object.spec.securityContext.fsGroup))";
            let edit = add("'/spec/securityContext/fsGroup'", &group.to_string());
            fields.push((absent.to_owned(), edit));
        }
        fields
    }

    /// Whether the pod will have less time to end than that.
    pub(super) fn ends_within(self, seconds: i64) -> Option<String> {
        let raised = self.content.pod.grace_period.unwrap_or_default();
        (raised < seconds).then(|| format!("{GRACE_PERIOD} < {seconds}"))
    }
}

fn has_key(map: &str, key: &str) -> String {
    format!("(has(object.metadata.{map}) && {} in object.metadata.{map})", cel::text(key))
}

/// Those of some parts whose name is in no element of a list.
fn absent_by_name(list: &str, parts: &[(&str, &str)]) -> String {
    let parts = parts.iter().map(|(name, json)| {
        let literal = cel::literal(&fields(json).into());
        format!("({list}.exists(x, x.name == {}) ? [] : [dyn({literal})])", cel::text(name))
    });
    parts.collect::<Vec<_>>().join(" + ")
}

/// The edits that append the elements of a variable to a list that may be absent.
fn append(of: &str, list: &str, new: &str, path: &str) -> String {
    let whole = add(&cel::text(path), "[]");
    let each = add(&cel::text(&format!("{path}/-")), "x");
    format!(
        "(variables.{new}.size() == 0 || has({of}.{list}) ? [] : [{whole}]) + variables.{new}.map(x, {each})"
    )
}
