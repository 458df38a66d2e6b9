//! The answer for scripts.

use std::{
    collections::BTreeMap,
    io::{self, Write},
};

use crds::{Overhead, PodCounts, SkippedPods};
use inject::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use serde::Serialize;

use super::{State, Totals};
use crate::output::{Structured, write_structured};

pub(super) fn write(states: &[&State], form: Structured, out: &mut dyn Write) -> io::Result<()> {
    let policies = states.iter().map(|state| PolicyAnswer::of(state)).collect();
    let totals = TotalsAnswer::of(Totals::of(states));
    write_structured(&Answer { policies, totals }, form, out)
}

#[derive(Serialize)]
struct Answer<'a> {
    policies: Vec<PolicyAnswer<'a>>,
    totals: TotalsAnswer,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PolicyAnswer<'a> {
    kind: &'static str,
    namespace: Option<&'a str>,
    name: &'a str,
    mode: &'a str,
    /// `True`, `False` or `Unknown`.
    ready: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    not_ready: Option<String>,
    generation: i64,
    observed_generation: Option<i64>,
    revision: Option<&'a str>,
    pods: &'a PodCounts,
    skipped: &'a [SkippedPods],
    #[serde(skip_serializing_if = "Option::is_none")]
    overhead: Option<&'a Overhead>,
    conditions: &'a [Condition],
    /// What this program cannot read of the status.
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<&'a str>,
}

#[derive(Serialize)]
struct TotalsAnswer {
    pods: PodCounts,
    overhead: AmountsAnswer,
}

#[derive(Serialize)]
struct AmountsAnswer {
    requests: BTreeMap<String, String>,
    limits: BTreeMap<String, String>,
}

impl<'a> PolicyAnswer<'a> {
    fn of(state: &'a State) -> Self {
        let readiness = state.readiness();
        let status = &state.status;
        Self {
            kind: state.policy.kind(),
            namespace: state.policy.namespace.as_deref(),
            name: &state.policy.name,
            mode: &state.mode,
            ready: readiness.status,
            not_ready: readiness.why,
            generation: state.generation,
            observed_generation: status.observed_generation,
            revision: status.revision.as_deref(),
            pods: &status.pods,
            skipped: &status.skipped,
            overhead: status.overhead.as_ref(),
            conditions: &status.conditions,
            note: state.note.as_deref(),
        }
    }
}

impl TotalsAnswer {
    fn of(totals: Totals) -> Self {
        let amounts = |amounts: &BTreeMap<String, Quantity>| {
            let written = amounts.iter().filter_map(|(resource, amount)| {
                Some((resource.clone(), amount.to_amount_of(resource)?))
            });
            written.collect()
        };
        let overhead =
            AmountsAnswer { requests: amounts(&totals.requests), limits: amounts(&totals.limits) };
        Self { pods: totals.pods, overhead }
    }
}
