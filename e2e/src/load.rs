//! Pods created one after another while a test does something to the installation.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use serde_json::json;

use crate::command::kubectl_with;
use crate::{Pod, manifests};

/// Some five a second are created, so that they also see the seconds after the disturbance.
const LEAST_PODS: usize = 40;

/// A thread that goes on creating pods.
pub struct PodCreation {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Admissions>>,
}

/// What became of the pods.
#[derive(Debug, Default)]
struct Admissions {
    injected: usize,
    /// Pods that were admitted without the sidecar, as the API server showed them.
    bare: Vec<String>,
    /// What `kubectl` printed for pods that were refused.
    refused: Vec<String>,
}

impl PodCreation {
    /// Starts to create pods labelled `app: APP` that should get the sidecar `sidecar`. They are
    /// admitted and never scheduled.
    #[must_use]
    pub fn start(namespace: &str, app: &str, sidecar: &str) -> Self {
        let mut manifest = manifests::pod("unused", app);
        manifest["metadata"]["generateName"] = json!(format!("{app}-"));
        manifest["metadata"]["name"].take();
        manifest["spec"]["schedulingGates"] = json!([{"name": "e2e.sidecarpolicy.dev/hold"}]);
        let (namespace, sidecar) = (namespace.to_owned(), sidecar.to_owned());
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut admissions = Admissions::default();
            while !stopped.load(Ordering::Relaxed) || admissions.count() < LEAST_PODS {
                admissions.create(&namespace, &manifest.to_string(), &sidecar);
            }
            admissions
        });
        Self { stop, thread: Some(thread) }
    }

    /// Stops when enough pods were tried that a gap of a second would have been hit, and fails
    /// unless every one got its sidecar.
    #[track_caller]
    pub fn assert_all_injected(mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let thread = self.thread.take().expect("only this takes the thread");
        let Admissions { injected, bare, refused } =
            thread.join().expect("the thread counts and does not panic");
        assert!(refused.is_empty(), "{} pods were refused: {refused:?}", refused.len());
        assert!(
            bare.is_empty(),
            "{} of {} pods went without; the first: {}",
            bare.len(),
            bare.len() + injected,
            bare[0]
        );
    }
}

/// A test that failed meanwhile wants no more pods.
impl Drop for PodCreation {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

impl Admissions {
    fn count(&self) -> usize {
        self.injected + self.bare.len() + self.refused.len()
    }

    fn create(&mut self, namespace: &str, manifest: &str, sidecar: &str) {
        let arguments = ["create", "-f", "-", "-o", "json", "-n", namespace];
        let answer = kubectl_with(&arguments, manifest);
        if !answer.succeeded {
            self.refused.push(answer.errors);
            return;
        }
        match serde_json::from_str(&answer.output).map(Pod) {
            Ok(pod) if pod.init_containers().contains(&sidecar) => self.injected += 1,
            _ => self.bare.push(answer.output),
        }
    }
}
