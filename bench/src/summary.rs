//! What was measured, in the middle of all pairs, as a table and as JSON.

use std::{fmt, fs, thread::available_parallelism};

use serde::Serialize;

/// One server under one load for a short while.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Measurement {
    /// Median latency, in microseconds.
    pub p50_us: f64,
    /// Latency that one request in a hundred exceeds, in microseconds.
    pub p99_us: f64,
    /// Requests per second.
    pub rps: f64,
    /// CPU time of the server for each request, in microseconds.
    pub cpu_us_per_request: f64,
}

/// What was loaded with what. Both servers of a pair share it; the null server has no policies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Case {
    /// Which recorded review.
    pub corpus: &'static str,
    /// How many policies the webhook has.
    pub policies: usize,
    /// How many connections send requests at once.
    pub concurrency: usize,
}

/// The null server and the webhook, measured one right after the other.
#[derive(Clone, Copy, Debug)]
pub struct Pair {
    /// The null server.
    pub null: Measurement,
    /// The webhook.
    pub webhook: Measurement,
}

/// One server in one case: each value is the median over the pairs.
#[derive(Debug, Serialize)]
pub struct Replay {
    /// `null` or `webhook`.
    pub server: &'static str,
    /// What it was loaded with.
    #[serde(flatten)]
    pub case: Case,
    /// How it did.
    #[serde(flatten)]
    pub measurement: Measurement,
    /// Memory of the server at the end of the case, in MiB.
    pub rss_mib: f64,
}

/// Webhook by null server in one case: each value is the median of the ratios of the pairs.
#[derive(Debug, Serialize)]
pub struct Ratio {
    /// What both were loaded with.
    #[serde(flatten)]
    pub case: Case,
    /// Ratio of each value.
    #[serde(flatten)]
    pub ratio: RatioValues,
}

/// Webhook by null server.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct RatioValues {
    /// Of the median latencies.
    pub p50: f64,
    /// Of the latencies that one in a hundred exceeds.
    pub p99: f64,
    /// Of the requests per second.
    pub rps: f64,
    /// Of the CPU time for each request.
    pub cpu_per_request: f64,
}

/// The machine it was measured on.
#[derive(Debug, Serialize)]
pub struct Machine {
    /// Model of the processor.
    pub processor: String,
    /// How many cores there are for us.
    pub cores: usize,
}

/// A start of the webhook, until it first patched a pod.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct FirstAnswer {
    /// How many policies it listed and compiled.
    pub policies: usize,
    /// How long it took, in milliseconds.
    pub milliseconds: f64,
    /// CPU time that it took meanwhile, in milliseconds.
    pub cpu_milliseconds: f64,
}

/// Everything that was measured.
#[derive(Debug, Serialize)]
pub struct Summary {
    /// Where.
    pub machine: Machine,
    /// How many pairs each median is over.
    pub pairs: usize,
    /// How long each server of a pair was under load, in milliseconds.
    pub milliseconds: u64,
    /// The servers, case by case.
    pub replay: Vec<Replay>,
    /// Their ratios, case by case.
    pub ratios: Vec<Ratio>,
    /// Every start.
    pub first_answers: Vec<FirstAnswer>,
}

impl Machine {
    /// This machine.
    #[must_use]
    pub fn this() -> Self {
        let processor = fs::read_to_string("/proc/cpuinfo")
            .ok()
            .and_then(|text| {
                let line = text.lines().find(|line| line.starts_with("model name"))?;
                Some(line.split_once(": ")?.1.to_owned())
            })
            .unwrap_or_else(|| "unknown".to_owned());
        // More than are left to a process that is pinned itself.
        let cores = fs::read_dir("/sys/devices/system/cpu").map_or(0, |entries| {
            entries
                .flatten()
                .filter(|entry| {
                    entry
                        .file_name()
                        .to_str()
                        .and_then(|name| name.strip_prefix("cpu"))
                        .is_some_and(|number| number.parse::<u32>().is_ok())
                })
                .count()
        });
        let cores = cores.max(available_parallelism().map_or(1, std::num::NonZero::get));
        Self { processor, cores }
    }
}

impl Summary {
    /// Adds a case. Memory is in MiB.
    pub fn add(&mut self, case: Case, pairs: &[Pair], null_rss_mib: f64, webhook_rss_mib: f64) {
        let of = |value: fn(&Pair) -> f64| median(pairs.iter().map(value).collect());
        self.replay.push(Replay {
            server: "null",
            case,
            measurement: Measurement {
                p50_us: of(|pair| pair.null.p50_us),
                p99_us: of(|pair| pair.null.p99_us),
                rps: of(|pair| pair.null.rps),
                cpu_us_per_request: of(|pair| pair.null.cpu_us_per_request),
            },
            rss_mib: null_rss_mib,
        });
        self.replay.push(Replay {
            server: "webhook",
            case,
            measurement: Measurement {
                p50_us: of(|pair| pair.webhook.p50_us),
                p99_us: of(|pair| pair.webhook.p99_us),
                rps: of(|pair| pair.webhook.rps),
                cpu_us_per_request: of(|pair| pair.webhook.cpu_us_per_request),
            },
            rss_mib: webhook_rss_mib,
        });
        self.ratios.push(Ratio {
            case,
            ratio: RatioValues {
                p50: of(|pair| pair.webhook.p50_us / pair.null.p50_us),
                p99: of(|pair| pair.webhook.p99_us / pair.null.p99_us),
                rps: of(|pair| pair.webhook.rps / pair.null.rps),
                cpu_per_request: of(|pair| {
                    pair.webhook.cpu_us_per_request / pair.null.cpu_us_per_request
                }),
            },
        });
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            formatter,
            "{}, {} cores; medians of {} pairs of {} ms; server and load on a core each\n",
            self.machine.processor, self.machine.cores, self.pairs, self.milliseconds
        )?;
        writeln!(
            formatter,
            "{:<10} {:>8} {:>6} {:<8} {:>9} {:>9} {:>9} {:>9} {:>8}",
            "review",
            "policies",
            "conns",
            "server",
            "p50 us",
            "p99 us",
            "req/s",
            "CPU us",
            "RSS MiB"
        )?;
        for (servers, ratio) in self.replay.chunks(2).zip(&self.ratios) {
            for Replay { server, case, measurement, rss_mib } in servers {
                writeln!(
                    formatter,
                    "{:<10} {:>8} {:>6} {server:<8} {:>9.1} {:>9.1} {:>9.0} {:>9.1} {rss_mib:>8.1}",
                    case.corpus,
                    case.policies,
                    case.concurrency,
                    measurement.p50_us,
                    measurement.p99_us,
                    measurement.rps,
                    measurement.cpu_us_per_request,
                )?;
            }
            let values = ratio.ratio;
            writeln!(
                formatter,
                "{:26} {:<8} {:>9.2} {:>9.2} {:>9.2} {:>9.2}",
                "", "ratio", values.p50, values.p99, values.rps, values.cpu_per_request
            )?;
        }
        writeln!(formatter, "\nFirst answer after the start, medians")?;
        writeln!(formatter, "{:>8} {:>9} {:>9}", "policies", "ms", "CPU ms")?;
        for starts in self.first_answers.chunk_by(|one, other| one.policies == other.policies) {
            let of = |value: fn(&FirstAnswer) -> f64| median(starts.iter().map(value).collect());
            let policies = starts.first().map_or(0, |start| start.policies);
            let elapsed = of(|start| start.milliseconds);
            let cpu = of(|start| start.cpu_milliseconds);
            writeln!(formatter, "{policies:>8} {elapsed:>9.0} {cpu:>9.0}")?;
        }
        Ok(())
    }
}

/// The value in the middle; of an even number the upper of the two.
#[must_use]
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measurement(value: f64) -> Measurement {
        Measurement { p50_us: value, p99_us: value, rps: value, cpu_us_per_request: value }
    }

    #[test]
    fn ratios_are_of_pairs_not_of_medians() {
        let mut summary = Summary {
            machine: Machine { processor: "any".to_owned(), cores: 2 },
            pairs: 3,
            milliseconds: 1,
            replay: Vec::new(),
            ratios: Vec::new(),
            first_answers: Vec::new(),
        };
        // The machine slows down fourfold between the pairs; the ratio of each is 2, 2 and 3.
        let pairs = [(10.0, 20.0), (40.0, 80.0), (20.0, 60.0)]
            .map(|(null, webhook)| Pair { null: measurement(null), webhook: measurement(webhook) });
        let case = Case { corpus: "typical", policies: 1, concurrency: 1 };
        summary.add(case, &pairs, 5.0, 6.0);
        assert!((summary.ratios[0].ratio.p50 - 2.0).abs() < 1e-9);
        assert!((summary.replay[1].measurement.p50_us - 60.0).abs() < 1e-9);
        let json = serde_json::to_value(&summary).unwrap();
        assert_eq!(json["replay"][1]["server"], "webhook");
        assert_eq!(json["replay"][1]["concurrency"], 1);
        assert_eq!(json["replay"][0]["rss_mib"], 5.0);
    }
}
