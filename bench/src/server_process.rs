//! A server under test: a process of its own, pinned to a core, and what it used.

use std::{
    fs,
    io::{self, BufRead, BufReader},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

/// The core that servers run on; the load runs on another.
const CORE: &str = "0";

/// A running server; it ends when this is dropped.
pub struct ServerProcess {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
}

/// A server could not be started or looked at.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// It does not start.
    #[error("cannot start {program}: {source}")]
    Start {
        /// The program.
        program: String,
        /// What is wrong.
        source: io::Error,
    },
    /// Its first line is no address.
    #[error("{program} did not say where it listens but {line:?}")]
    Address {
        /// The program.
        program: String,
        /// What it said.
        line: String,
    },
    /// A file of the kernel cannot be read.
    #[error("{path}: {source}")]
    Usage {
        /// The file.
        path: String,
        /// What is wrong.
        source: io::Error,
    },
}

impl ServerProcess {
    /// Starts a program that prints its address first and serves then.
    pub fn start(program: &Path, arguments: &[&str]) -> Result<Self, ServerError> {
        let name = program.display().to_string();
        let failed = |source| ServerError::Start { program: name.clone(), source };
        let mut child = Command::new("taskset")
            .args(["--cpu-list", CORE])
            .arg(program)
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .map_err(failed)?;
        let mut line = String::new();
        if let Some(output) = child.stdout.take() {
            BufReader::new(output).read_line(&mut line).map_err(failed)?;
        }
        match line.trim().parse() {
            Ok(address) => Ok(Self { child, address }),
            Err(_) => Err(ServerError::Address { program: name, line }),
        }
    }

    /// CPU time it has used so far, all threads together.
    pub fn cpu_time(&self) -> Result<Duration, ServerError> {
        let folder = format!("/proc/{}/task", self.child.id());
        let unreadable = |source| ServerError::Usage { path: folder.clone(), source };
        let mut nanoseconds = 0;
        for thread in fs::read_dir(&folder).map_err(unreadable)? {
            // Time on a core, time waiting for one, time slices.
            let statistics = thread.map_err(unreadable)?.path().join("schedstat");
            let text = read(&statistics.display().to_string())?;
            nanoseconds += text
                .split_whitespace()
                .next()
                .and_then(|first| first.parse::<u64>().ok())
                .unwrap_or_default();
        }
        Ok(Duration::from_nanos(nanoseconds))
    }

    /// Memory it has in RAM, in KiB.
    pub fn resident_kib(&self) -> Result<u64, ServerError> {
        let status = read(&format!("/proc/{}/status", self.child.id()))?;
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        Ok(resident
            .and_then(|value| value.trim().trim_end_matches(" kB").parse().ok())
            .unwrap_or_default())
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing left to do.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read(path: &str) -> Result<String, ServerError> {
    fs::read_to_string(path).map_err(|source| ServerError::Usage { path: path.to_owned(), source })
}
