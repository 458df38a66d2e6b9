//! Requests, limits, claims and resize policies of a container.

use std::collections::{BTreeMap, HashSet};

use crds::SidecarType;

use crate::{problem::Problems, quantity::Quantity};

use super::{names, object::Object};

/// Resources without a prefix that a container can ask for.
const STANDARD: [&str; 3] = ["cpu", "memory", "ephemeral-storage"];
const HUGE_PAGES: &str = "hugepages-";
const KUBERNETES: &str = "kubernetes.io/";

type Amounts<'a> = BTreeMap<&'a str, Quantity>;

/// Checks what a container asks for.
pub(super) fn check(container: &Object<'_>, kind: SidecarType, problems: &mut Problems) {
    if let Some(resources) = container.object("resources") {
        let requests = amounts(&resources, "requests", problems);
        let limits = amounts(&resources, "limits", problems);
        compare(&resources, &requests, &limits, problems);
        huge_pages_come_with_others(&resources, problems);
        claims(&resources, problems);
    }
    resize_policy(container, kind, problems);
}

/// The amounts of a map as far as they are known, each checked.
fn amounts<'a>(resources: &Object<'a>, field: &str, problems: &mut Problems) -> Amounts<'a> {
    let mut amounts = BTreeMap::new();
    let Some(map) = resources.object(field) else { return amounts };
    for name in map.fields().keys() {
        if !is_resource_name(name) {
            problems.add(
                map.at(name),
                format!(
                    "{name:?} is not a resource; use cpu, memory, ephemeral-storage, hugepages-SIZE or a full name such as example.com/gpu"
                ),
            );
        }
        let Some(amount) = map.quantity(name, problems) else { continue };
        if amount.is_negative() {
            problems.add(map.at(name), "must not be negative");
        } else if is_extended(name) && !amount.is_whole() {
            problems.add(map.at(name), "must be a whole number");
        } else if let Some(size) = name.strip_prefix(HUGE_PAGES)
            && !is_multiple_of(&amount, size)
        {
            problems.add(map.at(name), format!("must be a multiple of the page size {size}"));
        }
        amounts.insert(name.as_str(), amount);
    }
    amounts
}

fn is_resource_name(name: &str) -> bool {
    if !names::is_label_key(name) {
        return false;
    }
    if !name.contains('/') {
        return STANDARD.contains(&name) || name.starts_with(HUGE_PAGES);
    }
    // A quota counts it as requests.NAME, which has to be a name as well.
    is_native(name)
        || (!name.starts_with("requests.") && names::is_label_key(&format!("requests.{name}")))
}

fn is_native(name: &str) -> bool {
    !name.contains('/') || name.contains(KUBERNETES)
}

fn is_extended(name: &str) -> bool {
    !is_native(name) && !name.starts_with("requests.")
}

fn is_multiple_of(amount: &Quantity, page_size: &str) -> bool {
    Quantity::parse(page_size).is_some_and(|size| {
        !size.is_zero() && !size.is_negative() && size.is_whole() && amount.is_multiple_of(&size)
    })
}

fn compare(
    resources: &Object<'_>,
    requests: &Amounts<'_>,
    limits: &Amounts<'_>,
    problems: &mut Problems,
) {
    let written = resources.object("limits");
    for (name, request) in requests {
        let path = resources.at(&format!("requests.{name}"));
        let overcommits = is_native(name) && !name.starts_with(HUGE_PAGES);
        match limits.get(name) {
            Some(limit) if !overcommits && request != limit => {
                problems.add(path, "must be equal to the limit");
            }
            Some(limit) if !request.is_negative() && !request.is_at_most(limit) => {
                problems.add(path, "must not be more than the limit");
            }
            None if !overcommits && !written.as_ref().is_some_and(|limits| limits.has(name)) => {
                problems.add(path, "needs an equal limit, because it cannot be shared");
            }
            _ => {}
        }
    }
}

fn huge_pages_come_with_others(resources: &Object<'_>, problems: &mut Problems) {
    let maps = || ["requests", "limits"].into_iter().filter_map(|field| resources.object(field));
    let names = || maps().flat_map(|map| map.fields().keys());
    if names().any(|name| name.starts_with(HUGE_PAGES))
        && !names().any(|name| name == "cpu" || name == "memory")
    {
        problems.add(resources.path(), "huge pages need cpu or memory beside them");
    }
}

/// Checks claims among themselves; that the pod has them is found out pod by pod.
fn claims(resources: &Object<'_>, problems: &mut Problems) {
    let mut found: Vec<(&str, &str)> = Vec::new();
    for claim in resources.objects("claims") {
        claim.require("name", problems);
        let Some(name) = claim.filled("name") else { continue };
        let request = claim.filled("request").unwrap_or_default();
        if !request.is_empty() && !names::is_dns_label(request) {
            problems.add(claim.at("request"), format!("{request:?} {}", names::DNS_LABEL));
        }
        let taken = found.iter().any(|(other, part)| {
            *other == name && (part.is_empty() || request.is_empty() || *part == request)
        });
        if taken {
            problems.add(claim.path(), format!("{name:?} is used twice"));
        }
        found.push((name, request));
    }
}

fn resize_policy(container: &Object<'_>, kind: SidecarType, problems: &mut Problems) {
    let mut resources = HashSet::new();
    for policy in container.objects("resizePolicy") {
        for field in ["resourceName", "restartPolicy"] {
            policy.require(field, problems);
        }
        policy.word("resourceName", &["cpu", "memory"], problems);
        policy.word("restartPolicy", &["NotRequired", "RestartContainer"], problems);
        if policy.filled("resourceName").is_some_and(|name| !resources.insert(name)) {
            problems.add(policy.at("resourceName"), "is used twice");
        }
        if kind == SidecarType::Init && policy.text("restartPolicy") == Some("RestartContainer") {
            let message = "must be NotRequired with type: Init, which runs to completion";
            problems.add(policy.at("restartPolicy"), message);
        }
    }
}
