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
const OBJECTS: [(&str, &str, bool); 17] = [
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
    vec![
        creates(look, namespace).await,
        gives_rights(look, namespace).await,
        room(look, namespace).await,
        definitions(look, namespace).await,
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

/// Nobody can give away by a role what they may not do themselves, unless they may escalate.
async fn gives_rights(look: &Look, namespace: &str) -> Finding {
    let check = Check(GROUP, "roles");
    let escalate = ["clusterroles", "roles"]
        .map(|resource| Permission::new("escalate", "rbac.authorization.k8s.io", resource, ""));
    let given = rights::by_default(namespace);
    let lacking = match look.lacks(Who::Me, &escalate).await {
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

/// Whether there is an installation already.
async fn room(look: &Look, namespace: &str) -> Finding {
    let check = Check(GROUP, "installation");
    match look.own_deployments(None).await {
        Ok(found) => match found.iter().find_map(Installed::of) {
            None => check.ok("there is no installation yet"),
            Some(there) if there.namespace == namespace => check.ok(format!(
                "release {} is installed in the namespace {namespace}, and helm upgrade changes it",
                there.release
            )),
            Some(there) => check.warning(
                format!("release {} is installed in the namespace {}", there.release, there.namespace),
                "a second one shares its definitions and policies: every pod would be injected by both",
            ),
        },
        Err(Error::Forbidden { .. }) => check.warning(
            "whether there is an installation already was not looked at",
            "helm list -A shows releases; you may not list deployments",
        ),
        Err(error) => check.failed("whether there is an installation cannot be seen", error.to_string()),
    }
}

/// Whether definitions of another release are in the way: Helm takes over none.
async fn definitions(look: &Look, namespace: &str) -> Finding {
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
    judge_definitions(&found, namespace)
}

fn judge_definitions(found: &[(String, Value)], namespace: &str) -> Finding {
    let check = Check(GROUP, "definitions");
    if found.is_empty() {
        return check
            .ok("the custom resource definitions are not there yet; the chart brings them");
    }
    let foreign = found.iter().find(|(_, definition)| {
        text(definition, "/metadata/annotations/meta.helm.sh~1release-namespace") != namespace
    });
    match foreign {
        None => check
            .ok("the custom resource definitions are there, and of a release in this namespace"),
        Some((name, definition)) => {
            let of = match text(definition, "/metadata/annotations/meta.helm.sh~1release-namespace")
            {
                "" => "was not made by Helm".to_owned(),
                other => format!("is of a release in the namespace {other}"),
            };
            check.warning(
                format!(
                    "{name} is there already and {of}, so that Helm refuses to install its own"
                ),
                "install with --set crds.install=false, or with helm's flag --take-ownership",
            )
        }
    }
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

    #[test]
    fn definitions_of_others_are_in_the_way() {
        let of = |namespace: &str| {
            let annotations = json!({ "meta.helm.sh/release-namespace": namespace });
            vec![("x".to_owned(), json!({ "metadata": { "annotations": annotations } }))]
        };
        assert_eq!(judge_definitions(&[], "system").state, State::Ok);
        assert_eq!(judge_definitions(&of("system"), "system").state, State::Ok);
        assert_eq!(judge_definitions(&of("other"), "system").state, State::Warning);
        assert_eq!(judge_definitions(&of(""), "system").state, State::Warning);
    }
}
