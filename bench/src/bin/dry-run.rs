//! Creates pods by dry run, through a real API server: in a namespace that no webhook is called for,
//! in one for which one is called that does nothing, and in one with a policy. Prints what each adds.

use std::{
    collections::BTreeMap,
    fs,
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use bench::{
    null_webhook,
    summary::{Machine, median},
};
use clap::Parser;
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::{
    Api, Client,
    api::{ApiResource, DeleteParams, DynamicObject, PostParams},
};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::time::sleep;

/// Excluded always.
const WITHOUT_WEBHOOK: &str = "kube-public";
/// Excluded always, and empty: for the webhook that does nothing.
const NULL_WEBHOOK: &str = "kube-node-lease";
const NAMESPACE: &str = "bench-dry-run";
/// How long until the policy is in force.
const DEADLINE: Duration = Duration::from_secs(60);
/// Creates before the first that counts.
const WARM_UP: usize = 20;

#[derive(Parser)]
struct Arguments {
    /// How many pods of each sort
    #[arg(long, default_value_t = 500)]
    count: usize,
    /// Folder for dry-run.json
    #[arg(long)]
    output: PathBuf,
}

/// What was measured. Latencies are medians in milliseconds.
#[derive(Serialize)]
struct Summary {
    machine: Machine,
    count: usize,
    without_webhook: f64,
    null_webhook: f64,
    no_policy_matches: f64,
    injected: f64,
    /// Medians of the differences to the create without a webhook just before or after.
    added_by_null_webhook: f64,
    added_when_no_policy_matches: f64,
    added_when_injected: f64,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let client = Client::try_default().await.context("no way to reach the API server")?;
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let measured = measure(&client, &namespaces, arguments.count).await;
    null_webhook::unregister(&client).await;
    let deleted = namespaces.delete(NAMESPACE, &DeleteParams::default()).await;
    let summary = measured?;
    deleted.with_context(|| format!("cannot delete the namespace {NAMESPACE}"))?;
    print(&summary);
    fs::create_dir_all(&arguments.output)?;
    let path = arguments.output.join("dry-run.json");
    fs::write(&path, serde_json::to_string_pretty(&summary)?)
        .with_context(|| path.display().to_string())?;
    println!("written to {}", path.display());
    Ok(())
}

fn print(summary: &Summary) {
    println!(
        "\n{}, {} cores; creates by dry run through the API server, medians of {} in ms",
        summary.machine.processor, summary.machine.cores, summary.count
    );
    println!("{:<20} {:>8} {:>8}", "pod", "ms", "added");
    println!("{:<20} {:>8.2}", "without webhook", summary.without_webhook);
    for (sort, latency, added) in [
        ("null webhook", summary.null_webhook, summary.added_by_null_webhook),
        ("no policy matches", summary.no_policy_matches, summary.added_when_no_policy_matches),
        ("injected", summary.injected, summary.added_when_injected),
    ] {
        println!("{sort:<20} {latency:>8.2} {added:>8.2}");
    }
}

async fn measure(
    client: &Client,
    namespaces: &Api<Namespace>,
    count: usize,
) -> anyhow::Result<Summary> {
    let namespace = json!({"metadata": {"name": NAMESPACE}});
    namespaces
        .create(&PostParams::default(), &serde_json::from_value(namespace)?)
        .await
        .with_context(|| format!("cannot create the namespace {NAMESPACE}"))?;
    create_policy(client).await?;
    null_webhook::register(client, NULL_WEBHOOK).await?;
    let pods = |namespace| Api::<Pod>::namespaced(client.clone(), namespace);
    let (without, null, with) = (pods(WITHOUT_WEBHOOK), pods(NULL_WEBHOOK), pods(NAMESPACE));
    let (api, other) = (pod("api")?, pod("other")?);
    wait_until_injected(&with, &api).await?;
    let (mut bare, mut idle) = (Vec::new(), Vec::new());
    let (mut unmatched, mut injected) = (Vec::new(), Vec::new());
    for number in 0..WARM_UP + count {
        // One right after the other, since machines have slow and fast phases.
        let times = [
            create(&null, &api, false).await?,
            create(&with, &other, false).await?,
            create(&without, &api, false).await?,
            create(&with, &api, true).await?,
        ];
        if number >= WARM_UP {
            let [of_idle, of_unmatched, of_bare, of_injected] = times;
            idle.push(of_idle);
            unmatched.push(of_unmatched);
            bare.push(of_bare);
            injected.push(of_injected);
        }
    }
    let added =
        |with: &[f64]| median(with.iter().zip(&bare).map(|(with, bare)| with - bare).collect());
    Ok(Summary {
        machine: Machine::this(),
        count,
        added_by_null_webhook: added(&idle),
        added_when_no_policy_matches: added(&unmatched),
        added_when_injected: added(&injected),
        without_webhook: median(bare),
        null_webhook: median(idle),
        no_policy_matches: median(unmatched),
        injected: median(injected),
    })
}

/// Creates a pod by dry run, and gives how long it took in milliseconds.
async fn create(pods: &Api<Pod>, pod: &Pod, must_be_injected: bool) -> anyhow::Result<f64> {
    let started = Instant::now();
    let created = dry_run(pods, pod).await?;
    let elapsed = started.elapsed();
    ensure!(is_injected(&created) == must_be_injected, "injected is not {must_be_injected}");
    Ok(elapsed.as_secs_f64() * 1e3)
}

async fn wait_until_injected(pods: &Api<Pod>, pod: &Pod) -> anyhow::Result<()> {
    let started = Instant::now();
    while started.elapsed() < DEADLINE {
        // Until the namespace has its service account, pods are refused.
        if dry_run(pods, pod).await.is_ok_and(|created| is_injected(&created)) {
            return Ok(());
        }
        sleep(Duration::from_millis(100)).await;
    }
    bail!("no pod was injected in {DEADLINE:?}: is sidecar-policy installed?")
}

async fn dry_run(pods: &Api<Pod>, pod: &Pod) -> kube::Result<Pod> {
    pods.create(&PostParams { dry_run: true, field_manager: None }, pod).await
}

fn is_injected(pod: &Pod) -> bool {
    let annotations = pod.metadata.annotations.as_ref();
    annotations.is_some_and(|annotations| annotations.contains_key(crds::keys::INJECTED))
}

async fn create_policy(client: &Client) -> anyhow::Result<()> {
    let resource = ApiResource::erase::<crds::SidecarPolicy>(&());
    let policies: Api<DynamicObject> = Api::namespaced_with(client.clone(), NAMESPACE, &resource);
    let policy: DynamicObject = serde_json::from_value(json!({
        "apiVersion": resource.api_version, "kind": resource.kind,
        "metadata": {"name": "log-shipper"},
        "spec": {
            "podSelector": {"matchLabels": {"app": "api"}},
            "sidecars": [{
                "name": "log-shipper", "image": "docker.io/otel/opentelemetry-collector-contrib:0.160.0",
                "volumeMounts": [{"name": "app-logs", "mountPath": "/var/log/app", "readOnly": true}]
            }],
            "volumes": [{"name": "app-logs", "emptyDir": {"sizeLimit": "256Mi"}}],
            "appContainers": [{"volumeMounts": [{"name": "app-logs", "mountPath": "/var/log/app"}]}]
        }
    }))?;
    policies.create(&PostParams::default(), &policy).await.context("cannot create the policy")?;
    Ok(())
}

/// A pod with some variables and probes, as large as most.
fn pod(app: &str) -> serde_json::Result<Pod> {
    let variables: Vec<Value> = (0..20)
        .map(|number| json!({"name": format!("SETTING_{number}"), "value": "http://some.service:80"}))
        .collect();
    let labels = BTreeMap::from([("app", app)]);
    serde_json::from_value(json!({
        "metadata": {"generateName": format!("{app}-"), "labels": labels},
        "spec": {"containers": [{
            "name": "app", "image": "docker.io/library/nginx:1.29", "env": variables,
            "ports": [{"name": "http", "containerPort": 8080}],
            "readinessProbe": {"httpGet": {"path": "/", "port": "http"}},
            "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}}
        }]}
    }))
}
