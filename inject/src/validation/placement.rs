//! Where containers go: beside which other, without going round in circles.

use std::collections::HashMap;

use crds::{Placement, RelativePlacement, Sidecar, SidecarType};

use crate::problem::Problems;

use super::names;

/// The container that a sidecar is placed beside.
pub(crate) fn target(sidecar: &Sidecar) -> Option<&str> {
    match sidecar.placement.as_ref()? {
        Placement::Relative(RelativePlacement::Before(name) | RelativePlacement::After(name)) => {
            Some(name)
        }
        Placement::Block(_) => None,
    }
}

/// Whether a container of this type stands in the list of ordinary containers.
pub(crate) fn is_ordinary(kind: SidecarType) -> bool {
    kind == SidecarType::Container
}

/// Checks the placements of all sidecars of a policy.
pub(super) fn check(sidecars: &[Sidecar], problems: &mut Problems) {
    let named: HashMap<&str, &Sidecar> =
        sidecars.iter().map(|sidecar| (sidecar.name.as_str(), sidecar)).collect();
    for (index, sidecar) in sidecars.iter().enumerate() {
        let path = format!("spec.sidecars[{index}].placement");
        let Some(target) = target(sidecar) else { continue };
        if target == sidecar.name {
            problems.add(path, "must name another container, not the sidecar itself");
        } else if !names::is_dns_label(target) {
            problems.add(path, format!("{target:?} {}", names::DNS_LABEL));
        } else if let Some(other) = named.get(target)
            && is_ordinary(other.kind) != is_ordinary(sidecar.kind)
        {
            let message = format!(
                "{target:?} stands in the other list: type Container among the ordinary containers, Sidecar and Init among the init containers"
            );
            problems.add(path, message);
        } else if goes_round(sidecar, &named) {
            let message =
                format!("goes round in circles by way of {target:?}; use First or Last once");
            problems.add(path, message);
        }
    }
}

/// Whether following the placements from this sidecar leads back to it.
fn goes_round(sidecar: &Sidecar, named: &HashMap<&str, &Sidecar>) -> bool {
    let mut next = target(sidecar);
    for _ in 0..named.len() {
        match next {
            Some(name) if name == sidecar.name => return true,
            Some(name) => next = named.get(name).copied().and_then(target),
            None => return false,
        }
    }
    false
}
