//! What else changes pods, webhooks and policies of the API server, and how it gets on with our webhook.

use serde_json::Value;

use super::{
    configurations::MUTATING,
    finding::{Check, Finding},
    look::{Look, text},
};
use crate::cluster::{Error, Resource};

const GROUP: &str = "Others that change pods";

/// The newest version is asked first; API servers before 1.36 have only the others, if any.
const POLICIES: [Resource; 3] = [policies("v1"), policies("v1beta1"), policies("v1alpha1")];

const fn policies(version: &'static str) -> Resource {
    Resource::cluster(
        "admissionregistration.k8s.io",
        version,
        "MutatingAdmissionPolicy",
        "mutatingadmissionpolicies",
    )
}

pub(super) async fn check(look: &Look) -> Vec<Finding> {
    let check = Check(GROUP, "mutating");
    let mut findings = Vec::new();
    let not_looked_at = |resource: &Resource, error: &Error| {
        check.warning(format!("{} were not looked at", resource.plural), error.to_string())
    };
    match look.objects(&MUTATING, None, None).await {
        Ok(objects) => findings.extend(objects.iter().flat_map(of_configuration)),
        Err(error) => findings.push(not_looked_at(&MUTATING, &error)),
    }
    for resource in &POLICIES {
        match look.objects(resource, None, None).await {
            Ok(objects) => findings.extend(objects.iter().filter_map(of_policy)),
            Err(Error::NotServed { .. }) => continue,
            Err(error) => findings.push(not_looked_at(resource, &error)),
        }
        break;
    }
    if findings.is_empty() {
        findings.push(check.ok("no other webhook and no MutatingAdmissionPolicy changes pods"));
    }
    findings
}

fn of_policy(policy: &Value) -> Option<Finding> {
    let rules = &policy["spec"]["matchConstraints"]["resourceRules"];
    let told = format!("MutatingAdmissionPolicy {}", text(policy, "/metadata/name"));
    changes_pods(rules).then(|| judge(&told, &policy["spec"]["reinvocationPolicy"]))
}

fn of_configuration(configuration: &Value) -> Vec<Finding> {
    let entries = configuration["webhooks"].as_array().into_iter().flatten();
    let others = entries.filter(|entry| {
        !text(entry, "/name").ends_with(".sidecarpolicy.dev") && changes_pods(&entry["rules"])
    });
    let name = text(configuration, "/metadata/name");
    let finding = |entry: &Value| {
        let entry_name = text(entry, "/name");
        let told = format!("the entry {entry_name} of MutatingWebhookConfiguration {name}");
        judge(&told, &entry["reinvocationPolicy"])
    };
    others.map(finding).collect()
}

fn judge(what: &str, reinvocation: &Value) -> Finding {
    let check = Check(GROUP, "mutating");
    if reinvocation == "IfNeeded" {
        return check.ok(format!(
            "{what} may change pods too, and is called again if sidecars were put in after its turn"
        ));
    }
    check.warning(
        format!("{what} may change pods too, and does not see sidecars that are put in after its turn"),
        "policies have their turn before webhooks, and those by the names of their configurations; where it has to treat sidecars like other containers, set its reinvocationPolicy to IfNeeded",
    )
}

fn changes_pods(rules: &Value) -> bool {
    let mut rules = rules.as_array().into_iter().flatten();
    let has = |rule: &Value, field: &str, wanted: &[&str]| {
        let mut found = rule[field].as_array().into_iter().flatten().filter_map(Value::as_str);
        found.any(|found| wanted.contains(&found))
    };
    rules.any(|rule| {
        has(rule, "apiGroups", &["", "*"])
            && has(rule, "resources", &["pods", "*", "*/*"])
            && has(rule, "operations", &["CREATE", "*"])
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{super::finding::State, *};

    fn configuration(name: &str, resources: &str, reinvocation: &str) -> Value {
        json!({
            "metadata": {"name": "mesh"},
            "webhooks": [{
                "name": name, "reinvocationPolicy": reinvocation,
                "rules": [{"apiGroups": [""], "resources": [resources], "operations": ["CREATE"]}],
            }],
        })
    }

    #[test]
    fn those_that_change_pods_are_named() {
        for (name, resources, reinvocation, state) in [
            ("a.mesh.io", "pods", "Never", Some(State::Warning)),
            ("a.mesh.io", "*", "IfNeeded", Some(State::Ok)),
            ("a.mesh.io", "services", "Never", None),
            ("ignore.pods.sidecarpolicy.dev", "pods", "Never", None),
        ] {
            let found = of_configuration(&configuration(name, resources, reinvocation));
            assert_eq!(found.first().map(|finding| finding.state), state, "{found:?}");
        }
    }

    #[test]
    fn a_policy_of_the_api_server_counts_too() {
        let policy = |operation: &str| {
            json!({
                "metadata": {"name": "mesh"},
                "spec": {"reinvocationPolicy": "Never", "matchConstraints": {"resourceRules": [
                    {"apiGroups": [""], "resources": ["pods"], "operations": [operation]}]}},
            })
        };
        assert!(of_policy(&policy("UPDATE")).is_none());
        let found = of_policy(&policy("CREATE")).expect("it changes pods");
        assert!(found.message.starts_with("MutatingAdmissionPolicy mesh may change"), "{found:?}");
    }
}
