//! Probes and lifecycle hooks.

use std::fmt::Write as _;

use crds::OperatingSystem;

use crate::problem::Problems;

use super::{
    names,
    object::{LARGEST, Object},
};

/// The fields of a container that hold a probe.
pub(crate) const PROBES: [&str; 3] = ["livenessProbe", "readinessProbe", "startupProbe"];
/// The hooks of a container.
pub(crate) const HOOKS: [&str; 2] = ["postStart", "preStop"];
/// The signals that Linux has by name, the real-time ones aside.
const SIGNALS: [&str; 36] = [
    "SIGABRT",
    "SIGALRM",
    "SIGBUS",
    "SIGCHLD",
    "SIGCLD",
    "SIGCONT",
    "SIGFPE",
    "SIGHUP",
    "SIGILL",
    "SIGINT",
    "SIGIO",
    "SIGIOT",
    "SIGKILL",
    "SIGPIPE",
    "SIGPOLL",
    "SIGPROF",
    "SIGPWR",
    "SIGQUIT",
    "SIGSEGV",
    "SIGSTKFLT",
    "SIGSTOP",
    "SIGSYS",
    "SIGTERM",
    "SIGTRAP",
    "SIGTSTP",
    "SIGTTIN",
    "SIGTTOU",
    "SIGURG",
    "SIGUSR1",
    "SIGUSR2",
    "SIGVTALRM",
    "SIGWINCH",
    "SIGXCPU",
    "SIGXFSZ",
    "SIGRTMIN",
    "SIGRTMAX",
];
/// The signals that Windows has.
pub(crate) const WINDOWS_SIGNALS: [&str; 2] = ["SIGKILL", "SIGTERM"];

/// Checks the probes and hooks of a container.
pub(super) fn check(container: &Object<'_>, os: OperatingSystem, problems: &mut Problems) {
    for name in PROBES {
        if let Some(fields) = container.object(name) {
            probe(&fields, name, problems);
        }
    }
    let Some(lifecycle) = container.object("lifecycle") else { return };
    for hook in HOOKS {
        if let Some(fields) = lifecycle.object(hook) {
            handler(&fields, &["exec", "httpGet", "tcpSocket", "sleep"], problems);
        }
    }
    stop_signal(&lifecycle, os, problems);
}

fn probe(probe: &Object<'_>, name: &str, problems: &mut Problems) {
    let numbers = ["initialDelaySeconds", "timeoutSeconds", "periodSeconds", "failureThreshold"];
    for field in numbers {
        probe.range(field, 0..=LARGEST, problems);
    }
    // The API server turns 0 into the default.
    let successes = if name == "readinessProbe" { LARGEST } else { 1 };
    probe.range("successThreshold", 0..=successes, problems);
    if name != "readinessProbe" {
        probe.range("terminationGracePeriodSeconds", 1..=i64::MAX, problems);
    } else if probe.has("terminationGracePeriodSeconds") {
        let path = probe.at("terminationGracePeriodSeconds");
        problems.add(path, "is not allowed in a readiness probe");
    }
    handler(probe, &["exec", "httpGet", "tcpSocket", "grpc"], problems);
}

/// Checks that a probe or hook has one handler, and does not reach for another host: with `host`
/// a policy could make the kubelet call any address.
fn handler(fields: &Object<'_>, handlers: &[&str], problems: &mut Problems) {
    if handlers.iter().filter(|name| fields.has(name)).count() != 1 {
        let message = format!("must have exactly one of {}", handlers.join(", "));
        problems.add(fields.path(), message);
    }
    if let Some(exec) = fields.object("exec")
        && exec.length("command") == 0
    {
        problems.add(exec.at("command"), "is missing");
    }
    if let Some(sleep) = fields.object("sleep") {
        sleep.range("seconds", 0..=i64::MAX, problems);
    }
    for name in handlers.iter().filter(|name| ["httpGet", "tcpSocket", "grpc"].contains(name)) {
        let Some(action) = fields.object(name) else { continue };
        if action.value("host").and_then(|host| host.as_str()).is_some_and(|host| !host.is_empty())
        {
            problems.add(
                action.at("host"),
                "is not allowed: the pod's own address is always used; leave it out",
            );
        }
        action.word("scheme", &["HTTP", "HTTPS"], problems);
        port(&action, problems);
        for header in action.objects("httpHeaders") {
            let is_name = header.text("name").map(names::is_header_name);
            if is_name == Some(false) || !header.has("name") {
                problems.add(header.at("name"), "must be letters, digits and '-'");
            }
        }
    }
}

fn port(action: &Object<'_>, problems: &mut Problems) {
    if !action.has("port") {
        problems.add(action.at("port"), "is missing");
    }
    action.range("port", 1..=65535, problems);
    if let Some(name) = action.text("port")
        && !names::is_port_name(name)
    {
        problems.add(action.at("port"), format!("{name:?} {}", names::PORT_NAME));
    }
}

/// Checks the signal; that the pod has to name its operating system is found out pod by pod.
fn stop_signal(lifecycle: &Object<'_>, os: OperatingSystem, problems: &mut Problems) {
    let Some(signal) = lifecycle.text("stopSignal") else { return };
    let supported = match os {
        OperatingSystem::Windows => WINDOWS_SIGNALS.contains(&signal),
        OperatingSystem::Linux | OperatingSystem::Any => {
            SIGNALS.contains(&signal) || is_real_time_signal(signal)
        }
    };
    if !supported {
        let mut message = format!("{signal:?} is not a signal such as SIGTERM or SIGUSR1");
        if os == OperatingSystem::Windows {
            let _ = write!(message, "; Windows has {}", WINDOWS_SIGNALS.join(" and "));
        }
        problems.add(lifecycle.at("stopSignal"), message);
    }
}

/// `SIGRTMIN+1` to `SIGRTMIN+15` and `SIGRTMAX-14` to `SIGRTMAX-1`.
fn is_real_time_signal(signal: &str) -> bool {
    let offset = |prefix: &str, most: u8| {
        let digits = signal.strip_prefix(prefix)?;
        let offset = digits.parse::<u8>().ok()?;
        Some((1..=most).contains(&offset) && digits == offset.to_string())
    };
    offset("SIGRTMIN+", 15).or_else(|| offset("SIGRTMAX-", 14)).unwrap_or(false)
}
