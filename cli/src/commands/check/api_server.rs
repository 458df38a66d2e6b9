//! The API server: its version, and what it serves.

use futures::future::try_join_all;

use super::{
    finding::{Check, Finding},
    look::Look,
};
use crate::cluster::{Error, Resource};

const GROUP: &str = "API server";
/// The first release in which native sidecars are stable; the chart says the same.
const OLDEST_MINOR: u32 = 33;

/// What the API server says of itself, in messages.
const DISCOVERY: Resource = Resource::cluster("", "v1", "APIResourceList", "apiresources");

/// What the product cannot do without: group with version, and resources.
const NEEDED: [(&str, &[&str]); 10] = [
    (
        "admissionregistration.k8s.io/v1",
        &[
            "mutatingwebhookconfigurations",
            "validatingwebhookconfigurations",
            "validatingadmissionpolicies",
            "validatingadmissionpolicybindings",
        ],
    ),
    ("apiextensions.k8s.io/v1", &["customresourcedefinitions"]),
    ("apps/v1", &["deployments", "controllerrevisions"]),
    ("authorization.k8s.io/v1", &["subjectaccessreviews", "selfsubjectaccessreviews"]),
    ("coordination.k8s.io/v1", &["leases"]),
    ("discovery.k8s.io/v1", &["endpointslices"]),
    ("events.k8s.io/v1", &["events"]),
    ("networking.k8s.io/v1", &["networkpolicies"]),
    ("policy/v1", &["poddisruptionbudgets"]),
    (
        "rbac.authorization.k8s.io/v1",
        &["clusterroles", "clusterrolebindings", "roles", "rolebindings"],
    ),
];

/// Fails where no API server answers.
pub(super) async fn check(look: &Look) -> Result<Vec<Finding>, Error> {
    Ok(vec![version(look).await?, resources(look).await?])
}

async fn version(look: &Look) -> Result<Finding, Error> {
    let version = look.cluster.client.apiserver_version().await;
    let version = version.map_err(|error| look.failed("get", &DISCOVERY, None, error))?;
    let check = Check(GROUP, "version");
    let told = format!("Kubernetes {}", version.git_version.trim_start_matches('v'));
    Ok(if is_new_enough(&version.major, &version.minor) {
        check.ok(format!("{told}; native sidecars are stable there"))
    } else {
        check.failed(
            format!(
                "{told} is older than 1.{OLDEST_MINOR}, in which native sidecars became stable"
            ),
            "upgrade the cluster; the chart refuses older ones",
        )
    })
}

/// Some providers write `34+`.
fn is_new_enough(major: &str, minor: &str) -> bool {
    let number = |text: &str| {
        let digits: String = text.chars().take_while(char::is_ascii_digit).collect();
        digits.parse::<u32>().unwrap_or(0)
    };
    (number(major), number(minor)) >= (1, OLDEST_MINOR)
}

async fn resources(look: &Look) -> Result<Finding, Error> {
    let check = Check(GROUP, "resources");
    let asked = NEEDED.iter().map(async |(version, resources)| {
        match look.cluster.client.list_api_group_resources(version).await {
            Ok(list) => {
                let is_there =
                    |name: &&&str| list.resources.iter().any(|found| found.name == **name);
                let missing = resources.iter().filter(|name| !is_there(name));
                Ok(missing.map(|name| format!("{name} of {version}")).collect())
            }
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(vec![(*version).to_owned()]),
            Err(error) => Err(look.failed("get", &DISCOVERY, None, error)),
        }
    });
    let missing: Vec<Vec<String>> = try_join_all(asked).await?;
    let missing = missing.concat();
    Ok(if missing.is_empty() {
        check.ok(
            "it serves admission webhooks, ValidatingAdmissionPolicies and all else that is needed",
        )
    } else {
        check.failed(
            format!("it does not serve {}", missing.join(", ")),
            "enable them in --runtime-config of the API server",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_providers_are_read() {
        for (major, minor, expected) in [
            ("1", "33", true),
            ("1", "32", false),
            ("1", "34+", true),
            ("2", "0", true),
            ("", "", false),
        ] {
            assert_eq!(is_new_enough(major, minor), expected, "{major}.{minor}");
        }
    }

    #[test]
    fn what_the_chart_makes_is_asked_for() {
        for (group, resource, _) in super::super::requirements::OBJECTS {
            let is_asked_for = NEEDED.iter().any(|(version, resources)| {
                version.strip_suffix("/v1") == Some(group) && resources.contains(&resource)
            });
            assert!(group.is_empty() || is_asked_for, "{resource} of {group}");
        }
    }

    #[test]
    fn the_chart_asks_for_the_same_version() {
        let chart = include_str!("../../../../charts/sidecar-policy/Chart.yaml");
        assert!(chart.contains(&format!("kubeVersion: \">=1.{OLDEST_MINOR}.0-0\"")), "{chart}");
    }
}
