//! Volume mounts of the app's containers: a path belongs to the one who has it.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor, value::MapAccessDeserializer},
};
use serde_json::Value;

use crate::{
    Conflict,
    canonical::Canonical,
    content::{Mount, Rendered},
    parameters::shortened_to,
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
            let texts = read_once(
                &self.mount_texts,
                self.get().volume_mounts,
                self.name(),
                "volumeMounts",
            )?;
            let found = Canonical::read_raw(texts.get(position).copied());
            return if mount.rendered.is(&found) {
                Ok(())
            } else {
                Err(self.path_taken(mount, mounts[position].name.as_str(), Some(&found)))
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
            Some(found) => {
                let there = Canonical::read(&found.rendered.json);
                return Err(self.path_taken(mount, &found.volume, Some(&there)));
            }
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
        if devices.iter().any(|device| device.name.as_str() == mount.volume) {
            return Err(Conflict::VolumeUse {
                container: self.name().to_owned(),
                what: format!(
                    "cannot mount the volume {:?} at {}, having it as a block device; mount another volume",
                    mount.volume, mount.path
                ),
            });
        }
        let taken = devices
            .iter()
            .find(|device| trimmed(device.device_path.as_str()) == trimmed(&mount.path));
        taken.map_or(Ok(()), |device| Err(self.path_taken(mount, device.name.as_str(), None)))
    }

    fn is_privileged(&self) -> bool {
        let raw = self.get().security_context;
        let context = raw.and_then(|raw| serde_json::from_str::<SecurityContext>(raw.get()).ok());
        context.unwrap_or_default().privileged == Some(true)
    }

    /// The conflict with what is at the path already: a mount, or a device.
    fn path_taken(&self, mount: &Mount, volume: &str, found: Option<&Canonical>) -> Conflict {
        Conflict::MountPathTaken {
            container: self.name().to_owned(),
            path: mount.path.clone(),
            volume: volume.to_owned(),
            policy: None,
            differences: found
                .filter(|_| mount.volume == volume)
                .and_then(|found| differences(&mount.rendered, found)),
        }
    }
}

/// In what a mount differs from the one that is there, in words.
fn differences(mount: &Rendered, found: &Canonical) -> Option<String> {
    let described = mount.forms().map(|form| {
        let differences = found.differences(&form);
        let words = differences.iter().map(|(field, there, ours)| {
            format!("{field} is {} there and {} in the policy", shown(*there), shown(*ours))
        });
        words.collect::<Vec<_>>()
    });
    // An API server that does not know a field has not stored it, which is no difference.
    let fewest = described.min_by_key(Vec::len)?;
    (!fewest.is_empty()).then(|| fewest.join(", "))
}

fn shown(value: Option<&Value>) -> String {
    const LONGEST: usize = 40;
    let Some(value) = value else { return "not set".to_owned() };
    shortened_to(&value.to_string(), LONGEST).into_owned()
}

/// A path without the slashes at its end, which change nothing.
pub(crate) fn trimmed(path: &str) -> &str {
    let trimmed = path.trim_end_matches('/');
    if trimmed.is_empty() { path } else { trimmed }
}
