//! Volumes: added by name; one of the same name has to be the same volume.

use serde_json::value::RawValue;

use crate::{
    Conflict, Policy,
    canonical::Canonical,
    pod::{Named, Spec, Text},
    policy::Volume,
};

use super::malformed;

/// A volume that the pod has.
pub(crate) struct PodVolume<'p> {
    pub(crate) name: Text<'p>,
    raw: &'p RawValue,
}

/// The volumes of a pod.
pub(super) fn read<'p>(spec: &'p Spec<'p>) -> Result<Vec<PodVolume<'p>>, Conflict> {
    let volumes = spec.volumes.iter().flatten().map(|raw| {
        let named: Named<'p> =
            serde_json::from_str(raw.get()).map_err(|error| malformed("spec.volumes", &error))?;
        Ok(PodVolume { name: named.name, raw })
    });
    volumes.collect()
}

/// The volumes of the policy that are not there yet.
pub(super) fn attempt<'s>(
    policy: &'s Policy,
    pod: &[PodVolume<'_>],
    taken: &[&'s Volume],
) -> Result<Vec<&'s Volume>, Conflict> {
    let mut added = Vec::new();
    for volume in &policy.volumes {
        let found = pod
            .iter()
            .find(|found| found.name.as_str() == volume.name)
            .map(|found| found.raw.get())
            .or_else(|| {
                let taken = taken.iter().find(|taken| taken.name == volume.name);
                taken.map(|taken| taken.json.as_str())
            });
        match found {
            None => added.push(volume),
            Some(found) if Canonical::read(found) == Canonical::read(&volume.json) => {}
            Some(_) => return Err(Conflict::VolumeName { volume: volume.name.clone() }),
        }
    }
    Ok(added)
}
