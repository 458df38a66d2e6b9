//! Replays recorded reviews to a null server and to the webhook, in turn, and prints how they did,
//! and how soon after its start the webhook answers.
//!
//! Machines have slow and fast phases, so the two are measured one right after the other, several
//! times, and judged by the median of the ratios.

use std::{
    env, fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use bench::{
    connection::request,
    corpora::{CORPORA, Corpus},
    identity::Identity,
    load::Load,
    server_process::{LOAD_CORE, SERVER_CORE, ServerProcess, write_kubeconfig},
    summary::{Case, FirstAnswer, Machine, Measurement, Pair, Summary},
};
use clap::Parser;
use rustls::ClientConfig;
use serde_json::Value;
use tokio::time::sleep;

const POLICIES: [usize; 3] = [1, 1_000, 10_000];
const CONCURRENCY: [usize; 2] = [1, 16];
/// How often the webhook is asked whether it answers yet.
const ASKING_PERIOD: Duration = Duration::from_millis(1);
/// When it is given up.
const START_DEADLINE: Duration = Duration::from_secs(30);

#[derive(Parser)]
struct Arguments {
    /// How often each server is measured in each case
    #[arg(long, default_value_t = 7)]
    pairs: usize,
    /// How long each time, in milliseconds
    #[arg(long, default_value_t = 250)]
    milliseconds: u64,
    /// How often the webhook is started for each number of policies
    #[arg(long, default_value_t = 5)]
    starts: usize,
    /// Folder for summary.json, the servers' certificate and the webhook's kubeconfig
    #[arg(long)]
    output: PathBuf,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    fs::create_dir_all(&arguments.output)
        .with_context(|| arguments.output.display().to_string())?;
    let identity = Identity::new([127, 0, 0, 1].into())?;
    identity.write(&arguments.output)?;
    let mut summary = Summary {
        machine: Machine::this(),
        pairs: arguments.pairs,
        milliseconds: arguments.milliseconds,
        replay: Vec::new(),
        ratios: Vec::new(),
        first_answers: Vec::new(),
    };
    let client = Arc::new(identity.client_config()?);
    for policies in POLICIES {
        measure_policies(policies, &arguments, &client, &mut summary).await?;
    }
    println!("{summary}");
    let path = arguments.output.join("summary.json");
    fs::write(&path, serde_json::to_string_pretty(&summary)?)
        .with_context(|| path.display().to_string())?;
    println!("written to {}", path.display());
    Ok(())
}

/// Measures every case with this many policies.
async fn measure_policies(
    policies: usize,
    arguments: &Arguments,
    client: &Arc<ClientConfig>,
    summary: &mut Summary,
) -> anyhow::Result<()> {
    let programs = Programs::start(&arguments.output, policies)?;
    for time in 1..=arguments.starts {
        eprintln!("first answer, {policies} policies, {time} of {}", arguments.starts);
        let (_, first_answer) = programs.start_webhook(client).await?;
        summary.first_answers.push(FirstAnswer { policies, ..first_answer });
    }
    let (webhook, _) = programs.start_webhook(client).await?;
    let servers = Servers { null: programs.start_null()?, webhook };
    for corpus in CORPORA {
        for concurrency in CONCURRENCY {
            let case = Case { corpus: corpus.name, policies, concurrency };
            eprintln!("{} review, {policies} policies, {concurrency} connections", corpus.name);
            let pairs = measure_case(case, corpus, &servers, arguments, client)
                .await
                .with_context(|| format!("{case:?}"))?;
            summary.add(
                case,
                &pairs,
                mebibytes(servers.null.resident_kib()?),
                mebibytes(servers.webhook.resident_kib()?),
            );
        }
    }
    Ok(())
}

/// The two servers, both running all the time; the one that is not under load sleeps.
struct Servers {
    null: ServerProcess,
    webhook: ServerProcess,
}

/// The programs that were built beside this one, and the API server of the webhook.
struct Programs {
    folder: PathBuf,
    certificate: String,
    kubeconfig: PathBuf,
    _policy_server: ServerProcess,
}

impl Programs {
    fn start(output: &Path, policies: usize) -> anyhow::Result<Self> {
        let own = env::current_exe()?;
        let folder = own.parent().context("this program is in no folder")?.to_owned();
        let certificate = format!("--certificate-folder={}", output.display());
        let policies = format!("--policies={policies}");
        let policy_server = ServerProcess::start(
            LOAD_CORE,
            &folder.join("policy-server"),
            &[&certificate, &policies],
        )?;
        let kubeconfig = write_kubeconfig(output, policy_server.address)
            .with_context(|| output.display().to_string())?;
        Ok(Self { folder, certificate, kubeconfig, _policy_server: policy_server })
    }

    fn start_null(&self) -> anyhow::Result<ServerProcess> {
        let program = self.folder.join("null-server");
        Ok(ServerProcess::start(SERVER_CORE, &program, &[&self.certificate])?)
    }

    /// Starts the webhook and waits until it has patched a pod.
    async fn start_webhook(
        &self,
        client: &Arc<ClientConfig>,
    ) -> anyhow::Result<(ServerProcess, FirstAnswer)> {
        let [typical, ..] = CORPORA;
        let request = request("/mutate/pods", typical.review);
        let started = Instant::now();
        let mut webhook =
            ServerProcess::start_webhook(&self.folder.join("webhook"), &self.kubeconfig)?;
        loop {
            // Before it has its certificate and its policies it answers with an error, or not at all.
            let opened = Load::open(webhook.address, client, request.clone(), 1).await;
            if let Ok(mut load) = opened
                && let Ok(body) = load.answer().await
            {
                let elapsed = started.elapsed();
                check_answer(&body, typical.matched).context("first answer")?;
                let milliseconds = elapsed.as_secs_f64() * 1e3;
                let cpu_milliseconds = webhook.cpu_time()?.as_secs_f64() * 1e3;
                let first = FirstAnswer { policies: 0, milliseconds, cpu_milliseconds };
                return Ok((webhook, first));
            }
            ensure!(webhook.is_running(), "the webhook ended");
            ensure!(started.elapsed() < START_DEADLINE, "no answer in {START_DEADLINE:?}");
            sleep(ASKING_PERIOD).await;
        }
    }
}

async fn measure_case(
    case: Case,
    corpus: Corpus,
    servers: &Servers,
    arguments: &Arguments,
    client: &Arc<ClientConfig>,
) -> anyhow::Result<Vec<Pair>> {
    let request = request("/mutate/pods", corpus.review);
    let open = |server: &ServerProcess| {
        Load::open(server.address, client, request.clone(), case.concurrency)
    };
    let mut null = open(&servers.null).await?;
    let mut webhook = open(&servers.webhook).await?;
    check_answer(&null.answer().await?, false).context("null server")?;
    check_answer(&webhook.answer().await?, corpus.matched).context("webhook")?;
    let duration = Duration::from_millis(arguments.milliseconds);
    // The first time is for caches and connections to warm up.
    measure(&servers.null, &mut null, duration).await?;
    measure(&servers.webhook, &mut webhook, duration).await?;
    let mut pairs = Vec::with_capacity(arguments.pairs);
    for _ in 0..arguments.pairs {
        pairs.push(Pair {
            null: measure(&servers.null, &mut null, duration).await?,
            webhook: measure(&servers.webhook, &mut webhook, duration).await?,
        });
    }
    Ok(pairs)
}

/// A fast answer is worth nothing if it is the wrong one.
fn check_answer(body: &[u8], patched: bool) -> anyhow::Result<()> {
    let review: Value = serde_json::from_slice(body)?;
    let response = &review["response"];
    ensure!(response["allowed"] == true, "not allowed: {review}");
    ensure!(response["patch"].is_string() == patched, "patched is not {patched}: {review}");
    Ok(())
}

async fn measure(
    server: &ServerProcess,
    load: &mut Load,
    duration: Duration,
) -> anyhow::Result<Measurement> {
    let before = server.cpu_time()?;
    let seen = load.run(duration).await?;
    let cpu = server.cpu_time()?.saturating_sub(before);
    let count = precise(seen.latencies.len());
    ensure!(count > 0.0, "no request was answered in {duration:?}");
    Ok(Measurement {
        p50_us: precise(seen.latencies.value_at_quantile(0.5)) / 1e3,
        p99_us: precise(seen.latencies.value_at_quantile(0.99)) / 1e3,
        rps: count / seen.elapsed.as_secs_f64(),
        cpu_us_per_request: cpu.as_secs_f64() * 1e6 / count,
    })
}

fn mebibytes(kibibytes: u64) -> f64 {
    precise(kibibytes) / 1024.0
}

#[allow(clippy::cast_precision_loss, reason = "what is counted here stays far below 2^52")]
fn precise(number: u64) -> f64 {
    number as f64
}
