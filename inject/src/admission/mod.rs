//! A policy as a `MutatingAdmissionPolicy`, which the API server runs itself, for clusters without the
//! webhook.
//!
//! The rules of the merge are said in CEL here, a second time. So nothing is said that would come out
//! otherwise: what cannot be expressed is refused with its path, and the end-to-end tests show pods to
//! both, on a real API server, and compare.

mod additions;
mod app_containers;
mod cel;
mod comparison;
mod conflicts;
mod places;
mod refusals;
mod selection;
mod sidecars;

use crds::PolicySpec;
use serde_json::{Value, json};

use crate::{Exclusions, Invalid, Policy, Selector, content::Content, problem::Problems};

pub(crate) use cel::text;

/// Version of the API group that has the kind; Kubernetes serves it since 1.36.
const API_VERSION: &str = "admissionregistration.k8s.io/v1";
const NAMESPACE_NAME: &str = "kubernetes.io/metadata.name";

/// A policy as the API server runs it.
#[derive(Clone, Debug, PartialEq)]
pub struct MutatingAdmissionPolicy {
    /// The `MutatingAdmissionPolicy`.
    pub policy: Value,
    /// The `MutatingAdmissionPolicyBinding` that puts it in force.
    pub binding: Value,
}

/// Expresses a policy as a `MutatingAdmissionPolicy`, or says everything that cannot be expressed.
///
/// `spec` is the one that the policy was compiled from. `others` are the policies that are in force
/// beside it: which of two the API server runs first is not defined, so they must not meet on a pod.
pub fn mutating_admission_policy<'o>(
    policy: &Policy,
    spec: &PolicySpec,
    exclusions: &Exclusions,
    others: impl IntoIterator<Item = &'o Policy>,
) -> Result<MutatingAdmissionPolicy, Invalid> {
    let mut problems = Problems::default();
    refusals::find(policy, spec, exclusions, &mut problems);
    for other in others.into_iter().filter(|other| other.id != policy.id && other.enforced) {
        find_meeting(policy, spec, other, &mut problems);
    }
    let selection = selection::express(policy, spec, exclusions, &mut problems);
    problems.or_ok(())?;
    // The refusals saw to it that no expression decides a part of it.
    let content = policy.body.constant();
    let parts = Parts { policy, content };
    let name = name(policy);
    let mut variables = selection.variables;
    variables.extend(parts.variables());
    let variables: Vec<Value> = variables
        .into_iter()
        .map(|(name, expression)| json!({"name": name, "expression": expression}))
        .collect();
    Ok(MutatingAdmissionPolicy {
        policy: json!({
            "apiVersion": API_VERSION,
            "kind": "MutatingAdmissionPolicy",
            "metadata": {"name": name},
            "spec": {
                "failurePolicy": if policy.denies_conflicts { "Fail" } else { "Ignore" },
                "reinvocationPolicy": "IfNeeded",
                "matchConstraints": selection.constraints,
                "matchConditions": selection.conditions,
                "variables": variables,
                "mutations": parts.mutations(selection.is_decided_late),
            },
        }),
        binding: json!({
            "apiVersion": API_VERSION,
            "kind": "MutatingAdmissionPolicyBinding",
            "metadata": {"name": name},
            "spec": {"policyName": name},
        }),
    })
}

/// The name of the object: a policy's has no dots, so that those of both kinds differ.
fn name(policy: &Policy) -> String {
    let domain = crds::GROUP;
    match &policy.id.namespace {
        Some(namespace) => format!("{}.{namespace}.{domain}", policy.id.name),
        None => format!("{}.{domain}", policy.id.name),
    }
}

/// What depends on another policy that is in force beside this one.
fn find_meeting(policy: &Policy, spec: &PolicySpec, other: &Policy, problems: &mut Problems) {
    let namespaces = |policy: &Policy| match &policy.id.namespace {
        Some(name) => Selector::of_value(NAMESPACE_NAME, name),
        None => policy.namespace_selector.clone(),
    };
    if namespaces(policy).overlap(&namespaces(other)).is_none() {
        return;
    }
    let id = format!("{} {}", other.id.kind(), other.id);
    if policy.pod_selector.overlap(&other.pod_selector).is_some() {
        problems.add(
            "spec.podSelector",
            format!(
                "reaches pods that {id} reaches too, and which of the two is applied first is not defined; let them select different pods"
            ),
        );
    }
    for key in spec.pod.iter().flat_map(|pod| pod.labels.keys()) {
        if other.pod_selector.keys().any(|selected| selected == key) {
            problems.add(
                format!("spec.pod.labels.{key}"),
                format!("is a label that {id} selects by; select by another label"),
            );
        }
    }
}

/// What a policy is made of, to be expressed.
#[derive(Clone, Copy)]
struct Parts<'p> {
    policy: &'p Policy,
    content: &'p Content,
}

/// A variable of the policy: its name and its expression.
type Variable = (String, String);

fn variable(name: &str, expression: impl Into<String>) -> Variable {
    (name.to_owned(), expression.into())
}

impl Parts<'_> {
    /// What the expressions have in common, each part after those that it reads.
    fn variables(self) -> Vec<Variable> {
        let mut variables = vec![
            variable("nothing", comparison::NOTHING),
            variable("defaults", comparison::defaults()),
        ];
        for list in ["initContainers", "containers", "volumes"] {
            variables.push(variable(list, cel::or_empty("object.spec", list, "[]")));
        }
        variables.extend(self.additions());
        variables.extend(self.app_containers());
        variables.extend(self.places());
        variables.push(variable("complete", self.complete()));
        variables.push(variable("conflicts", self.conflicts()));
        variables
    }

    /// Whether all of it is in the pod.
    fn complete(self) -> String {
        let mut tests = self.nothing_added();
        tests.extend(self.content.sidecars.iter().map(|sidecar| sidecars::is_there(sidecar)));
        if !self.content.app_containers.is_empty() {
            tests.push("variables.appAdditions.size() == 0".to_owned());
        }
        tests.join(" && ")
    }

    fn mutations(self, is_decided_late: bool) -> Vec<Value> {
        let selected = if is_decided_late { "variables.selected && " } else { "" };
        let mut expressions = Vec::new();
        if self.policy.denies_conflicts {
            // There is no other way to refuse a pod with words: a key that is not there is named.
            expressions.push(format!(
                "{selected}variables.conflicts.size() > 0 ? [JSONPatch{{op: 'test', path: dyn({{}})[variables.conflicts[0]]}}] : []"
            ));
        }
        let mut edits = self.added_edits();
        edits.extend(self.app_container_edits());
        edits.extend(self.insertions());
        expressions.push(format!(
            "{selected}variables.conflicts.size() == 0 ?\n  {} : []",
            edits.join(" +\n  ")
        ));
        let mutation =
            |expression| json!({"patchType": "JSONPatch", "jsonPatch": {"expression": expression}});
        expressions.into_iter().map(mutation).collect()
    }
}

/// An edit that adds a value; both are CEL.
fn add(path: &str, value: &str) -> String {
    format!("JSONPatch{{op: 'add', path: {path}, value: {value}}}")
}
