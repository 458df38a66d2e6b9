//! What a policy demands of the pod it goes into, beside what the merge compares: the API server
//! would refuse the pod without it, so the policy is left out instead.

use crds::{OperatingSystem, PolicySpec, Sidecar, SidecarType};
use serde_json::{Map, Value, json};

use crate::validation::{self, Stage};

/// What is known of a pod.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PodTraits<'a> {
    /// `spec.os.name`, and nothing else that hints at the operating system.
    pub(crate) operating_system: Option<&'a str>,
    /// Grace period of the pod as it will be: 30 where it does not say, raised by policies.
    pub(crate) grace_period_seconds: i64,
    /// `spec.restartPolicy`; `Always` where it does not say.
    pub(crate) restart_policy: &'a str,
    /// `spec.hostUsers`.
    pub(crate) host_users: Option<bool>,
    /// `spec.hostNetwork`.
    pub(crate) host_network: bool,
    /// `spec.hostPID`.
    pub(crate) host_pid: bool,
    /// Names in `spec.resourceClaims`.
    pub(crate) resource_claims: &'a [&'a str],
    /// `spec.securityContext.windowsOptions.hostProcess`.
    pub(crate) host_process: Option<bool>,
    /// Whether a container of the app sets `hostProcess: true` itself.
    pub(crate) host_process_containers: bool,
}

impl Default for PodTraits<'_> {
    /// A pod that says nothing.
    fn default() -> Self {
        Self {
            operating_system: None,
            grace_period_seconds: 30,
            restart_policy: "Always",
            host_users: None,
            host_network: false,
            host_pid: false,
            resource_claims: &[],
            host_process: None,
            host_process_containers: false,
        }
    }
}

/// Everything that a policy demands, found out when it is compiled.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Demands {
    of_pod: Vec<Demand>,
    /// By the entry of `appContainers`: only where it adds its hooks to a container.
    of_entries: Vec<(usize, Demand)>,
}

/// A demand that a pod does not meet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unmet<'a> {
    /// Path of the field that demands it.
    pub(crate) path: &'a str,
    /// What the pod would need, in words.
    pub(crate) why: String,
    /// The kind of conflict.
    pub(crate) reason: &'static str,
}

#[derive(Clone, Debug, PartialEq)]
struct Demand {
    path: String,
    kind: Kind,
}

/// What is demanded.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Kind {
    /// A hook sleeps that many seconds.
    GracePeriod(i64),
    /// A signal has a meaning on a named operating system only.
    NamedSystem {
        windows_has_it: bool,
    },
    NotOnWindows,
    NotOnLinux,
    /// Resizing restarts a container.
    Restarts,
    UserNamespace,
    /// Block devices do not work in user namespaces.
    NoUserNamespace,
    NoHostPid,
    Claim(String),
    /// What a container says of `hostProcess`.
    HostProcess(Option<bool>),
}

impl Demands {
    /// The demands of a policy, expressions aside.
    pub(crate) fn of(spec: &PolicySpec, stage: Stage) -> Self {
        let mut demands = Self::default();
        for (index, sidecar) in spec.sidecars.iter().enumerate() {
            demands.add_sidecar(sidecar, spec.os, stage, &format!("spec.sidecars[{index}]"));
        }
        for (index, entry) in spec.app_containers.iter().enumerate() {
            if let Some(lifecycle) = &entry.lifecycle {
                let path = format!("spec.appContainers[{index}].lifecycle");
                let hooks = of_hooks(&Value::Object(lifecycle.clone()), &path);
                demands.of_entries.extend(hooks.into_iter().map(|demand| (index, demand)));
            }
        }
        demands.add_pod(spec);
        demands
    }

    /// Whether nothing at all is demanded.
    pub(crate) fn is_empty(&self) -> bool {
        self.of_pod.is_empty() && self.of_entries.is_empty()
    }

    /// The first demand of sidecars and of `spec.pod` that a pod does not meet.
    pub(crate) fn unmet(&self, pod: &PodTraits<'_>) -> Option<Unmet<'_>> {
        self.of_pod.iter().find_map(|demand| demand.unmet(pod))
    }

    /// The first demand of an entry of `appContainers` that a pod does not meet, to be asked where the
    /// hooks of the entry are added to a container.
    pub(crate) fn unmet_by_entry(&self, entry: usize, pod: &PodTraits<'_>) -> Option<Unmet<'_>> {
        let mut demands = self.of_entries.iter().filter(|(index, _)| *index == entry);
        demands.find_map(|(_, demand)| demand.unmet(pod))
    }

    /// What sidecars and `spec.pod` demand, each with the path of the field.
    pub(crate) fn of_pod(&self) -> impl Iterator<Item = (&str, &Kind)> {
        self.of_pod.iter().map(|demand| (demand.path.as_str(), &demand.kind))
    }

    /// Changes the spec of a made-up pod so that it meets what is demanded, where one pod can.
    pub(crate) fn meet(&self, spec: &mut Map<String, Value>) {
        let demands = self.of_pod.iter().chain(self.of_entries.iter().map(|(_, demand)| demand));
        for demand in demands {
            demand.kind.meet(spec);
        }
    }

    fn add(&mut self, path: String, kind: Kind) {
        self.of_pod.push(Demand { path, kind });
    }

    fn add_sidecar(&mut self, sidecar: &Sidecar, os: OperatingSystem, stage: Stage, path: &str) {
        let container = &sidecar.container;
        if let Some(lifecycle) = container.get("lifecycle") {
            self.of_pod.extend(of_hooks(lifecycle, &format!("{path}.lifecycle")));
        }
        let elements =
            |field: &str| container.get(field).and_then(Value::as_array).into_iter().flatten();
        if sidecar.kind != SidecarType::Init
            && elements("resizePolicy").any(|policy| policy["restartPolicy"] == "RestartContainer")
        {
            self.add(format!("{path}.resizePolicy"), Kind::Restarts);
        }
        if elements("volumeDevices").next().is_some() {
            self.add(format!("{path}.volumeDevices"), Kind::NoUserNamespace);
        }
        let claims = container.get("resources").and_then(|resources| resources.get("claims"));
        for (index, claim) in claims.and_then(Value::as_array).into_iter().flatten().enumerate() {
            if let Some(name) = claim.get("name").and_then(Value::as_str)
                && (stage == Stage::Rendered || !validation::has_expression(name))
            {
                let path = format!("{path}.resources.claims[{index}]");
                self.add(path, Kind::Claim(name.to_owned()));
            }
        }
        let context = container.get("securityContext");
        let set = |field: &str| {
            context.and_then(|context| context.get(field)).filter(|value| !value.is_null())
        };
        let path = format!("{path}.securityContext");
        if set("procMount").is_some_and(|mount| mount == "Unmasked") {
            self.add(format!("{path}.procMount"), Kind::UserNamespace);
        }
        if let Some(field) = validation::LINUX_ONLY.iter().find(|field| set(field).is_some()) {
            self.add(format!("{path}.{field}"), Kind::NotOnWindows);
        }
        let windows = set("windowsOptions");
        if windows.is_some() {
            self.add(format!("{path}.windowsOptions"), Kind::NotOnLinux);
        }
        if os != OperatingSystem::Linux {
            let host_process = windows.and_then(|options| options.get("hostProcess")?.as_bool());
            let path = format!("{path}.windowsOptions.hostProcess");
            self.add(path, Kind::HostProcess(host_process));
        }
    }

    fn add_pod(&mut self, spec: &PolicySpec) {
        let Some(pod) = &spec.pod else { return };
        let path = "spec.pod.shareProcessNamespace";
        if pod.share_process_namespace.is_some() {
            self.add(path.to_owned(), Kind::NotOnWindows);
        }
        if pod.share_process_namespace == Some(true) {
            self.add(path.to_owned(), Kind::NoHostPid);
        }
        for field in ["fsGroup", "supplementalGroups"] {
            let context = pod.security_context.as_ref();
            if context.and_then(|context| context.get(field)).is_some_and(|value| !value.is_null())
            {
                self.add(format!("spec.pod.securityContext.{field}"), Kind::NotOnWindows);
            }
        }
    }
}

impl Kind {
    /// The stable word for a demand that is not met.
    fn reason(&self) -> &'static str {
        match self {
            Self::GracePeriod(_) => "GracePeriodTooShort",
            Self::NamedSystem { .. } | Self::NotOnWindows | Self::NotOnLinux => "OSMismatch",
            Self::Restarts => "RestartPolicyConflict",
            Self::UserNamespace | Self::NoUserNamespace => "UserNamespaceConflict",
            Self::NoHostPid => "ProcessNamespaceConflict",
            Self::Claim(_) => "ResourceClaimMissing",
            Self::HostProcess(_) => "HostProcessConflict",
        }
    }
}

impl Kind {
    fn meet(&self, spec: &mut Map<String, Value>) {
        let mut set = |field: &str, value: Value| spec.insert(field.to_owned(), value);
        match self {
            Self::GracePeriod(seconds) => {
                let field = "terminationGracePeriodSeconds";
                let before = spec.get(field).and_then(Value::as_i64).unwrap_or(30);
                spec.insert(field.to_owned(), before.max(*seconds).into());
            }
            Self::UserNamespace => {
                set("hostUsers", false.into());
            }
            Self::NotOnLinux => {
                set("os", json!({ "name": "windows" }));
            }
            Self::Claim(name) => {
                let claims = spec.entry("resourceClaims").or_insert_with(|| json!([]));
                let is_there =
                    |claims: &Vec<Value>| claims.iter().any(|claim| claim["name"] == name.as_str());
                if let Some(claims) = claims.as_array_mut()
                    && !is_there(claims)
                {
                    claims.push(json!({ "name": name, "resourceClaimName": "sample" }));
                }
            }
            Self::HostProcess(Some(true)) => {
                set("hostNetwork", true.into());
                let options = json!({ "windowsOptions": { "hostProcess": true } });
                set("securityContext", options);
            }
            Self::HostProcess(_)
            | Self::NamedSystem { .. }
            | Self::NotOnWindows
            | Self::Restarts
            | Self::NoUserNamespace
            | Self::NoHostPid => {}
        }
    }
}

fn of_hooks(lifecycle: &Value, path: &str) -> Vec<Demand> {
    let mut demands = Vec::new();
    for hook in validation::HOOKS {
        let sleep = lifecycle.get(hook).and_then(|hook| hook.get("sleep"));
        if let Some(seconds) = sleep.and_then(|sleep| sleep.get("seconds")?.as_i64()) {
            let path = format!("{path}.{hook}.sleep.seconds");
            demands.push(Demand { path, kind: Kind::GracePeriod(seconds) });
        }
    }
    if let Some(signal) = lifecycle.get("stopSignal").and_then(Value::as_str) {
        let windows_has_it = validation::WINDOWS_SIGNALS.contains(&signal);
        let path = format!("{path}.stopSignal");
        demands.push(Demand { path, kind: Kind::NamedSystem { windows_has_it } });
    }
    demands
}

impl Demand {
    fn unmet(&self, pod: &PodTraits<'_>) -> Option<Unmet<'_>> {
        let says = |name: &str| pod.operating_system == Some(name);
        let (is_met, why) = match &self.kind {
            Kind::GracePeriod(seconds) => (
                *seconds <= pod.grace_period_seconds,
                format!(
                    "needs {seconds} seconds of the pod's {}; raise terminationGracePeriodSeconds",
                    pod.grace_period_seconds
                ),
            ),
            Kind::NamedSystem { windows_has_it } => (
                pod.operating_system.is_some() && (*windows_has_it || !says("windows")),
                "needs a pod whose spec.os.name is an operating system that has this signal"
                    .to_owned(),
            ),
            Kind::NotOnWindows => {
                (!says("windows"), "is not allowed in a pod with spec.os.name: windows".to_owned())
            }
            Kind::NotOnLinux => {
                (!says("linux"), "is not allowed in a pod with spec.os.name: linux".to_owned())
            }
            Kind::Restarts => (
                pod.restart_policy != "Never",
                "cannot be RestartContainer in a pod with restartPolicy: Never".to_owned(),
            ),
            Kind::UserNamespace => (
                pod.host_users == Some(false),
                "Unmasked needs a pod with hostUsers: false".to_owned(),
            ),
            Kind::NoUserNamespace => (
                pod.host_users != Some(false),
                "are not allowed in a pod with hostUsers: false".to_owned(),
            ),
            Kind::NoHostPid => {
                (!pod.host_pid, "is not allowed in a pod with hostPID: true".to_owned())
            }
            Kind::Claim(name) => (
                pod.resource_claims.contains(&name.as_str()),
                format!("needs the claim {name:?} in the pod's spec.resourceClaims"),
            ),
            Kind::HostProcess(ours) => (
                pod.runs_alike(*ours),
                "must be as in the pod's other containers, and needs hostNetwork if true"
                    .to_owned(),
            ),
        };
        (!is_met).then(|| Unmet { path: &self.path, why, reason: self.kind.reason() })
    }
}

impl PodTraits<'_> {
    /// Whether a container that says this of `hostProcess` can stand beside the app's: all of a pod's
    /// containers are host processes, or none.
    fn runs_alike(&self, ours: Option<bool>) -> bool {
        let agrees = |ours: bool| self.host_process.is_none_or(|of_pod| of_pod == ours);
        let is_host_process = ours.or(self.host_process).unwrap_or_default();
        let app_is = self.host_process == Some(true) || self.host_process_containers;
        ours.is_none_or(agrees)
            && is_host_process == app_is
            && (!is_host_process || self.host_network)
    }
}
