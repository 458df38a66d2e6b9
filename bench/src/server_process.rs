//! A server under test: a process of its own, pinned to a core, and what it used.

use std::{
    fs,
    io::{self, BufRead, BufReader},
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use serde_json::json;

/// A core of the machine, as taskset counts them.
pub type Core = &'static str;
/// The core that servers under test run on.
pub const SERVER_CORE: Core = "0";
/// The core of the load, and of what servers under test need.
pub const LOAD_CORE: Core = "1";

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
    pub fn start(core: Core, program: &Path, arguments: &[&str]) -> Result<Self, ServerError> {
        let mut command = pinned(core, program, arguments);
        let mut child =
            command.stdout(Stdio::piped()).spawn().map_err(|source| failed(program, source))?;
        let mut line = String::new();
        if let Some(output) = child.stdout.take() {
            let read = BufReader::new(output).read_line(&mut line);
            read.map_err(|source| failed(program, source))?;
        }
        match line.trim().parse() {
            Ok(address) => Ok(Self { child, address }),
            Err(_) => Err(ServerError::Address { program: program.display().to_string(), line }),
        }
    }

    /// Starts the webhook as it is installed, with its API server in `kubeconfig`. It does not
    /// listen yet when this returns.
    pub fn start_webhook(program: &Path, kubeconfig: &Path) -> Result<Self, ServerError> {
        let unbound = || SocketAddr::from(([127, 0, 0, 1], 0));
        // Another program could take the port meanwhile; then the webhook says so and ends.
        let free = TcpListener::bind(unbound()).and_then(|listener| listener.local_addr());
        let address = free.map_err(|source| failed(program, source))?;
        let (listen, health) = (address.to_string(), unbound().to_string());
        let arguments = [
            "--namespace=sidecar-policy-system",
            "--certificate-secret=webhook-tls",
            "--log-level=error",
            "--listen-address",
            &listen,
            "--health-address",
            &health,
        ];
        let mut command = pinned(SERVER_CORE, program, &arguments);
        let child = command.env("KUBECONFIG", kubeconfig).spawn();
        Ok(Self { child: child.map_err(|source| failed(program, source))?, address })
    }

    /// Starts the operator as it is installed, with its API server in `kubeconfig`.
    pub fn start_operator(program: &Path, kubeconfig: &Path) -> Result<Self, ServerError> {
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let health = address.to_string();
        let arguments = [
            "--namespace=sidecar-policy-system",
            "--identity=operator-0",
            "--lease=sidecar-policy-operator",
            "--certificate-secret=sidecar-policy-webhook-certificate",
            "--authority-secret=sidecar-policy-authority",
            "--webhook-service=sidecar-policy-webhook",
            "--webhook-configuration=sidecar-policy",
            "--dry-run-namespace=sidecar-policy-dry-run",
            "--log-level=error",
            "--health-address",
            &health,
        ];
        let mut command = pinned(SERVER_CORE, program, &arguments);
        let child = command.env("KUBECONFIG", kubeconfig).spawn();
        Ok(Self { child: child.map_err(|source| failed(program, source))?, address })
    }

    /// Whether it runs, so that waiting for it makes sense.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
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
        self.status_kib("VmRSS:")
    }

    /// Most memory it ever had in RAM, in KiB.
    pub fn peak_kib(&self) -> Result<u64, ServerError> {
        self.status_kib("VmHWM:")
    }

    fn status_kib(&self, field: &str) -> Result<u64, ServerError> {
        let status = read(&format!("/proc/{}/status", self.child.id()))?;
        let value = status.lines().find_map(|line| line.strip_prefix(field));
        Ok(value
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

/// Writes the kubeconfig of an API server that shows the certificate `tls.crt` of the same folder.
pub fn write_kubeconfig(folder: &Path, server: SocketAddr) -> io::Result<PathBuf> {
    let path = folder.join("kubeconfig");
    let content = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "bench",
        "clusters": [{"name": "bench", "cluster": {
            "server": format!("https://{server}"),
            "certificate-authority": folder.canonicalize()?.join("tls.crt")
        }}],
        "users": [{"name": "bench", "user": {}}],
        "contexts": [{"name": "bench", "context": {"cluster": "bench", "user": "bench"}}]
    });
    fs::write(&path, content.to_string())?;
    Ok(path)
}

fn pinned(core: Core, program: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new("taskset");
    command.args(["--cpu-list", core]).arg(program).args(arguments);
    command
}

fn failed(program: &Path, source: io::Error) -> ServerError {
    ServerError::Start { program: program.display().to_string(), source }
}

fn read(path: &str) -> Result<String, ServerError> {
    fs::read_to_string(path).map_err(|source| ServerError::Usage { path: path.to_owned(), source })
}
