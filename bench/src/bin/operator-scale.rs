//! Lets the operator keep the status of a large generated cluster true, which this program plays to it,
//! and prints what it took: memory, time, and writes.

use std::{
    env, fmt, fs,
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use bench::{
    cluster::{Cluster, MESH, WORKLOADS, resource},
    https_server,
    identity::Identity,
    server_process::{ServerProcess, write_kubeconfig},
    stand_in::StandIn,
    summary::Machine,
};
use clap::Parser;
use inject::PolicyId;
use serde_json::json;
use tokio::{net::TcpListener, time::sleep};

/// How often it is looked whether all statuses are as they have to be.
const LOOK_PERIOD: Duration = Duration::from_millis(20);
/// When it is given up.
const DEADLINE: Duration = Duration::from_secs(300);
/// Without a write for this long, nothing more is expected to come.
const QUIET: Duration = Duration::from_secs(3);
/// Pods whose readiness changes.
const BURST: usize = 10_000;
/// Parts of the burst that does not come at once, and how far apart they are.
const PARTS: usize = 100;
const PART_PERIOD: Duration = Duration::from_millis(100);

#[derive(Parser)]
struct Arguments {
    /// How many pods there are
    #[arg(long, default_value_t = 100_000)]
    pods: usize,
    /// Folder for the certificate of the API server and the operator's kubeconfig
    #[arg(long)]
    output: PathBuf,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    fs::create_dir_all(&arguments.output)
        .with_context(|| arguments.output.display().to_string())?;
    let cluster = Cluster::generate(arguments.pods)?;
    let (pods, policies) = (cluster.pods(), cluster.policies().len());
    ensure!(pods >= BURST, "--pods has to be at least {BURST}");
    let stand_in = StandIn::new(cluster);
    let kubeconfig = serve(&stand_in, &arguments).await?;
    let own = env::current_exe()?;
    let program = own.parent().context("this program is in no folder")?.join("operator");
    let operator = ServerProcess::start_operator(&program, &kubeconfig)?;
    let mut scale = Scale { stand_in, operator, changed: None, rows: Vec::new() };

    scale.measure("start, until every status is right", async |_| {}).await?;
    scale
        .measure("10 000 pods become unready at once", async |stand_in| {
            stand_in.state().set_ready(0..BURST, false);
        })
        .await?;
    scale
        .measure("10 000 pods become ready, within 10 s", async |stand_in| {
            for part in 0..PARTS {
                let size = BURST / PARTS;
                stand_in.state().set_ready(part * size..(part + 1) * size, true);
                sleep(PART_PERIOD).await;
            }
        })
        .await?;
    scale.changed = Some(PolicyId { namespace: None, name: MESH.to_owned() });
    scale
        .measure("the policy of all pods changes", async |stand_in| {
            let mut state = stand_in.state();
            let policy = state.object("clustersidecarpolicies", "", MESH).cloned();
            let mut policy = policy.unwrap_or_default();
            policy["metadata"]["generation"] = json!(2);
            policy["spec"]["sidecars"][0]["image"] = json!("docker.io/envoyproxy/envoy:v1.36.3");
            state.put("clustersidecarpolicies", policy);
        })
        .await?;
    scale
        .measure("the watch of pods breaks: a new list", async |stand_in| {
            stand_in.state().expire_watches("pods");
        })
        .await?;
    let machine = Machine::this();
    println!("{}, {} cores", machine.processor, machine.cores);
    println!(
        "{pods} pods of {WORKLOADS} workloads, {policies} policies; one core for the operator\n"
    );
    println!("{scale}");
    Ok(())
}

/// Serves the stand-in on a port of its own, and writes the kubeconfig for it.
async fn serve(stand_in: &StandIn, arguments: &Arguments) -> anyhow::Result<PathBuf> {
    let identity = Identity::new([127, 0, 0, 1].into())?;
    identity.write(&arguments.output)?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let kubeconfig = write_kubeconfig(&arguments.output, listener.local_addr()?)?;
    let config = identity.server_config()?;
    let stand_in = stand_in.clone();
    let answer = move |request| stand_in.clone().answer(request);
    tokio::spawn(https_server::serve(listener, config, answer));
    Ok(kubeconfig)
}

/// The operator and its cluster, and what was measured so far.
struct Scale {
    stand_in: StandIn,
    operator: ServerProcess,
    /// The policy that was changed since its pods began.
    changed: Option<PolicyId>,
    rows: Vec<Row>,
}

/// What one thing took.
struct Row {
    what: &'static str,
    until_right: Duration,
    cpu: Duration,
    status_writes: usize,
    resident_mib: f64,
    peak_mib: f64,
}

impl Scale {
    /// Has something happen, and waits until every status is right and nothing more is written.
    async fn measure(
        &mut self,
        what: &'static str,
        happens: impl AsyncFnOnce(&StandIn),
    ) -> anyhow::Result<()> {
        eprintln!("{what}");
        let (started, cpu) = (Instant::now(), self.operator.cpu_time()?);
        let (before, pages) = (self.status_writes(), self.stand_in.state().pod_pages());
        happens(&self.stand_in).await;
        let mut wrong = self.first_wrong();
        // A new list changes no status: it is over when its last page was asked for.
        let is_listing = |now: usize| what.contains("new list") && now < 2 * pages;
        while wrong.is_some() || is_listing(self.stand_in.state().pod_pages()) {
            ensure!(self.operator.is_running(), "the operator ended");
            ensure!(started.elapsed() < DEADLINE, "{what}: {wrong:?} after {DEADLINE:?}");
            sleep(LOOK_PERIOD).await;
            wrong = self.first_wrong();
        }
        let until_right = started.elapsed();
        let (mut writes, mut quiet_since) = (self.status_writes(), Instant::now());
        while quiet_since.elapsed() < QUIET {
            sleep(LOOK_PERIOD).await;
            if self.status_writes() != writes {
                (writes, quiet_since) = (self.status_writes(), Instant::now());
            }
        }
        ensure!(self.first_wrong().is_none(), "{what}: {:?} later", self.first_wrong());
        self.rows.push(Row {
            what,
            until_right,
            cpu: self.operator.cpu_time()?.saturating_sub(cpu),
            status_writes: writes - before,
            resident_mib: mebibytes(self.operator.resident_kib()?),
            peak_mib: mebibytes(self.operator.peak_kib()?),
        });
        Ok(())
    }

    fn status_writes(&self) -> usize {
        let state = self.stand_in.state();
        let of_statuses = state.written().iter().filter(|(what, _)| what.ends_with("/status"));
        of_statuses.map(|(_, count)| count).sum()
    }

    /// A policy whose status is not as it has to be, and what it is.
    fn first_wrong(&self) -> Option<String> {
        let state = self.stand_in.state();
        state.cluster.policies().iter().map(|policy| &policy.id).find_map(|id| {
            let expected = state.cluster.expected(id, self.changed.as_ref() == Some(id));
            let namespace = id.namespace.as_deref().unwrap_or_default();
            let stored = state.object(resource(id), namespace, &id.name)?;
            let pods = &stored["status"]["pods"];
            let is_right = pods["matched"] == expected.matched
                && pods["current"] == expected.current
                && pods["ready"] == expected.ready;
            (!is_right).then(|| format!("{id}: {expected:?}, but {pods}"))
        })
    }
}

impl fmt::Display for Scale {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = ["seconds", "CPU s", "status writes", "MiB", "most MiB"];
        write!(formatter, "{:<40}", "")?;
        for column in head {
            write!(formatter, " {column:>13}")?;
        }
        for row in &self.rows {
            write!(
                formatter,
                "\n{:<40} {:>13.2} {:>13.2} {:>13} {:>13.1} {:>13.1}",
                row.what,
                row.until_right.as_secs_f64(),
                row.cpu.as_secs_f64(),
                row.status_writes,
                row.resident_mib,
                row.peak_mib
            )?;
        }
        Ok(())
    }
}

#[allow(clippy::cast_precision_loss, reason = "memory of a process stays far below 2^52 KiB")]
fn mebibytes(kibibytes: u64) -> f64 {
    kibibytes as f64 / 1024.0
}
