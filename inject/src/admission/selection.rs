//! Which pods: selectors and conditions in the places that the API server has for them.

use crds::{Activation, HostNetwork, OptOut, PolicySpec, keys};
use serde_json::{Value, json};

use crate::{Exclusions, Policy, expression, problem::Problems};

use super::{NAMESPACE_NAME, Variable, cel, variable};

/// Mirror pods stand for pods that a kubelet runs from a file.
const NO_MIRROR_POD: &str = "!('system:nodes' in request.userInfo.groups && has(object.metadata.annotations) && 'kubernetes.io/config.mirror' in object.metadata.annotations && has(object.metadata.ownerReferences) && object.metadata.ownerReferences.exists(o, o.kind == 'Node'))";
const NO_WINDOWS_POD: &str = "(has(object.spec.os) && has(object.spec.os.name) ? object.spec.os.name : (has(object.spec.nodeSelector) && 'kubernetes.io/os' in object.spec.nodeSelector ? object.spec.nodeSelector['kubernetes.io/os'] : 'linux')) != 'windows'";
const NO_HOST_NETWORK: &str = "!(has(object.spec.hostNetwork) && object.spec.hostNetwork)";
const CONTROLLERS: &str = "(has(object.metadata.ownerReferences) ? object.metadata.ownerReferences : []).filter(o, has(o.controller) && o.controller)";
/// The name of a pod without a controller.
const BARE_NAME: &str = "has(object.metadata.name) && object.metadata.name != '' ? object.metadata.name : (has(object.metadata.generateName) ? object.metadata.generateName : '').replace('-', ' ').trim().replace(' ', '-')";
/// The hash in the name of a Deployment's ReplicaSet, behind a hyphen.
const HASH: &str = "has(object.metadata.labels) && 'pod-template-hash' in object.metadata.labels ? '-' + object.metadata.labels['pod-template-hash'] : ''";
const WORKLOAD: &str = "\
variables.controllers.size() == 0 ? {'kind': dyn('Pod'), 'name': dyn(variables.bareName)} :
variables.controllers[0].kind == 'ReplicaSet' && variables.hash != '' && variables.controllers[0].name.endsWith(variables.hash) && variables.controllers[0].name.size() > variables.hash.size() ?
  {'kind': dyn('Deployment'), 'name': dyn(variables.controllers[0].name.substring(0, variables.controllers[0].name.size() - variables.hash.size()))} :
variables.controllers[0].kind == 'Job' && variables.controllers[0].name.matches('^.+-[0-9]{8,10}$') ?
  {'kind': dyn('CronJob'), 'name': dyn(variables.controllers[0].name.substring(0, variables.controllers[0].name.lastIndexOf('-')))} :
  {'kind': dyn(variables.controllers[0].kind), 'name': dyn(variables.controllers[0].name)}";

/// Which pods the API server shows the policy.
pub(super) struct Selection {
    /// `matchConstraints`.
    pub(super) constraints: Value,
    /// `matchConditions`.
    pub(super) conditions: Vec<Value>,
    pub(super) variables: Vec<Variable>,
    /// Whether `variables.selected` has a say, too: match conditions cannot read the namespace.
    pub(super) is_decided_late: bool,
}

pub(super) fn express(
    policy: &Policy,
    spec: &PolicySpec,
    exclusions: &Exclusions,
    problems: &mut Problems,
) -> Selection {
    let mut selection = Selection {
        constraints: constraints(policy, spec, exclusions),
        conditions: vec![
            condition("no-mirror-pod", NO_MIRROR_POD),
            condition("linux", NO_WINDOWS_POD),
        ],
        variables: Vec::new(),
        is_decided_late: false,
    };
    if spec.host_network == HostNetwork::Deny {
        selection.conditions.push(condition("no-host-network", NO_HOST_NETWORK));
    }
    let mut late: Vec<String> = wish(policy).into_iter().collect();
    let pod = spec.pod.as_ref();
    let keys = |map: fn(&crds::PodPatch) -> Vec<String>| pod.map(map).unwrap_or_default();
    let labels = keys(|pod| pod.labels.keys().cloned().collect());
    let annotations = keys(|pod| pod.annotations.keys().cloned().collect());
    let added = expression::Added { labels: &labels, annotations: &annotations };
    let mut reads_workload = false;
    for (index, written) in spec.match_conditions.iter().enumerate() {
        match expression::translate(&written.expression, added) {
            // With Fail, an error counts only if all before it is true.
            Ok(translated) if translated.needs_variables || policy.denies_conflicts => {
                reads_workload |= translated.expression.contains("variables.workload");
                late.push(translated.expression);
            }
            Ok(translated) => {
                selection.conditions.push(condition(&written.name, &translated.expression));
            }
            Err(why) => {
                problems.add(format!("spec.matchConditions[{index}].expression"), why);
            }
        }
    }
    if reads_workload {
        selection.variables.push(variable("bareName", BARE_NAME));
        selection.variables.push(variable("hash", HASH));
        selection.variables.push(variable("controllers", CONTROLLERS));
        selection.variables.push(variable("workload", WORKLOAD));
    }
    if !late.is_empty() {
        // One after the other: what an error means must not depend on a condition behind it.
        let selected = late.iter().rev().fold("true".to_owned(), |rest, condition| {
            if rest == "true" {
                condition.clone()
            } else {
                format!("({condition}) ? ({rest}) : false")
            }
        });
        if policy_asks(policy) {
            selection.variables.extend(wish_variables(policy));
        }
        selection.variables.push(variable("selected", selected));
        selection.is_decided_late = true;
    }
    selection
}

fn constraints(policy: &Policy, spec: &PolicySpec, exclusions: &Exclusions) -> Value {
    let namespaces = if let Some(name) = &policy.id.namespace {
        json!({"matchLabels": {NAMESPACE_NAME: name}})
    } else {
        let selector = spec.namespace_selector.clone().unwrap_or_default();
        let mut selector = serde_json::to_value(selector).unwrap_or_default();
        let excluded: Vec<&str> = exclusions.iter().collect();
        let excluded = json!({"key": NAMESPACE_NAME, "operator": "NotIn", "values": excluded});
        match selector.get_mut("matchExpressions").and_then(Value::as_array_mut) {
            Some(expressions) => expressions.push(excluded),
            None => selector["matchExpressions"] = json!([excluded]),
        }
        selector
    };
    json!({
        "namespaceSelector": namespaces,
        "objectSelector": spec.pod_selector.clone().unwrap_or_default(),
        "resourceRules": [
            {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"], "scope": "Namespaced"},
        ],
    })
}

fn condition(name: &str, expression: &str) -> Value {
    json!({"name": name, "expression": expression})
}

/// Whether annotations of owners have a say.
fn policy_asks(policy: &Policy) -> bool {
    policy.activation == Activation::OnRequest || policy.opt_out == OptOut::Allowed
}

/// What owners ask for by annotation, as far as it decides.
fn wish(policy: &Policy) -> Option<String> {
    match (policy.activation, policy.opt_out) {
        (Activation::OnRequest, _) => Some("variables.wish == 'inject'".to_owned()),
        (Activation::Automatic, OptOut::Allowed) => Some("variables.wish != 'skip'".to_owned()),
        (Activation::Automatic, OptOut::Denied) => None,
    }
}

/// The nearest level that names the policy decides, pod before namespace; on one level, `skip` wins.
fn wish_variables(policy: &Policy) -> Vec<Variable> {
    let kind = if policy.id.namespace.is_some() { "namespace" } else { "cluster" };
    let own = format!("{kind}/{}", policy.id.name);
    let means_it = cel::texts(["*", &policy.id.name, &own]);
    let named = |map: &str, key: &str| {
        let key = cel::text(key);
        format!(
            "({key} in {map} && {map}[{key}].split(',').exists(name, name.trim() in {means_it}))"
        )
    };
    let (pod, namespace) = ("variables.podAnnotations", "variables.namespaceAnnotations");
    vec![
        variable("podAnnotations", cel::or_empty("object.metadata", "annotations", "{}")),
        variable(
            "namespaceAnnotations",
            cel::or_empty("namespaceObject.metadata", "annotations", "{}"),
        ),
        variable(
            "wish",
            format!(
                "{} ? 'skip' : {} ? 'inject' : {} ? 'skip' : {} ? 'inject' : ''",
                named(pod, keys::SKIP),
                named(pod, keys::INJECT),
                named(namespace, keys::SKIP),
                named(namespace, keys::INJECT)
            ),
        ),
    ]
}
