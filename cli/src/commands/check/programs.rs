//! Operator and webhook: there, ready, led by one, reachable, and of this program's version.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

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

const RENEWED: &str = "/spec/renewTime";
const NO_LEADER: &str =
    "without a leader, certificates and status stand still; the logs of the operator say why";
/// How often the Lease is read.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// How long a Lease that nobody holds may stay so. Candidates look every second.
const HANDOVER: Duration = Duration::from_secs(5);
/// How long a Lease holds by its holder's own word, in seconds: where it says nothing, and at most.
const USUAL_DURATION: u64 = 15;
const LONGEST_DURATION: u64 = 60;

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
        let place = namespace.map(|name| format!(" in the namespace {name}")).unwrap_or_default();
        return (
            vec![check.failed(format!("there is none{place} that the chart made"), hint)],
            None,
        );
    };
    let mut findings: Vec<Finding> = ["operator", "webhook"]
        .into_iter()
        .map(|component| {
            let of = |found: &&Value| is_of(found, &installed, component);
            replicas(&installed, component, deployments.iter().find(of))
        })
        .collect();
    findings.extend(others(&deployments, &installed));
    findings.push(versions(deployments.iter().filter(|found| {
        is_of(found, &installed, "operator") || is_of(found, &installed, "webhook")
    })));
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

/// Installations beside the one that is looked at.
fn others(deployments: &[Value], installed: &Installed) -> Vec<Finding> {
    let check = Check(GROUP, "others");
    let places: BTreeSet<(String, String)> = deployments
        .iter()
        .filter_map(Installed::of)
        .map(|found| (found.namespace, found.release))
        .filter(|(namespace, release)| {
            (namespace, release) != (&installed.namespace, &installed.release)
        })
        .collect();
    let others = places.into_iter().map(|(namespace, release)| {
        check.warning(
            format!("release {release} is installed too, in the namespace {namespace}, and was not looked at"),
            "both share definitions and policies, so that pods are injected by both; -n names the one to look at",
        )
    });
    others.collect()
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
    let (same, others): (Vec<(&str, &str)>, Vec<_>) = deployments
        .map(|deployment| {
            let version = text(deployment, "/metadata/labels/app.kubernetes.io~1version");
            (component(deployment), version)
        })
        .partition(|(_, version)| *version == own);
    if others.is_empty() {
        let names: Vec<&str> = same.into_iter().map(|(name, _)| name).collect();
        let names = names.join(" and ");
        return check
            .ok(format!("{names} were installed by the chart of this program's version, {own}"));
    }
    let others: Vec<String> = others
        .into_iter()
        .map(|(name, version)| match version {
            "" => format!("{name} of a version that it does not tell"),
            version => format!("{name} {version}"),
        })
        .collect();
    check.warning(
        format!("this program is version {own}, and in the cluster are {}", others.join(", ")),
        "what this program says may differ from what the cluster does; bring both to one version",
    )
}

/// Whether somebody leads. No clock is trusted, not the holder's nor this machine's: who leads renews the Lease
/// every few seconds, and is seen to.
pub(super) async fn leader(look: &Look, installed: &Installed) -> Finding {
    let check = Check(GROUP, "leader");
    let name = format!("{}-operator", installed.release);
    let started = Instant::now();
    let mut first = None;
    loop {
        let lease = match look.object(&LEASE, &installed.namespace, &name).await {
            Ok(Some(lease)) => lease,
            Ok(None) => {
                return check.failed(format!("nobody leads: there is no Lease {name}"), NO_LEADER);
            }
            Err(error) => {
                let told = "whether the operator is led was not looked at";
                return check.warning(told, error.to_string());
            }
        };
        let first = first.get_or_insert_with(|| lease.clone());
        if let Some(finding) = judge_lease(first, &lease, started.elapsed()) {
            return finding;
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// What two looks at the Lease come to, with this time between them; `None` where it takes another look.
fn judge_lease(first: &Value, now: &Value, between: Duration) -> Option<Finding> {
    let check = Check(GROUP, "leader");
    let holder = text(now, "/spec/holderIdentity");
    if !holder.is_empty() && text(now, RENEWED) != text(first, RENEWED) {
        return Some(check.ok(format!("{holder} leads")));
    }
    if between < patience(first) {
        return None;
    }
    let told = match holder {
        "" => "nobody leads: nobody holds the Lease".to_owned(),
        holder => format!(
            "nobody leads: {holder} holds the Lease, and did not renew it within {} seconds",
            between.as_secs()
        ),
    };
    Some(check.failed(told, NO_LEADER))
}

/// How long it takes to see that nobody leads.
fn patience(lease: &Value) -> Duration {
    if text(lease, "/spec/holderIdentity").is_empty() {
        return HANDOVER;
    }
    let told = lease.pointer("/spec/leaseDurationSeconds").and_then(Value::as_u64);
    Duration::from_secs(told.unwrap_or(USUAL_DURATION).min(LONGEST_DURATION))
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

    fn lease(holder: &str, renewed: &str) -> Value {
        let spec = json!({
            "holderIdentity": holder, "leaseDurationSeconds": 15, "renewTime": renewed,
        });
        json!({ "spec": spec })
    }

    #[test]
    fn who_renews_the_lease_leads_whatever_any_clock_says() {
        let (long_ago, later) = ("2001-01-01T00:00:00.000000Z", "2001-01-01T00:00:05.000000Z");
        for (first, now, seconds, state) in [
            (lease("a", long_ago), lease("a", later), 5, Some(State::Ok)),
            (lease("a", later), lease("a", long_ago), 5, Some(State::Ok)),
            (lease("a", long_ago), lease("b", later), 16, Some(State::Ok)),
            (lease("", long_ago), lease("b", later), 1, Some(State::Ok)),
            (lease("a", long_ago), lease("a", long_ago), 14, None),
            (lease("a", long_ago), lease("a", long_ago), 15, Some(State::Failed)),
            (lease("a", long_ago), lease("", later), 14, None),
            (lease("", long_ago), lease("", long_ago), 4, None),
            (lease("", long_ago), lease("", long_ago), 5, Some(State::Failed)),
            (json!({}), json!({}), 5, Some(State::Failed)),
        ] {
            let found = judge_lease(&first, &now, Duration::from_secs(seconds));
            assert_eq!(found.map(|found| found.state), state, "{first} {now} {seconds}");
        }
    }

    #[test]
    fn a_lease_is_not_waited_for_longer_than_a_minute() {
        let mut endless = lease("a", "");
        endless["spec"]["leaseDurationSeconds"] = json!(86_400);
        assert_eq!(patience(&endless), Duration::from_secs(60));
    }

    #[test]
    fn another_installation_is_told() {
        let mut elsewhere = deployment("webhook", "1", 2, 2);
        elsewhere["metadata"]["namespace"] = json!("elsewhere");
        let own = deployment("operator", "1", 2, 2);
        let installed = Installed::of(&own).expect("it is ours");
        assert_eq!(others(std::slice::from_ref(&own), &installed), []);
        let found = others(&[own, elsewhere], &installed);
        let [found] = found.as_slice() else { panic!("{found:?}") };
        assert_eq!(found.state, State::Warning);
        assert!(found.message.contains("in the namespace elsewhere"), "{}", found.message);
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
