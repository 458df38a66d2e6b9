//! A pod's own `spec.resources`: the API server refuses a pod whose containers together request
//! more, and one in which a container has a higher limit.

use crate::{
    Conflict,
    content::{Resources, Sidecar},
    pod::Container,
    policy::ContainerList,
    quantity::Quantity,
};

use super::{Merge, malformed};

impl Merge<'_, '_> {
    /// Refuses sidecars with which the containers would exceed the pod's own resources.
    pub(super) fn check_pod_resources(&self, sidecars: &[&Sidecar]) -> Result<(), Conflict> {
        let Some(raw) = self.spec.resources else { return Ok(()) };
        let of_pod: Resources =
            serde_json::from_str(raw.get()).map_err(|error| malformed("spec.resources", &error))?;
        let new: Vec<(&Sidecar, Resources)> = sidecars
            .iter()
            .filter(|sidecar| self.container_of_pod(&sidecar.name).is_none())
            .map(|sidecar| Ok((*sidecar, self.resources_of(sidecar)?)))
            .collect::<Result<_, Conflict>>()?;
        if new.is_empty() {
            return Ok(());
        }
        for (resource, allowed) in &of_pod.limits.0 {
            let above = new.iter().find(|(_, resources)| {
                resources.limits.get(resource).is_some_and(|limit| !limit.is_at_most(allowed))
            });
            if let Some((sidecar, _)) = above {
                return Err(Conflict::PodResources {
                    kind: "limits",
                    resource: resource.clone(),
                    what: format!("the limit of container {:?}", sidecar.name),
                });
            }
        }
        for (resource, allowed) in &of_pod.requests.0 {
            let requested = self.requested(resource, &new)?;
            if requested.is_none_or(|requested| !requested.is_at_most(allowed)) {
                let names: Vec<&str> =
                    new.iter().map(|(sidecar, _)| sidecar.name.as_str()).collect();
                return Err(Conflict::PodResources {
                    kind: "requests",
                    resource: resource.clone(),
                    what: format!("what all containers request together with {}", names.join(", ")),
                });
            }
        }
        Ok(())
    }

    /// What the containers request at most at one time, the new ones included; `None` if that
    /// cannot be written as a number.
    fn requested(
        &self,
        resource: &str,
        new: &[(&Sidecar, Resources)],
    ) -> Result<Option<Quantity>, Conflict> {
        let mut staying = Vec::new();
        let mut passing = Vec::new();
        for (list, _, container) in self.spec.all_containers() {
            let stays = list == ContainerList::Containers || container.restarts_always();
            let amounts = if stays { &mut staying } else { &mut passing };
            amounts.extend(read(container)?.requested(resource).cloned());
        }
        let taken = self.sidecars.iter().map(|taken| taken.sidecar);
        let taken = taken.filter(|sidecar| self.container_of_pod(&sidecar.name).is_none());
        let taken: Vec<(&Sidecar, Resources)> = taken
            .map(|sidecar| Ok((sidecar, self.resources_of(sidecar)?)))
            .collect::<Result<_, Conflict>>()?;
        for (sidecar, resources) in new.iter().chain(&taken) {
            let stays = sidecar.list == ContainerList::Containers || sidecar.restarts_always;
            let amounts = if stays { &mut staying } else { &mut passing };
            amounts.extend(resources.requested(resource).cloned());
        }
        // An init container runs beside the native sidecars before it. All of what stays is counted
        // here: at most too much, and only where an init container asks for more than the app.
        let sum = staying.iter().try_fold(Quantity::default(), |sum, amount| sum.plus(amount));
        let Some(sum) = sum else { return Ok(None) };
        let sidecars = self.requested_by_native_sidecars(resource, new, &taken)?;
        let peak = passing.iter().try_fold(sum, |peak, amount| {
            let beside = sidecars.plus(amount)?;
            Some(if beside.is_at_most(&peak) { peak } else { beside })
        });
        Ok(peak)
    }

    fn requested_by_native_sidecars(
        &self,
        resource: &str,
        new: &[(&Sidecar, Resources)],
        taken: &[(&Sidecar, Resources)],
    ) -> Result<Quantity, Conflict> {
        let mut sum = Quantity::default();
        for container in self.spec.init_containers.iter().flatten() {
            if container.restarts_always()
                && let Some(amount) = read(container)?.requested(resource)
            {
                sum = sum.plus(amount).unwrap_or_default();
            }
        }
        for (sidecar, resources) in new.iter().chain(taken) {
            if sidecar.restarts_always
                && let Some(amount) = resources.requested(resource)
            {
                sum = sum.plus(amount).unwrap_or_default();
            }
        }
        Ok(sum)
    }
}

/// The resources of a container of the pod.
pub(super) fn read(container: &Container<'_>) -> Result<Resources, Conflict> {
    let Some(raw) = container.resources else { return Ok(Resources::default()) };
    serde_json::from_str(raw.get()).map_err(|error| {
        malformed(&format!("resources of container {:?}", container.name.as_str()), &error)
    })
}
