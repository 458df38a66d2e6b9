//! The containers that go in, compared with containers of the same name that a pod has.

use serde_json::{Map, Value};

use crate::content::Sidecar;

use super::{cel, comparison, refusals::fields};

/// Whether the pod has a container of this name where the sidecar stands.
pub(super) fn is_there(sidecar: &Sidecar) -> String {
    let (list, name) = (sidecar.list.field(), cel::text(&sidecar.name));
    format!("variables.{list}.exists(x, x.name == {name})")
}

/// Whether a container of the pod has the name and is another one. As in the merge, probes, resources,
/// pull policy, security context and the registry of the image may differ; command, arguments and
/// variables only where the policy puts up with it.
pub(super) fn is_taken(sidecar: &Sidecar, denies_conflicts: bool) -> String {
    let name = cel::text(&sidecar.name);
    let (list, other) = match sidecar.list.field() {
        "containers" => ("containers", "initContainers"),
        list => (list, "containers"),
    };
    let ours = fields(&sidecar.rendered.json);
    let mut same = vec![restarts_alike(sidecar), has_image(&sidecar.image)];
    same.extend(elements(&ours, "volumeMounts"));
    same.extend(ports(&ours));
    if denies_conflicts {
        same.extend(["command", "args"].map(|field| is_equal_list(&ours, field)));
        same.extend(elements(&ours, "env"));
        same.extend(elements(&ours, "envFrom"));
    }
    format!(
        "variables.{other}.exists(x, x.name == {name}) || variables.{list}.exists(c, c.name == {name} && !({}))",
        same.join(" && ")
    )
}

fn restarts_alike(sidecar: &Sidecar) -> String {
    let always = "has(c.restartPolicy) && c.restartPolicy == 'Always'";
    if sidecar.restarts_always { format!("({always})") } else { format!("!({always})") }
}

/// Registry, path and an added digest aside.
fn has_image(image: &str) -> String {
    let last = image.rsplit('/').next().unwrap_or_default();
    let digest = if last.contains('@') { "" } else { "(@.*)?" };
    let pattern = format!("^(.*/)?{}{digest}$", cel::escaped(last));
    format!("has(c.image) && c.image.matches({})", cel::text(&pattern))
}

fn elements(ours: &Map<String, Value>, list: &'static str) -> Vec<String> {
    let elements = ours.get(list).and_then(Value::as_array).into_iter().flatten();
    let elements = elements.filter_map(Value::as_object);
    elements.map(|element| format!("({})", comparison::element_of("c", list, element))).collect()
}

/// On the host network, the API server fills the ports of the node in.
fn ports(ours: &Map<String, Value>) -> Vec<String> {
    let ports = ours.get("ports").and_then(Value::as_array).into_iter().flatten();
    let ports = ports.filter_map(Value::as_object);
    let filled = "key == 'hostPort' && has(object.spec.hostNetwork) && object.spec.hostNetwork && x.hostPort == x.containerPort";
    let tests = ports.map(|port| comparison::object_but("x", "", port, filled));
    tests.map(|test| format!("(has(c.ports) && c.ports.exists(x, {test}))")).collect()
}

fn is_equal_list(ours: &Map<String, Value>, field: &str) -> String {
    match ours.get(field) {
        Some(list @ Value::Array(elements)) if !elements.is_empty() => {
            format!("(has(c.{field}) && c.{field} == {})", cel::literal(list))
        }
        _ => format!("(!has(c.{field}) || c.{field}.size() == 0)"),
    }
}
