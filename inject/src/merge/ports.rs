//! Ports. The API server refuses a pod in which two ordinary containers take the same port of the
//! node; it compares init containers, native sidecars included, with no others. Two containers
//! that listen on one port of the pod are legal, but only one of them can: that is warned about.

use crate::{
    Conflict, Notice,
    content::{Content, Port, Sidecar},
    pod::Container,
    policy::ContainerList,
};

use super::{Merge, malformed};

impl Port {
    /// The port it takes on the node; on the host network every port is one of the node's.
    fn on_node(&self, host_network: bool) -> Option<i64> {
        let port = self.of_host.filter(|port| *port != 0);
        port.or_else(|| host_network.then_some(self.of_container))
    }

    fn protocol(&self) -> &str {
        self.protocol.as_deref().filter(|name| !name.is_empty()).unwrap_or("TCP")
    }

    fn takes_the_same(&self, other: &Self, host_network: bool) -> bool {
        self.on_node(host_network).is_some()
            && self.on_node(host_network) == other.on_node(host_network)
            && self.host_ip.as_deref().unwrap_or("") == other.host_ip.as_deref().unwrap_or("")
            && self.protocol() == other.protocol()
    }

    fn listens_on_the_same(&self, other: &Self) -> bool {
        self.of_container == other.of_container && self.protocol() == other.protocol()
    }
}

impl Merge<'_, '_> {
    /// Refuses a new sidecar whose ports of the node the API server would refuse, and tells of
    /// ports on which another container listens.
    pub(super) fn check_ports(
        &self,
        content: &Content,
        sidecar: &Sidecar,
        notices: &mut Vec<Notice>,
    ) -> Result<(), Conflict> {
        if sidecar.ports.is_empty() {
            return Ok(());
        }
        let host_network = self.spec.host_network.unwrap_or_default();
        let is_ordinary = sidecar.list == ContainerList::Containers;
        if is_ordinary && host_network {
            check_equal_on_host_network(sidecar)?;
        }
        for (list, _, container) in self.spec.all_containers() {
            if list == ContainerList::Containers || container.restarts_always() {
                let other = Other { name: container.name.as_str(), list };
                compare(sidecar, &other, &ports_of(container)?, host_network, notices)?;
            }
        }
        let before = content.sidecars.iter().take_while(|other| other.name != sidecar.name);
        let taken = self.sidecars.iter().map(|taken| taken.sidecar);
        for found in taken.chain(before.map(|other| &**other)) {
            if found.list == ContainerList::Containers || found.restarts_always {
                let other = Other { name: &found.name, list: found.list };
                compare(sidecar, &other, &found.ports, host_network, notices)?;
            }
        }
        Ok(())
    }
}

/// A container beside the sidecar.
struct Other<'o> {
    name: &'o str,
    list: ContainerList,
}

fn check_equal_on_host_network(sidecar: &Sidecar) -> Result<(), Conflict> {
    let different = sidecar.ports.iter().find_map(|port| {
        let host_port = port.of_host.filter(|host_port| *host_port != 0)?;
        (host_port != port.of_container).then_some(host_port)
    });
    different.map_or(Ok(()), |port| {
        let container = sidecar.name.clone();
        Err(Conflict::HostPort { container, port, other: None, policy: None })
    })
}

fn compare(
    sidecar: &Sidecar,
    other: &Other<'_>,
    taken: &[Port],
    host_network: bool,
    notices: &mut Vec<Notice>,
) -> Result<(), Conflict> {
    for port in &sidecar.ports {
        let both_ordinary =
            sidecar.list == ContainerList::Containers && other.list == ContainerList::Containers;
        if both_ordinary && taken.iter().any(|found| port.takes_the_same(found, host_network)) {
            return Err(Conflict::HostPort {
                container: sidecar.name.clone(),
                port: port.on_node(host_network).unwrap_or_default(),
                other: Some(other.name.to_owned()),
                policy: None,
            });
        }
        if taken.iter().any(|found| port.listens_on_the_same(found)) {
            notices.push(Notice::PortTaken {
                container: sidecar.name.clone(),
                port: port.of_container,
                other: other.name.to_owned(),
            });
        }
    }
    Ok(())
}

fn ports_of(container: &Container<'_>) -> Result<Vec<Port>, Conflict> {
    let Some(raw) = container.ports else { return Ok(Vec::new()) };
    serde_json::from_str(raw.get()).map_err(|error| {
        malformed(&format!("ports of container {:?}", container.name.as_str()), &error)
    })
}
