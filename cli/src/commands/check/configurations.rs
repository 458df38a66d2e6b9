//! The webhook configurations: there, filled, and of an authority that signed what the webhook serves.

use std::{collections::BTreeSet, sync::Arc};

use base64::{Engine, engine::general_purpose::STANDARD};
use rustls::{
    RootCertStore,
    client::{WebPkiServerVerifier, danger::ServerCertVerifier},
    crypto::ring,
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
};
use serde_json::Value;

use super::{
    finding::{Check, Finding},
    look::{Look, text},
    programs::Installed,
};
use crate::cluster::Resource;

const GROUP: &str = "Webhook configurations";
const ADMISSION: &str = "admissionregistration.k8s.io";
/// Entries of ours end with it.
const OURS: &str = ".sidecarpolicy.dev";
/// Before the hash of a configuration, in the path of its probe entry.
const PROBE_PATH: &str = "/probe/";

pub(super) const MUTATING: Resource = Resource::cluster(
    ADMISSION,
    "v1",
    "MutatingWebhookConfiguration",
    "mutatingwebhookconfigurations",
);
const VALIDATING: Resource = Resource::cluster(
    ADMISSION,
    "v1",
    "ValidatingWebhookConfiguration",
    "validatingwebhookconfigurations",
);
const SECRET: Resource = Resource::namespaced("", "v1", "Secret", "secrets");

/// What was found, and the hashes that the webhook tells when it is called by the configurations.
pub(super) async fn check(look: &Look, installed: &Installed) -> (Vec<Finding>, BTreeSet<String>) {
    let (mut findings, mut entries) = (Vec::new(), Vec::new());
    for resource in [&MUTATING, &VALIDATING] {
        let check = Check(GROUP, "configuration");
        let name = format!("{} {}", resource.kind, installed.release);
        findings.push(match look.object(resource, "", &installed.release).await {
            Ok(Some(configuration)) => {
                let own = own_entries(&configuration);
                let finding = judge(&name, &own, installed);
                entries.extend(own);
                finding
            }
            Ok(None) => check.failed(
                format!("{name} is not there, so the API server does not call the webhook"),
                "helm upgrade brings it back, and the operator fills it",
            ),
            Err(error) => check.failed(format!("{name} cannot be seen"), error.to_string()),
        });
    }
    if !entries.is_empty() {
        findings.push(certificate(look, installed, &entries).await);
    }
    (findings, entries.iter().filter_map(hash).collect())
}

fn own_entries(configuration: &Value) -> Vec<Value> {
    let entries = configuration["webhooks"].as_array().into_iter().flatten();
    entries.filter(|entry| text(entry, "/name").ends_with(OURS)).cloned().collect()
}

fn hash(entry: &Value) -> Option<String> {
    let path = text(entry, "/clientConfig/service/path");
    path.strip_prefix(PROBE_PATH).map(str::to_owned)
}

fn judge(name: &str, entries: &[Value], installed: &Installed) -> Finding {
    let check = Check(GROUP, "configuration");
    let logs = format!(
        "the operator fills it: kubectl -n {} logs deployment/{}-operator says what keeps it from that",
        installed.namespace, installed.release
    );
    if !entries.iter().any(|entry| hash(entry).is_some()) {
        return check.failed(
            format!("{name} is not filled, so the API server does not call the webhook"),
            logs,
        );
    }
    if let Some(elsewhere) = entries.iter().find(|entry| !is_to(entry, installed)) {
        let told = format!(
            "{name}: its entry {} does not lead to the webhook's Service",
            text(elsewhere, "/name")
        );
        return check.failed(told, logs);
    }
    let bundles: BTreeSet<&str> =
        entries.iter().map(|entry| text(entry, "/clientConfig/caBundle")).collect();
    if bundles.len() != 1 {
        return check.failed(format!("{name}: its entries trust different authorities"), logs);
    }
    let fail = entries.iter().filter(|entry| entry["failurePolicy"] == "Fail").count();
    // The probe entry says Fail too, and fails nothing but dry runs of the operator.
    let told = match fail.saturating_sub(1) {
        0 => "nothing is refused while the webhook is away".to_owned(),
        1 => "1 entry refuses objects while the webhook is away".to_owned(),
        count => format!("{count} entries refuse objects while the webhook is away"),
    };
    check.ok(format!("{name} is filled, with {} entries; {told}", entries.len()))
}

fn is_to(entry: &Value, installed: &Installed) -> bool {
    text(entry, "/clientConfig/service/namespace") == installed.namespace
        && text(entry, "/clientConfig/service/name") == format!("{}-webhook", installed.release)
}

/// Whether the API server can trust what the webhook serves.
async fn certificate(look: &Look, installed: &Installed, entries: &[Value]) -> Finding {
    let check = Check(GROUP, "certificate");
    let Installed { namespace, release, .. } = installed;
    let name = format!("{release}-webhook-certificate");
    let hint = format!(
        "the operator puts it right: kubectl -n {namespace} logs deployment/{release}-operator says what keeps \
         it from that; with cert-manager, ca.crt in the Secret has to be the authority that signed tls.crt"
    );
    let secret = match look.object(&SECRET, namespace, &name).await {
        Ok(Some(secret)) => secret,
        Ok(None) => {
            return check.failed(
                format!("there is no Secret {name}, so the webhook has no certificate"),
                hint,
            );
        }
        Err(error) => {
            let told = "whether the entries trust the served certificate was not looked at";
            return check.warning(told, error.to_string());
        }
    };
    let served = text(&secret, "/data/tls.crt");
    let host = format!("{release}-webhook.{namespace}.svc");
    let problem = entries.iter().find_map(|entry| {
        let bundle = text(entry, "/clientConfig/caBundle");
        verify(bundle, served, &host).err().map(|why| (text(entry, "/name"), why))
    });
    match problem {
        None => check.ok(format!("the entries trust the certificate of the Secret {name}")),
        Some((entry, why)) => check.failed(
            format!("the entry {entry} does not trust the certificate of the Secret {name}: {why}"),
            hint,
        ),
    }
}

/// Both as base64 of PEM.
fn verify(bundle: &str, served: &str, host: &str) -> Result<(), String> {
    let authorities = certificates(bundle).map_err(|why| format!("its caBundle: {why}"))?;
    let served = certificates(served).map_err(|why| format!("tls.crt: {why}"))?;
    let [leaf, others @ ..] = served.as_slice() else {
        return Err("tls.crt holds no certificate".to_owned());
    };
    let mut roots = RootCertStore::empty();
    for authority in authorities {
        roots.add(authority).map_err(|error| format!("its caBundle: {error}"))?;
    }
    let provider = Arc::new(ring::default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build();
    let verifier = verifier.map_err(|error| format!("its caBundle: {error}"))?;
    let host = ServerName::try_from(host.to_owned()).map_err(|error| error.to_string())?;
    let trust = verifier.verify_server_cert(leaf, others, &host, &[], UnixTime::now());
    trust.map(|_| ()).map_err(|error| error.to_string())
}

fn certificates(base64: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let pem = STANDARD.decode(base64).map_err(|error| error.to_string())?;
    CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<_, _>>()
        .map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
    use serde_json::json;

    use super::{super::finding::State, *};

    fn installed() -> Installed {
        Installed {
            namespace: "system".to_owned(),
            release: "sidecars".to_owned(),
            operator_arguments: Vec::new(),
        }
    }

    fn entry(name: &str, path: &str, policy: &str, bundle: &str) -> Value {
        json!({
            "name": format!("{name}.sidecarpolicy.dev"), "failurePolicy": policy,
            "clientConfig": {"caBundle": bundle, "service": {
                "namespace": "system", "name": "sidecars-webhook", "path": path}},
        })
    }

    #[test]
    fn what_is_wrong_with_a_configuration_is_said() {
        let (pods, probe) = (
            entry("pods", "/mutate/pods", "Ignore", "a"),
            entry("probe", "/probe/0123", "Fail", "a"),
        );
        let mut elsewhere = pods.clone();
        elsewhere["clientConfig"]["service"]["name"] = json!("other");
        for (entries, state, words) in [
            (vec![pods.clone(), probe.clone()], State::Ok, "2 entries; nothing is refused"),
            (
                vec![entry("a", "/mutate/pods", "Fail", "a"), probe.clone()],
                State::Ok,
                "1 entry refuses",
            ),
            (vec![], State::Failed, "is not filled"),
            (vec![pods.clone()], State::Failed, "is not filled"),
            (vec![elsewhere, probe.clone()], State::Failed, "pods.sidecarpolicy.dev does not lead"),
            (
                vec![pods, entry("probe", "/probe/0123", "Fail", "b")],
                State::Failed,
                "different authorities",
            ),
        ] {
            let found = judge("It", &entries, &installed());
            assert_eq!(found.state, state, "{found:?}");
            assert!(found.message.contains(words), "{found:?}");
        }
        assert_eq!(hash(&probe).as_deref(), Some("0123"));
    }

    struct Authority(String, Issuer<'static, KeyPair>);

    fn authority() -> Authority {
        let key = KeyPair::generate().expect("a key");
        let mut parameters = CertificateParams::default();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = parameters.self_signed(&key).expect("a certificate").pem();
        Authority(STANDARD.encode(pem), Issuer::new(parameters, key))
    }

    impl Authority {
        fn sign(&self, name: &str) -> String {
            let key = KeyPair::generate().expect("a key");
            let parameters = CertificateParams::new([name.to_owned()]).expect("a name");
            let signed = parameters.signed_by(&key, &self.1).expect("a certificate");
            STANDARD.encode(signed.pem())
        }
    }

    #[test]
    fn only_the_authority_that_signed_is_trusted() {
        let (ours, other) = (authority(), authority());
        let served = ours.sign("a.system.svc");
        assert_eq!(verify(&ours.0, &served, "a.system.svc"), Ok(()));
        for (bundle, server, words) in [
            (other.0.as_str(), "a.system.svc", "invalid peer certificate"),
            (ours.0.as_str(), "b.system.svc", "not valid for name"),
            ("", "a.system.svc", "its caBundle"),
            ("?", "a.system.svc", "its caBundle"),
        ] {
            let why = verify(bundle, &served, server).expect_err(words);
            assert!(why.contains(words), "{why}");
        }
    }
}
