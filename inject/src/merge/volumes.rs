//! Volumes: added by name; one of the same name has to be the same volume.

use crate::{
    Conflict,
    canonical::Canonical,
    content::{Content, Volume},
    pod::{Named, Spec, Text},
    reader::{self, Raw},
};

use super::{Merge, malformed};

/// A volume of the pod.
pub(super) struct PodVolume<'p> {
    pub(super) name: Text<'p>,
    pub(super) text: Raw<'p>,
}

/// The pod's volumes.
pub(super) fn read<'p>(spec: &'p Spec<'p>) -> Result<Vec<PodVolume<'p>>, Conflict> {
    let texts =
        spec.volumes.map_or_else(|| Ok(Vec::new()), |raw| reader::read::<Vec<Raw<'p>>>(raw.get()));
    let volumes = texts.and_then(|texts| {
        let volumes = texts.into_iter().map(|text| {
            let Named { name } = reader::read(text.get())?;
            Ok(PodVolume { name, text })
        });
        volumes.collect()
    });
    volumes.map_err(|error| malformed("spec.volumes", &error))
}

impl<'s> Merge<'_, 's> {
    /// The volumes of the policy that are not there yet.
    pub(super) fn attempt_volumes(
        &self,
        content: &'s Content,
    ) -> Result<Vec<&'s Volume>, Conflict> {
        let mut added = Vec::new();
        for volume in &content.volumes {
            let of_pod = self.pod_volumes.iter().find(|found| found.name.as_str() == volume.name);
            let taken = || self.volumes.iter().find(|taken| taken.name == volume.name);
            let found = of_pod
                .map(|found| Canonical::read(found.text.get()))
                .or_else(|| taken().map(|taken| Canonical::read(&taken.rendered.json)));
            match found {
                None => added.push(&**volume),
                Some(found) if volume.rendered.is(&found) => {}
                Some(_) => {
                    return Err(Conflict::VolumeName { volume: volume.name.clone(), policy: None });
                }
            }
        }
        Ok(added)
    }
}
