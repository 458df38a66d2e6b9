//! What the injected containers of a policy ask for. Pure: containers in, sums out.

use std::collections::BTreeMap;

use crds::Overhead;
use inject::Quantity;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as Text;
use serde::{Deserialize, Serialize};

/// Resources that every node has; they are always told.
const COMMON: [&str; 3] = ["cpu", "memory", "ephemeral-storage"];
/// Most other resources that are told. Which ones a pod names is up to who makes it.
const OTHERS: usize = 13;

/// `resources` of one container, as its pod has them.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub(super) struct ContainerResources {
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    requests: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    limits: BTreeMap<String, String>,
}

/// What the containers ask for in all that one policy put into a pod.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Resources {
    requests: Amounts,
    limits: Amounts,
}

/// Resource -> amount.
type Amounts = BTreeMap<String, Quantity>;

impl ContainerResources {
    /// Whether it asks for nothing.
    pub(super) fn is_empty(&self) -> bool {
        self.requests.is_empty() && self.limits.is_empty()
    }
}

impl Resources {
    /// What the containers of these names ask for. Nothing is asked for where there is none.
    pub(super) fn sum<'n>(
        containers: &BTreeMap<String, ContainerResources>,
        names: impl Iterator<Item = &'n str>,
    ) -> Self {
        let mut sum = Self::default();
        let read =
            |(resource, text): (&String, &String)| Some((resource.clone(), Quantity::parse(text)?));
        for container in names.filter_map(|name| containers.get(name)) {
            add(&mut sum.requests, container.requests.iter().filter_map(read));
            add(&mut sum.limits, container.limits.iter().filter_map(read));
        }
        sum.bounded()
    }

    /// Without the resources that are too many. What the sum of all keeps, each of its parts keeps too:
    /// a name has no later place among the names of a part.
    fn bounded(mut self) -> Self {
        for amounts in [&mut self.requests, &mut self.limits] {
            let mut others = 0;
            amounts.retain(|resource, _| {
                let is_common = COMMON.contains(&resource.as_str());
                others += usize::from(!is_common);
                is_common || others <= OTHERS
            });
        }
        self
    }
}

/// The sum over pods, given what one asks for and how many ask for the same; `None` if it is nothing.
pub(super) fn overhead<'r>(pods: impl Iterator<Item = (&'r Resources, u64)>) -> Option<Overhead> {
    let mut sum = Resources::default();
    for (one, count) in pods {
        let times = |(resource, amount): (&String, &Quantity)| {
            Some((resource.clone(), amount.times(count)?))
        };
        add(&mut sum.requests, one.requests.iter().filter_map(times));
        add(&mut sum.limits, one.limits.iter().filter_map(times));
    }
    let sum = sum.bounded();
    let is_something = sum != Resources::default();
    is_something.then(|| Overhead { requests: written(sum.requests), limits: written(sum.limits) })
}

/// A sum of more than 38 digits stays as it is: no cluster has that much.
fn add(sum: &mut Amounts, amounts: impl Iterator<Item = (String, Quantity)>) {
    for (resource, amount) in amounts {
        let before = sum.entry(resource).or_default();
        if let Some(both) = before.plus(&amount) {
            *before = both;
        }
    }
}

fn written(amounts: Amounts) -> BTreeMap<String, Text> {
    let text = |(resource, amount): (String, Quantity)| {
        let text = amount.to_amount_of(&resource)?;
        Some((resource, Text(text)))
    };
    amounts.into_iter().filter_map(text).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What one container asks for that names these resources.
    fn asking(names: impl Iterator<Item = String>) -> Resources {
        let requests = names.map(|name| (name, "1".to_owned())).collect();
        let container = ContainerResources { requests, ..ContainerResources::default() };
        Resources::sum(&[("side".to_owned(), container)].into(), ["side"].into_iter())
    }

    #[test]
    fn thousands_of_resources_of_a_pod_do_not_fill_the_status() {
        let others = |numbers: std::ops::Range<u32>| numbers.map(|n| format!("a.example/{n:04}"));
        let common = || COMMON.map(ToOwned::to_owned).into_iter();
        let pods = [asking(others(5..5_000)), asking(common()), asking(others(0..10))];
        assert_eq!(pods[0].requests.len(), OTHERS, "nor are they kept");
        let sum = overhead(pods.iter().map(|pod| (pod, 1))).unwrap();
        let told: Vec<String> = sum.requests.keys().cloned().collect();
        let mut expected: Vec<String> = others(0..13).chain(common()).collect();
        expected.sort_unstable();
        assert_eq!(told, expected);
        assert_eq!(sum.requests["a.example/0009"].0, "2", "both pods that ask for it count");
        let backwards = overhead(pods.iter().rev().map(|pod| (pod, 1)));
        assert_eq!(backwards, Some(sum), "in whatever order");
    }
}
