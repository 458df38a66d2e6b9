//! The checks that the API server makes by itself: CEL rules, each with what to do in its message.
//!
//! The API server refuses a kind whose rules could cost too much, so every string and list a rule
//! reads is bounded and none iterates; what needs more is checked by the validating webhook.

use kube_core::{Reason, Rule};
use schemars::{Schema, SchemaGenerator, json_schema};

use super::INT_OR_STRING;

/// A DNS label: lower-case letters, digits and `-`.
const DNS_LABEL: &str = "self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')";

/// The name of a policy, at the root of both kinds.
pub(crate) fn policy_name() -> Rule {
    Rule::new(
        "self.metadata.name.size() <= 40 && \
         self.metadata.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",
    )
    .message(
        "metadata.name has to be a DNS label of at most 40 characters (lower-case letters, \
         digits and '-'), because it becomes part of annotation keys; choose such a name",
    )
}

/// At least one field of the spec has to put something in.
pub(crate) fn something_goes_in() -> Rule {
    Rule::new(
        "has(self.pod) || \
         has(self.sidecars) && self.sidecars.size() > 0 || \
         has(self.volumes) && self.volumes.size() > 0 || \
         has(self.files) && self.files.size() > 0 || \
         has(self.appContainers) && self.appContainers.size() > 0",
    )
    .message("nothing goes in: set at least one of sidecars, volumes, files, appContainers and pod")
}

/// Cluster kind: refusing pods is an explicit choice of namespaces.
pub(crate) fn namespace_selector_with_fail() -> Rule {
    Rule::new(
        "!has(self.failurePolicy) || self.failurePolicy != 'Fail' || has(self.namespaceSelector)",
    )
    .message(
        "namespaceSelector is required with failurePolicy Fail, because pods are refused there \
         while the webhook is away: select namespaces, or use failurePolicy Ignore",
    )
    .reason(Reason::FieldValueRequired)
    .field_path(".namespaceSelector")
}

/// The name of a match condition.
pub(crate) fn condition_name() -> Rule {
    Rule::new(DNS_LABEL).message(
        "the name of a match condition has to be a DNS label: lower-case letters, digits and '-'",
    )
}

/// The name of a parameter.
pub(crate) fn parameter_name() -> Rule {
    Rule::new("self.matches('^[a-z][A-Za-z0-9]{0,20}$')").message(
        "the name of a parameter has to begin with a lower-case letter and to hold at most 21 \
         letters and digits, because expressions read it as params.NAME",
    )
}

/// The name of a sidecar.
pub(crate) fn sidecar_name() -> Rule {
    Rule::new(DNS_LABEL)
        .message("the name of a sidecar has to be a DNS label: lower-case letters, digits and '-'")
}

/// The name of a volume.
pub(crate) fn volume_name() -> Rule {
    Rule::new(DNS_LABEL)
        .message("the name of a volume has to be a DNS label: lower-case letters, digits and '-'")
}

/// The path of a file.
pub(crate) fn file_path() -> Rule {
    Rule::new("self.startsWith('/') && !self.endsWith('/')")
        .message("the path of a file has to be absolute and to name a file, as /etc/app/app.conf")
}

/// An entry of `appContainers` has to add something.
pub(crate) fn app_containers_add_something() -> Rule {
    Rule::new(
        "has(self.volumeMounts) || has(self.env) || has(self.envFrom) || \
         has(self.livenessProbe) || has(self.readinessProbe) || has(self.startupProbe) || \
         has(self.lifecycle)",
    )
    .message(
        "this entry adds nothing: set at least one of volumeMounts, env, envFrom, livenessProbe, \
         readinessProbe, startupProbe and lifecycle",
    )
}

/// `merge: Append` needs text on both sides, and only it has a separator.
pub(crate) fn appended_env() -> Rule {
    Rule::new("has(self.merge) ? has(self.value) && !has(self.valueFrom) : !has(self.separator)")
        .message(
            "merge: Append needs value (not valueFrom), and separator is only used with \
             merge: Append",
        )
}

/// Schema of `rollout.maxUnavailable`.
pub(crate) fn max_unavailable(_: &mut SchemaGenerator) -> Schema {
    count_or_percentage(
        "type(self) == int ? self >= 1 : self.matches('^([1-9][0-9]?|100)%$')",
        "maxUnavailable has to be a number of pods from 1 or a percentage from 1% to 100%",
    )
}

/// Schema of `rollout.partition`.
pub(crate) fn partition(_: &mut SchemaGenerator) -> Schema {
    count_or_percentage(
        "type(self) == int ? self == 0 : self.matches('^([1-9]?[0-9]|100)%$')",
        "partition has to be a percentage from 0% to 100%; what a number of pods is of them changes while they are replaced",
    )
}

fn count_or_percentage(rule: &str, message: &str) -> Schema {
    json_schema!({
        INT_OR_STRING: true,
        "maxLength": 4,
        "x-kubernetes-validations": [Rule::new(rule).message(message)],
    })
}
