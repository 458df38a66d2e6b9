//! Ports of containers of our own.

use std::collections::{HashMap, HashSet};

use crate::problem::Problems;

use super::{names, object::Object};

/// A port of the node: protocol, address and number.
pub(crate) type HostPort<'a> = (&'a str, &'a str, i64);

/// Checks the ports of a container.
pub(super) fn check(container: &Object<'_>, problems: &mut Problems) {
    let (mut names, mut taken) = (HashSet::new(), HashSet::new());
    for port in container.objects("ports") {
        port.require("containerPort", problems);
        port.range("containerPort", 1..=65535, problems);
        port.range("hostPort", 0..=65535, problems);
        port.word("protocol", &["TCP", "UDP", "SCTP"], problems);
        if let Some(name) = port.filled("name") {
            if !names::is_port_name(name) {
                problems.add(port.at("name"), format!("{name:?} {}", names::PORT_NAME));
            } else if !names.insert(name) {
                problems.add(port.at("name"), format!("{name:?} is used twice"));
            }
        }
        if let Some(key) = on_node(&port).filter(|key| !taken.insert(*key)) {
            problems.add(port.at("hostPort"), format!("{} is used twice", key.2));
        }
    }
}

/// Checks that containers take no port of the node from one another.
pub(super) fn check_between(containers: &[(&str, Object<'_>)], problems: &mut Problems) {
    let mut taken: HashMap<HostPort<'_>, &str> = HashMap::new();
    for (name, container) in containers {
        for port in container.objects("ports") {
            let Some(key) = on_node(&port) else { continue };
            let first = *taken.entry(key).or_insert(name);
            if first != *name {
                let message = format!("{} is a host port of container {first:?} too", key.2);
                problems.add(port.at("hostPort"), message);
            }
        }
    }
}

/// The port of the node that a port takes, as far as it is known.
fn on_node<'a>(port: &Object<'a>) -> Option<HostPort<'a>> {
    let number = port.number("hostPort").filter(|number| *number != 0)?;
    let text = |field: &str, otherwise: &'static str| {
        if port.has(field) {
            port.text(field).map(|text| if text.is_empty() { otherwise } else { text })
        } else {
            Some(otherwise)
        }
    };
    Some((text("protocol", "TCP")?, text("hostIP", "")?, number))
}
