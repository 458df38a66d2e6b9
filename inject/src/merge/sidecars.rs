//! The containers that go in: new, there already, or in the way of one another.

use serde_json::Value;

use crate::{
    Conflict, Notice, Policy,
    canonical::Canonical,
    content::{Content, Sidecar},
    pod::{Container, Text},
    policy::ContainerList,
};

use super::{Merge, Taken};

impl<'s> Merge<'_, 's> {
    /// The sidecars of the policy that no earlier policy brings, those that are there already
    /// included, unless one is in the way.
    pub(super) fn attempt_sidecars(
        &self,
        policy: &Policy,
        content: &'s Content,
        notices: &mut Vec<Notice>,
    ) -> Result<Vec<&'s Sidecar>, Conflict> {
        for sidecar in &content.sidecars {
            if let Some(volume) =
                sidecar.mounted_volumes.iter().find(|volume| !self.has_volume(content, volume))
            {
                return Err(Conflict::VolumeMissing {
                    container: sidecar.name.clone(),
                    volume: volume.clone(),
                    left_out: None,
                });
            }
            // What an earlier policy gives is compared with that policy, also when the pod has it by
            // now: the looser comparison with a pod would let in on a second call what was in
            // conflict on the first.
            if let Some(Taken { sidecar: taken, .. }) = self.taken_sidecar(sidecar)
                && !is_equal(taken, sidecar)
            {
                return Err(name_conflict(sidecar, taken.list));
            }
            if let Some((list, container)) = self.container_of_pod(&sidecar.name) {
                let host_network = self.spec.host_network.unwrap_or_default();
                let found = Found { list, container, host_network };
                compare_with_pod(sidecar, &found, policy.denies_conflicts, notices)?;
                if self.was_left_out(policy) {
                    return Err(name_conflict(sidecar, list));
                }
            } else if self.taken_sidecar(sidecar).is_none() {
                self.check_volume_kinds(sidecar)?;
                self.check_ports(content, sidecar, notices)?;
            }
        }
        let new = content.sidecars.iter().map(|sidecar| &**sidecar);
        Ok(new.filter(|sidecar| self.taken_sidecar(sidecar).is_none()).collect())
    }

    /// Whether an earlier call put others in and this policy not, so that a container with the name of one of
    /// its sidecars is not its own: that others have filled it up since makes it no sidecar.
    ///
    /// Only a record of nothing but policies that may go in now, as they are, is of an earlier call: a
    /// copied pod brings one that names those of its own namespace, or what they were.
    fn was_left_out(&self, policy: &Policy) -> bool {
        let Some(mut recorded) = self.recorded().filter(|recorded| !recorded.is_empty()) else {
            return false;
        };
        if recorded.contains_key(&policy.id.to_string()) {
            return false;
        }
        for (entering, _) in &self.entering {
            let name = entering.id.to_string();
            if recorded.get(&name) == Some(&entering.revision) {
                recorded.remove(&name);
            }
        }
        recorded.is_empty()
    }

    /// Whether the volumes of others are such as the sidecar needs; those of its own policy were looked at
    /// when that was compiled.
    fn check_volume_kinds(&self, sidecar: &Sidecar) -> Result<(), Conflict> {
        for (name, kind) in &sidecar.volume_kinds {
            let has_source = |volume: &Value| {
                kind.sources()
                    .iter()
                    .any(|source| volume.get(*source).is_some_and(Value::is_object))
            };
            let of_pod = self.pod_volumes.iter().find(|found| found.name.as_str() == *name);
            let of_policy = || self.volumes.iter().find(|found| found.name == *name);
            let json = of_pod
                .map(|found| found.text.get())
                .or_else(|| of_policy().map(|found| &*found.rendered.json));
            let volume = json.and_then(|json| serde_json::from_str(json).ok());
            if volume.is_some_and(|volume: Value| !has_source(&volume)) {
                return Err(Conflict::VolumeUse {
                    container: sidecar.name.clone(),
                    what: format!(
                        "cannot use the volume {name:?} {}; use another volume",
                        kind.used()
                    ),
                });
            }
        }
        Ok(())
    }

    /// Whether the pod has the sidecar, by itself or from an earlier policy.
    pub(super) fn is_placed(&self, sidecar: &Sidecar) -> bool {
        self.container_of_pod(&sidecar.name).is_some() || self.taken_sidecar(sidecar).is_some()
    }

    /// The container of the pod that has this name.
    pub(super) fn container_of_pod(&self, name: &str) -> Option<(ContainerList, &Container<'_>)> {
        let mut containers = self.spec.all_containers();
        let found = containers.find(|(_, _, found)| found.name.as_str() == name);
        found.map(|(list, _, container)| (list, container))
    }

    fn taken_sidecar(&self, sidecar: &Sidecar) -> Option<&Taken<'s>> {
        self.sidecars.iter().find(|taken| taken.sidecar.name == sidecar.name)
    }
}

fn is_equal(taken: &Sidecar, sidecar: &Sidecar) -> bool {
    taken.list == sidecar.list
        && taken.placement == sidecar.placement
        && sidecar.rendered.equals(&taken.rendered)
        && taken.from_app.as_ref().map(|from| (&from.copy, &from.resources))
            == sidecar.from_app.as_ref().map(|from| (&from.copy, &from.resources))
}

fn name_conflict(sidecar: &Sidecar, list: ContainerList) -> Conflict {
    Conflict::ContainerName { container: sidecar.name.clone(), list, policy: None }
}

/// A container of the pod that has the name of a sidecar.
struct Found<'f, 'p> {
    list: ContainerList,
    container: &'f Container<'p>,
    host_network: bool,
}

impl Found<'_, '_> {
    fn has_mounts_and_ports(&self, ours: &Canonical) -> bool {
        let mounts = Canonical::read_raw(self.container.volume_mounts);
        let ports = Canonical::read_raw(self.container.ports);
        let has_ports = if self.host_network {
            let ours = ours.field("ports").without_filled_host_ports();
            ours.elements_are_in(&ports.without_filled_host_ports())
        } else {
            ours.field("ports").elements_are_in(&ports)
        };
        has_ports && ours.field("volumeMounts").elements_are_in(&mounts)
    }

    /// Whether it is this sidecar, or one that was altered.
    fn may_be(&self, sidecar: &Sidecar) -> bool {
        let &Self { list, container, .. } = self;
        let image = container.image.as_ref().map_or("", Text::as_str);
        list == sidecar.list
            && container.restarts_always() == sidecar.restarts_always
            && is_same_image(&sidecar.image, image)
            && sidecar.rendered.forms().any(|ours| self.has_mounts_and_ports(&ours))
    }

    fn runs_alike(&self, ours: &Canonical) -> bool {
        let container = self.container;
        ours.field("command") == Canonical::read_raw(container.command)
            && ours.field("args") == Canonical::read_raw(container.args)
            && ours.field("env").elements_are_in(&Canonical::read_raw(container.env))
            && ours.field("envFrom").elements_are_in(&Canonical::read_raw(container.env_from))
    }
}

/// Whether a container of the pod is this sidecar. Probes, resources, pull policy, security context
/// and the registry of the image may differ: other mutators set them.
fn compare_with_pod(
    sidecar: &Sidecar,
    found: &Found<'_, '_>,
    denies_conflicts: bool,
    notices: &mut Vec<Notice>,
) -> Result<(), Conflict> {
    if !found.may_be(sidecar) {
        return Err(name_conflict(sidecar, found.list));
    }
    let unaltered = sidecar.rendered.forms().any(|ours| found.runs_alike(&ours));
    if unaltered {
        return Ok(());
    }
    if denies_conflicts {
        return Err(Conflict::ContainerAltered { container: sidecar.name.clone() });
    }
    notices.push(Notice::SidecarAltered { container: sidecar.name.clone() });
    Ok(())
}

/// Whether two image references name the same image, registry, path and an added digest aside.
fn is_same_image(ours: &str, found: &str) -> bool {
    let last = |image: &str| image.rsplit('/').next().unwrap_or_default().to_owned();
    let (ours, found) = (last(ours), last(found));
    if ours == found {
        return true;
    }
    let without_digest = |image: &str| image.split('@').next().unwrap_or_default().to_owned();
    !ours.contains('@') && ours == without_digest(&found)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::is_same_image;

    #[rstest]
    #[case("busybox:1", "busybox:1", true)]
    #[case("docker.io/library/busybox:1", "mirror.example:5000/hub/busybox:1", true)]
    #[case("busybox:1", "busybox:1@sha256:abc", true)]
    #[case("busybox:1@sha256:abc", "busybox:1@sha256:def", false)]
    #[case("busybox:1@sha256:abc", "busybox:1", false)]
    #[case("busybox:1", "busybox:2", false)]
    #[case("busybox:1", "toybox:1", false)]
    fn images(#[case] ours: &str, #[case] found: &str, #[case] same: bool) {
        assert_eq!(is_same_image(ours, found), same);
    }
}
