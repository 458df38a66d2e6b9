//! Operator and webhook: there, ready, led by one, reachable, and of this program's version.

use jiff::Timestamp;
use serde_json::Value;

use super::{
    finding::{Check, Finding},
    look::{Look, text},
};
use crate::cluster::Resource;

const GROUP: &str = "Operator and webhook";

const LEASE: Resource = Resource::namespaced("coordination.k8s.io", "v1", "Lease", "leases");
const ENDPOINT_SLICE: Resource =
    Resource::namespaced("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices");

/// An installation that was found.
#[derive(Debug)]
pub(super) struct Installed {
    /// Its namespace.
    pub(super) namespace: String,
    /// The Helm release; the names of all objects begin with it.
    pub(super) release: String,
    /// What the operator is started with, which says what it may do.
    pub(super) operator_arguments: Vec<String>,
}

/// What was found, and the installation if there is one.
pub(super) async fn check(
    look: &Look,
    namespace: Option<&str>,
) -> (Vec<Finding>, Option<Installed>) {
    let check = Check(GROUP, "installation");
    let deployments = match look.own_deployments(namespace).await {
        Ok(deployments) => deployments,
        Err(error) => {
            let hint =
                "name the operator's namespace with -n, and ask for the right to look into it";
            return (vec![check.failed(format!("it cannot be seen: {error}"), hint)], None);
        }
    };
    let Some(installed) = deployments.iter().find_map(Installed::of) else {
        let hint = "install the chart, after kubectl sidecar check --pre; or name the operator's namespace with -n";
        return (vec![check.failed("there is none, or it is not the chart's", hint)], None);
    };
    let mut findings: Vec<Finding> = ["operator", "webhook"]
        .into_iter()
        .map(|component| {
            let of = |found: &&Value| is_of(found, &installed, component);
            replicas(&installed, component, deployments.iter().find(of))
        })
        .collect();
    findings.push(versions(deployments.iter().filter(|found| {
        is_of(found, &installed, "operator") || is_of(found, &installed, "webhook")
    })));
    findings.push(leader(look, &installed).await);
    findings.push(endpoints(look, &installed).await);
    (findings, Some(installed))
}

impl Installed {
    /// The installation that a Deployment of the chart belongs to.
    pub(super) fn of(deployment: &Value) -> Option<Self> {
        if component(deployment) != "operator" && component(deployment) != "webhook" {
            return None;
        }
        let containers = deployment.pointer("/spec/template/spec/containers")?.as_array()?;
        let arguments = containers.iter().filter_map(|container| container["args"].as_array());
        let arguments = arguments.flatten().filter_map(Value::as_str).map(str::to_owned);
        let is_operator = component(deployment) == "operator";
        Some(Self {
            namespace: text(deployment, "/metadata/namespace").to_owned(),
            release: text(deployment, "/metadata/labels/app.kubernetes.io~1instance").to_owned(),
            operator_arguments: if is_operator { arguments.collect() } else { Vec::new() },
        })
    }
}

fn component(deployment: &Value) -> &str {
    text(deployment, "/metadata/labels/app.kubernetes.io~1component")
}

fn is_of(deployment: &Value, installed: &Installed, name: &str) -> bool {
    component(deployment) == name
        && text(deployment, "/metadata/namespace") == installed.namespace
        && text(deployment, "/metadata/labels/app.kubernetes.io~1instance") == installed.release
}

fn replicas(installed: &Installed, component: &'static str, found: Option<&Value>) -> Finding {
    let check = Check(GROUP, component);
    let Installed { namespace, release, .. } = installed;
    let name = format!("deployment/{release}-{component}");
    let Some(found) = found else {
        let hint = "helm upgrade brings it back";
        return check.failed(format!("{name} is not there, in the namespace {namespace}"), hint);
    };
    let count = |pointer| found.pointer(pointer).and_then(Value::as_i64).unwrap_or(0);
    let (ready, wanted) = (count("/status/readyReplicas"), count("/spec/replicas"));
    let told =
        format!("{name} in the namespace {namespace} has {ready} of {wanted} replicas ready");
    let hint = format!("kubectl -n {namespace} describe {name}, and its logs, say why");
    match ready {
        0 if wanted == 0 => check.failed(
            format!("{name} in the namespace {namespace} is scaled to zero"),
            format!("kubectl -n {namespace} scale {name} --replicas=2"),
        ),
        0 => check.failed(told, hint),
        _ if ready < wanted => check.warning(told, hint),
        _ => check.ok(told),
    }
}

fn versions<'d>(deployments: impl Iterator<Item = &'d Value>) -> Finding {
    let check = Check(GROUP, "versions");
    let own = env!("CARGO_PKG_VERSION");
    let others = deployments.filter_map(|deployment| {
        let version = text(deployment, "/metadata/labels/app.kubernetes.io~1version");
        (version != own).then(|| format!("{} {version}", component(deployment)))
    });
    let others: Vec<String> = others.collect();
    if others.is_empty() {
        return check.ok(format!("operator, webhook and this program are version {own}"));
    }
    check.warning(
        format!("this program is version {own}, and in the cluster are {}", others.join(", ")),
        "what this program says may differ from what the cluster does; bring both to one version",
    )
}

async fn leader(look: &Look, installed: &Installed) -> Finding {
    let check = Check(GROUP, "leader");
    let name = format!("{}-operator", installed.release);
    let hint = "without one, certificates and status stand still; the logs of the operator say why";
    match look.object(&LEASE, &installed.namespace, &name).await {
        Ok(Some(lease)) => judge_lease(&lease, Timestamp::now(), hint),
        Ok(None) => check.failed(format!("nobody has ever led: there is no Lease {name}"), hint),
        Err(error) => {
            check.warning("whether the operator is led was not looked at", error.to_string())
        }
    }
}

fn judge_lease(lease: &Value, now: Timestamp, hint: &str) -> Finding {
    let check = Check(GROUP, "leader");
    let holder = text(lease, "/spec/holderIdentity");
    let renewed: Option<Timestamp> = text(lease, "/spec/renewTime").parse().ok();
    let duration = lease.pointer("/spec/leaseDurationSeconds").and_then(Value::as_i64).unwrap_or(0);
    let is_held = renewed.is_some_and(|renewed| renewed.as_second() + duration >= now.as_second());
    if !holder.is_empty() && is_held {
        return check.ok(format!("{holder} leads"));
    }
    let since = renewed.map_or_else(|| "ever".to_owned(), |time| format!("since {time}"));
    check.failed(format!("nobody leads: the Lease was not renewed {since}"), hint)
}

async fn endpoints(look: &Look, installed: &Installed) -> Finding {
    let check = Check(GROUP, "endpoints");
    let Installed { namespace, release, .. } = installed;
    let selector = format!("kubernetes.io/service-name={release}-webhook");
    match look.objects(&ENDPOINT_SLICE, Some(namespace), Some(&selector)).await {
        Ok(slices) => match ready_endpoints(&slices) {
            0 => check.failed(
                format!("service/{release}-webhook has no ready endpoint, so nobody answers the API server"),
                format!("kubectl -n {namespace} get pods,endpointslices shows what is there"),
            ),
            ready => check.ok(format!("service/{release}-webhook has {ready} ready endpoints")),
        },
        Err(error) => {
            check.warning("the endpoints of the webhook were not looked at", error.to_string())
        }
    }
}

fn ready_endpoints(slices: &[Value]) -> usize {
    let endpoints = slices.iter().filter_map(|slice| slice["endpoints"].as_array()).flatten();
    // Absent means ready.
    endpoints.filter(|endpoint| endpoint["conditions"]["ready"] != false).count()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{super::finding::State, *};

    fn deployment(component: &str, version: &str, wanted: i64, ready: i64) -> Value {
        json!({
            "metadata": {"namespace": "system", "labels": {
                "app.kubernetes.io/component": component, "app.kubernetes.io/instance": "sidecars",
                "app.kubernetes.io/version": version}},
            "spec": {"replicas": wanted, "template": {"spec": {"containers": [
                {"args": ["--lease=sidecars-operator", "--rollout-restart"]}]}}},
            "status": {"readyReplicas": ready},
        })
    }

    #[test]
    fn the_operator_says_where_it_is_and_what_it_may_do() {
        let installed = Installed::of(&deployment("operator", "1", 2, 2)).expect("it is ours");
        assert_eq!(
            (installed.namespace.as_str(), installed.release.as_str()),
            ("system", "sidecars")
        );
        assert!(installed.operator_arguments.contains(&"--rollout-restart".to_owned()));
        assert!(Installed::of(&deployment("metrics", "1", 2, 2)).is_none());
    }

    #[test]
    fn replicas_that_are_missing_are_told() {
        let installed = Installed::of(&deployment("operator", "1", 2, 2)).expect("it is ours");
        for (wanted, ready, state) in [
            (2, 2, State::Ok),
            (2, 1, State::Warning),
            (2, 0, State::Failed),
            (0, 0, State::Failed),
        ] {
            let found = deployment("webhook", "1", wanted, ready);
            assert_eq!(
                replicas(&installed, "webhook", Some(&found)).state,
                state,
                "{ready}/{wanted}"
            );
        }
        assert_eq!(replicas(&installed, "webhook", None).state, State::Failed);
    }

    #[test]
    fn another_version_is_a_warning() {
        let own = env!("CARGO_PKG_VERSION");
        let found = [deployment("operator", own, 2, 2), deployment("webhook", "0.0.1", 2, 2)];
        assert_eq!(versions(found[..1].iter()).state, State::Ok);
        let warning = versions(found.iter());
        assert_eq!(warning.state, State::Warning);
        assert!(warning.message.ends_with("are webhook 0.0.1"), "{}", warning.message);
    }

    #[test]
    fn a_lease_that_is_not_renewed_leads_nobody() {
        let lease = |holder: &str, renewed: &str| {
            let spec = json!({
                "holderIdentity": holder, "leaseDurationSeconds": 15, "renewTime": renewed,
            });
            let now = "2026-11-21T10:00:20Z".parse().expect("a time");
            judge_lease(&json!({ "spec": spec }), now, "").state
        };
        assert_eq!(lease("a", "2026-11-21T10:00:10.123456Z"), State::Ok);
        assert_eq!(lease("a", "2026-11-21T10:00:00.000000Z"), State::Failed);
        assert_eq!(lease("", "2026-11-21T10:00:10.123456Z"), State::Failed);
        assert_eq!(judge_lease(&json!({}), Timestamp::now(), "").state, State::Failed);
    }

    #[test]
    fn only_ready_endpoints_count() {
        let slices = [
            json!({"endpoints": [
            {"conditions": {"ready": true}}, {"conditions": {"ready": false}}, {"conditions": {}}]}),
            json!({"endpoints": null}),
        ];
        assert_eq!(ready_endpoints(&slices), 2);
    }
}
