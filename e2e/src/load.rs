//! Pods created one after another while a test does something to the installation.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;

use serde_json::{Deserializer, Value, json};

use crate::command::kubectl_with;
use crate::{Pod, manifests};

/// Pods that one `kubectl` creates: its start takes longer than a pod.
const PODS_AT_ONCE: usize = 20;
/// So many take seconds, so that they also see what comes after the disturbance.
const LEAST_PODS: usize = 100;

/// A thread that goes on creating pods.
pub struct PodCreation {
    stop: Arc<AtomicBool>,
    least: Arc<AtomicUsize>,
    thread: Option<JoinHandle<Admissions>>,
}

/// What became of the pods.
#[derive(Debug, Default)]
pub struct Admissions {
    /// Pods that were admitted with the sidecar.
    pub injected: usize,
    /// Pods that were admitted without it, as the API server showed them.
    pub bare: Vec<Value>,
    /// What `kubectl` printed for pods that were refused.
    pub refused: Vec<String>,
}

impl PodCreation {
    /// Starts to create pods labelled `app: APP` that should get the sidecar `sidecar`. They are
    /// admitted and never scheduled.
    #[must_use]
    pub fn start(namespace: &str, app: &str, sidecar: &str) -> Self {
        let list = manifests::list(&vec![manifests::held_pod(app); PODS_AT_ONCE]).to_string();
        let (namespace, sidecar) = (namespace.to_owned(), sidecar.to_owned());
        let (stop, least) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (stopped, wanted) = (Arc::clone(&stop), Arc::clone(&least));
        let thread = std::thread::spawn(move || {
            let mut admissions = Admissions::default();
            while !stopped.load(Ordering::Acquire)
                || admissions.count() < wanted.load(Ordering::Acquire)
            {
                admissions.create(&namespace, &list, &sidecar);
            }
            admissions
        });
        Self { stop, least, thread: Some(thread) }
    }

    /// Stops when at least so many pods were tried, and says what became of them.
    #[must_use]
    pub fn finish(mut self, least: usize) -> Admissions {
        self.least.store(least, Ordering::Release);
        self.stop.store(true, Ordering::Release);
        let thread = self.thread.take().expect("only this takes the thread");
        thread.join().expect("the thread counts and does not panic")
    }

    /// Stops when enough pods were tried that a gap of a second would have been hit, and fails
    /// unless every one got its sidecar.
    #[track_caller]
    pub fn assert_all_injected(self) {
        self.finish(LEAST_PODS).assert_all_injected();
    }
}

/// A test that failed meanwhile wants no more pods.
impl Drop for PodCreation {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
    }
}

impl Admissions {
    /// How many pods were tried.
    #[must_use]
    pub fn count(&self) -> usize {
        self.injected + self.bare.len() + self.refused.len()
    }

    /// Fails unless every pod got its sidecar.
    #[track_caller]
    pub fn assert_all_injected(&self) {
        let Self { bare, refused, .. } = self;
        assert!(
            refused.is_empty(),
            "{} of {} pods were refused: {refused:?}",
            refused.len(),
            self.count()
        );
        assert!(
            bare.is_empty(),
            "{} of {} pods went without; the first: {}",
            bare.len(),
            self.count(),
            bare[0]
        );
    }

    fn create(&mut self, namespace: &str, list: &str, sidecar: &str) {
        let arguments = ["create", "-f", "-", "-o", "json", "-n", namespace];
        let answer = kubectl_with(&arguments, list);
        let mut admitted = 0;
        for pod in Deserializer::from_str(&answer.output).into_iter::<Value>() {
            let pod = Pod(pod.unwrap_or_else(|error| json!({"unreadable": error.to_string()})));
            admitted += 1;
            if pod.init_containers().contains(&sidecar) {
                self.injected += 1;
            } else {
                self.bare.push(pod.0);
            }
        }
        // One line for each pod; one alone when the API server could not be asked at all.
        let words = answer.errors.lines().filter(|line| !line.starts_with("Warning:"));
        let words = words.chain(std::iter::repeat(answer.errors.as_str()));
        self.refused.extend(words.take(PODS_AT_ONCE - admitted).map(str::to_owned));
    }
}
