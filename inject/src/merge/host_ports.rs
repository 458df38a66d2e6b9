//! Host ports: the API server refuses a pod in which two ordinary containers take the same one. It
//! compares init containers, native sidecars included, with no others.

use serde::Deserialize;

use crate::{
    Conflict, Policy,
    pod::Text,
    policy::{ContainerList, Sidecar},
};

use super::{Merge, malformed};

/// A container port, as far as the node's ports are concerned.
#[derive(Deserialize)]
struct Port<'a> {
    #[serde(default, rename = "containerPort")]
    of_container: i64,
    #[serde(default, rename = "hostPort")]
    of_host: Option<i64>,
    #[serde(borrow, default, rename = "hostIP")]
    host_ip: Option<Text<'a>>,
    #[serde(borrow, default)]
    protocol: Option<Text<'a>>,
}

/// The part of a rendered sidecar that is read here.
#[derive(Deserialize)]
struct Rendered<'a> {
    #[serde(borrow, default)]
    ports: Option<Vec<Port<'a>>>,
}

impl Port<'_> {
    /// The port it takes on the node; on the host network every port is one of the node's.
    fn on_node(&self, host_network: bool) -> Option<i64> {
        let port = self.of_host.filter(|port| *port != 0);
        port.or_else(|| host_network.then_some(self.of_container))
    }

    fn takes_the_same(&self, other: &Self, host_network: bool) -> bool {
        let address = |port: &Self| port.host_ip.clone().unwrap_or_default();
        let protocol = |port: &Self| {
            let name = port.protocol.as_ref().map_or("", Text::as_str).to_owned();
            if name.is_empty() { "TCP".to_owned() } else { name }
        };
        self.on_node(host_network).is_some()
            && self.on_node(host_network) == other.on_node(host_network)
            && address(self) == address(other)
            && protocol(self) == protocol(other)
    }
}

impl<'s> Merge<'_, 's> {
    /// Refuses a new sidecar whose host ports the API server would refuse.
    pub(super) fn check_host_ports(
        &self,
        policy: &'s Policy,
        sidecar: &'s Sidecar,
    ) -> Result<(), Conflict> {
        if sidecar.list != ContainerList::Containers {
            return Ok(());
        }
        let host_network = self.spec.host_network.unwrap_or_default();
        let wanted = ports_of(sidecar)?;
        if wanted.iter().all(|port| port.on_node(host_network).is_none()) {
            return Ok(());
        }
        let conflict = |port: i64, why: String| Conflict::HostPort {
            container: sidecar.name.clone(),
            port,
            why,
        };
        for port in &wanted {
            if let Some(host_port) = port.on_node(host_network)
                && host_network
                && host_port != port.of_container
            {
                let why = "on the host network it must equal the container port".to_owned();
                return Err(conflict(host_port, why));
            }
        }
        let refuse_taken = |name: &str, taken: &[Port<'_>]| {
            let clash = wanted
                .iter()
                .find(|port| taken.iter().any(|taken| port.takes_the_same(taken, host_network)));
            clash.map_or(Ok(()), |port| {
                let host_port = port.on_node(host_network).unwrap_or_default();
                Err(conflict(host_port, format!("container {name:?} has it already")))
            })
        };
        for container in self.spec.containers.iter().flatten() {
            let Some(ports) = container.ports else { continue };
            let name = container.name.as_str();
            let ports: Vec<Port<'_>> = serde_json::from_str(ports.get())
                .map_err(|error| malformed(&format!("ports of container {name:?}"), &error))?;
            refuse_taken(name, &ports)?;
        }
        let before = policy.sidecars.iter().take_while(|other| other.name != sidecar.name);
        for other in self.sidecars.iter().copied().chain(before) {
            if other.list == sidecar.list {
                refuse_taken(&other.name, &ports_of(other)?)?;
            }
        }
        Ok(())
    }
}

fn ports_of(sidecar: &Sidecar) -> Result<Vec<Port<'_>>, Conflict> {
    let rendered: Rendered<'_> = serde_json::from_str(&sidecar.rendered.json)
        .map_err(|error| malformed(&format!("ports of sidecar {:?}", sidecar.name), &error))?;
    Ok(rendered.ports.unwrap_or_default())
}
