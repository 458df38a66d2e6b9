//! Where in a list of containers the missing sidecars go. Those that are there stay where they are,
//! wherever that is; the others go among them so that several calls give the order that one call gives.
//!
//! `admission/places.rs` says the same in CEL.

use std::{collections::HashMap, ops::Range};

use crate::content::{Placement, Sidecar};

/// Names in the order in which a list would be if none of our sidecars were there yet. Placements
/// form no circle.
pub(crate) struct Order<'n> {
    pub(crate) names: Vec<&'n str>,
    /// Each name with those placed beside it, and beside these, as positions in `names`.
    spans: Vec<Range<usize>>,
    /// Where the app's containers begin and end.
    apps: Range<usize>,
    positions: HashMap<&'n str, usize>,
}

impl<'n> Order<'n> {
    /// Orders the app's containers, as they stand, with all our sidecars, in policy order.
    pub(crate) fn new(apps: &[&'n str], ours: &[&'n Sidecar]) -> Self {
        let mut order =
            Self { names: Vec::new(), spans: Vec::new(), apps: 0..0, positions: HashMap::new() };
        let block = |placement: &Placement| -> Vec<&'n str> {
            let found = ours.iter().filter(|sidecar| sidecar.placement == *placement);
            found.map(|sidecar| sidecar.name.as_str()).collect()
        };
        order.visit(&block(&Placement::First), ours);
        order.apps.start = order.names.len();
        order.visit(apps, ours);
        order.apps.end = order.names.len();
        order.visit(&block(&Placement::Last), ours);
        order
    }

    /// Takes containers in, each between those that are placed beside it.
    fn visit(&mut self, roots: &[&'n str], ours: &[&'n Sidecar]) {
        let mut steps: Vec<Step<'n>> = roots.iter().rev().copied().map(Step::Visit).collect();
        while let Some(step) = steps.pop() {
            match step {
                Step::Emit { name, start } => {
                    self.positions.insert(name, self.names.len());
                    self.names.push(name);
                    self.spans.push(start..start);
                }
                Step::Close(name) => {
                    let end = self.names.len();
                    self.spans[self.positions[name]].end = end;
                }
                Step::Visit(name) => {
                    let beside = |after: bool| {
                        let found =
                            ours.iter().rev().filter(move |sidecar| match &sidecar.placement {
                                Placement::Before(target) => !after && target == name,
                                Placement::After(target) => after && target == name,
                                Placement::First | Placement::Last => false,
                            });
                        found.map(|sidecar| Step::Visit(sidecar.name.as_str()))
                    };
                    steps.push(Step::Close(name));
                    steps.extend(beside(true));
                    steps.push(Step::Emit { name, start: self.names.len() });
                    steps.extend(beside(false));
                }
            }
        }
    }

    /// Where a name stands in the order.
    pub(crate) fn position(&self, name: &str) -> Option<usize> {
        self.positions.get(name).copied()
    }

    /// All that are placed as this says, and beside these, as positions in `names`.
    pub(crate) fn block(&self, placement: &Placement) -> Range<usize> {
        let beside = |target: &str| {
            let position = self.position(target)?;
            Some((position, self.spans[position].clone()))
        };
        match placement {
            Placement::First => 0..self.apps.start,
            Placement::Last => self.apps.end..self.names.len(),
            Placement::Before(target) => beside(target).map_or(0..0, |(at, span)| span.start..at),
            Placement::After(target) => beside(target).map_or(0..0, |(at, span)| at + 1..span.end),
        }
    }
}

/// What is still to be done for a container: all of it, itself between its neighbours, or the end
/// of these.
enum Step<'n> {
    Visit(&'n str),
    Emit { name: &'n str, start: usize },
    Close(&'n str),
}

/// The missing sidecars in the order in which they will stand, each with the position in `names`
/// before which it goes.
///
/// Each belongs to the block of the nearest container beside which it is placed and that is there,
/// or else to that of `First` or `Last`. It goes behind those of the block that come before it in
/// the order, as far as they stand together where the block belongs.
pub(super) fn places<'n>(names: &[&'n str], ours: &[&'n Sidecar]) -> Vec<(usize, &'n Sidecar)> {
    let by_name: HashMap<&str, &'n Sidecar> =
        ours.iter().map(|sidecar| (sidecar.name.as_str(), *sidecar)).collect();
    let mut standing: HashMap<&str, usize> = HashMap::new();
    let mut apps = Vec::new();
    for (index, name) in names.iter().enumerate() {
        if !standing.contains_key(name) {
            standing.insert(name, index);
            if !by_name.contains_key(name) {
                apps.push(*name);
            }
        }
    }
    let order = Order::new(&apps, ours);
    let mut places = Vec::new();
    for (position, name) in order.names.iter().enumerate() {
        if standing.contains_key(name) {
            continue;
        }
        let Some(sidecar) = by_name.get(name) else { continue };
        let mut placement = &sidecar.placement;
        while let Placement::Before(target) | Placement::After(target) = placement
            && !standing.contains_key(target.as_str())
            && let Some(beside) = by_name.get(target.as_str())
        {
            placement = &beside.placement;
        }
        let block = order.block(placement);
        let is_of_block =
            |name: &&str| order.position(name).is_some_and(|position| block.contains(&position));
        let together = together(placement, names, &standing, is_of_block);
        let earlier = order.names[block.start.min(position)..position].iter();
        let behind = earlier
            .filter_map(|earlier| standing.get(earlier))
            .filter(|index| together.contains(index))
            .max();
        let gap = behind.map_or(together.start, |index| index + 1);
        // In one gap, what belongs to the container before it stands before what belongs to the next.
        let belongs_to_next = matches!(placement, Placement::Before(_) | Placement::Last);
        places.push(((gap, belongs_to_next), *sidecar));
    }
    places.sort_by_key(|(key, _)| *key);
    places.into_iter().map(|((gap, _), sidecar)| (gap, sidecar)).collect()
}

/// Where the containers of a block stand together in the place that is theirs.
fn together(
    placement: &Placement,
    names: &[&str],
    standing: &HashMap<&str, usize>,
    is_of_block: impl Fn(&&str) -> bool,
) -> Range<usize> {
    let up = |start: usize| {
        let found = names[start..].iter().take_while(|name| is_of_block(name)).count();
        start..start + found
    };
    let down = |end: usize| {
        let found = names[..end].iter().rev().take_while(|name| is_of_block(name)).count();
        end - found..end
    };
    let index = |target: &str| standing.get(target).copied();
    match placement {
        Placement::First => up(0),
        Placement::Last => down(names.len()),
        Placement::Before(target) => down(index(target).unwrap_or(0)),
        Placement::After(target) => up(index(target).map_or(names.len(), |index| index + 1)),
    }
}
