//! Amounts of pods in `spec.rollout`.

use crds::PolicySpec;
use serde_json::Value;

use crate::problem::Problems;

pub(super) fn check(spec: &PolicySpec, problems: &mut Problems) {
    let Some(rollout) = &spec.rollout else { return };
    if let Some(amount) = &rollout.max_unavailable
        && !amount.as_i64().map_or_else(|| is_percentage(amount, 1), |pods| pods >= 1)
    {
        let message = "must be a number of pods from 1 or a percentage from \"1%\" to \"100%\"";
        problems.add("spec.rollout.maxUnavailable", message);
    }
    match &rollout.partition {
        // Webhook and operator know different numbers of pods at times, and would disagree which of
        // them are so many.
        Some(amount) if amount.as_i64().is_some_and(|pods| pods > 0) => {
            let message = "is a number of pods; write a percentage, such as \"10%\"";
            problems.add("spec.rollout.partition", message);
        }
        Some(amount) if amount.as_i64() != Some(0) && !is_percentage(amount, 0) => {
            let message = "must be a percentage from \"0%\" to \"100%\"";
            problems.add("spec.rollout.partition", message);
        }
        _ => {}
    }
}

/// Whether it is a percentage from `least` to 100, written without leading zeros.
fn is_percentage(amount: &Value, least: u8) -> bool {
    let digits = amount.as_str().and_then(|text| text.strip_suffix('%'));
    let percent = digits.and_then(|digits| Some((digits, digits.parse::<u8>().ok()?)));
    percent.is_some_and(|(digits, percent)| {
        (least..=100).contains(&percent) && percent.to_string() == digits
    })
}
