//! What a plan rests on, and what it is made of.

use std::sync::Arc;

use inject::Place;

use super::{
    RolloutPermissions,
    difference::Difference,
    memory::{Memory, Subject},
    progress::Progress,
    settings::Settings,
    workload::{WorkloadId, WorkloadKind, Workloads},
};
use crate::owner::{Owner, Uid};

/// A pod that should have the policy.
#[derive(Clone, Debug)]
pub(crate) struct RolloutPod<'p> {
    /// Its namespace.
    pub(crate) namespace: &'p str,
    /// Its name.
    pub(crate) name: &'p str,
    /// Its uid.
    pub(crate) uid: Uid,
    /// What its place in the order of the policy is found by.
    pub(crate) placed_by: PlacedBy,
    /// Its controller.
    pub(crate) owner: Option<&'p Owner>,
    /// How it stands to the policy.
    pub(crate) state: PodState<'p>,
    /// It is ready, and what was changed in place has been carried out.
    pub(crate) available: bool,
    /// It is being deleted.
    pub(crate) ending: bool,
    /// When it was created.
    pub(crate) created: i64,
    /// Since when it is as available as it is.
    pub(crate) changed: i64,
    /// It is a Windows pod.
    pub(crate) is_windows: bool,
}

/// What the place of a pod in the order of a policy is found by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PlacedBy {
    /// Its own word: it was drawn when it was created.
    Itself(Place),
    /// Its name, which whoever made it gave it.
    Name,
    /// Its uid.
    Uid,
}

/// How a pod stands to the policy.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum PodState<'p> {
    /// It has the current revision.
    Current {
        /// The injected containers are ready.
        ready: bool,
    },
    /// It has another revision.
    Outdated {
        /// Which.
        revision: &'p Arc<str>,
    },
    /// It lacks the policy.
    Missing,
    /// The policy could not be applied to it.
    Skipped,
}

/// What a plan rests on.
pub(crate) struct Facts<'f> {
    /// The policy as pods and workloads name it.
    pub(crate) policy: &'f str,
    /// The uid of the policy.
    pub(crate) uid: &'f str,
    /// When the policy was created.
    pub(crate) created: i64,
    /// The revision that pods should have.
    pub(crate) revision: &'f str,
    /// `spec.rollout`.
    pub(crate) settings: &'f Settings,
    /// Every webhook replica serves the policy as it is, so a new pod gets it.
    pub(crate) serving: bool,
    /// The content of the revision is stored.
    pub(crate) stored: bool,
    /// Reason and message of the condition `Progressing`, if it speaks of this generation.
    pub(crate) before: Option<(&'f str, &'f str)>,
    /// What the operator may do.
    pub(crate) permissions: RolloutPermissions,
    /// The pods that should have the policy, in the order of their names.
    pub(crate) pods: &'f [RolloutPod<'f>],
    /// The workloads of the cluster; `None` while they have not been listed.
    pub(crate) workloads: Option<&'f Workloads>,
    /// What was tried.
    pub(crate) memory: &'f Memory,
    /// The time, as Unix time.
    pub(crate) now: i64,
}

/// One thing to do.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Step {
    /// Find out what the revision differs in from this one.
    Compare(Arc<str>),
    /// Change a running pod.
    ChangeInPlace {
        /// Which pod.
        pod: PodId,
        /// The revision that it has.
        from: Arc<str>,
        /// What changes.
        difference: Arc<Difference>,
    },
    /// Make a workload replace its pods.
    Restart {
        /// Which workload.
        workload: WorkloadId,
        /// Its uid.
        uid: String,
        /// Name and uid of a ReplicaSet that has to be its own.
        replica_set: Option<(String, String)>,
        /// How often it has been restarted for the revision.
        times: u32,
    },
    /// Evict a pod.
    Evict(PodId),
}

/// A pod that is acted upon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PodId {
    /// Its namespace.
    pub(crate) namespace: String,
    /// Its name.
    pub(crate) name: String,
    /// Its uid.
    pub(crate) uid: Uid,
}

impl Step {
    /// One word, for metrics.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Compare(_) => "compare",
            Self::ChangeInPlace { .. } => "change_in_place",
            Self::Restart { .. } => "restart",
            Self::Evict(_) => "evict",
        }
    }

    /// What the step is about; no two steps on one subject are taken at a time.
    pub(crate) fn subject(&self) -> Subject {
        match self {
            Self::Compare(from) => Subject::Revision(Arc::clone(from)),
            Self::ChangeInPlace { pod, .. } | Self::Evict(pod) => Subject::Pod(pod.uid),
            Self::Restart { workload, .. } => Subject::Workload(workload.clone()),
        }
    }
}

/// What is to be done, and said.
#[derive(Debug, PartialEq)]
pub(crate) struct Plan {
    /// What is to be done now.
    pub(crate) steps: Vec<Step>,
    /// What the condition `Progressing` says.
    pub(crate) progress: Progress,
    /// When to plan again even if nothing changes, as Unix time.
    pub(crate) look_at: Option<i64>,
}

impl Plan {
    /// Nothing to do.
    pub(super) fn rest(progress: Progress) -> Self {
        Self { steps: Vec::new(), progress, look_at: None }
    }
}

impl RolloutPod<'_> {
    /// `namespace/name`.
    pub(super) fn full_name(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }

    /// Its place in the order in which the policy keeps pods back: the one that it was admitted by, and
    /// that a pod of the same name would be admitted by.
    pub(super) fn place(&self, policy_uid: &str) -> Place {
        match self.placed_by {
            PlacedBy::Itself(place) => place,
            PlacedBy::Name => Place::of_name(policy_uid, self.namespace, self.name),
            PlacedBy::Uid => Place::of_pod(policy_uid, &self.uid.bytes()),
        }
    }

    /// The pod as steps name it.
    pub(super) fn id(&self) -> PodId {
        PodId { namespace: self.namespace.to_owned(), name: self.name.to_owned(), uid: self.uid }
    }

    /// Whether its controller is of this kind.
    pub(super) fn is_of(&self, kind: &str, group: &str) -> bool {
        self.owner.is_some_and(|owner| {
            owner.kind == kind
                && owner.api_version.split_once('/').is_some_and(|(of, _)| of == group)
        })
    }

    /// The workload that rolls this pod, as far as its owner's name tells.
    pub(super) fn workload(&self) -> Option<WorkloadId> {
        let owner = self.owner?;
        let (kind, name) = match &owner.deployment {
            Some(deployment) => (WorkloadKind::Deployment, deployment),
            None if self.is_of("StatefulSet", "apps") => (WorkloadKind::StatefulSet, &owner.name),
            None if self.is_of("DaemonSet", "apps") => (WorkloadKind::DaemonSet, &owner.name),
            None => return None,
        };
        Some(WorkloadId { namespace: self.namespace.to_owned(), name: name.clone(), kind })
    }

    /// Whether it is a pod less for its owner. One that is being deleted is as long as nothing stands
    /// in for it; some controllers make the next pod at once.
    pub(super) fn is_unavailable(&self) -> bool {
        if !self.ending {
            return !self.available;
        }
        self.owner.is_none_or(|owner| {
            !matches!(owner.kind.as_str(), "ReplicaSet" | "ReplicationController" | "Job")
        })
    }
}
