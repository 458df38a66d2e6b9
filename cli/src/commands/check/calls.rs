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

/// How many configurations there are, each with a probe entry.
const CONFIGURATIONS: usize = 2;
/// Name of the probe entries.
const ENTRY: &str = "probe.sidecarpolicy.dev";

const POD_TEMPLATE: Resource = Resource::namespaced("", "v1", "PodTemplate", "podtemplates");

/// `hashes` are those of the configurations; `None` where these could not be seen.
pub(super) async fn check(
    look: &Look,
    installed: &Installed,
    hashes: Option<&BTreeSet<String>>,
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

fn judge(answer: &DryRun, hashes: Option<&BTreeSet<String>>, namespace: &str) -> Finding {
    let check = Check(GROUP, "dry-run");
    let told: BTreeSet<String> = answer
        .warnings
        .iter()
        .filter_map(|warning| warning.strip_prefix(&format!("{}: ", crds::keys::PROBE)))
        .map(str::to_owned)
        .collect();
    // An answer that refuses the object for another reason is as good a proof.
    match hashes {
        Some(hashes) if !hashes.is_empty() && hashes.is_subset(&told) => {
            return check.ok("the API server calls it by the configurations as they are");
        }
        None if told.len() >= CONFIGURATIONS => {
            return check.ok(
                "the API server calls it; whether by the configurations as they are was not looked at",
            );
        }
        _ => {}
    }
    if let Err(refusal) = &answer.outcome {
        return refused(refusal, namespace);
    }
    let what = match (told.is_empty(), hashes) {
        (true, _) => "does not call it",
        (false, Some(_)) => "calls it by earlier configurations",
        (false, None) => "calls it by one of its two configurations only",
    };
    check.failed(
        format!("the API server {what}"),
        "run this again in a few seconds: it takes over a configuration within some; docs/guides/injection-is-down.md helps if that lasts",
    )
}

/// What it means that the API server refuses the object, where the webhook was not seen to be called.
fn refused(refusal: &Refusal, namespace: &str) -> Finding {
    let check = Check(GROUP, "dry-run");
    let Refusal { code, message } = refusal;
    if refusal.is_for_lack_of_right() {
        let hint = format!(
            "ask for the right to create podtemplates in the namespace {namespace}: {message}"
        );
        return check.warning("the API server was not asked to call it", hint);
    }
    if message.contains(&format!("failed calling webhook \"{ENTRY}\"")) {
        return check.failed(format!("the API server cannot call it: {message}"), hint(message));
    }
    if *code == 404 {
        return check.failed(
            format!("the API server cannot be asked to call it: {message}"),
            format!(
                "helm upgrade brings the namespace {namespace} back; the operator asks there too, and holds no policy \
                 for ready before"
            ),
        );
    }
    check.warning(
        format!(
            "the API server was asked to call it, and refused to for another reason: {message}"
        ),
        format!(
            "nothing is stored; what refuses it may let podtemplates into the namespace {namespace}"
        ),
    )
}

/// What is usually behind the words of the API server.
fn hint(message: &str) -> &'static str {
    if message.contains("x509") || message.contains("tls:") {
        "the API server does not trust what the webhook serves; the operator puts that right, its logs say what keeps it from that"
    } else if message.contains("no endpoints available") {
        "no replica of the webhook is ready"
    } else if message.contains("service \"") && message.contains("not found") {
        "helm upgrade brings the webhook's Service back"
    } else {
        "something may block the way from the API server to port 8443 of the webhook's pods, such as a network policy or a firewall between control plane and nodes"
    }
}

#[cfg(test)]
mod tests {
    use super::{super::finding::State, *};

    const FORBIDDEN: &str =
        "podtemplates is forbidden: User \"a\" cannot create resource \"podtemplates\"";
    const NOT_TRUSTED: &str = "failed calling webhook \"probe.sidecarpolicy.dev\": x509: unknown";

    /// What is made of these warnings, where these hashes are expected.
    fn judged(
        hashes: Option<&[&str]>,
        told: &[&str],
        outcome: Result<Value, (u64, &str)>,
    ) -> (State, String) {
        let hashes = hashes.map(|hashes| hashes.iter().map(ToString::to_string).collect());
        let warnings = told.iter().map(|text| format!("sidecarpolicy.dev/probe: {text}"));
        let outcome =
            outcome.map_err(|(code, message)| Refusal { code, message: message.to_owned() });
        let answer = DryRun { warnings: warnings.collect(), outcome };
        let Finding { state, message, .. } = judge(&answer, hashes.as_ref(), "dry-run");
        (state, message)
    }

    #[test]
    fn both_hashes_have_to_be_told() {
        let both = Some(["a", "b"].as_slice());
        for (told, outcome, state, words) in [
            (["a", "b"].as_slice(), Ok(json!({})), State::Ok, "as they are"),
            (&["a", "b", "c"], Ok(json!({})), State::Ok, "as they are"),
            (&["a", "b"], Err((403, "denied by another")), State::Ok, "as they are"),
            (&["a"], Ok(json!({})), State::Failed, "earlier configurations"),
            (&["c", "d"], Ok(json!({})), State::Failed, "earlier configurations"),
            (&[], Ok(json!({})), State::Failed, "does not call it"),
            (&[], Err((500, NOT_TRUSTED)), State::Failed, "x509"),
            (&["a"], Err((500, NOT_TRUSTED)), State::Failed, "cannot call it"),
        ] {
            let (found, message) = judged(both, told, outcome);
            assert_eq!(found, state, "{told:?}: {message}");
            assert!(message.contains(words), "{told:?}: {message}");
        }
    }

    #[test]
    fn without_a_look_at_the_configurations_it_is_seen_that_both_are_gone_by() {
        for (told, state, words) in [
            (["a", "b"].as_slice(), State::Ok, "was not looked at"),
            (&["a"], State::Failed, "one of its two"),
            (&[], State::Failed, "does not call it"),
        ] {
            let (found, message) = judged(None, told, Ok(json!({})));
            assert_eq!(found, state, "{told:?}: {message}");
            assert!(message.contains(words), "{told:?}: {message}");
        }
        let (found, message) = judged(Some(&[]), &["a", "b"], Ok(json!({})));
        assert_eq!(found, State::Failed, "those that are there have no hash: {message}");
    }

    #[test]
    fn a_refusal_is_the_webhooks_only_where_it_says_so() {
        for (code, message, state, words) in [
            (403, FORBIDDEN, State::Warning, "was not asked"),
            (
                403,
                "podtemplates \"a\" is forbidden: exceeded quota",
                State::Warning,
                "another reason",
            ),
            (500, "failed calling webhook \"a.mesh.io\": x509", State::Warning, "another reason"),
            (404, "namespaces \"dry-run\" not found", State::Failed, "cannot be asked"),
            (500, NOT_TRUSTED, State::Failed, "cannot call it"),
        ] {
            let (found, told) = judged(Some(&["a", "b"]), &[], Err((code, message)));
            assert_eq!(found, state, "{told}");
            assert!(told.contains(words), "{told}");
        }
    }
}
