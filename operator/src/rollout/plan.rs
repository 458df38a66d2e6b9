//! What a rollout does next, and what it says of itself. Pure: what is known in, steps out.
//!
//! A plan is made anew whenever something changes, and rests on the cluster alone: which revision
//! pods say they have, whether they are available, which restarts the workloads record. So it does
//! not matter who made the plan before, or how far its steps came.

use std::{collections::BTreeMap, fmt::Write as _, sync::Arc};

use crds::{Fallback, RolloutStrategy};

use super::{
    difference::Difference,
    facts::{Facts, Plan, PodState, RolloutPod, Step},
    memory::Subject,
    progress::{self, Progress, Waiting, names},
    workload::{Restarted, Workload, WorkloadId, WorkloadKind},
};

/// Most steps of one policy at a time.
const STEPS: usize = 32;
/// How soon a rollout is looked at again while it goes on, in seconds.
const LOOK_SECONDS: i64 = 5;
/// How often a workload is restarted for one revision within a day: a webhook that is away while its
/// pods come back would otherwise make it restart without end.
const MOST_RESTARTS: u32 = 3;
/// After this time earlier restarts do not count, in seconds.
const DAY_SECONDS: i64 = 24 * 60 * 60;

/// Makes a plan for an enforced policy whose settings are active.
pub(crate) fn plan(facts: &Facts<'_>) -> Plan {
    let todo = todo(facts);
    let only_repairs = facts.settings.strategy == RolloutStrategy::OnRecreate;
    let unready = if only_repairs && todo.is_empty() { Vec::new() } else { unready(facts.pods) };
    let was = |reason| facts.before.is_some_and(|(before, _)| before == reason);
    // What stands in for a pod that was evicted may not have come yet.
    let is_ending = |pod: &RolloutPod<'_>| {
        pod.ending && pod.is_unavailable() && !matches!(pod.state, PodState::Current { .. })
    };
    let awaits_pods = !only_repairs && facts.pods.iter().any(is_ending);
    let is_over = unready.is_empty() && !awaits_pods;
    if todo.is_empty() && (is_over || was(progress::COMPLETE)) {
        return Plan::rest(at_rest(facts));
    }
    if facts.settings.paused {
        let (current, all) = share(facts.pods);
        let message = format!("spec.rollout.paused is true; {current} of {all} pods are current");
        return Plan::rest(Progress::new(false, progress::PAUSED, message));
    }
    if let Some((progress::DEADLINE_EXCEEDED, message)) = facts.before {
        return Plan::rest(Progress::new(false, progress::DEADLINE_EXCEEDED, message));
    }
    let late: Vec<String> = unready
        .iter()
        .filter(|pod| facts.now - pod.changed > facts.settings.deadline)
        .map(|pod| pod.full_name())
        .collect();
    if !late.is_empty() {
        return Plan::rest(stopped(facts, &late));
    }
    let mut planner = Planner::new(facts);
    for pod in &unready {
        planner.look_at(pod.changed + facts.settings.deadline + 1);
    }
    planner.goes_on |= awaits_pods;
    planner.route(todo);
    planner.finish(unready.len())
}

/// What is said while there is nothing to do.
fn at_rest(facts: &Facts<'_>) -> Progress {
    if facts.settings.strategy == RolloutStrategy::OnRecreate {
        return Progress::on_recreate(facts.settings.is_partitioned());
    }
    let (current, all) = share(facts.pods);
    if current == all {
        return Progress::complete(current);
    }
    let message = format!(
        "{current} of {all} pods are current; the others stay as they are by spec.rollout.partition"
    );
    Progress::new(true, progress::COMPLETE, message)
}

/// The pods that are to be changed.
fn todo<'f>(facts: &Facts<'f>) -> Vec<&'f RolloutPod<'f>> {
    let settings = facts.settings;
    let needs = |pod: &&RolloutPod<'_>| match pod.state {
        _ if pod.ending => false,
        PodState::Outdated { .. } => {
            settings.strategy != RolloutStrategy::OnRecreate
                && !settings.partition.keeps(pod.place(facts.uid))
        }
        PodState::Missing => settings.repair,
        PodState::Current { .. } | PodState::Skipped => false,
    };
    facts.pods.iter().filter(needs).collect()
}

/// The pods of the current revision whose sidecars are not ready.
fn unready<'f>(pods: &'f [RolloutPod<'f>]) -> Vec<&'f RolloutPod<'f>> {
    let waits =
        |pod: &&RolloutPod<'_>| !pod.ending && pod.state == (PodState::Current { ready: false });
    pods.iter().filter(waits).collect()
}

/// Pods of the current revision, and all that have the policy.
fn share(pods: &[RolloutPod<'_>]) -> (i64, i64) {
    pods.iter().filter(|pod| !pod.ending).fold((0, 0), |(current, all), pod| match pod.state {
        PodState::Current { .. } => (current + 1, all + 1),
        PodState::Outdated { .. } => (current, all + 1),
        PodState::Missing | PodState::Skipped => (current, all),
    })
}

fn stopped(facts: &Facts<'_>, late: &[String]) -> Progress {
    let message = format!(
        "stopped: the sidecars of {} did not become ready within {} seconds; look at these pods, then change the policy or put an earlier revision back",
        names(late),
        facts.settings.deadline
    );
    Progress::new(false, progress::DEADLINE_EXCEEDED, message)
}

/// How pods are replaced.
enum Way<'f> {
    /// By their workload's own strategy.
    Workload(WorkloadId, &'f Workload),
    /// One by one.
    Evict,
    /// Not by us; why.
    Never(&'static str),
}

/// The pods of one workload.
#[derive(Default)]
struct Group<'f> {
    pods: Vec<&'f RolloutPod<'f>>,
    todo: Vec<&'f RolloutPod<'f>>,
}

impl Group<'_> {
    fn unavailable(&self) -> i64 {
        count(self.pods.iter().filter(|pod| pod.is_unavailable()).count())
    }

    /// Unavailable pods while the workload rolls, at worst. At least one, so that workloads that
    /// surge do not all roll at once.
    fn reserve(&self, workload: &Workload) -> i64 {
        workload.worst_case.max(1).min(count(self.pods.len())).max(self.unavailable())
    }
}

struct Planner<'f> {
    facts: &'f Facts<'f>,
    groups: BTreeMap<WorkloadId, Group<'f>>,
    /// Most pods that may be unavailable.
    limit: i64,
    /// Pods that are unavailable, or may be any moment by what has begun.
    used: i64,
    unavailable: Vec<String>,
    steps: Vec<Step>,
    /// Something has begun and is not over.
    goes_on: bool,
    /// Some steps have to wait for pods to become available.
    is_limited: bool,
    lacks_permission: bool,
    waiting: Waiting,
    look_at: Option<i64>,
}

impl<'f> Planner<'f> {
    fn new(facts: &'f Facts<'f>) -> Self {
        let matched = facts.pods.iter().filter(|pod| !pod.ending).count();
        let mut planner = Self {
            facts,
            groups: BTreeMap::new(),
            limit: facts.settings.most_unavailable(count(matched)),
            used: 0,
            unavailable: Vec::new(),
            steps: Vec::new(),
            goes_on: false,
            is_limited: false,
            lacks_permission: false,
            waiting: Waiting::default(),
            look_at: None,
        };
        for pod in facts.pods {
            let is_busy = planner.is_busy(pod);
            planner.goes_on |= is_busy;
            if is_busy || pod.is_unavailable() {
                planner.used += 1;
                planner.unavailable.push(pod.full_name());
            }
            if let Some(id) = pod.workload()
                && (!pod.ending || pod.is_unavailable())
            {
                planner.groups.entry(id).or_default().pods.push(pod);
            }
        }
        for (id, group) in &planner.groups {
            if let Some(workload) = planner.workload(id)
                && (workload.is_rolling || planner.has_begun(id))
            {
                planner.used += group.reserve(workload) - group.unavailable();
            }
        }
        planner
    }

    fn is_busy(&self, pod: &RolloutPod<'_>) -> bool {
        self.facts.memory.is_busy(&Subject::Pod(pod.uid))
    }

    /// Whether a restart was asked for whose effect has not been seen.
    fn has_begun(&self, id: &WorkloadId) -> bool {
        self.facts.memory.is_busy(&Subject::Workload(id.clone()))
    }

    fn workload(&self, id: &WorkloadId) -> Option<&'f Workload> {
        self.facts.workloads?.get(id)
    }

    fn look_at(&mut self, time: i64) {
        self.look_at = Some(self.look_at.map_or(time, |before| before.min(time)));
    }

    fn is_full(&self) -> bool {
        self.facts.memory.steps_in_flight() + self.steps.len() >= STEPS
    }

    /// Whether a subject has to be left alone for now, or for good.
    fn is_in_trouble(&mut self, subject: &Subject, name: String) -> bool {
        let Some(trouble) = self.facts.memory.trouble(subject) else { return false };
        if !trouble.is_final && trouble.again_at <= self.facts.now {
            return false;
        }
        if !trouble.is_final {
            self.look_at(trouble.again_at);
        }
        self.waiting.add(trouble.why.clone(), name);
        true
    }

    /// Sends every pod its way.
    fn route(&mut self, todo: Vec<&'f RolloutPod<'f>>) {
        let in_place = self.facts.settings.strategy == RolloutStrategy::InPlace;
        let mut to_change = Vec::new();
        let mut to_replace = Vec::new();
        for pod in todo {
            match &pod.state {
                PodState::Outdated { revision } if in_place => {
                    match self.difference(pod, revision) {
                        Some(Ok(difference)) => to_change.push((pod, *revision, difference)),
                        Some(Err(why)) if self.facts.settings.fallback == Fallback::Wait => {
                            let why =
                                format!("cannot change in place and wait for the next pod: {why}");
                            self.waiting.add(why, pod.full_name());
                        }
                        Some(Err(_)) => to_replace.push(pod),
                        None => {}
                    }
                }
                _ => to_replace.push(pod),
            }
        }
        self.change(to_change);
        self.replace(to_replace);
    }

    /// What changes in a pod; an error when it cannot in place, `None` when it is not known yet.
    fn difference(
        &mut self,
        pod: &RolloutPod<'_>,
        from: &Arc<str>,
    ) -> Option<Result<Arc<Difference>, String>> {
        let memory = self.facts.memory;
        if let Some(trouble) = memory.trouble(&Subject::Pod(pod.uid)).filter(|t| t.is_final) {
            return Some(Err(trouble.why.clone()));
        }
        match memory.difference(from) {
            Some(Ok(difference)) if pod.is_windows && difference.resizes() => {
                Some(Err("CPU and memory of Windows pods cannot change".to_owned()))
            }
            Some(difference) => Some(difference.clone()),
            None => {
                let step = Step::Compare(Arc::clone(from));
                let subject = step.subject();
                let is_known = memory.is_busy(&subject) || self.steps.contains(&step);
                if !self.facts.stored {
                    self.goes_on = true;
                    self.waiting.add("wait until the revision is stored", pod.full_name());
                } else if is_known {
                    self.goes_on = true;
                } else if !self.is_in_trouble(&subject, pod.full_name()) {
                    self.steps.push(step);
                }
                None
            }
        }
    }

    /// Changes pods in place.
    fn change(&mut self, mut pods: Vec<(&RolloutPod<'_>, &Arc<str>, Arc<Difference>)>) {
        // What is down already loses nothing, and may be what the new revision is to mend.
        pods.sort_by_key(|(pod, ..)| pod.available);
        // One that has been asked and did not follow yet keeps its room, or all would be asked.
        let asked = pods.iter().filter(|(pod, ..)| pod.available && self.is_asked(pod));
        self.used += count(asked.count());
        for (pod, from, difference) in pods {
            if !self.facts.permissions.in_place {
                self.forbid("rollout.inPlace", pod);
            } else if self.is_busy(pod)
                || self.is_in_trouble(&Subject::Pod(pod.uid), pod.full_name())
            {
            } else if self.has_room_for(pod) {
                let from = Arc::clone(from);
                self.steps.push(Step::ChangeInPlace { pod: pod.id(), from, difference });
            }
        }
    }

    /// Whether a pod was asked to change, and is asked again later.
    fn is_asked(&self, pod: &RolloutPod<'_>) -> bool {
        let trouble = self.facts.memory.trouble(&Subject::Pod(pod.uid));
        trouble.is_some_and(|trouble| !trouble.is_final && trouble.again_at > self.facts.now)
    }

    /// Takes room for a pod that becomes unavailable, if there is any.
    fn has_room_for(&mut self, pod: &RolloutPod<'_>) -> bool {
        let cost = i64::from(pod.available);
        let fits = !self.is_full() && (cost == 0 || self.used + cost <= self.limit);
        if fits {
            self.used += cost;
        } else {
            self.is_limited = true;
        }
        fits
    }

    fn forbid(&mut self, value: &str, pod: &RolloutPod<'_>) {
        self.lacks_permission = true;
        let why = format!("not permitted: the chart's value {value} is off");
        self.waiting.add(why, pod.full_name());
    }

    /// Has pods replaced by new ones.
    fn replace(&mut self, pods: Vec<&'f RolloutPod<'f>>) {
        let mut to_evict = Vec::new();
        let mut to_restart = Vec::new();
        for pod in pods {
            match self.way(pod) {
                Some(Way::Never(why)) => self.waiting.add(why, pod.full_name()),
                _ if !self.facts.permissions.restart => self.forbid("rollout.restart", pod),
                _ if !self.facts.serving => {
                    self.goes_on = true;
                    let why = "wait until every webhook replica serves the policy as it is";
                    self.waiting.add(why, pod.full_name());
                }
                None => self.goes_on = true,
                Some(Way::Evict) => to_evict.push(pod),
                Some(Way::Workload(id, workload)) => {
                    if let Some(group) = self.groups.get_mut(&id) {
                        if group.todo.is_empty() {
                            to_restart.push((id, workload));
                        }
                        group.todo.push(pod);
                    }
                }
            }
        }
        for (id, workload) in to_restart {
            let Some(group) = self.groups.remove(&id) else { continue };
            self.restart(id, workload, &group);
        }
        for pod in to_evict {
            self.evict(pod);
        }
    }

    /// How a pod is replaced; `None` while that is not known.
    fn way(&self, pod: &RolloutPod<'_>) -> Option<Way<'f>> {
        if pod.owner.is_none() {
            return Some(Way::Never("have no owner that would replace them"));
        }
        if pod.is_of("Job", "batch") {
            return Some(Way::Never("belong to a Job and are not restarted"));
        }
        let Some(id) = pod.workload() else { return Some(Way::Evict) };
        let workloads = self.facts.workloads?;
        match workloads.get(&id) {
            Some(workload) if workload.rolls => Some(Way::Workload(id, workload)),
            // Whatever is not there under this name: it is the owner itself that replaces the pod.
            _ => Some(Way::Evict),
        }
    }

    /// Restarts a workload when it is its turn.
    fn restart(&mut self, id: WorkloadId, workload: &Workload, group: &Group<'f>) {
        let facts = self.facts;
        let earlier = workload
            .restarted
            .get(facts.policy)
            .filter(|restarted| restarted.revision == facts.revision);
        if self.has_begun(&id) {
            self.goes_on = true;
            return;
        }
        if workload.paused {
            return self.waiting.add("is paused", id.to_string());
        }
        if workload.is_rolling {
            match earlier {
                Some(earlier) => return self.follow(&id, workload, group, earlier),
                // One that hangs with pods of an earlier revision has to be helped by this one.
                None if group.todo.iter().all(|pod| pod.available) => {
                    self.goes_on = true;
                    return self.waiting.add("is rolling already", id.to_string());
                }
                None => {}
            }
        } else if let Some(earlier) = earlier
            && !self.is_due_again(&id, group, earlier)
        {
            return;
        }
        if self.is_in_trouble(&Subject::Workload(id.clone()), id.to_string()) {
            return;
        }
        let reserve = group.reserve(workload);
        let more = reserve - group.unavailable();
        let others = self.used - group.unavailable();
        let goes_alone = reserve > self.limit && others == 0;
        if self.is_full() || !(more == 0 || self.used + more <= self.limit || goes_alone) {
            self.is_limited = true;
            return;
        }
        self.used += more;
        let day_ago = facts.now - DAY_SECONDS;
        let times = earlier.filter(|earlier| earlier.at.as_second() > day_ago);
        let owner = group.todo.iter().find_map(|pod| pod.owner);
        let replica_set = owner.filter(|owner| owner.deployment.is_some());
        self.steps.push(Step::Restart {
            workload: id,
            uid: workload.uid.clone(),
            replica_set: replica_set.map(|owner| (owner.name.clone(), owner.uid.clone())),
            times: times.map_or(0, |earlier| earlier.times),
        });
    }

    /// A workload rolls because we asked for it.
    fn follow(
        &mut self,
        id: &WorkloadId,
        workload: &Workload,
        group: &Group<'_>,
        earlier: &Restarted,
    ) {
        let at = earlier.at.as_second();
        let deadline = at + self.facts.settings.deadline;
        let makes_pods = group.pods.iter().any(|pod| pod.created >= at);
        if !makes_pods && self.facts.now > deadline {
            let problem = workload.problem.as_deref().unwrap_or("it does not say why");
            let why = format!(
                "made no new pod within {} seconds of its restart: {problem}",
                self.facts.settings.deadline
            );
            return self.waiting.add(why, id.to_string());
        }
        self.goes_on = true;
        self.look_at(deadline + 1);
        // A StatefulSet waits for a pod that is not ready before it replaces it, even by one that
        // would be: the pod has to be taken away.
        if id.kind == WorkloadKind::StatefulSet {
            for pod in group.todo.iter().filter(|pod| !pod.available && pod.created < at) {
                self.evict(pod);
            }
        }
    }

    /// Whether a workload that has been restarted for this revision, and has finished, is restarted
    /// once more: pods have come since that lack it, as when the webhook was away.
    fn is_due_again(&mut self, id: &WorkloadId, group: &Group<'_>, earlier: &Restarted) -> bool {
        let at = earlier.at.as_second();
        if group.todo.iter().all(|pod| pod.created <= at) {
            self.waiting.add("was restarted and did not replace all of its pods", id.to_string());
            return false;
        }
        let is_recent = self.facts.now - at < DAY_SECONDS;
        let again_at = if is_recent && earlier.times >= MOST_RESTARTS {
            at + DAY_SECONDS
        } else {
            at + self.facts.settings.deadline
        };
        if self.facts.now >= again_at {
            return true;
        }
        self.look_at(again_at);
        let why =
            format!("was restarted {} times, and new pods still lack the revision", earlier.times);
        self.waiting.add(why, id.to_string());
        false
    }

    fn evict(&mut self, pod: &RolloutPod<'_>) {
        let facts = self.facts;
        // A new pod that misses the policy would be followed by the next one at once.
        let old_enough = pod.created + facts.settings.deadline;
        let is_young = pod.created >= facts.created && facts.now < old_enough;
        if pod.state == PodState::Missing && is_young {
            self.look_at(old_enough);
            return self.waiting.add("miss the policy though they are new", pod.full_name());
        }
        if self.is_busy(pod) || self.is_in_trouble(&Subject::Pod(pod.uid), pod.full_name()) {
            return;
        }
        if self.has_room_for(pod) {
            self.steps.push(Step::Evict(pod.id()));
        }
    }

    fn finish(mut self, unready: usize) -> Plan {
        let (current, all) = share(self.facts.pods);
        let mut message = format!("{current} of {all} pods are current");
        if unready > 0 {
            let _ = write!(message, "; the sidecars of {unready} of them are not ready yet");
        }
        if self.is_limited && !self.unavailable.is_empty() {
            let _ = write!(
                message,
                "; at most {} may be unavailable, and these are: {}",
                self.limit,
                names(&self.unavailable)
            );
        }
        message.push_str(&self.waiting.describe());
        let goes_on = self.goes_on || self.is_limited || unready > 0 || !self.steps.is_empty();
        let (holds, reason) = if goes_on {
            self.look_at(self.facts.now + LOOK_SECONDS);
            (true, progress::ROLLING_OUT)
        } else if self.lacks_permission {
            (false, progress::NOT_PERMITTED)
        } else {
            (true, progress::WAITING)
        };
        if self.waiting.is_empty() && !goes_on {
            return Plan::rest(at_rest(self.facts));
        }
        Plan {
            steps: self.steps,
            progress: Progress::new(holds, reason, message),
            look_at: self.look_at,
        }
    }
}

fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
#[path = "plan_tests/mod.rs"]
mod tests;
