//! The leader killed, or standing still and then coming back: one writer at any time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use e2e::installation::{self, OPERATOR, kubectl_here};
use e2e::process::{Process, Stopped};
use e2e::{TestNamespace, eventually, manifests};
use serde_json::json;

use crate::{DEADLINE, processes, report, wait_for_counts};

/// The lease holds for 15 s, and a candidate looks at it every second.
const TAKEOVER: Duration = Duration::from_secs(18);
/// Time that a leader which stood still may take to notice and to end. It writes nothing meanwhile.
const LEAVING: Duration = Duration::from_secs(3);

fn holder() -> String {
    let path = "jsonpath={.spec.holderIdentity}";
    kubectl_here(&["get", "lease/sidecar-policy-operator", "-o", path])
}

/// Whether a replica says that it leads; one that does not answer does not.
fn leads(replica: &Process) -> bool {
    let metrics = replica.ask("http", ":8080/metrics", None).output;
    metrics.lines().any(|line| line == "sidecar_policy_operator_leader 1")
}

/// Splits the replicas into the leader and the other one.
#[track_caller]
fn leader_and_candidate() -> (Process, Process) {
    let mut replicas = processes("operator");
    let leader = holder();
    replicas.sort_by_key(|replica| replica.pod != leader);
    let candidate = replicas.pop().expect("there are two");
    (replicas.pop().expect("there are two"), candidate)
}

/// Asks both replicas all the time, and notes when both say that they lead.
struct Observation {
    stop: Arc<AtomicBool>,
    twice: Arc<AtomicUsize>,
    looks: Arc<AtomicUsize>,
}

impl Observation {
    fn start(replicas: Vec<Process>) -> Self {
        let observation =
            Self { stop: Arc::default(), twice: Arc::default(), looks: Arc::default() };
        let (stop, twice, looks) =
            (observation.stop.clone(), observation.twice.clone(), observation.looks.clone());
        std::thread::spawn(move || {
            while !stop.load(Ordering::Acquire) {
                let leading = replicas.iter().filter(|replica| leads(replica)).count();
                twice.fetch_add(usize::from(leading > 1), Ordering::AcqRel);
                looks.fetch_add(1, Ordering::AcqRel);
            }
        });
        observation
    }

    /// Ends, and gives how often it looked; fails if two led at once.
    #[track_caller]
    fn assert_one_leader(self) -> usize {
        assert_eq!(self.twice.load(Ordering::Acquire), 0, "two replicas led at the same time");
        self.looks.load(Ordering::Acquire)
    }
}

impl Drop for Observation {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
    }
}

#[test]
fn a_leader_that_stands_still_is_followed_within_the_lease_and_writes_no_more() {
    let namespace = TestNamespace::create("still");
    namespace.apply_policy(&manifests::policy("watcher", "api"));
    let (leader, candidate) = leader_and_candidate();
    let observation = Observation::start(vec![leader.clone(), candidate.clone()]);
    let stopped = Stopped::stop(vec![leader.clone()]);
    let still = Instant::now();
    namespace.create_pod(&manifests::pod("meanwhile", "api"));
    eventually("the other replica leads", DEADLINE, || {
        let holder = holder();
        if holder == candidate.pod { Ok(()) } else { Err(holder) }
    });
    let taken_over = still.elapsed();
    wait_for_counts(&namespace, "scp/watcher", &json!({"matched": 1, "injected": 1}));
    let counted = still.elapsed();
    let looks = observation.assert_one_leader();

    stopped.resume();
    eventually("the former leader does not lead any more", LEAVING, || {
        if leads(&leader) { Err("it says that it does".to_owned()) } else { Ok(()) }
    });
    let observation = Observation::start(vec![leader, candidate.clone()]);
    namespace.create_pod(&manifests::pod("after", "api"));
    wait_for_counts(&namespace, "scp/watcher", &json!({"matched": 2, "injected": 2}));
    assert_eq!(holder(), candidate.pod, "who took over stays");
    installation::wait_for_rollout(OPERATOR);
    let looks = looks + observation.assert_one_leader();
    report(
        "the leader stopped",
        &format!(
            "followed after {:.1} s, status right after {:.1} s; never two leaders in {looks} looks",
            taken_over.as_secs_f64(),
            counted.as_secs_f64()
        ),
    );
    assert!(taken_over < TAKEOVER, "took {taken_over:?}");
}

#[test]
fn a_killed_leader_loses_no_status() {
    let namespace = TestNamespace::create("leaderless");
    namespace.apply_policy(&manifests::policy("watcher", "api"));
    let (leader, candidate) = leader_and_candidate();
    leader.signal("KILL");
    let killed = Instant::now();
    let observation = Observation::start(vec![leader, candidate]);
    // Changes that nobody sees happen: pods that come, and a policy that changes.
    let pods = manifests::list(&vec![manifests::held_pod("api"); 50]).to_string();
    let create = ["create", "-f", "-", "-n", namespace.name()];
    let _ = e2e::command::kubectl_with(&create, &pods).expect_success();
    let mut changed = manifests::policy("watcher", "api");
    changed["spec"]["sidecars"][0]["env"] = json!([{"name": "CHANGED", "value": "yes"}]);
    namespace.apply(&changed);
    let counts = json!({"matched": 50, "injected": 50, "current": 0, "outdated": 50});
    wait_for_counts(&namespace, "scp/watcher", &counts);
    namespace.wait_for_policy("scp/watcher");
    let right = killed.elapsed();
    let looks = observation.assert_one_leader();
    report(
        "the leader killed",
        &format!(
            "50 pods and a change of the policy counted after {:.1} s; never two leaders in {looks} looks",
            right.as_secs_f64()
        ),
    );
    installation::wait_for_rollout(OPERATOR);
    assert!(right < TAKEOVER + Duration::from_secs(10), "took {right:?}");
}
