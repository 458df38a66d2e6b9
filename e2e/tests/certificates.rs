//! What the API server trusts and calls by, while certificates and configurations change. These tests run
//! one by one, because each affects every namespace; each leaves the installation working.
#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a test reports what went wrong by panicking"
)]

use std::collections::BTreeSet;
use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD};
use e2e::installation::{self, RELEASE, helm, kubectl_here};
use e2e::load::PodCreation;
use e2e::{Pod, TestNamespace, command, eventually, manifests};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use serde_json::{Value, json};
use time::OffsetDateTime;

const DEADLINE: Duration = Duration::from_secs(90);
const DRY_RUN_NAMESPACE: &str = "sidecar-policy-dry-run";
const LEAF: &str = "secret/sidecar-policy-webhook-certificate";
const AUTHORITY: &str = "secret/sidecar-policy-authority";
/// The year with which what the tests sign themselves ends.
const LEAF_ENDS: i32 = 2041;
const AUTHORITY_ENDS: i32 = 2042;
const HOUR: Duration = Duration::from_secs(60 * 60);
const CONFIGURATIONS: [&str; 2] =
    ["mutatingwebhookconfiguration", "validatingwebhookconfiguration"];

fn failing_policy(name: &str) -> Value {
    let mut policy = manifests::policy(name, name);
    policy["spec"]["failurePolicy"] = json!("Fail");
    policy
}

fn configuration(kind: &str) -> Value {
    let text = command::kubectl(&["get", kind, RELEASE, "-o", "json"]).expect_success();
    serde_json::from_str(&text).expect("kubectl prints JSON")
}

/// The authorities that every entry of a configuration carries, as PEM, in their order.
fn trusted_by(kind: &str) -> Vec<String> {
    const END: &str = "-----END CERTIFICATE-----\n";
    let bundles: BTreeSet<String> = configuration(kind)["webhooks"]
        .as_array()
        .expect("the configuration has entries")
        .iter()
        .map(|entry| entry["clientConfig"]["caBundle"].as_str().unwrap_or_default().to_owned())
        .collect();
    assert_eq!(bundles.len(), 1, "all entries of {kind} carry the same");
    let bundle = bundles.into_iter().next().expect("there is one");
    let pem = String::from_utf8(STANDARD.decode(bundle).expect("base64")).expect("PEM is text");
    pem.split_inclusive(END).map(ToOwned::to_owned).collect()
}

fn leaf() -> String {
    kubectl_here(&["get", LEAF, "-o", "jsonpath={.data.tls\\.crt}"])
}

/// Waits until the next pod of a new policy gets it: the operator asks every replica over TLS for that.
#[track_caller]
fn assert_served() {
    let namespace = TestNamespace::create("served");
    namespace.apply_policy(&failing_policy("probe"));
    let pod = Pod(namespace.dry_run(&manifests::pod("probe", "probe")));
    assert_eq!(pod.init_containers(), ["probe"], "{}", pod.0);
}

/// The object that the operator shows the API server.
fn probe() -> Value {
    json!({
        "apiVersion": "v1", "kind": "PodTemplate",
        "metadata": {"name": "e2e", "labels": {"sidecarpolicy.dev/probe": "configuration"}},
        "template": {"spec": manifests::pod_spec()},
    })
}

/// The hashes that the API server calls by, as the webhook tells them.
fn called_by() -> BTreeSet<String> {
    let create = ["create", "--dry-run=server", "-f", "-", "-n", DRY_RUN_NAMESPACE];
    let answer = command::kubectl_with(&create, &probe().to_string());
    assert!(answer.succeeded, "{}", answer.errors);
    let told = answer.errors.lines();
    told.filter_map(|line| line.strip_prefix("Warning: sidecarpolicy.dev/probe: "))
        .map(ToOwned::to_owned)
        .collect()
}

/// The hashes in the paths of the two configurations.
fn configured() -> BTreeSet<String> {
    let hash = |kind: &str| {
        let entries = configuration(kind)["webhooks"].clone();
        let is_probe = |entry: &&Value| entry["name"] == "probe.sidecarpolicy.dev";
        let entry = entries.as_array().and_then(|entries| entries.iter().find(is_probe).cloned());
        let path = entry.expect("a probe entry")["clientConfig"]["service"]["path"].clone();
        let hash = path.as_str().and_then(|path| path.strip_prefix("/probe/"));
        hash.expect("a path with a hash").to_owned()
    };
    CONFIGURATIONS.map(hash).into()
}

#[test]
fn a_fail_policy_is_ready_when_the_api_server_calls_by_the_configuration_that_has_its_entry() {
    let namespace = TestNamespace::create("proof");
    let mut before = configured();
    for round in 0..3 {
        let name = format!("round-{round}");
        namespace.apply_policy(&failing_policy(&name));
        // Policies of namespaces that are on their way out may still change it.
        let (now, called) = eventually("the configuration stands still", DEADLINE, || {
            let (now, called) = (configured(), called_by());
            if configured() == now { Ok((now, called)) } else { Err("it changes".to_owned()) }
        });
        assert_eq!(called, now, "the API server calls by what is written");
        assert_eq!(called.len(), 2, "both configurations tell their hash");
        assert_ne!(now, before, "its entry changes the hash");
        before = now;
    }
}

#[test]
fn nothing_but_a_dry_run_is_probed() {
    installation::require();
    let create = ["create", "-f", "-", "-n", DRY_RUN_NAMESPACE];
    let answer = command::kubectl_with(&create, &probe().to_string());
    let delete = ["delete", "podtemplate/e2e", "--ignore-not-found", "-n", DRY_RUN_NAMESPACE];
    let _ = command::kubectl(&delete);
    assert!(answer.succeeded, "{}", answer.errors);
    assert!(!answer.errors.contains("sidecarpolicy.dev/probe"), "{}", answer.errors);
    let elsewhere = TestNamespace::create("no-probe").try_dry_run(&probe());
    assert!(elsewhere.succeeded, "{}", elsewhere.errors);
    assert!(!elsewhere.errors.contains("sidecarpolicy.dev/probe"), "{}", elsewhere.errors);
}

#[test]
fn an_api_server_that_cannot_be_asked_is_told_of() {
    let namespace = TestNamespace::create("not-asked");
    let binding = BindingTakenAway::take();
    namespace.apply(&failing_policy("required"));
    eventually("the condition says that nobody can ask", DEADLINE, || {
        let policy = namespace.get("scp/required");
        let conditions = policy["status"]["conditions"].as_array().cloned().unwrap_or_default();
        let ready = conditions.into_iter().find(|condition| condition["type"] == "Ready");
        let ready = ready.unwrap_or_default();
        let says = ready["message"].as_str().is_some_and(|message| message.contains("forbidden"));
        let is_told = says && ready["reason"] == "WebhookConfigurationNotSeen";
        if is_told && ready["status"] == "Unknown" { Ok(()) } else { Err(ready.to_string()) }
    });
    drop(binding);
    namespace.wait_for_policy("scp/required");
}

/// The operator's right to ask, given back when dropped.
struct BindingTakenAway(Value);

impl BindingTakenAway {
    fn take() -> Self {
        let (binding, ns) = ("rolebinding/sidecar-policy-operator-dry-run", DRY_RUN_NAMESPACE);
        let text = command::kubectl(&["get", binding, "-n", ns, "-o", "json"]).expect_success();
        let mut object: Value = serde_json::from_str(&text).expect("kubectl prints JSON");
        for field in ["uid", "resourceVersion", "creationTimestamp"] {
            object["metadata"].as_object_mut().map(|metadata| metadata.remove(field));
        }
        let _ = command::kubectl(&["delete", binding, "-n", ns]).expect_success();
        let taken = Self(object);
        let operator = "--as=system:serviceaccount:sidecar-policy-system:sidecar-policy-operator";
        eventually("the right is gone", DEADLINE, || {
            let may = ["auth", "can-i", "create", "podtemplates", operator, "-n", ns];
            let answer = command::kubectl(&may).output;
            if answer.trim() == "no" { Ok(()) } else { Err(answer) }
        });
        taken
    }
}

impl Drop for BindingTakenAway {
    fn drop(&mut self) {
        let _ = command::kubectl_with(&["apply", "-f", "-"], &self.0.to_string());
    }
}

/// Old and new are trusted before anything is signed by the new authority, and no call fails meanwhile.
#[test]
fn a_new_authority_is_trusted_before_it_signs_and_no_call_fails() {
    let namespace = TestNamespace::create("authority");
    namespace.apply_policy(&manifests::policy("watcher", "api"));
    let creation = PodCreation::start(namespace.name(), "api", "watcher");
    let (old, old_leaf) = (trusted_by(CONFIGURATIONS[0]), leaf());
    kubectl_here(&["delete", AUTHORITY]);
    let mut seen: Vec<(bool, bool)> = Vec::new();
    eventually("the serving certificate is of the new authority", DEADLINE, || {
        // The certificate is read last: where it is new, what it needs was there before.
        let trusted = CONFIGURATIONS.map(trusted_by);
        let knows_new = trusted.iter().all(|all| all.iter().any(|one| !old.contains(one)));
        let is_new = leaf() != old_leaf;
        assert!(trusted.iter().all(|all| all.contains(&old[0])), "the old one is dropped too soon");
        if seen.last() != Some(&(knows_new, is_new)) {
            seen.push((knows_new, is_new));
        }
        if is_new { Ok(()) } else { Err(format!("{seen:?}")) }
    });
    let begin = usize::from(seen[0] == (false, false));
    assert_eq!(seen[begin..], [(true, false), (true, true)], "(trusted, serving) of the new one");
    assert_served();
    creation.assert_all_injected();
}

/// The hour is counted from the beginnings of the certificates, which an operator has as facts whenever
/// it was started. So this test need not wait for it: it writes a certificate that is so old.
#[test]
fn the_authority_before_is_dropped_an_hour_after_the_certificate_switched() {
    let namespace = TestNamespace::create("dropped");
    namespace.apply_policy(&manifests::policy("watcher", "api"));
    let creation = PodCreation::start(namespace.name(), "api", "watcher");
    let before = trusted_by(CONFIGURATIONS[0]);
    let next = Authority::new("e2e next");
    let _own_again = OwnAuthorityAgain;
    let old_leaf = leaf();
    write_authority(&next, &before[0]);
    eventually("the serving certificate is of the next authority", DEADLINE, || {
        if leaf() == old_leaf { Err("still the former".to_owned()) } else { Ok(()) }
    });
    wait_until_trusted(&next);

    // It counts as made an hour before it was, so that clocks that are behind accept it.
    let due = OffsetDateTime::now_utc() + Duration::from_secs(20);
    let (certificate, key) = next.sign(due - 2 * HOUR);
    let data = json!({"stringData": {"tls.crt": certificate, "tls.key": key}}).to_string();
    kubectl_here(&["patch", LEAF, "--type=merge", "--patch", &data]);
    eventually("only the next authority is trusted", DEADLINE, || {
        let trusted = CONFIGURATIONS.map(trusted_by);
        let is_dropped = trusted.iter().any(|all| !all.contains(&before[0]));
        // A certificate knows whole seconds only.
        let is_due = OffsetDateTime::now_utc() + Duration::from_secs(1) >= due;
        assert!(is_due || !is_dropped, "dropped too soon: {trusted:?}");
        let only_next = trusted.iter().all(|all| *all == [next.pem.clone()]);
        if only_next { Ok(()) } else { Err(format!("{trusted:?}")) }
    });
    assert_served();
    creation.assert_all_injected();
}

/// Makes an authority sign from now on, with another one still trusted.
fn write_authority(authority: &Authority, old: &str) {
    let bundle = format!("{}{old}", authority.pem);
    let key = authority.issuer.key().serialize_pem();
    let data = json!({"stringData": {"ca.crt": bundle, "ca.key": key}}).to_string();
    kubectl_here(&["patch", AUTHORITY, "--type=merge", "--patch", &data]);
}

/// Has the operator make an authority of its own again when this is dropped.
struct OwnAuthorityAgain;

impl Drop for OwnAuthorityAgain {
    fn drop(&mut self) {
        let _ = command::kubectl(&["delete", AUTHORITY, "-n", installation::NAMESPACE]);
    }
}

/// An authority of the test's own, as an issuer of cert-manager would have one.
struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new(name: &str) -> Self {
        let key = KeyPair::generate().expect("a key can be made");
        let mut parameters = CertificateParams::default();
        parameters.distinguished_name.push(DnType::CommonName, name);
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        parameters.not_before = OffsetDateTime::now_utc() - 3 * HOUR;
        parameters.not_after = date_time_ymd(AUTHORITY_ENDS, 1, 1);
        let pem = parameters.self_signed(&key).expect("a certificate can be made").pem();
        Self { pem, issuer: Issuer::new(parameters, key) }
    }

    /// Certificate and key, as PEM, for the webhook's Service.
    fn sign(&self, not_before: OffsetDateTime) -> (String, String) {
        let key = KeyPair::generate().expect("a key can be made");
        let name = "sidecar-policy-webhook.sidecar-policy-system.svc";
        let of_cluster = format!("{name}.cluster.local");
        let names = [name, &of_cluster, "sidecar-policy-webhook.sidecar-policy-system"];
        let names = names.map(ToOwned::to_owned);
        let mut parameters = CertificateParams::new(names).expect("names");
        parameters.distinguished_name.push(DnType::CommonName, name);
        parameters.not_before = not_before;
        parameters.not_after = date_time_ymd(LEAF_ENDS, 1, 1);
        let signed = parameters.signed_by(&key, &self.issuer).expect("it can be signed");
        (signed.pem(), key.serialize_pem())
    }
}

/// Writes the Secret as cert-manager does: server-side apply with force.
fn write_as_cert_manager((certificate, key): &(String, String), authorities: &str) {
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
        "metadata": {
            "name": "sidecar-policy-webhook-certificate",
            "annotations": {
                "cert-manager.io/certificate-name": "sidecar-policy-webhook",
                "cert-manager.io/issuer-kind": "Issuer",
                "cert-manager.io/issuer-name": "sidecar-policy-authority",
            },
        },
        "stringData": {"tls.crt": certificate, "tls.key": key, "ca.crt": authorities},
    });
    let apply = ["apply", "--server-side", "--force-conflicts", "-f", "-"];
    let manager = ["--field-manager=cert-manager-certificates-issuing", "-n"];
    let arguments = [&apply[..], &manager[..], &[installation::NAMESPACE]].concat();
    let _ = command::kubectl_with(&arguments, &secret.to_string()).expect_success();
}

#[track_caller]
fn wait_until_trusted(expected: &Authority) {
    eventually("both configurations carry the authority", DEADLINE, || {
        let trusted = CONFIGURATIONS.map(trusted_by);
        if trusted.iter().all(|all| all.contains(&expected.pem)) {
            Ok(())
        } else {
            Err(format!("{trusted:?}"))
        }
    });
}

/// What the leader measures.
fn measured(certificate: &str) -> String {
    let jsonpath = "jsonpath={.spec.holderIdentity}";
    let leader = kubectl_here(&["get", "lease/sidecar-policy-operator", "-o", jsonpath]);
    let namespace = installation::NAMESPACE;
    let path = format!("/api/v1/namespaces/{namespace}/pods/{leader}:8080/proxy/metrics");
    let metrics = command::kubectl(&["get", "--raw", &path]).output;
    let name = "sidecar_policy_operator_certificate_expiry_timestamp_seconds";
    let start = format!("{name}{{certificate=\"{certificate}\"}} ");
    let line = metrics.lines().find_map(|line| line.strip_prefix(&start));
    line.unwrap_or_default().to_owned()
}

/// cert-manager itself is played by the test; its kinds are there by name only.
#[test]
fn with_cert_manager_the_authority_of_the_secret_is_published() {
    let namespace = TestNamespace::create("cert-manager");
    let _end = CertManagerGone;
    for (kind, plural) in [("Issuer", "issuers"), ("Certificate", "certificates")] {
        namespace.apply(&definition(kind, plural));
        let crd = format!("crd/{plural}.cert-manager.io");
        namespace.kubectl(&["wait", &crd, "--for=condition=Established", "--timeout=60s"]);
    }
    namespace.apply_policy(&manifests::policy("watcher", "api"));
    change_over(true);
    assert_served();

    let first = Authority::new("first");
    let former = first.sign(OffsetDateTime::now_utc());
    write_as_cert_manager(&former, &first.pem);
    wait_until_trusted(&first);
    assert_served();
    eventually("what is measured is what is served", DEADLINE, || {
        let found = [measured("webhook"), measured("authority")];
        let expected = [LEAF_ENDS, AUTHORITY_ENDS]
            .map(|year| date_time_ymd(year, 1, 1).unix_timestamp().to_string());
        if found == expected { Ok(()) } else { Err(format!("{found:?}")) }
    });

    // An issuer that makes its next authority known before it signs with it.
    let creation = PodCreation::start(namespace.name(), "api", "watcher");
    let second = Authority::new("second");
    write_as_cert_manager(&former, &format!("{}{}", second.pem, first.pem));
    wait_until_trusted(&second);
    assert_served();
    write_as_cert_manager(&second.sign(OffsetDateTime::now_utc()), &second.pem);
    assert_served();
    assert!(trusted_by(CONFIGURATIONS[0]).contains(&first.pem), "the former stays for a while");

    let of_cert_manager = leaf();
    kubectl_here(&["delete", "secret", "sidecar-policy-authority", "--ignore-not-found"]);
    change_over(false);
    eventually("the operator makes the certificate again", DEADLINE, || {
        if leaf() == of_cert_manager { Err("still the former".to_owned()) } else { Ok(()) }
    });
    assert_served();
    creation.assert_all_injected();
}

#[track_caller]
fn change_over(to_cert_manager: bool) {
    let chart = concat!(env!("CARGO_MANIFEST_DIR"), "/../charts/sidecar-policy");
    let value = format!("--set=certificates.certManager.enabled={to_cert_manager}");
    let upgrade = ["upgrade", RELEASE, chart, "--reset-then-reuse-values", "--wait", &value];
    let _ = helm(&[&upgrade[..], &["--timeout=3m"]].concat()).expect_success();
}

/// A kind of cert-manager's with any content, which nobody carries out.
fn definition(kind: &str, plural: &str) -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{plural}.cert-manager.io")},
        "spec": {
            "group": "cert-manager.io", "scope": "Namespaced",
            "names": {"kind": kind, "plural": plural, "singular": kind.to_lowercase()},
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "schema": {"openAPIV3Schema": {
                    "type": "object", "x-kubernetes-preserve-unknown-fields": true,
                }},
            }],
        },
    })
}

/// Puts the installation back and takes the kinds away when dropped.
struct CertManagerGone;

impl Drop for CertManagerGone {
    fn drop(&mut self) {
        drop(installation::InstalledAgain);
        let names = ["crd/issuers.cert-manager.io", "crd/certificates.cert-manager.io"];
        let _ = command::kubectl(&[&["delete", "--ignore-not-found"], &names[..]].concat());
    }
}
