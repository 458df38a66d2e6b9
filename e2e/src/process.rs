//! The processes of the cluster, on its nodes, where they are killed and stopped without anybody being
//! asked. Needs nodes that are containers of this machine's engine, as kind makes them.

use serde_json::Value;

use crate::command::{Answer, kubectl, run};

/// The process of a container.
#[derive(Clone, Debug)]
pub struct Process {
    /// Name of the pod that it runs in.
    pub pod: String,
    /// Address of that pod.
    pub address: String,
    node: String,
    id: String,
}

/// The processes of the running containers of the pods that a label selector picks.
#[must_use]
#[track_caller]
pub fn of_pods(namespace: &str, selector: &str) -> Vec<Process> {
    let arguments = ["get", "pods", "-n", namespace, "-l", selector, "-o", "json"];
    let pods = kubectl(&arguments).expect_success();
    let pods: Value = serde_json::from_str(&pods).expect("kubectl prints JSON");
    let pods = pods["items"].as_array().into_iter().flatten();
    let running = pods.filter(|pod| pod["metadata"]["deletionTimestamp"].is_null());
    running.filter_map(Process::of_pod).collect()
}

impl Process {
    /// `None` while the container does not run.
    fn of_pod(pod: &Value) -> Option<Self> {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let status = &pod["status"]["containerStatuses"][0];
        status["state"]["running"].as_object()?;
        let container = text(&status["containerID"])?;
        let container = container.rsplit('/').next()?.to_owned();
        let node = text(&pod["spec"]["nodeName"])?;
        let template = "{{.info.pid}}";
        let inspect =
            ["crictl", "inspect", "-o", "go-template", "--template", template, &container];
        let answer = on_node(&node, &inspect, None);
        // It may have ended since the kubelet said that it runs.
        let id = answer.succeeded.then(|| answer.output.trim().to_owned())?;
        Some(Self {
            pod: text(&pod["metadata"]["name"])?,
            address: text(&pod["status"]["podIP"])?,
            node,
            id,
        })
    }

    /// Sends it a signal, as `KILL`.
    #[track_caller]
    pub fn signal(&self, signal: &str) {
        let _ = self.try_signal(signal).expect_success();
    }

    /// Whether it is gone.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        !self.try_signal("0").succeeded
    }

    fn try_signal(&self, signal: &str) -> Answer {
        on_node(&self.node, &["kill", &format!("-{signal}"), &self.id], None)
    }

    /// Memory that it has in RAM, in KiB.
    #[must_use]
    #[track_caller]
    pub fn resident_kib(&self) -> u64 {
        let status = format!("/proc/{}/status", self.id);
        let status = on_node(&self.node, &["cat", &status], None).expect_success();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
        number.expect("a process has memory")
    }

    /// What its pod answers at `path`, as `:8080/metrics` after the address; asked from its node.
    #[must_use]
    pub fn ask(&self, scheme: &str, path: &str, body: Option<&str>) -> Answer {
        let url = format!("{scheme}://{}{path}", self.address);
        let mut arguments =
            vec!["curl", "--silent", "--fail-with-body", "--insecure", "--max-time", "3"];
        if body.is_some() {
            arguments.extend(["--header", "Content-Type: application/json", "--data-binary", "@-"]);
        }
        arguments.push(&url);
        on_node(&self.node, &arguments, body)
    }
}

/// Processes that stand still, and go on when this is dropped.
pub struct Stopped(Vec<Process>);

impl Stopped {
    /// Stops processes.
    #[must_use]
    #[track_caller]
    pub fn stop(processes: Vec<Process>) -> Self {
        assert!(!processes.is_empty(), "there is nothing to stop");
        let stopped = Self(processes);
        for process in &stopped.0 {
            process.signal("STOP");
        }
        stopped
    }

    /// Lets them go on.
    pub fn resume(self) {
        drop(self);
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        for process in &self.0 {
            // Whoever waited in vain may have killed it.
            let _ = process.try_signal("CONT");
        }
    }
}

fn on_node(node: &str, command: &[&str], input: Option<&str>) -> Answer {
    let flag = if input.is_some() { &["--interactive"][..] } else { &[] };
    run("docker", &[&["exec"], flag, &[node], command].concat(), input)
}
