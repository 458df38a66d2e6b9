//! What the injected containers of a policy ask for. Pure: containers in, sums out.

use std::collections::BTreeMap;

use crds::Overhead;
use inject::Quantity;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as Text;
use serde::{Deserialize, Serialize};

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
        sum
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
