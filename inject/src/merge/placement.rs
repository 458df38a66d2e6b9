//! Where the containers go. `First` and `Last` each form one block in policy order, and a sidecar
//! that is there already keeps its place in it.

use crate::{
    journal::Insertions,
    pod::Spec,
    policy::{Block, ContainerList, Sidecar},
};

/// The insertions that bring the missing sidecars into the pod's two lists.
pub(super) fn place<'s>(spec: &Spec<'_>, sidecars: &[&'s Sidecar]) -> Vec<Insertions<'s>> {
    let lists = [
        (ContainerList::InitContainers, &spec.init_containers),
        (ContainerList::Containers, &spec.containers),
    ];
    lists
        .into_iter()
        .map(|(list, containers)| {
            let names = containers.iter().flatten().map(|found| found.name.as_str()).collect();
            let ours = sidecars.iter().copied().filter(|sidecar| sidecar.list == list);
            Insertions {
                list,
                present: containers.as_ref().map(Vec::len),
                items: place_in_list(names, ours.collect()),
            }
        })
        .collect()
}

fn place_in_list<'n, 's: 'n>(
    mut names: Vec<&'n str>,
    sidecars: Vec<&'s Sidecar>,
) -> Vec<(usize, &'s str)> {
    let mut items = Vec::new();
    let (first, last): (Vec<_>, Vec<_>) =
        sidecars.into_iter().partition(|sidecar| sidecar.block == Block::First);
    let mut cursor = 0;
    for sidecar in first {
        if let Some(there) = names.iter().position(|name| *name == sidecar.name) {
            cursor = cursor.max(there + 1);
        } else {
            names.insert(cursor, &sidecar.name);
            items.push((cursor, sidecar.rendered.json.as_str()));
            cursor += 1;
        }
    }
    for (position, sidecar) in last.iter().enumerate() {
        if names.contains(&sidecar.name.as_str()) {
            continue;
        }
        let later = last[position..]
            .iter()
            .filter_map(|later| names.iter().position(|name| *name == later.name))
            .min();
        let place = later.unwrap_or(names.len());
        names.insert(place, &sidecar.name);
        items.push((place, sidecar.rendered.json.as_str()));
    }
    items
}
