//! The API server calls the webhook: it is shown an object that only the probe entries match, and the
//! webhook answers with the hashes in the paths that it was called by, as warnings.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{
    finding::{Check, Finding},
    look::{DryRun, Look, Refusal},
    programs::Installed,
};
use crate::cluster::Resource;

const GROUP: &str = "Calls of the webhook";

const POD_TEMPLATE: Resource = Resource::namespaced("", "v1", "PodTemplate", "podtemplates");

pub(super) async fn check(
    look: &Look,
    installed: &Installed,
    hashes: &BTreeSet<String>,
) -> Finding {
    let check = Check(GROUP, "dry-run");
    let namespace = format!("{}-dry-run", installed.release);
    match look.dry_run(&POD_TEMPLATE, &namespace, &probe()).await {
        Ok(answer) => judge(&answer, hashes, &namespace),
        Err(error) => check.failed("the API server cannot be asked to call it", error.to_string()),
    }
}

fn probe() -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "PodTemplate",
        "metadata": {
            "name": "kubectl-sidecar-check",
            "labels": { crds::keys::PROBE: "configuration" },
        },
        "template": { "spec": { "containers": [{ "name": "probe", "image": "probe" }] } },
    })
}

fn judge(answer: &DryRun, hashes: &BTreeSet<String>, namespace: &str) -> Finding {
    let check = Check(GROUP, "dry-run");
    if let Err(Refusal { code, message }) = &answer.outcome {
        let is_right = *code == 403 && message.contains("cannot create resource");
        if is_right {
            let hint = format!(
                "ask for the right to create podtemplates in the namespace {namespace}: {message}"
            );
            return check.warning("the API server was not asked to call it", hint);
        }
        return check.failed(format!("the API server cannot call it: {message}"), hint(message));
    }
    let told: BTreeSet<String> = answer
        .warnings
        .iter()
        .filter_map(|warning| warning.strip_prefix(&format!("{}: ", crds::keys::PROBE)))
        .map(str::to_owned)
        .collect();
    if !hashes.is_empty() && hashes.is_subset(&told) {
        return check.ok("the API server calls it by the configurations as they are");
    }
    let what =
        if told.is_empty() { "does not call it" } else { "calls it by earlier configurations" };
    check.failed(
        format!("the API server {what}"),
        "run this again in a few seconds: it takes over a configuration within some; docs/guides/injection-is-down.md helps if that lasts",
    )
}

/// What is usually behind the words of the API server.
fn hint(message: &str) -> &'static str {
    if message.contains("x509") || message.contains("tls:") {
        "the authority in the webhook configurations did not sign what the webhook serves; the operator puts that right, its logs say what keeps it from that"
    } else if message.contains("no endpoints available") {
        "no replica of the webhook is ready"
    } else {
        "something may block the way from the API server to port 8443 of the webhook's pods, such as a network policy or a firewall between control plane and nodes"
    }
}

#[cfg(test)]
mod tests {
    use super::{super::finding::State, *};

    #[test]
    fn both_hashes_have_to_be_told() {
        let hashes: BTreeSet<String> = ["a".to_owned(), "b".to_owned()].into();
        let told = |warnings: &[&str], outcome| {
            let warnings = warnings.iter().map(|text| format!("sidecarpolicy.dev/probe: {text}"));
            judge(&DryRun { warnings: warnings.collect(), outcome }, &hashes, "dry-run")
        };
        let refused = |code, message: &str| Err(Refusal { code, message: message.to_owned() });
        assert_eq!(told(&["a", "b"], Ok(json!({}))).state, State::Ok);
        for (finding, state, words) in [
            (told(&["a"], Ok(json!({}))), State::Failed, "earlier configurations"),
            (told(&[], Ok(json!({}))), State::Failed, "does not call it"),
            (
                told(&[], refused(500, "failed calling webhook: x509: unknown")),
                State::Failed,
                "x509",
            ),
            (
                told(
                    &[],
                    refused(
                        403,
                        "podtemplates is forbidden: User \"a\" cannot create resource \"podtemplates\"",
                    ),
                ),
                State::Warning,
                "was not asked",
            ),
        ] {
            assert_eq!(finding.state, state, "{finding:?}");
            assert!(finding.message.contains(words), "{finding:?}");
        }
    }
}
