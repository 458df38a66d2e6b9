//! Where the containers go: what `merge/order.rs` works out, each step a variable.
//!
//! Of a single sidecar at the start or the end the place is plain. Otherwise some of the sidecars may be
//! there already, anywhere: then a variable says for each block where its containers stand together, and
//! one for each sidecar into which gap it goes.

use std::ops::Range;

use crate::{
    content::{Placement, Sidecar},
    merge::Order,
    policy::ContainerList,
};

use super::{
    Parts, Variable, add, cel,
    refusals::{app_target, fields},
    sidecars, variable,
};

impl<'p> Parts<'p> {
    /// The variables of both lists.
    pub(super) fn places(self) -> Vec<Variable> {
        let lists = [ContainerList::InitContainers, ContainerList::Containers];
        lists.into_iter().flat_map(|list| self.places_in(list)).collect()
    }

    fn places_in(self, list: ContainerList) -> Vec<Variable> {
        if self.is_plain(list) {
            return Vec::new();
        }
        let field = list.field();
        let ours = self.ours(list);
        let order = self.order(list);
        let names = variable(&format!("{field}Names"), format!("variables.{field}.map(c, c.name)"));
        let mut variables = vec![names];
        let mut placements: Vec<&Placement> = Vec::new();
        for sidecar in &ours {
            if !placements.contains(&&sidecar.placement) {
                placements.push(&sidecar.placement);
            }
        }
        let zone = |placement: &Placement| {
            let number = placements.iter().position(|found| *found == placement);
            format!("variables.{field}Zone{}", number.unwrap_or_default())
        };
        for (number, placement) in placements.iter().enumerate() {
            let together = together(field, placement, &order);
            variables.push(variable(&format!("{field}Zone{number}"), together));
        }
        for (number, sidecar) in sorted(&ours, &order).into_iter().enumerate() {
            let mut choices = vec![format!("{} ? -1", sidecars::is_there(sidecar))];
            let mut placement = &sidecar.placement;
            while let Some(target) = target_of(placement, &ours) {
                let into = gap(field, &zone(placement), placement, sidecar, &order);
                choices.push(format!("{} ? {into}", sidecars::is_there(target)));
                placement = &target.placement;
            }
            choices.push(gap(field, &zone(placement), placement, sidecar, &order));
            variables.push(variable(&format!("{field}Gap{number}"), choices.join(" : ")));
        }
        variables
    }

    /// The edits that put the sidecars in.
    pub(super) fn insertions(self) -> Vec<String> {
        let lists = [ContainerList::InitContainers, ContainerList::Containers];
        lists.into_iter().flat_map(|list| self.insertions_into(list)).collect()
    }

    fn insertions_into(self, list: ContainerList) -> Vec<String> {
        let field = list.field();
        let mut edits = Vec::new();
        if self.ours(list).is_empty() {
            return edits;
        }
        let whole = add(&cel::text(&format!("/spec/{field}")), "[]");
        edits.push(format!("(has(object.spec.{field}) ? [] : [{whole}])"));
        let is_plain = self.is_plain(list);
        let mut gaps: Vec<String> = Vec::new();
        for sidecar in sorted(&self.ours(list), &self.order(list)) {
            let gap = format!("variables.{field}Gap{}", gaps.len());
            let path = match sidecar.placement {
                Placement::Last if is_plain => cel::text(&format!("/spec/{field}/-")),
                _ if is_plain => cel::text(&format!("/spec/{field}/0")),
                _ => {
                    let earlier = format!("[{}].filter(g, g >= 0 && g <= {gap})", gaps.join(", "));
                    format!("'/spec/{field}/' + string({gap} / 2 + {earlier}.size())")
                }
            };
            gaps.push(gap);
            let literal = cel::literal(&fields(&sidecar.rendered.json).into());
            let there = sidecars::is_there(sidecar);
            edits.push(format!("({there} ? [] : [{}])", add(&path, &literal)));
        }
        edits
    }

    fn ours(self, list: ContainerList) -> Vec<&'p Sidecar> {
        let sidecars = self.content.sidecars.iter().map(|sidecar| &**sidecar);
        sidecars.filter(|sidecar| sidecar.list == list).collect()
    }

    /// Whether the place is the start or the end of the list, whatever is in it.
    fn is_plain(self, list: ContainerList) -> bool {
        match self.ours(list).as_slice() {
            [] => true,
            [only] => matches!(only.placement, Placement::First | Placement::Last),
            _ => false,
        }
    }

    /// The order in which the list would be if none of the sidecars were there yet, of the app's with
    /// the one container that is named.
    fn order(self, list: ContainerList) -> Order<'p> {
        let ours = self.ours(list);
        let target = ours.iter().find_map(|sidecar| app_target(sidecar, ours.iter().copied()));
        Order::new(target.as_slice(), &ours)
    }
}

/// The sidecars in the order in which they would stand.
fn sorted<'s>(ours: &[&'s Sidecar], order: &Order<'_>) -> Vec<&'s Sidecar> {
    let mut sorted = ours.to_vec();
    sorted.sort_by_key(|sidecar| order.position(&sidecar.name));
    sorted
}

/// The sidecar of the policy beside which another one is placed.
fn target_of<'s>(placement: &Placement, ours: &[&'s Sidecar]) -> Option<&'s Sidecar> {
    match placement {
        Placement::First | Placement::Last => None,
        Placement::Before(target) | Placement::After(target) => {
            ours.iter().find(|sidecar| sidecar.name == *target).copied()
        }
    }
}

/// Where the containers of a block stand together in the place that is theirs: the first index, and
/// the one behind the last.
fn together(field: &str, placement: &Placement, order: &Order<'_>) -> String {
    let names = format!("variables.{field}Names");
    let others = |condition: &str, index: &str| {
        let block = texts(order, order.block(placement));
        format!("{names}.transformList(i, n, !(n in {block}){condition}, {index})")
    };
    let index = |target: &str| format!("{names}.indexOf({})", cel::text(target));
    match placement {
        Placement::First => format!("[0, ([{names}.size()] + {}).min()]", others("", "i")),
        Placement::Last => format!("[([0] + {}).max(), {names}.size()]", others("", "i + 1")),
        Placement::Before(target) => {
            let index = index(target);
            let others = others(&format!(" && i < {index}"), "i + 1");
            format!("[([0] + {others}).max(), {index}]")
        }
        Placement::After(target) => {
            let index = index(target);
            let others = others(&format!(" && i > {index}"), "i");
            format!("[{index} + 1, ([{names}.size()] + {others}).min()]")
        }
    }
}

/// The gap into which a sidecar goes as one of a block, twice, and one more where it belongs to the container
/// behind the gap.
fn gap(
    field: &str,
    zone: &str,
    placement: &Placement,
    sidecar: &Sidecar,
    order: &Order<'_>,
) -> String {
    let block = order.block(placement);
    let position = order.position(&sidecar.name).unwrap_or(block.start);
    let earlier = block.start..position;
    let gap = if earlier.is_empty() {
        format!("{zone}[0]")
    } else {
        let earlier = texts(order, earlier);
        format!(
            "([{zone}[0]] + variables.{field}Names.transformList(i, n, n in {earlier} && i >= {zone}[0] && i < {zone}[1], i + 1)).max()"
        )
    };
    match placement {
        Placement::Before(_) | Placement::Last => format!("2 * {gap} + 1"),
        Placement::First | Placement::After(_) => format!("2 * {gap}"),
    }
}

fn texts(order: &Order<'_>, positions: Range<usize>) -> String {
    cel::texts(order.names[positions].iter().copied())
}
