//! What differs between two revisions of a policy, and whether a running pod can follow it. Pure.
//!
//! Kubernetes lets the image of a running container change, and its CPU and memory. All else waits
//! for the next pod.

use serde_json::{Map, Value};

/// What a running pod has to change to follow from one revision to another.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Difference {
    /// The containers that change.
    pub(crate) containers: Vec<ContainerChange>,
}

/// What changes in one container.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ContainerChange {
    /// Name of the container.
    pub(crate) name: String,
    /// The list of the pod spec that it stands in.
    pub(crate) list: &'static str,
    /// The new image.
    pub(crate) image: Option<String>,
    /// CPU and memory.
    pub(crate) resources: Option<ResourceChange>,
}

/// `resources` of a container, as far as they change.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ResourceChange {
    /// What the earlier revision says.
    pub(crate) from: Value,
    /// What the later one says.
    pub(crate) to: Value,
}

impl Difference {
    /// Compares two contents (`inject::revision_content`). The error says what cannot change in a
    /// running pod.
    pub(crate) fn between(from: &Value, to: &Value) -> Result<Self, String> {
        for field in ["volumes", "files", "appContainers", "pod", "parameters"] {
            if from.get(field) != to.get(field) {
                return Err(format!("spec.{field} changed"));
            }
        }
        let (before, after) = (sidecars(from), sidecars(to));
        let names = |sidecars: &[&Map<String, Value>]| -> Vec<String> {
            sidecars.iter().map(|sidecar| text(sidecar, "name").to_owned()).collect()
        };
        if names(&before) != names(&after) {
            return Err("spec.sidecars has other containers or another order".to_owned());
        }
        let mut containers = Vec::new();
        for (index, (before, after)) in before.into_iter().zip(after).enumerate() {
            let change = ContainerChange::between(before, after)
                .map_err(|what| format!("spec.sidecars[{index}].{what}"))?;
            containers.extend(change);
        }
        Ok(Self { containers })
    }

    /// Whether CPU or memory of any container change.
    pub(crate) fn resizes(&self) -> bool {
        self.containers.iter().any(|change| change.resources.is_some())
    }
}

impl ContainerChange {
    fn between(
        before: &Map<String, Value>,
        after: &Map<String, Value>,
    ) -> Result<Option<Self>, String> {
        let fields = before.keys().chain(after.keys());
        for field in fields.filter(|field| !matches!(field.as_str(), "image" | "resources")) {
            if before.get(field) != after.get(field) {
                return Err(format!("{field} changed"));
            }
        }
        let image = (before.get("image") != after.get("image")).then(|| text(after, "image"));
        if image.is_some_and(|image| image.contains("${")) {
            return Err("image changed, and is an expression".to_owned());
        }
        let resources = ResourceChange::between(before.get("resources"), after.get("resources"))?;
        if image.is_none() && resources.is_none() {
            return Ok(None);
        }
        let list = match text(after, "type") {
            "Container" => "containers",
            "Init" => return Err("image or resources changed, but it has run already".to_owned()),
            _ => "initContainers",
        };
        let name = text(after, "name").to_owned();
        Ok(Some(Self { name, list, image: image.map(str::to_owned), resources }))
    }
}

impl ResourceChange {
    fn between(before: Option<&Value>, after: Option<&Value>) -> Result<Option<Self>, String> {
        if before == after {
            return Ok(None);
        }
        let part =
            |resources: Option<&Value>, part: &str| resources.and_then(|r| r.get(part)).cloned();
        if part(before, "claims") != part(after, "claims") {
            return Err("resources.claims changed".to_owned());
        }
        let (mut from, mut to) = (Map::new(), Map::new());
        for field in ["requests", "limits"] {
            let (before, after) = (amounts(before, field), amounts(after, field));
            let (mut old, mut new) = (Map::new(), Map::new());
            for (resource, amount) in &after {
                if before.get(resource) == Some(amount) {
                    continue;
                }
                if !matches!(resource.as_str(), "cpu" | "memory") {
                    return Err(format!("resources.{field}.{resource} changed"));
                }
                if amount.as_str().is_some_and(|amount| amount.contains("${")) {
                    return Err(format!("resources.{field}.{resource} is an expression"));
                }
                old.extend(before.get(resource).map(|amount| (resource.clone(), amount.clone())));
                new.insert(resource.clone(), amount.clone());
            }
            if let Some(removed) = before.keys().find(|resource| !after.contains_key(*resource)) {
                return Err(format!("resources.{field}.{removed} was removed"));
            }
            if !new.is_empty() {
                from.insert(field.to_owned(), old.into());
                to.insert(field.to_owned(), new.into());
            }
        }
        Ok((!to.is_empty()).then(|| Self { from: from.into(), to: to.into() }))
    }
}

/// Requests or limits. The API server fills in a request that is absent from the limit.
fn amounts(resources: Option<&Value>, field: &str) -> Map<String, Value> {
    let read = |field| {
        let found = resources.and_then(|resources| resources.get(field)?.as_object());
        found.cloned().unwrap_or_default()
    };
    let mut amounts = read(field);
    if field == "requests" {
        for (resource, limit) in read("limits") {
            amounts.entry(resource).or_insert(limit);
        }
    }
    amounts
}

fn sidecars(content: &Value) -> Vec<&Map<String, Value>> {
    let list = content.get("sidecars").and_then(Value::as_array);
    list.into_iter().flatten().filter_map(Value::as_object).collect()
}

fn text<'v>(fields: &'v Map<String, Value>, name: &str) -> &'v str {
    fields.get(name).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    /// A content of one sidecar with these fields.
    fn content(fields: &Value) -> Value {
        let mut sidecar = json!({ "name": "shipper", "type": "Sidecar", "image": "a:1" });
        let object = sidecar.as_object_mut().unwrap();
        object.extend(fields.as_object().unwrap().clone());
        json!({ "sidecars": [sidecar], "volumes": [], "pod": null })
    }

    fn limits(cpu: &str) -> Value {
        json!({ "resources": { "limits": { "cpu": cpu } } })
    }

    #[test]
    fn images_follow() {
        let difference =
            Difference::between(&content(&json!({})), &content(&json!({ "image": "a:2" })));
        let change = &difference.unwrap().containers[0];
        assert_eq!((change.name.as_str(), change.list), ("shipper", "initContainers"));
        assert_eq!(change.image.as_deref(), Some("a:2"));
        assert_eq!(change.resources, None);
    }

    #[test]
    fn ordinary_containers_stand_in_the_other_list() {
        let kind = json!({ "type": "Container" });
        let new = json!({ "type": "Container", "image": "a:2" });
        let difference = Difference::between(&content(&kind), &content(&new)).unwrap();
        assert_eq!(difference.containers[0].list, "containers");
    }

    #[test]
    fn requests_that_come_from_the_limit_follow_with_it() {
        let difference =
            Difference::between(&content(&limits("100m")), &content(&limits("200m"))).unwrap();
        let change = difference.containers[0].resources.as_ref().unwrap();
        let expected = json!({ "requests": { "cpu": "200m" }, "limits": { "cpu": "200m" } });
        assert_eq!(change.to, expected);
        let before = json!({ "requests": { "cpu": "100m" }, "limits": { "cpu": "100m" } });
        assert_eq!(change.from, before);
        assert!(difference.resizes());
    }

    #[test]
    fn what_is_written_otherwise_and_means_the_same_changes_nothing() {
        let spelt_out =
            json!({ "resources": { "requests": { "cpu": "1" }, "limits": { "cpu": "1" } } });
        let difference = Difference::between(&content(&limits("1")), &content(&spelt_out)).unwrap();
        assert_eq!(difference, Difference::default());
    }

    #[rstest]
    #[case(json!({}), json!({ "args": ["-v"] }), "spec.sidecars[0].args changed")]
    #[case(json!({ "args": ["-v"] }), json!({}), "spec.sidecars[0].args changed")]
    #[case(json!({}), json!({ "name": "other" }), "spec.sidecars has other containers")]
    #[case(json!({}), json!({ "type": "Container" }), "spec.sidecars[0].type changed")]
    #[case(json!({}), json!({ "image": "a:${params.tag}" }), "image changed, and is an expression")]
    #[case(json!({ "type": "Init" }), json!({ "type": "Init", "image": "a:2" }), "has run already")]
    #[case(limits("1"), json!({}), "was removed")]
    #[case(
        json!({}),
        json!({ "resources": { "limits": { "ephemeral-storage": "1Gi" } } }),
        "ephemeral-storage changed"
    )]
    #[case(limits("1"), limits("${params.cpu}"), "is an expression")]
    #[case(
        json!({}),
        json!({ "resources": { "claims": [{ "name": "gpu" }] } }),
        "resources.claims changed"
    )]
    fn what_waits_for_the_next_pod(#[case] from: Value, #[case] to: Value, #[case] why: &str) {
        let found = Difference::between(&content(&from), &content(&to)).unwrap_err();
        assert!(found.contains(why), "{found}");
    }

    #[rstest]
    #[case("volumes", json!([{ "name": "logs" }]))]
    #[case("pod", json!({ "labels": { "a": "b" } }))]
    #[case("parameters", json!([{ "name": "level" }]))]
    fn all_beside_the_sidecars_waits(#[case] field: &str, #[case] value: Value) {
        let mut to = content(&json!({ "image": "a:2" }));
        to[field] = value;
        let found = Difference::between(&content(&json!({})), &to).unwrap_err();
        assert_eq!(found, format!("spec.{field} changed"));
    }
}
