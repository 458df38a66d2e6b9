//! Environment variables and where their values come from.

use crate::{problem::Problems, quantity::Quantity};

use super::{names, object::Object};

/// What a variable can take from the pod.
const POD_FIELDS: [&str; 10] = [
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.host",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
];
/// What a file of a downward API volume can take from the pod.
const FILE_FIELDS: [&str; 5] = [
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "metadata.labels",
    "metadata.annotations",
];
const RESOURCES: [&str; 6] = [
    "limits.cpu",
    "limits.memory",
    "limits.ephemeral-storage",
    "requests.cpu",
    "requests.memory",
    "requests.ephemeral-storage",
];
const HUGE_PAGES: [&str; 2] = ["requests.hugepages-", "limits.hugepages-"];

/// Who takes a value from the pod.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Taker {
    Variable,
    File,
}

/// Checks the variables of a container, and the sources of many at once.
pub(super) fn check(container: &Object<'_>, problems: &mut Problems) {
    for variable in container.objects("env") {
        if let Some(name) = variable.text("name") {
            variable_name(name, variable.at("name"), problems);
        } else {
            variable.require("name", problems);
        }
        let Some(source) = variable.object("valueFrom") else { continue };
        // Sources of a newer Kubernetes count as well.
        let sources = source.fields().values().filter(|source| !source.is_null()).count();
        if sources != 1 {
            problems.add(source.path(), "must name exactly one source");
        }
        if sources > 0 && variable.filled("value").is_some() {
            problems.add(variable.path(), "must not have both value and valueFrom");
        }
        value_source(&source, problems);
    }
    for source in container.objects("envFrom") {
        sources_of_many(&source, problems);
    }
}

fn variable_name(name: &str, path: String, problems: &mut Problems) {
    if name.is_empty() {
        problems.add(path, "is missing");
    } else if !names::is_variable_name(name) {
        problems.add(path, names::VARIABLE_NAME);
    }
}

fn value_source(source: &Object<'_>, problems: &mut Problems) {
    if let Some(reference) = source.object("fieldRef") {
        pod_field(&reference, Taker::Variable, problems);
    }
    if let Some(reference) = source.object("resourceFieldRef") {
        resource_field(&reference, Taker::Variable, problems);
    }
    for kind in ["configMapKeyRef", "secretKeyRef"] {
        let Some(reference) = source.object(kind) else { continue };
        reference.require("name", problems);
        object_name(&reference, "name", problems);
        reference.require("key", problems);
        if let Some(key) = reference.filled("key")
            && !names::is_data_key(key)
        {
            let message = format!(
                "{key:?} is not a key: at most 253 letters, digits, '-', '_' and '.', not beginning with '..'"
            );
            problems.add(reference.at("key"), message);
        }
    }
    if let Some(reference) = source.object("fileKeyRef") {
        for field in ["volumeName", "path", "key"] {
            reference.require(field, problems);
        }
        if let Some(name) = reference.filled("volumeName")
            && !names::is_dns_label(name)
        {
            problems.add(reference.at("volumeName"), format!("{name:?} {}", names::DNS_LABEL));
        }
        if reference.text("path").is_some_and(|path| path.split('/').any(|part| part == "..")) {
            problems.add(reference.at("path"), "must not contain '..'");
        }
        if let Some(key) = reference.filled("key") {
            variable_name(key, reference.at("key"), problems);
        }
    }
}

fn sources_of_many(source: &Object<'_>, problems: &mut Problems) {
    if let Some(prefix) = source.filled("prefix")
        && !names::is_variable_name(prefix)
    {
        problems.add(source.at("prefix"), names::VARIABLE_NAME);
    }
    let kinds = ["configMapRef", "secretRef"];
    let mut named = kinds.iter().filter_map(|kind| source.object(kind));
    match (named.next(), named.next()) {
        (Some(reference), None) => {
            reference.require("name", problems);
            if let Some(name) = reference.filled("name")
                && !names::is_dns_subdomain(name.strip_suffix('-').unwrap_or(name))
            {
                problems.add(reference.at("name"), format!("{name:?} {}", names::DNS_SUBDOMAIN));
            }
        }
        _ => problems.add(source.path(), "must have exactly one of configMapRef, secretRef"),
    }
}

/// Checks the name of another object in a field that is not empty.
pub(super) fn object_name(object: &Object<'_>, field: &str, problems: &mut Problems) {
    if let Some(name) = object.filled(field)
        && !names::is_dns_subdomain(name)
    {
        problems.add(object.at(field), format!("{name:?} {}", names::DNS_SUBDOMAIN));
    }
}

/// Checks a `fieldRef`.
pub(super) fn pod_field(reference: &Object<'_>, taker: Taker, problems: &mut Problems) {
    reference.word("apiVersion", &["v1"], problems);
    reference.require("fieldPath", problems);
    let Some(path) = reference.filled("fieldPath") else { return };
    let supported: &[&str] = match taker {
        Taker::Variable => &POD_FIELDS,
        Taker::File => &FILE_FIELDS,
    };
    if let Some((map, key)) = path.strip_suffix("']").and_then(|path| path.split_once("['")) {
        let is_key = match map {
            "metadata.labels" => names::is_label_key(key),
            "metadata.annotations" => names::is_label_key(&key.to_lowercase()),
            _ => {
                let message = format!(
                    "{path:?} cannot be taken; only metadata.labels and metadata.annotations have keys"
                );
                return problems.add(reference.at("fieldPath"), message);
            }
        };
        if !is_key {
            problems.add(reference.at("fieldPath"), format!("{key:?} {}", names::LABEL_KEY));
        }
    } else if !supported.contains(&path) {
        let shown = supported.iter().filter(|field| **field != "spec.host");
        let shown = shown.copied().collect::<Vec<_>>().join(", ");
        let message = format!(
            "{path:?} cannot be taken; use one of {shown}, metadata.labels['KEY'], metadata.annotations['KEY']"
        );
        problems.add(reference.at("fieldPath"), message);
    }
}

/// Checks a `resourceFieldRef`.
pub(super) fn resource_field(reference: &Object<'_>, taker: Taker, problems: &mut Problems) {
    if taker == Taker::File {
        reference.require("containerName", problems);
    }
    reference.require("resource", problems);
    let Some(resource) = reference.filled("resource") else { return };
    let huge_pages = HUGE_PAGES.iter().any(|prefix| resource.starts_with(prefix));
    if !RESOURCES.contains(&resource) && !huge_pages {
        let message = format!(
            "{resource:?} cannot be taken; use one of {}, limits.hugepages-SIZE, requests.hugepages-SIZE",
            RESOURCES.join(", ")
        );
        return problems.add(reference.at("resource"), message);
    }
    let Some(divisor) = reference.quantity("divisor", problems) else { return };
    let text = reference.quantity_text("divisor").unwrap_or_default();
    let (fits, supported) = if resource == "limits.cpu" || resource == "requests.cpu" {
        (is_divisor(&text, &divisor, &["1m", "1"]), "1m and 1")
    } else {
        let sizes =
            ["1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei"];
        (is_divisor(&text, &divisor, &sizes), "1 and powers such as 1k, 1M, 1Ki, 1Mi")
    };
    if !fits && !divisor.is_zero() {
        problems
            .add(reference.at("divisor"), format!("{text:?} is not supported; use {supported}"));
    }
}

/// Whether a divisor is one of some, written in the same family of suffixes: to the API server 1024
/// is not 1Ki, and no power of ten with an exponent is one with a suffix.
fn is_divisor(text: &str, divisor: &Quantity, supported: &[&str]) -> bool {
    let text = text.trim_end();
    let is_binary = |text: &str| text.ends_with('i');
    let has_exponent = text.find(['e', 'E']).is_some_and(|at| text.len() > at + 1);
    !has_exponent
        && supported.iter().any(|one| {
            (is_binary(one) == is_binary(text)) && Quantity::parse(one).as_ref() == Some(divisor)
        })
}
