//! Whether what a policy adds passes the Pod Security Standards that a namespace enforces.
//!
//! The checks are those of Kubernetes 1.36, each with the version since which it exists, because a
//! namespace can ask for an older version. What depends on the pod, such as a profile that the pod
//! sets for all its containers, is asked when the pod is known; the rest is found out beforehand.

#[cfg(test)]
mod verdicts_tests;

use std::{fmt, str::FromStr};

use crds::{PolicySpec, Sidecar, Volume};
use serde_json::Value;

use crate::{
    select::Lookup,
    validation::{self, Stage},
};

/// Label of a namespace: the level that it enforces.
pub(crate) const ENFORCE: &str = "pod-security.kubernetes.io/enforce";
/// Label of a namespace: which version of the standards it enforces.
pub(crate) const ENFORCE_VERSION: &str = "pod-security.kubernetes.io/enforce-version";
const APP_ARMOR: &str = "container.apparmor.security.beta.kubernetes.io/";

/// Version in which Windows pods stopped needing what only Linux has.
const WINDOWS_EXEMPT: u32 = 25;
/// Version in which user namespaces relaxed some checks.
pub(crate) const USER_NAMESPACES: u32 = 35;

/// Capabilities that `baseline` lets a container add.
const BASELINE_CAPABILITIES: [&str; 13] = [
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];
/// Volume sources that `restricted` allows.
const RESTRICTED_VOLUMES: [&str; 9] = [
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "image",
    "persistentVolumeClaim",
    "projected",
    "secret",
];
/// SELinux types that `baseline` allows, with the version since which.
const SELINUX_TYPES: [(&str, u32); 5] = [
    ("", 0),
    ("container_t", 0),
    ("container_init_t", 0),
    ("container_kvm_t", 0),
    ("container_engine_t", 31),
];

/// A level of the Pod Security Standards; the greater, the less it allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Level {
    /// Everything.
    Privileged,
    /// No known ways to more privileges.
    Baseline,
    /// Best practice.
    Restricted,
}

impl FromStr for Level {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "privileged" => Ok(Self::Privileged),
            "baseline" => Ok(Self::Baseline),
            "restricted" => Ok(Self::Restricted),
            _ => Err(()),
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Privileged => "privileged",
            Self::Baseline => "baseline",
            Self::Restricted => "restricted",
        })
    }
}

/// What a namespace enforces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Enforced {
    /// The level.
    pub(crate) level: Level,
    /// Minor version of the standards; the latest is greater than all.
    pub(crate) minor_version: u32,
}

impl Enforced {
    /// Reads the labels of a namespace; none if it has no label. As in the API server, a level that
    /// is none counts as `restricted`, and a version that is none as the latest.
    pub(crate) fn of(labels: &impl Lookup) -> Option<Self> {
        let level = labels.value(ENFORCE)?.parse().unwrap_or(Level::Restricted);
        let version = labels.value(ENFORCE_VERSION).and_then(|version| version.strip_prefix("v1."));
        let minor_version = version.and_then(|minor| minor.parse().ok()).unwrap_or(u32::MAX);
        Some(Self { level, minor_version })
    }
}

/// What a pod sets for all its containers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct PodContext<'a> {
    /// `spec.securityContext.runAsNonRoot`.
    pub(crate) run_as_non_root: Option<bool>,
    /// `spec.securityContext.seccompProfile.type`.
    pub(crate) seccomp_profile: Option<&'a str>,
    /// `spec.os.name`.
    pub(crate) operating_system: Option<&'a str>,
    /// `spec.hostUsers`.
    pub(crate) host_users: Option<bool>,
}

/// What of a policy violates a level.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Violation {
    /// The least strict level that it violates.
    pub(crate) level: Level,
    /// Path of the field.
    pub(crate) path: String,
    /// What is wrong with it, and what to do.
    pub(crate) message: String,
    /// Version of the standards since which it is one.
    pub(crate) since: u32,
    pub(crate) exempt: Exempt,
}

/// Pods in which something is no violation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exempt {
    None,
    /// Windows pods.
    Windows,
    /// Windows pods, and those that set a seccomp profile for all.
    SeccompProfile,
    /// Pods that run as non-root, and those with user namespaces.
    NonRoot,
    /// Pods with user namespaces.
    UserNamespace,
    /// Pods with user namespaces, under `baseline` only.
    UserNamespaceInBaseline,
    /// Later versions allow it.
    From(u32),
}

impl fmt::Display for Violation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.path, self.message)
    }
}

impl Violation {
    fn counts(&self, enforced: Enforced, pod: &PodContext<'_>) -> bool {
        let version = enforced.minor_version;
        let windows = version >= WINDOWS_EXEMPT && pod.operating_system == Some("windows");
        let user_namespace = version >= USER_NAMESPACES && pod.host_users == Some(false);
        let exempt = match self.exempt {
            Exempt::None => false,
            Exempt::Windows => windows,
            Exempt::SeccompProfile => windows || pod.seccomp_profile.is_some_and(is_confined),
            Exempt::NonRoot => user_namespace || pod.run_as_non_root == Some(true),
            Exempt::UserNamespace => user_namespace,
            Exempt::UserNamespaceInBaseline => user_namespace && enforced.level == Level::Baseline,
            Exempt::From(first) => version >= first,
        };
        enforced.level >= self.level && version >= self.since && !exempt
    }
}

/// What a policy adds that a level may forbid.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct PodSecurity {
    violations: Vec<Violation>,
    /// Whether expressions have their values.
    stage: Option<Stage>,
}

impl PodSecurity {
    /// Looks through a policy. An expression is given the benefit of the doubt.
    pub(crate) fn of(spec: &PolicySpec, stage: Stage) -> Self {
        let mut security = Self { stage: Some(stage), ..Self::default() };
        for (index, sidecar) in spec.sidecars.iter().enumerate() {
            security.add_sidecar(sidecar, &format!("spec.sidecars[{index}]"));
        }
        for (index, volume) in spec.volumes.iter().enumerate() {
            security.add_volume(volume, &format!("spec.volumes[{index}]"));
        }
        for (key, value) in spec.pod.iter().flat_map(|pod| &pod.annotations) {
            if key.starts_with(APP_ARMOR)
                && !value.is_empty()
                && value != "runtime/default"
                && !value.starts_with("localhost/")
                && security.constant_text(value).is_some()
            {
                let path = format!("spec.pod.annotations.{key}");
                let message = format!("must not be {value:?}; use a profile of the runtime's");
                security.add(Level::Baseline, path, message);
            }
        }
        security
    }

    /// What of the policy a namespace does not let into a pod.
    pub(crate) fn violations(
        &self,
        enforced: Enforced,
        pod: &PodContext<'_>,
    ) -> impl Iterator<Item = &Violation> {
        let pod = *pod;
        self.violations.iter().filter(move |violation| violation.counts(enforced, &pod))
    }

    /// What of the policy some level forbids.
    pub(crate) fn all(&self) -> &[Violation] {
        &self.violations
    }

    /// Text whose value is known.
    fn constant<'v>(&self, value: &'v Value) -> Option<&'v str> {
        self.constant_text(value.as_str()?)
    }

    fn constant_text<'v>(&self, text: &'v str) -> Option<&'v str> {
        let varies = self.stage != Some(Stage::Rendered) && validation::has_expression(text);
        (!varies).then_some(text)
    }

    fn add(&mut self, level: Level, path: String, message: impl Into<String>) {
        self.add_unless(Exempt::None, 0, level, path, message);
    }

    fn add_unless(
        &mut self,
        exempt: Exempt,
        since: u32,
        level: Level,
        path: String,
        message: impl Into<String>,
    ) {
        self.violations.push(Violation { level, path, message: message.into(), since, exempt });
    }

    fn add_volume(&mut self, volume: &Volume, path: &str) {
        let mut sources =
            volume.source.iter().filter(|(_, source)| !source.is_null()).map(|(kind, _)| kind);
        let Some(kind) = sources.next() else { return };
        let path = format!("{path}.{kind}");
        if kind == "hostPath" {
            self.add(Level::Baseline, path, "must not be used: it opens the node's files");
        } else if !RESTRICTED_VOLUMES.contains(&kind.as_str()) {
            let message = format!("must be one of {}", RESTRICTED_VOLUMES.join(", "));
            self.add(Level::Restricted, path, message);
        }
    }

    fn add_sidecar(&mut self, sidecar: &Sidecar, path: &str) {
        let ports = sidecar.container.get("ports").and_then(Value::as_array);
        for (index, port) in ports.into_iter().flatten().enumerate() {
            if port.get("hostPort").and_then(Value::as_i64).is_some_and(|port| port != 0) {
                let path = format!("{path}.ports[{index}].hostPort");
                self.add(Level::Baseline, path, "must not be set");
            }
        }
        let nothing = Value::Null;
        let context = sidecar.container.get("securityContext").unwrap_or(&nothing);
        let path = format!("{path}.securityContext");
        self.add_privileges(context, &path);
        self.add_capabilities(context, &path);
        self.add_user(context, &path);
        self.add_profiles(context, &path);
    }

    fn add_privileges(&mut self, context: &Value, path: &str) {
        if context["privileged"] == true {
            self.add(Level::Baseline, format!("{path}.privileged"), "must not be true");
        }
        if context["windowsOptions"]["hostProcess"] == true {
            let path = format!("{path}.windowsOptions.hostProcess");
            self.add(Level::Baseline, path, "must not be true");
        }
        if context["allowPrivilegeEscalation"] != false {
            let path = format!("{path}.allowPrivilegeEscalation");
            self.add_unless(Exempt::Windows, 8, Level::Restricted, path, "must be false");
        }
        if let Some(mount) = self.constant(&context["procMount"])
            && mount != "Default"
        {
            let exempt = Exempt::UserNamespaceInBaseline;
            let message = "must be Default, in a pod without user namespaces";
            self.add_unless(exempt, 0, Level::Baseline, format!("{path}.procMount"), message);
        }
    }

    fn add_capabilities(&mut self, context: &Value, path: &str) {
        let capabilities = &context["capabilities"];
        let names = |field: &str| capabilities[field].as_array().into_iter().flatten();
        for (index, name) in names("add").enumerate() {
            let Some(name) = self.constant(name) else { continue };
            let path = format!("{path}.capabilities.add[{index}]");
            if !BASELINE_CAPABILITIES.contains(&name) {
                let message = format!("{name:?} must not be added");
                self.add(Level::Baseline, path, message);
            } else if name != "NET_BIND_SERVICE" {
                let message = format!("{name:?} must not be added; only NET_BIND_SERVICE may");
                self.add_unless(Exempt::Windows, 22, Level::Restricted, path, message);
            }
        }
        // A name that is not known yet may be ALL.
        if !names("drop").any(|name| self.constant(name).is_none_or(|name| name == "ALL")) {
            let path = format!("{path}.capabilities.drop");
            self.add_unless(Exempt::Windows, 22, Level::Restricted, path, "must have ALL");
        }
    }

    fn add_user(&mut self, context: &Value, path: &str) {
        let non_root = format!("{path}.runAsNonRoot");
        match context["runAsNonRoot"].as_bool() {
            Some(true) => {}
            Some(false) => {
                let exempt = Exempt::UserNamespace;
                self.add_unless(exempt, 0, Level::Restricted, non_root, "must not be false");
            }
            None => {
                let message = "must be true, here or in the pod's securityContext";
                self.add_unless(Exempt::NonRoot, 0, Level::Restricted, non_root, message);
            }
        }
        if context["runAsUser"].as_i64() == Some(0) {
            let path = format!("{path}.runAsUser");
            let message = "must not be 0, which is root";
            self.add_unless(Exempt::UserNamespace, 23, Level::Restricted, path, message);
        }
    }

    fn add_profiles(&mut self, context: &Value, path: &str) {
        let seccomp = &context["seccompProfile"];
        if seccomp.is_null() {
            let path = format!("{path}.seccompProfile");
            let message =
                "must be RuntimeDefault or Localhost, here or in the pod's securityContext";
            self.add_unless(Exempt::SeccompProfile, 19, Level::Restricted, path, message);
        } else if self.constant(&seccomp["type"]).is_some_and(|profile| !is_confined(profile)) {
            let path = format!("{path}.seccompProfile.type");
            let message = "must be RuntimeDefault or Localhost";
            self.add_unless(Exempt::None, 19, Level::Baseline, path, message);
        }
        if self.constant(&context["appArmorProfile"]["type"]).is_some_and(|name| !is_confined(name))
        {
            let path = format!("{path}.appArmorProfile.type");
            self.add(Level::Baseline, path, "must be RuntimeDefault or Localhost");
        }
        let options = &context["seLinuxOptions"];
        if let Some(kind) = self.constant(&options["type"]) {
            let known = SELINUX_TYPES.iter().find(|(name, _)| *name == kind);
            let exempt = known.map_or(Exempt::None, |(_, since)| Exempt::From(*since));
            let message = format!("{kind:?} is not one of the types that containers have");
            let path = format!("{path}.seLinuxOptions.type");
            self.add_unless(exempt, 0, Level::Baseline, path, message);
        }
        for field in ["user", "role"] {
            if self.constant(&options[field]).is_some_and(|text| !text.is_empty()) {
                let path = format!("{path}.seLinuxOptions.{field}");
                self.add(Level::Baseline, path, "must not be set");
            }
        }
    }
}

fn is_confined(profile: &str) -> bool {
    ["RuntimeDefault", "Localhost"].contains(&profile)
}
