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
use crate::cluster::{Error, Resource};

const GROUP: &str = "Webhook configurations";
const ADMISSION: &str = "admissionregistration.k8s.io";
/// Entries of ours end with it.
const OURS: &str = ".sidecarpolicy.dev";
/// Before the hash of a configuration, in the path of its probe entry.
const PROBE_PATH: &str = "/probe/";
const PODS_PATH: &str = "/mutate/pods";
const POLICIES_PATH: &str = "/validate/policies";

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

/// What was found, and the hashes that the webhook tells when it is called by the configurations; `None` where not
/// both could be seen.
pub(super) async fn check(
    look: &Look,
    installed: &Installed,
) -> (Vec<Finding>, Option<BTreeSet<String>>) {
    let (mut findings, mut entries, mut all_seen) = (Vec::new(), Vec::new(), true);
    for (resource, path) in [(&MUTATING, PODS_PATH), (&VALIDATING, POLICIES_PATH)] {
        let check = Check(GROUP, "configuration");
        let name = format!("{} {}", resource.kind, installed.release);
        findings.push(match look.object(resource, "", &installed.release).await {
            Ok(Some(configuration)) => {
                let own = own_entries(&configuration);
                let finding = judge(&name, &own, path, installed);
                entries.extend(own);
                finding
            }
            Ok(None) => check.failed(
                format!("{name} is not there, so the API server does not call the webhook"),
                "helm upgrade brings it back, and the operator fills it",
            ),
            Err(error) => {
                all_seen = false;
                not_seen(&name, &error)
            }
        });
    }
    if !entries.is_empty() {
        findings.push(certificate(look, installed, &entries).await);
    }
    (findings, all_seen.then(|| entries.iter().filter_map(hash).collect()))
}

fn not_seen(name: &str, error: &Error) -> Finding {
    let check = Check(GROUP, "configuration");
    match error {
        Error::Forbidden { .. } => {
            check.warning(format!("{name} was not looked at"), error.to_string())
        }
        _ => check.failed(format!("{name} cannot be seen"), error.to_string()),
    }
}

fn own_entries(configuration: &Value) -> Vec<Value> {
    let entries = configuration["webhooks"].as_array().into_iter().flatten();
    entries.filter(|entry| text(entry, "/name").ends_with(OURS)).cloned().collect()
}

fn hash(entry: &Value) -> Option<String> {
    let path = text(entry, "/clientConfig/service/path");
    path.strip_prefix(PROBE_PATH).map(str::to_owned)
}

/// `path` is what one entry has to lead to at least.
fn judge(name: &str, entries: &[Value], path: &str, installed: &Installed) -> Finding {
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
    if !entries.iter().any(|entry| text(entry, "/clientConfig/service/path") == path) {
        let told = format!("{name} has no entry for {path}, so the API server does not call that");
        return check.failed(told, logs);
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
    // The probe entry says Fail too, and fails nothing but dry runs that ask for it.
    let refuses = |entry: &&Value| entry["failurePolicy"] == "Fail" && hash(entry).is_none();
    let told = match entries.iter().filter(refuses).count() {
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
                format!("there is no Secret {name}, from which the webhook has its certificate"),
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
        verify(bundle, served, &host, UnixTime::now()).err().map(|why| (text(entry, "/name"), why))
    });
    match problem {
        None => check.ok(format!("the entries trust the certificate of the Secret {name}")),
        Some((_, Distrust::ByClock(why))) => check.warning(
            format!("the certificate of the Secret {name} is not valid by the clock of this machine: {why}"),
            "where this clock is right, the operator puts the certificate right; its logs say what keeps it from that",
        ),
        Some((entry, Distrust::Always(why))) => check.failed(
            format!("the entry {entry} does not trust the certificate of the Secret {name}: {why}"),
            hint,
        ),
    }
}

/// Why a certificate is not trusted.
#[derive(Debug, PartialEq, Eq)]
enum Distrust {
    /// It would be at another time; what time it is, is for the API server's clock to say.
    ByClock(String),
    /// It never is.
    Always(String),
}

impl From<String> for Distrust {
    fn from(why: String) -> Self {
        Self::Always(why)
    }
}

impl From<rustls::Error> for Distrust {
    fn from(error: rustls::Error) -> Self {
        use rustls::{CertificateError as Of, Error::InvalidCertificate};
        let why = error.to_string();
        match error {
            InvalidCertificate(
                Of::Expired
                | Of::ExpiredContext { .. }
                | Of::NotValidYet
                | Of::NotValidYetContext { .. },
            ) => Self::ByClock(why),
            _ => Self::Always(why),
        }
    }
}

/// Bundle and certificate as base64 of PEM.
fn verify(bundle: &str, served: &str, host: &str, now: UnixTime) -> Result<(), Distrust> {
    let authorities = certificates(bundle).map_err(|why| format!("its caBundle: {why}"))?;
    let served = certificates(served).map_err(|why| format!("tls.crt: {why}"))?;
    let [leaf, others @ ..] = served.as_slice() else {
        return Err("tls.crt holds no certificate".to_owned().into());
    };
    let mut roots = RootCertStore::empty();
    for authority in authorities {
        roots.add(authority).map_err(|error| format!("its caBundle: {error}"))?;
    }
    let provider = Arc::new(ring::default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build();
    let verifier = verifier.map_err(|error| format!("its caBundle: {error}"))?;
    let host = ServerName::try_from(host.to_owned()).map_err(|error| error.to_string())?;
    verifier.verify_server_cert(leaf, others, &host, &[], now)?;
    Ok(())
}

fn certificates(base64: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let pem = STANDARD.decode(base64).map_err(|error| error.to_string())?;
    CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<_, _>>()
        .map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
    use serde_json::json;

    use super::{super::finding::State, *};
    use crate::cluster::Right;

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
            (vec![probe.clone()], State::Failed, "has no entry for /mutate/pods"),
            (vec![elsewhere, probe.clone()], State::Failed, "pods.sidecarpolicy.dev does not lead"),
            (
                vec![pods, entry("probe", "/probe/0123", "Fail", "b")],
                State::Failed,
                "different authorities",
            ),
        ] {
            let found = judge("It", &entries, PODS_PATH, &installed());
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
        assert_eq!(verify(&ours.0, &served, "a.system.svc", UnixTime::now()), Ok(()));
        for (bundle, server, words) in [
            (other.0.as_str(), "a.system.svc", "invalid peer certificate"),
            (ours.0.as_str(), "b.system.svc", "not valid for name"),
            ("", "a.system.svc", "its caBundle"),
            ("?", "a.system.svc", "its caBundle"),
        ] {
            let why = verify(bundle, &served, server, UnixTime::now()).expect_err(words);
            assert!(matches!(&why, Distrust::Always(why) if why.contains(words)), "{why:?}");
        }
    }

    #[test]
    fn a_clock_that_is_wrong_is_not_taken_for_distrust() {
        let ours = authority();
        let served = ours.sign("a.system.svc");
        for years_since_1970 in [0, 10_000] {
            let now = Duration::from_secs(years_since_1970 * 365 * 24 * 60 * 60);
            let now = UnixTime::since_unix_epoch(now);
            let why = verify(&ours.0, &served, "a.system.svc", now).expect_err("not valid then");
            assert!(matches!(why, Distrust::ByClock(_)), "{why:?}");
        }
    }

    #[test]
    fn who_may_not_look_hears_which_right_is_missing() {
        let forbidden = Error::Forbidden {
            right: Right {
                verb: "get",
                resource: &MUTATING,
                namespace: None,
                name: Some("sidecars".to_owned()),
            },
            flags: String::new(),
            said: "no".to_owned(),
        };
        let found = not_seen("It", &forbidden);
        assert_eq!(found.state, State::Warning);
        let hint = found.hint.unwrap_or_default();
        assert!(hint.contains("get MutatingWebhookConfiguration sidecars"), "{hint}");
        assert_eq!(not_seen("It", &Error::Answer("?".to_owned())).state, State::Failed);
    }
}
