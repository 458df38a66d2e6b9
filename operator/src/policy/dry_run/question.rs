//! What the API server is asked about a policy, and where in the policy it finds fault. Pure.

use crds::PolicySpec;
use inject::PolicyId;
use serde_json::{Value, json};

/// What the API server is asked about a policy.
#[derive(Debug)]
pub(in crate::policy) struct Question {
    /// A `PodTemplate` with what the policy puts in, as JSON.
    pub(super) body: String,
    /// Names of the policy's sidecars, in its order.
    sidecars: Vec<String>,
    /// Names of its volumes.
    volumes: Vec<String>,
}

impl Question {
    /// The question about a policy that compiles. The error says why there is none.
    pub(in crate::policy) fn of(id: &PolicyId, spec: &PolicySpec) -> Result<Self, String> {
        let sample = inject::sample(id, spec)?;
        let malformed = |error: serde_json::Error| error.to_string();
        let mut pod: Value = serde_json::from_str(&sample.pod).map_err(malformed)?;
        let patch: json_patch::Patch = serde_json::from_str(&sample.patch).map_err(malformed)?;
        json_patch::patch(&mut pod, &patch).map_err(|error| error.to_string())?;
        let metadata = &pod["metadata"];
        let body = json!({
            "apiVersion": "v1",
            "kind": "PodTemplate",
            "metadata": { "name": id.name },
            "template": {
                "metadata": {
                    "labels": metadata["labels"],
                    "annotations": metadata["annotations"],
                },
                "spec": pod["spec"],
            },
        })
        .to_string();
        Ok(Self {
            body,
            sidecars: spec.sidecars.iter().map(|sidecar| sidecar.name.clone()).collect(),
            volumes: spec.volumes.iter().map(|volume| volume.name.clone()).collect(),
        })
    }

    /// A text of the API server's, with paths of the policy in the place of those of the template.
    pub(super) fn in_terms_of_the_policy(&self, text: &str) -> String {
        const TEMPLATE: &str = "template.";
        let body: Value = serde_json::from_str(&self.body).unwrap_or_default();
        let mut told = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.find(TEMPLATE) {
            told.push_str(&rest[..at]);
            rest = &rest[at + TEMPLATE.len()..];
            if let Some((place, after)) = self.place(&body["template"]["spec"], rest) {
                told.push_str(&place);
                rest = after;
            } else {
                told.push_str(TEMPLATE);
            }
        }
        told.push_str(rest);
        told
    }

    /// The place in the policy behind a path in the template, and what follows it.
    fn place<'t>(&self, spec: &Value, path: &'t str) -> Option<(String, &'t str)> {
        if let Some(rest) = path.strip_prefix("metadata") {
            return Some(("spec.pod".to_owned(), rest));
        }
        let path = path.strip_prefix("spec.")?;
        let lists = [
            ("initContainers", &self.sidecars, "spec.sidecars"),
            ("containers", &self.sidecars, "spec.sidecars"),
            ("volumes", &self.volumes, "spec.volumes"),
        ];
        for (list, own, place) in lists {
            let Some(rest) = path.strip_prefix(list).and_then(|rest| rest.strip_prefix('[')) else {
                continue;
            };
            let (index, rest) = rest.split_once(']')?;
            let name = spec[list][index.parse::<usize>().ok()?]["name"].as_str()?;
            let place = match own.iter().position(|own| own == name) {
                Some(position) => format!("{place}[{position}]"),
                None if list == "volumes" => format!("spec.files (volume {name:?})"),
                None => format!("spec.appContainers (container {name:?})"),
            };
            return Some((place, rest));
        }
        Some(("spec.pod.".to_owned(), path))
    }
}
