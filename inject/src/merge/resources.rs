//! `resourcesFromApp`: sidecars that are as large as the app demands.

use serde_json::{Map, Value};

use crate::{
    Conflict,
    content::{Amounts, Function, Resources, ResourcesFromApp, Share, Shares, Sidecar},
    policy::ContainerList,
    quantity::Quantity,
};

use super::{Merge, pod_resources};

const CPU: &str = "cpu";
const MEMORY: &str = "memory";

impl Merge<'_, '_> {
    /// The resources that a sidecar gets: its own, and over them those that follow the app's.
    pub(super) fn resources_of(&self, sidecar: &Sidecar) -> Result<Resources, Conflict> {
        let mut resources = sidecar.resources.clone();
        let Some(rule) = sidecar.from_app.as_ref().and_then(|from| from.resources.as_ref()) else {
            return Ok(resources);
        };
        let app = self.resources_of_app()?;
        set(
            &mut resources.requests,
            &rule.requests,
            rule,
            |of, name| of.requested(name).cloned(),
            &app,
        );
        set(
            &mut resources.limits,
            &rule.limits,
            rule,
            |of, name| of.limits.get(name).cloned(),
            &app,
        );
        for (name, request) in &mut resources.requests.0 {
            if let Some(limit) = resources.limits.get(name)
                && !request.is_at_most(limit)
            {
                *request = limit.clone();
            }
        }
        Ok(resources)
    }

    /// Resources of the app's containers that run at the same time: native sidecars run beside the
    /// others, init containers before them.
    fn resources_of_app(&self) -> Result<Vec<Resources>, Conflict> {
        let staying = self.app_containers.iter().filter(|container| {
            container.list() == ContainerList::Containers || container.get().restarts_always()
        });
        staying.map(|container| pod_resources::read(container.get())).collect()
    }
}

fn set(
    amounts: &mut Amounts,
    shares: &Shares,
    rule: &ResourcesFromApp,
    amount_of: impl Fn(&Resources, &str) -> Option<Quantity>,
    app: &[Resources],
) {
    for (name, share) in [(CPU, &shares.cpu), (MEMORY, &shares.memory)] {
        let Some(share) = share else { continue };
        let of_app = app.iter().filter_map(|resources| amount_of(resources, name));
        let total = together(rule.function, of_app);
        let own = amounts.0.iter().position(|(found, _)| found == name);
        let wanted = match (total, own) {
            (Some(total), _) => share_of(share, &total),
            // The app does not say: what the policy says beside it counts, or else the least.
            (None, Some(_)) => None,
            (None, None) => share.min.clone(),
        };
        match (wanted, own) {
            (None, _) => {}
            (Some(wanted), Some(position)) => amounts.0[position].1 = wanted,
            (Some(wanted), None) => amounts.0.push((name.to_owned(), wanted)),
        }
    }
}

/// `None` where no container has an amount.
fn together(function: Function, amounts: impl Iterator<Item = Quantity>) -> Option<Quantity> {
    amounts.filter(|amount| !amount.is_negative()).reduce(|left, right| match function {
        Function::Max if right.is_at_most(&left) => left,
        Function::Max => right,
        // More than 38 digits: no node has that much.
        Function::Sum => left.plus(&right).unwrap_or(left),
    })
}

fn share_of(share: &Share, total: &Quantity) -> Option<Quantity> {
    let mut wanted = total.percent(share.percent)?;
    if let Some(least) = &share.min
        && wanted.is_at_most(least)
    {
        wanted = least.clone();
    }
    if let Some(most) = &share.max
        && !wanted.is_at_most(most)
    {
        wanted = most.clone();
    }
    Some(wanted)
}

/// Writes CPU and memory into the `resources` of a container; what else is there stays.
pub(super) fn write(fields: &mut Map<String, Value>, sized: &Resources) {
    let resources = fields.entry("resources").or_insert_with(|| Map::new().into());
    let Some(resources) = resources.as_object_mut() else { return };
    for (kind, amounts) in [("requests", &sized.requests), ("limits", &sized.limits)] {
        for (name, text) in [
            (CPU, amounts.get(CPU).and_then(Quantity::to_cpu)),
            (MEMORY, amounts.get(MEMORY).and_then(Quantity::to_memory)),
        ] {
            let Some(text) = text else { continue };
            let written = resources.entry(kind).or_insert_with(|| Map::new().into());
            let Some(written) = written.as_object_mut() else { continue };
            let found = written.get(name).and_then(Quantity::from_json);
            if found.as_ref() != amounts.get(name) {
                written.insert(name.to_owned(), text.into());
            }
        }
    }
}
