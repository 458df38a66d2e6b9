//! What a policy adds to the pod itself.

use crds::PodPatch;

use crate::problem::Problems;

use super::{
    metadata, mounts, names,
    object::{Fields, LARGEST, Object, Stage, in_range},
};

const DELETION_COST: &str = "controller.kubernetes.io/pod-deletion-cost";
const MIRROR_POD: &str = "kubernetes.io/config.mirror";
const TOLERATIONS: &str = "scheduler.alpha.kubernetes.io/tolerations";
const SECCOMP_OF_POD: &str = "seccomp.security.alpha.kubernetes.io/pod";
const SECCOMP: &str = "container.seccomp.security.alpha.kubernetes.io/";
const APP_ARMOR: &str = "container.apparmor.security.beta.kubernetes.io/";

/// Checks what goes into the pod. `sidecars` are the names of the policy's own containers.
pub(crate) fn check(
    pod: &PodPatch,
    sidecars: &[&str],
    path: &str,
    stage: Stage,
    problems: &mut Problems,
) {
    let fields = fields_of(pod);
    let pod = Object::new(&fields, path, stage);
    own_keys(&pod, problems);
    metadata::labels(&pod, problems);
    metadata::annotation_keys(&pod, problems);
    for (key, value) in pod.entries("annotations") {
        annotation(key, value, sidecars, &pod.at("annotations"), problems);
    }
    for secret in pod.objects("imagePullSecrets") {
        secret.require("name", problems);
        for (name, _) in secret.fields().iter().filter(|(name, _)| name.as_str() != "name") {
            problems.add(secret.at(name), "is not allowed; a pull secret has a name only");
        }
    }
    for alias in pod.objects("hostAliases") {
        alias.require("ip", problems);
        if let Some(ip) = alias.filled("ip").filter(|ip| !names::is_ip_address(ip)) {
            problems.add(alias.at("ip"), format!("{ip:?} is not an IP address"));
        }
        for (path, name) in alias.texts("hostnames") {
            if !names::is_dns_subdomain(name) {
                problems.add(path, format!("{name:?} {}", names::DNS_SUBDOMAIN));
            }
        }
    }
    pod.range("terminationGracePeriodSeconds", 0..=i64::MAX, problems);
    if let Some(context) = pod.object("securityContext") {
        security_context(&context, problems);
    }
}

/// The fields of what goes into the pod, as they are written.
fn fields_of(pod: &PodPatch) -> Fields {
    match serde_json::to_value(pod) {
        Ok(serde_json::Value::Object(fields)) => fields,
        _ => Fields::new(),
    }
}

fn own_keys(pod: &Object<'_>, problems: &mut Problems) {
    for field in ["labels", "annotations"] {
        let Some(map) = pod.object(field) else { continue };
        for key in map.fields().keys().filter(|key| metadata::is_own(key)) {
            let message = format!("{key:?} is one of the product's own keys; leave it out");
            problems.add(map.path(), message);
        }
    }
}

fn security_context(context: &Object<'_>, problems: &mut Problems) {
    for (name, _) in context.fields().iter().filter(|(_, value)| !value.is_null()) {
        if !["fsGroup", "supplementalGroups"].contains(&name.as_str()) {
            let message = "is not allowed; a policy sets fsGroup and supplementalGroups only";
            problems.add(context.at(name), message);
        }
    }
    context.range("fsGroup", 0..=LARGEST, problems);
    for (path, group) in context.numbers("supplementalGroups") {
        in_range(group, &(0..=LARGEST), path, problems);
    }
}

/// Checks the annotations that the API server reads.
fn annotation(key: &str, value: &str, sidecars: &[&str], path: &str, problems: &mut Problems) {
    let path = format!("{path}.{key}");
    if key == MIRROR_POD {
        problems.add(path, "marks pods of the kubelet; leave it out");
    } else if key == TOLERATIONS {
        problems.add(path, "has had no effect since Kubernetes 1.6; leave it out");
    } else if key == DELETION_COST && !is_deletion_cost(value) {
        problems.add(path, format!("{value:?} is not a number of 32 bits"));
    } else if (key == SECCOMP_OF_POD || key.starts_with(SECCOMP)) && !is_seccomp_profile(value) {
        let message = format!(
            "{value:?} is not a profile; set securityContext.seccompProfile of the sidecar instead"
        );
        problems.add(path, message);
    } else if let Some(container) = key.strip_prefix(APP_ARMOR) {
        if !sidecars.contains(&container) {
            let message =
                format!("{container:?} is not a sidecar of this policy; the pod may not have it");
            problems.add(path, message);
        } else if !is_app_armor_profile(value) {
            let message = format!(
                "{value:?} is not a profile; set securityContext.appArmorProfile of the sidecar instead"
            );
            problems.add(path, message);
        }
    }
}

fn is_deletion_cost(value: &str) -> bool {
    let first = value.bytes().next();
    (value == "0" || matches!(first, Some(b'-' | b'1'..=b'9'))) && value.parse::<i32>().is_ok()
}

fn is_seccomp_profile(value: &str) -> bool {
    ["runtime/default", "docker/default", "unconfined"].contains(&value)
        || value
            .strip_prefix("localhost/")
            .is_some_and(|profile| !profile.starts_with('/') && !mounts::has_parent(profile))
}

fn is_app_armor_profile(value: &str) -> bool {
    ["", "runtime/default", "unconfined"].contains(&value) || value.starts_with("localhost/")
}
