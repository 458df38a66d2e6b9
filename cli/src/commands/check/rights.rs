//! The rights of operator and webhook, and of whoever asks.

use super::{
    finding::{Check, Finding},
    look::{Look, Permission, Who},
    programs::Installed,
};
use crate::cluster::Error;

const GROUP: &str = "Rights";

/// What the chart gives, one rule a line. Its tests hold the list and the chart together.
const RULES: &str = include_str!("../../../../charts/test-data/access-rollouts.txt");
/// The release that the list was written for.
const RELEASE: &str = "sidecar-policy";

/// Roles that the operator has only with an argument.
const SWITCHED: [(&str, &str); 3] = [
    ("-operator-rollout-in-place", "--rollout-in-place"),
    ("-operator-rollout-restart", "--rollout-restart"),
    ("-operator-workload-annotations", "--repair-workload-annotations"),
];

pub(super) async fn check(look: &Look, installed: &Installed) -> Vec<Finding> {
    let mut findings = Vec::new();
    for component in ["operator", "webhook"] {
        findings.push(of_program(look, installed, component).await);
    }
    findings.push(own(look).await);
    findings
}

async fn of_program(look: &Look, installed: &Installed, component: &'static str) -> Finding {
    let check = Check(GROUP, component);
    let account = format!("{}-{component}", installed.release);
    let needed = needed(installed, component);
    match look.lacks(Who::Account(&installed.namespace, &account), &needed).await {
        Ok(lacking) if lacking.is_empty() => {
            check.ok(format!("the {component} has all {} rights that it needs", needed.len()))
        }
        Ok(lacking) => check.failed(
            format!("the {component} may not {}", shown(&lacking)),
            "helm upgrade brings its roles back; another role of the same name may have taken their place",
        ),
        Err(error @ Error::Forbidden { .. }) => {
            check.warning(format!("the rights of the {component} were not looked at"), error.to_string())
        }
        Err(error) => check.failed(format!("the rights of the {component} cannot be seen"), error.to_string()),
    }
}

/// Whether whoever asks may write policies where they work.
async fn own(look: &Look) -> Finding {
    let check = Check(GROUP, "own");
    let namespace = &look.cluster.default_namespace;
    let policies = ["get", "list", "create", "patch"]
        .map(|verb| Permission::new(verb, crds::GROUP, "sidecarpolicies", namespace));
    let pods = Permission::new("create", "", "pods", namespace);
    match look.lacks(Who::Me, &[&policies[..], &[pods]].concat()).await {
        Ok(lacking) if lacking.is_empty() => {
            check.ok(format!(
                "you may write SidecarPolicies in the namespace {namespace}; spec.rollout may take more rights"
            ))
        }
        Ok(lacking) => check.warning(
            format!("you may not {} in the namespace {namespace}, as writing SidecarPolicies there takes", shown(&lacking)),
            "an administrator can give you these rights; docs/threat-model.md says what they amount to",
        ),
        Err(error) => check.warning("your own rights were not looked at", error.to_string()),
    }
}

/// What a program cannot do without.
fn needed(installed: &Installed, component: &str) -> Vec<Permission> {
    let mut needed = given(installed, component);
    // The Secrets may be somebody else's to write.
    needed.retain(|permission| permission.resource != "secrets" || permission.verb == "get");
    needed.retain(|permission| !is_of_authority(permission, installed));
    needed
}

/// What the chart gives operator and webhook where nothing is set otherwise.
pub(super) fn by_default(namespace: &str) -> Vec<Permission> {
    let installed = Installed {
        namespace: namespace.to_owned(),
        release: RELEASE.to_owned(),
        operator_arguments: vec!["--repair-workload-annotations".to_owned()],
    };
    ["operator", "webhook"].map(|component| given(&installed, component)).concat()
}

/// The rights of the roles that this installation has.
fn given(installed: &Installed, component: &str) -> Vec<Permission> {
    let is_given = |role: &str| {
        let switch = SWITCHED.iter().find(|(suffix, _)| role.ends_with(suffix));
        switch.is_none_or(|(_, argument)| {
            installed.operator_arguments.iter().any(|given| given == argument)
        })
    };
    all(&installed.release, &installed.namespace)
        .into_iter()
        .filter(|(role, _)| {
            role.starts_with(&format!("{}-{component}", installed.release)) && is_given(role)
        })
        .map(|(_, permission)| permission)
        .collect()
}

/// With cert-manager there is no authority of the operator's own.
fn is_of_authority(permission: &Permission, installed: &Installed) -> bool {
    let has_own = installed
        .operator_arguments
        .iter()
        .any(|argument| argument.starts_with("--authority-secret="));
    permission.name.ends_with("-authority") && !has_own
}

/// Every right that the chart of this program gives, with the name of its role.
fn all(release: &str, namespace: &str) -> Vec<(String, Permission)> {
    RULES.lines().filter_map(|line| rule(line, release, namespace)).flatten().collect()
}

/// `ClusterRole NAME: VERBS RESOURCES of GROUP`, perhaps followed by ` named NAMES`; lists with commas.
fn rule(line: &str, release: &str, namespace: &str) -> Option<Vec<(String, Permission)>> {
    let (of_whom, what) = line.split_once(": ")?;
    let (kind, role) = of_whom.split_once(' ')?;
    let role = role.replacen(RELEASE, release, 1);
    let namespace = match kind {
        "ClusterRole" => String::new(),
        "Role" if role.ends_with("-dry-run") => format!("{release}-dry-run"),
        "Role" => namespace.to_owned(),
        _ => return None,
    };
    let (what, of) = what.split_once(" of ")?;
    let (verbs, resources) = what.split_once(' ')?;
    let (group, names) = of.split_once(" named ").unwrap_or((of, ""));
    let group = if group == "core" { "" } else { group };
    let mut rights = Vec::new();
    for verb in verbs.split(',') {
        for resource in resources.split(',') {
            for name in names.split(',') {
                let name = name.replacen(RELEASE, release, 1);
                let permission = Permission::new(verb, group, resource, &namespace);
                rights.push((role.clone(), Permission { name, ..permission }));
            }
        }
    }
    Some(rights)
}

/// Rights as people read them, a few of them.
pub(super) fn shown(permissions: &[Permission]) -> String {
    const MOST: usize = 6;
    let mut words: Vec<String> = permissions.iter().take(MOST).map(Permission::shown).collect();
    if permissions.len() > MOST {
        words.push(format!("{} more", permissions.len() - MOST));
    }
    words.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn installed(arguments: &[&str]) -> Installed {
        Installed {
            namespace: "system".to_owned(),
            release: "sidecars".to_owned(),
            operator_arguments: arguments.iter().map(|argument| (*argument).to_owned()).collect(),
        }
    }

    #[test]
    fn every_rule_of_the_chart_is_read() {
        let rules = RULES.lines().filter(|line| !line.contains("RoleBinding "));
        let read = |line: &&str| rule(line, "sidecars", "system").is_some();
        assert_eq!(rules.clone().filter(read).count(), rules.count());
        let leases = all("sidecars", "system")
            .into_iter()
            .find(|(_, right)| right.resource == "leases" && right.verb == "update");
        let (role, lease) = leases.expect("the operator holds a Lease");
        assert_eq!(role, "sidecars-operator");
        assert_eq!(lease.shown(), "update leases.coordination.k8s.io sidecars-operator");
        assert_eq!(lease.namespace, "system");
    }

    #[test]
    fn rights_of_switches_are_needed_with_them_only() {
        let evicts = |arguments: &[&str]| {
            needed(&installed(arguments), "operator")
                .iter()
                .any(|right| right.resource == "pods/eviction")
        };
        assert!(evicts(&["--rollout-restart"]) && !evicts(&[]));
        let webhook = needed(&installed(&[]), "webhook");
        assert!(
            webhook.iter().any(|right| right.shown() == "get secrets sidecars-webhook-certificate")
        );
        assert!(!webhook.iter().any(|right| right.verb == "create"), "{webhook:?}");
        let default: Vec<String> = by_default("system").iter().map(Permission::shown).collect();
        for (right, is_given) in [
            ("patch cronjobs.batch", true),
            ("create secrets sidecar-policy-authority", true),
            ("list namespaces", true),
            ("create pods/eviction", false),
        ] {
            assert_eq!(default.iter().any(|found| found == right), is_given, "{right}");
        }
    }
}
