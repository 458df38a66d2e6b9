//! What is in the way: a policy goes in whole or not at all, and never so that the API server would
//! refuse the pod for it.

use crate::{
    demands::Kind,
    merge::OTHER_ANNOTATIONS,
    pod_security::{ENFORCE, ENFORCE_VERSION, Exempt, Level, USER_NAMESPACES, Violation},
};

use super::{
    Parts, cel, comparison,
    refusals::{app_target, fields},
    sidecars,
};

const NAMESPACE_LABELS: &str =
    "(has(namespaceObject.metadata.labels) ? namespaceObject.metadata.labels : {})";

impl Parts<'_> {
    /// The reasons why the policy cannot go in, none if it can.
    pub(super) fn conflicts(self) -> String {
        let mut reasons = self.taken();
        // What is there already has passed the API server.
        let demands = self.demands().into_iter().chain(self.pod_security());
        let demands = demands.chain(self.sizes());
        reasons.extend(
            demands.map(|(condition, reason)| {
                (format!("!variables.complete && ({condition})"), reason)
            }),
        );
        let reasons = reasons.into_iter().map(|(condition, reason)| {
            format!("  {condition} ? dyn({}) : dyn('')", cel::text(&reason))
        });
        let reasons = format!("[\n{}\n]", reasons.collect::<Vec<_>>().join(",\n"));
        let of_containers = if self.content.app_containers.is_empty() {
            ""
        } else {
            " + variables.appContainers.map(a, a.conflicts).flatten()"
        };
        format!("({reasons}{of_containers}).filter(reason, reason != '')")
    }

    /// Names that something else has, and what has to be there.
    fn taken(self) -> Vec<(String, String)> {
        let mut reasons = Vec::new();
        for volume in &self.content.volumes {
            let name = cel::text(&volume.name);
            let same = comparison::object("x", "", &fields(&volume.rendered.json));
            reasons.push((
                format!("variables.volumes.exists(x, x.name == {name} && !({same}))"),
                format!("a volume \"{}\" is there with other content", volume.name),
            ));
        }
        let all = || self.content.sidecars.iter().map(|sidecar| &**sidecar);
        for sidecar in all() {
            reasons.push((
                sidecars::is_taken(sidecar, self.policy.denies_conflicts),
                format!("a container \"{}\" is there with other content", sidecar.name),
            ));
            for volume in
                sidecar.mounted_volumes.iter().filter(|name| !self.content.has_volume(name))
            {
                reasons.push((
                    format!("!variables.volumes.exists(x, x.name == {})", cel::text(volume)),
                    format!(
                        "there is no volume \"{volume}\", which container \"{}\" mounts",
                        sidecar.name
                    ),
                ));
            }
            for (volume, kind) in &sidecar.volume_kinds {
                let sources = kind.sources().iter().map(|source| format!("has(x.{source})"));
                let sources = sources.collect::<Vec<_>>().join(" || ");
                let (there, name) = (sidecars::is_there(sidecar), cel::text(volume));
                reasons.push((
                    format!(
                        "!{there} && variables.volumes.exists(x, x.name == {name} && !({sources}))"
                    ),
                    format!(
                        "container \"{}\" cannot use the volume \"{volume}\" {}",
                        sidecar.name,
                        kind.used()
                    ),
                ));
            }
            if let Some(target) = app_target(sidecar, all()) {
                let list = sidecar.list.field();
                reasons.push((
                    format!("!variables.{list}.exists(x, x.name == {})", cel::text(target)),
                    format!("there is no container \"{target}\" in {list}, beside which \"{}\" would stand", sidecar.name),
                ));
            }
        }
        reasons
    }

    fn demands(self) -> Vec<(String, String)> {
        let demands = self.content.safety.demands.of_pod();
        let reasons = demands.filter_map(|(path, kind)| {
            let (unmet, reason) = match kind {
                Kind::GracePeriod(seconds) => (
                    self.ends_within(*seconds)?,
                    format!("needs {seconds} seconds of terminationGracePeriodSeconds"),
                ),
                Kind::NamedSystem { .. } => (
                    "!(has(object.spec.os) && has(object.spec.os.name))".to_owned(),
                    "needs a pod that names its operating system in spec.os".to_owned(),
                ),
                Kind::NotOnLinux => (
                    "has(object.spec.os) && has(object.spec.os.name) && object.spec.os.name == 'linux'".to_owned(),
                    "is not allowed in a pod with spec.os.name: linux".to_owned(),
                ),
                Kind::Restarts => (
                    "has(object.spec.restartPolicy) && object.spec.restartPolicy == 'Never'".to_owned(),
                    "cannot be RestartContainer in a pod with restartPolicy: Never".to_owned(),
                ),
                Kind::UserNamespace => (
                    "!(has(object.spec.hostUsers) && !object.spec.hostUsers)".to_owned(),
                    "Unmasked needs a pod with hostUsers: false".to_owned(),
                ),
                Kind::NoUserNamespace => (
                    "has(object.spec.hostUsers) && !object.spec.hostUsers".to_owned(),
                    "are not allowed in a pod with hostUsers: false".to_owned(),
                ),
                Kind::NoHostPid => (
                    "has(object.spec.hostPID) && object.spec.hostPID".to_owned(),
                    "is not allowed in a pod with hostPID: true".to_owned(),
                ),
                Kind::Claim(name) => (
                    format!("!(has(object.spec.resourceClaims) && object.spec.resourceClaims.exists(x, x.name == {}))", cel::text(name)),
                    format!("needs the claim \"{name}\" in the pod's spec.resourceClaims"),
                ),
                // Windows pods are not reached; a host process is demanded of them only.
                Kind::NotOnWindows | Kind::HostProcess(_) => return None,
            };
            Some((unmet, format!("{path} {reason}")))
        });
        reasons.collect()
    }

    /// What the Pod Security level that the namespace enforces forbids.
    fn pod_security(self) -> Vec<(String, String)> {
        let mut found: Vec<(String, String)> = Vec::new();
        for violation in self.content.safety.pod_security.all() {
            let condition = violated(violation);
            if found.iter().all(|(known, _)| *known != condition) {
                found.push((condition, format!("Pod Security forbids it: {violation}")));
            }
        }
        found
    }

    /// A pod's resources of its own, and the room for annotations.
    fn sizes(self) -> Vec<(String, String)> {
        let mut reasons = Vec::new();
        let asks = |sidecar: &crate::content::Sidecar| {
            let resources = &sidecar.resources;
            !resources.requests.0.is_empty() || !resources.limits.0.is_empty()
        };
        if self.content.sidecars.iter().any(|sidecar| asks(sidecar)) {
            reasons.push((
                "has(object.spec.resources) && (has(object.spec.resources.requests) || has(object.spec.resources.limits))".to_owned(),
                "the pod has spec.resources of its own, with which those of the containers cannot be compared".to_owned(),
            ));
        }
        let annotations = &self.content.pod.annotations;
        if !annotations.is_empty() {
            let ours: usize = annotations.iter().map(|(key, value)| key.len() + value.len()).sum();
            reasons.push((
                format!("has(object.metadata.annotations) && object.metadata.annotations.map(k, bytes(k).size() + bytes(object.metadata.annotations[k]).size()).sum() > {}", OTHER_ANNOTATIONS.saturating_sub(ours)),
                "there is no room for more annotations".to_owned(),
            ));
        }
        reasons
    }
}

fn violated(violation: &Violation) -> String {
    let enforce = cel::text(ENFORCE);
    let level = match violation.level {
        Level::Restricted => {
            format!("!({NAMESPACE_LABELS}[{enforce}] in ['privileged', 'baseline'])")
        }
        Level::Baseline => format!("{NAMESPACE_LABELS}[{enforce}] != 'privileged'"),
        Level::Privileged => "true".to_owned(),
    };
    let version = version();
    let user_namespace = format!(
        "{version} >= {USER_NAMESPACES} && has(object.spec.hostUsers) && !object.spec.hostUsers"
    );
    let context = "has(object.spec.securityContext)";
    let exempt = match violation.exempt {
        // Windows pods are not reached.
        Exempt::None | Exempt::Windows => None,
        Exempt::SeccompProfile => Some(format!(
            "{context} && has(object.spec.securityContext.seccompProfile) && object.spec.securityContext.seccompProfile.type in ['RuntimeDefault', 'Localhost']"
        )),
        Exempt::NonRoot => Some(format!(
            "({user_namespace} || {context} && has(object.spec.securityContext.runAsNonRoot) && object.spec.securityContext.runAsNonRoot)"
        )),
        Exempt::UserNamespace => Some(user_namespace),
        Exempt::UserNamespaceInBaseline => {
            Some(format!("{user_namespace} && {NAMESPACE_LABELS}[{enforce}] == 'baseline'"))
        }
        Exempt::From(first) => Some(format!("{version} >= {first}")),
    };
    let mut tests = vec![format!("{enforce} in {NAMESPACE_LABELS}"), level];
    if violation.since > 0 {
        tests.push(format!("{version} >= {}", violation.since));
    }
    tests.extend(exempt.map(|exempt| format!("!({exempt})")));
    tests.join(" && ")
}

/// The minor version of the standards that the namespace enforces; a version that is none is the latest.
fn version() -> String {
    let label = cel::text(ENFORCE_VERSION);
    let labels = NAMESPACE_LABELS;
    format!(
        "({label} in {labels} && {labels}[{label}].matches('^v1[.][0-9]{{1,9}}$') ? int({labels}[{label}].substring(3)) : {})",
        i32::MAX
    )
}
