//! Finds policies by the labels that they demand.

use std::sync::Arc;

use super::policies::{Empty, Map, Policies, change};
use crate::{
    Policy,
    selector::{Demand, Selector},
};

/// What a demand for any value counts as beyond the policies that stand under it: more objects have
/// some value of a label than a particular one.
const ANY_VALUE: usize = 8;

/// Policies by label key.
#[derive(Clone, Debug, Default)]
pub(super) struct LabelIndex(Map<OfKey>);

/// The policies that demand a label.
#[derive(Clone, Debug, Default)]
struct OfKey {
    /// Those that demand a particular value; a policy that takes any of several stands under each.
    by_value: Map<Policies>,
    /// Those to which any value will do.
    any_value: Policies,
}

impl LabelIndex {
    /// The demand of a selector that the fewest other policies are found by, with their number.
    /// Policies that share one label and differ in another are so found by the other.
    pub(super) fn least_crowded<'s>(&self, selector: &'s Selector) -> Option<(usize, Demand<'s>)> {
        let crowded = selector.demands().map(|demand| (self.company(&demand), demand));
        crowded.min_by_key(|(company, _)| *company)
    }

    fn company(&self, demand: &Demand<'_>) -> usize {
        let of_key = self.0.get(demand.key);
        match demand.values {
            None => ANY_VALUE + of_key.map_or(0, |of_key| of_key.any_value.len()),
            Some(values) => {
                let found = values.iter().filter_map(|value| of_key?.by_value.get(value));
                found.map(Policies::len).max().unwrap_or_default()
            }
        }
    }

    /// Lets a policy be found by one of its demands.
    pub(super) fn insert(&mut self, demand: &Demand<'_>, policy: &Arc<Policy>) {
        self.change(demand, |policies| policies.insert(Arc::clone(policy)));
    }

    /// No longer lets a policy be found by a demand, if it was.
    pub(super) fn remove(&mut self, demand: &Demand<'_>, name: &str) {
        self.change(demand, |policies| policies.remove(name));
    }

    /// Changes the policies under each value that meets a demand.
    fn change(&mut self, demand: &Demand<'_>, change_policies: impl Fn(&mut Policies)) {
        change(&mut self.0, demand.key, |of_key| match demand.values {
            None => change_policies(&mut of_key.any_value),
            Some(values) => {
                for value in values {
                    change(&mut of_key.by_value, value, &change_policies);
                }
            }
        });
    }

    /// Adds the policies whose demand these labels meet, each once.
    pub(super) fn collect<'s, 'l, L: Iterator<Item = (&'l str, &'l str)>>(
        &'s self,
        labels: impl Fn() -> L,
        candidates: &mut Vec<&'s Policy>,
    ) {
        if self.is_empty() {
            return;
        }
        for (position, (key, value)) in labels().enumerate() {
            let Some(of_key) = self.0.get(key) else { continue };
            // Of a label that JSON names twice the first counts, as for selectors.
            if labels().take(position).any(|(earlier, _)| earlier == key) {
                continue;
            }
            let by_value = of_key.by_value.get(value).into_iter().flat_map(Policies::iter);
            candidates.extend(by_value.chain(of_key.any_value.iter()).map(Arc::as_ref));
        }
    }
}

impl Empty for LabelIndex {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Empty for OfKey {
    fn is_empty(&self) -> bool {
        self.by_value.is_empty() && self.any_value.is_empty()
    }
}
