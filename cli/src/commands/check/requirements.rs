//! What an installation needs before there is one: rights of whoever installs it, and no other one in its
//! way.

use serde_json::Value;

use super::{
    definitions,
    finding::{Check, Finding},
    look::{Look, Permission, Who, text},
    programs::Installed,
    rights,
};
use crate::cluster::Error;

const GROUP: &str = "Requirements";

/// What the chart makes: group, resource, and whether it is in the release's namespace.
pub(super) const OBJECTS: [(&str, &str, bool); 17] = [
    ("", "namespaces", false),
    ("apiextensions.k8s.io", "customresourcedefinitions", false),
    ("rbac.authorization.k8s.io", "clusterroles", false),
    ("rbac.authorization.k8s.io", "clusterrolebindings", false),
    ("admissionregistration.k8s.io", "mutatingwebhookconfigurations", false),
    ("admissionregistration.k8s.io", "validatingwebhookconfigurations", false),
    ("admissionregistration.k8s.io", "validatingadmissionpolicies", false),
    ("admissionregistration.k8s.io", "validatingadmissionpolicybindings", false),
    ("rbac.authorization.k8s.io", "roles", true),
    ("rbac.authorization.k8s.io", "rolebindings", true),
    ("apps", "deployments", true),
    ("policy", "poddisruptionbudgets", true),
    ("networking.k8s.io", "networkpolicies", true),
    ("", "resourcequotas", true),
    ("", "services", true),
    ("", "serviceaccounts", true),
    // Where Helm keeps its releases.
    ("", "secrets", true),
];

pub(super) async fn check(look: &Look, namespace: &str) -> Vec<Finding> {
    let (room, release) = room(look, namespace).await;
    vec![
        creates(look, namespace).await,
        gives_rights(look, namespace).await,
        room,
        definitions(look, namespace, release.as_deref()).await,
    ]
}

/// Whether whoever asks may make the chart's objects.
async fn creates(look: &Look, namespace: &str) -> Finding {
    let check = Check(GROUP, "objects");
    let needed = OBJECTS.map(|(group, resource, is_inside)| {
        Permission::new("create", group, resource, if is_inside { namespace } else { "" })
    });
    match look.lacks(Who::Me, &needed).await {
        Ok(lacking) if lacking.is_empty() => check
            .ok(format!("you may create all objects of the chart in the namespace {namespace}")),
        Ok(lacking) => check.failed(
            format!("you may not {}", rights::shown(&lacking)),
            "have a cluster administrator install the chart",
        ),
        Err(error) => check.failed("your rights cannot be seen", error.to_string()),
    }
}

/// Nobody can give away what they may not do themselves, unless they may escalate roles and bind them.
async fn gives_rights(look: &Look, namespace: &str) -> Finding {
    let check = Check(GROUP, "roles");
    let without = ["escalate", "bind"].map(|verb| {
        ["clusterroles", "roles"]
            .map(|resource| Permission::new(verb, "rbac.authorization.k8s.io", resource, ""))
    });
    let given = rights::by_default(namespace);
    let lacking = match look.lacks(Who::Me, without.as_flattened()).await {
        Ok(lacking) if lacking.is_empty() => Ok(Vec::new()),
        Ok(_) => look.lacks(Who::Me, &given).await,
        Err(error) => Err(error),
    };
    match lacking {
        Ok(lacking) if lacking.is_empty() => {
            check.ok("you may give operator and webhook the rights that they need")
        }
        Ok(lacking) => check.failed(
            format!("you cannot give rights that you lack: {}", rights::shown(&lacking)),
            "have a cluster administrator install the chart",
        ),
        Err(error) => check.failed("your rights cannot be seen", error.to_string()),
    }
}

/// Whether there is an installation already, and the release of the one in this namespace.
async fn room(look: &Look, namespace: &str) -> (Finding, Option<String>) {
    let check = Check(GROUP, "installation");
    let found = match look.own_deployments(None).await {
        Ok(found) => found,
        Err(Error::Forbidden { .. }) => {
            let finding = check.warning(
                "whether there is an installation already was not looked at",
                "helm list -A shows releases; you may not list deployments",
            );
            return (finding, None);
        }
        Err(error) => {
            let told = "whether there is an installation cannot be seen";
            return (check.failed(told, error.to_string()), None);
        }
    };
    let (here, elsewhere): (Vec<Installed>, Vec<Installed>) =
        found.iter().filter_map(Installed::of).partition(|found| found.namespace == namespace);
    let release = here.into_iter().next().map(|found| found.release);
    let finding = match (elsewhere.first(), &release) {
        (Some(there), _) => check.warning(
            format!("release {} is installed in the namespace {}", there.release, there.namespace),
            "a second one shares its definitions and policies: every pod would be injected by both",
        ),
        (None, Some(release)) => check.ok(format!(
            "release {release} is installed in the namespace {namespace}, and helm upgrade changes it"
        )),
        (None, None) => check.ok("there is no installation yet"),
    };
    (finding, release)
}

/// Whether definitions of another release are in the way: Helm takes over none.
async fn definitions(look: &Look, namespace: &str, release: Option<&str>) -> Finding {
    let check = Check(GROUP, "definitions");
    let mut found = Vec::new();
    for name in definitions::names() {
        match look.object(&definitions::DEFINITION, "", &name).await {
            Ok(definition) => found.extend(definition.map(|definition| (name, definition))),
            Err(error) => {
                let told = "whether the custom resource definitions are there was not looked at";
                return check.warning(told, error.to_string());
            }
        }
    }
    judge_definitions(&found, namespace, release)
}

/// `release` is the one that is in the namespace already, if any. Otherwise its name is free, except where definitions
/// are of one.
fn judge_definitions(found: &[(String, Value)], namespace: &str, release: Option<&str>) -> Finding {
    let check = Check(GROUP, "definitions");
    let owners = found.iter().map(|(name, definition)| (name, owner(definition)));
    let is_here = |owner: &(&str, &str)| owner.0 == namespace;
    let of_found = || owners.clone().find_map(|(_, owner)| owner.filter(is_here));
    let expected = release.map(|release| (namespace, release)).or_else(of_found);
    let foreign = owners.clone().find(|(_, owner)| owner.is_none() || *owner != expected);
    match (foreign, expected) {
        (None, Some((_, release))) if !found.is_empty() => check.ok(format!(
            "the custom resource definitions are there, and of the release {release} in this namespace; Helm refuses \
             them to a release of another name"
        )),
        (None, _) => {
            check.ok("the custom resource definitions are not there yet; the chart brings them")
        }
        (Some((name, owner)), _) => {
            let of = match owner {
                None => "was not made by Helm".to_owned(),
                Some((namespace, release)) => {
                    format!("is of the release {release} in the namespace {namespace}")
                }
            };
            check.failed(
                format!("{name} is there already and {of}, so that Helm refuses to install its own"),
                "install with --set crds.install=false, or with helm's flag --take-ownership",
            )
        }
    }
}

/// Namespace and name of the release that an object belongs to, by what Helm goes by; `None` if to none.
fn owner(object: &Value) -> Option<(&str, &str)> {
    let is_helms = text(object, "/metadata/labels/app.kubernetes.io~1managed-by") == "Helm";
    let namespace = text(object, "/metadata/annotations/meta.helm.sh~1release-namespace");
    let release = text(object, "/metadata/annotations/meta.helm.sh~1release-name");
    (is_helms && !namespace.is_empty() && !release.is_empty()).then_some((namespace, release))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::json;

    use super::{super::finding::State, *};

    #[test]
    fn every_kind_of_the_chart_has_its_right() {
        let objects = include_str!("../../../../charts/test-data/objects.txt");
        // What helm test makes for a moment is no part of an installation.
        let kinds: BTreeSet<&str> = objects
            .lines()
            .filter(|line| !line.contains("helm-test"))
            .filter_map(|line| line.split(' ').next())
            .collect();
        for kind in kinds {
            let kind = kind.to_lowercase();
            let is_of = |resource: &str| {
                resource.strip_suffix('s') == Some(&kind)
                    || kind.strip_suffix('y').is_some_and(|stem| resource == format!("{stem}ies"))
            };
            assert!(OBJECTS.iter().any(|(_, resource, _)| is_of(resource)), "{kind}");
        }
    }

    fn definition(managed_by: &str, namespace: &str, release: &str) -> (String, Value) {
        let metadata = json!({
            "labels": { "app.kubernetes.io/managed-by": managed_by },
            "annotations": {
                "meta.helm.sh/release-namespace": namespace, "meta.helm.sh/release-name": release,
            },
        });
        (release.to_owned(), json!({ "metadata": metadata }))
    }

    #[test]
    fn definitions_of_others_are_in_the_way() {
        let own = definition("Helm", "system", "a");
        let renamed = definition("Helm", "system", "b");
        let elsewhere = definition("Helm", "other", "a");
        let by_hand = definition("", "system", "a");
        for (found, release, state, words) in [
            (vec![], None, State::Ok, "are not there yet"),
            (vec![], Some("a"), State::Ok, "are not there yet"),
            (vec![own.clone(), own.clone()], None, State::Ok, "of the release a in this namespace"),
            (vec![own.clone()], Some("a"), State::Ok, "of the release a in this namespace"),
            (
                vec![own.clone()],
                Some("b"),
                State::Failed,
                "is of the release a in the namespace system",
            ),
            (vec![own.clone(), renamed], None, State::Failed, "is of the release b"),
            (vec![elsewhere.clone()], None, State::Failed, "in the namespace other"),
            (vec![elsewhere, own], None, State::Failed, "in the namespace other"),
            (vec![by_hand], None, State::Failed, "was not made by Helm"),
            (vec![("x".to_owned(), json!({}))], Some("a"), State::Failed, "was not made by Helm"),
        ] {
            let finding = judge_definitions(&found, "system", release);
            assert_eq!(finding.state, state, "{finding:?}");
            assert!(finding.message.contains(words), "{finding:?}");
        }
    }
}
