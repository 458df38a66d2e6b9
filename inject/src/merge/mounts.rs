//! Volume mounts of the app's containers: a path belongs to the one who has it.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor, value::MapAccessDeserializer},
};

use crate::{
    Conflict,
    canonical::Canonical,
    content::Mount,
    pod::{Text, read_from_object},
};

use super::app_containers::{AppContainer, AppContainerAdditions, read_once};

/// A volume mount that a container of the app's has.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[serde(remote = "Self")]
pub(super) struct PodMount<'p> {
    #[serde(borrow, default)]
    pub(super) name: Text<'p>,
    #[serde(borrow, default)]
    pub(super) mount_path: Text<'p>,
    #[serde(borrow, default)]
    pub(super) mount_propagation: Option<Text<'p>>,
    #[serde(borrow, default)]
    pub(super) sub_path_expr: Option<Text<'p>>,
}

read_from_object!(PodMount);

/// A device that a container of the app's has.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[serde(remote = "Self")]
struct PodDevice<'p> {
    #[serde(borrow, default)]
    name: Text<'p>,
    #[serde(borrow, default)]
    device_path: Text<'p>,
}

read_from_object!(PodDevice);

/// The part of a container's security context that is read here.
#[derive(Default, Deserialize)]
#[serde(default)]
struct SecurityContext {
    privileged: Option<bool>,
}

impl<'p, 's> AppContainer<'p, 's> {
    pub(super) fn attempt_mount(
        &self,
        mount: &'s Mount,
        addition: &mut AppContainerAdditions<'s>,
    ) -> Result<(), Conflict> {
        let wanted = trimmed(&mount.path);
        let mounts = self.pod_mounts()?;
        let of_pod = mounts.iter().position(|found| trimmed(found.mount_path.as_str()) == wanted);
        if let Some(position) = of_pod {
            let raw = Canonical::read_raw(self.get().volume_mounts);
            return if mount.rendered.is(&raw.element(position)) {
                Ok(())
            } else {
                Err(self.path_taken(mount, mounts[position].name.as_str()))
            };
        }
        self.check_devices(mount)?;
        if mount.bidirectional && !self.is_privileged() {
            return Err(Conflict::Privilege {
                container: self.name().to_owned(),
                what: format!(
                    "would mount {} with mountPropagation: Bidirectional, which needs securityContext.privileged: true",
                    mount.path
                ),
            });
        }
        let planned = addition.mounts.iter().chain(&self.taken().mounts);
        match planned.into_iter().find(|found| trimmed(&found.path) == wanted) {
            None => addition.mounts.push(mount),
            Some(found) if mount.rendered.equals(&found.rendered) => {}
            Some(found) => return Err(self.path_taken(mount, &found.volume)),
        }
        Ok(())
    }

    pub(super) fn pod_mounts(&self) -> Result<&[PodMount<'p>], Conflict> {
        read_once(&self.mounts, self.get().volume_mounts, self.name(), "volumeMounts")
    }

    fn check_devices(&self, mount: &Mount) -> Result<(), Conflict> {
        if self.get().volume_devices.is_none() {
            return Ok(());
        }
        let cell = std::cell::OnceCell::new();
        let devices: &[PodDevice<'_>] =
            read_once(&cell, self.get().volume_devices, self.name(), "volumeDevices")?;
        let taken = devices
            .iter()
            .find(|device| trimmed(device.device_path.as_str()) == trimmed(&mount.path));
        taken.map_or(Ok(()), |device| Err(self.path_taken(mount, device.name.as_str())))
    }

    fn is_privileged(&self) -> bool {
        let raw = self.get().security_context;
        let context = raw.and_then(|raw| serde_json::from_str::<SecurityContext>(raw.get()).ok());
        context.unwrap_or_default().privileged == Some(true)
    }

    fn path_taken(&self, mount: &Mount, volume: &str) -> Conflict {
        Conflict::MountPathTaken {
            container: self.name().to_owned(),
            path: mount.path.clone(),
            volume: volume.to_owned(),
            policy: None,
        }
    }
}

/// A path without the slashes at its end, which change nothing.
pub(crate) fn trimmed(path: &str) -> &str {
    let trimmed = path.trim_end_matches('/');
    if trimmed.is_empty() { path } else { trimmed }
}
