//! Volumes: added by name; one of the same name has to be the same volume.

use crate::{
    Conflict, Policy,
    canonical::Canonical,
    pod::{Named, Spec},
    policy::Volume,
    reader,
};

use super::malformed;

/// The names of the pod's volumes.
pub(super) fn read<'p>(spec: &'p Spec<'p>) -> Result<Vec<Named<'p>>, Conflict> {
    let names = spec.volumes.map_or_else(|| Ok(Vec::new()), |raw| reader::read(raw.get()));
    names.map_err(|error| malformed("spec.volumes", &error))
}

/// The volumes of the policy that are not there yet.
pub(super) fn attempt<'s>(
    policy: &'s Policy,
    spec: &Spec<'_>,
    pod: &[Named<'_>],
    taken: &[&'s Volume],
) -> Result<Vec<&'s Volume>, Conflict> {
    let mut added = Vec::new();
    for volume in &policy.volumes {
        let of_pod = pod.iter().position(|found| found.name.as_str() == volume.name);
        let taken = || taken.iter().find(|taken| taken.name == volume.name);
        let found = of_pod
            .map(|position| Canonical::read_raw(spec.volumes).element(position))
            .or_else(|| taken().map(|taken| Canonical::read(&taken.rendered.json)));
        match found {
            None => added.push(volume),
            Some(found) if volume.rendered.is(&found) => {}
            Some(_) => return Err(Conflict::VolumeName { volume: volume.name.clone() }),
        }
    }
    Ok(added)
}
