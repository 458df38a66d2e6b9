//! What the webhook configurations have to say. Pure: policies and facts in, entries out.
//!
//! Every call evaluates all policies, whichever entry it came through; an entry only decides what an
//! absent webhook means. So one `Ignore` entry covers all pods, and `Fail` entries are as narrow as
//! the policies that ask for them.
//!
//! Each configuration ends with a probe entry, whose path carries the hash of the others. The API server
//! takes over a configuration as a whole, so one that calls this path goes by the other entries too.

use std::collections::{BTreeMap, BTreeSet};

use inject::{Exclusions, PolicyId};
use k8s_openapi::{
    ByteString,
    api::admissionregistration::v1::{
        MutatingWebhook, RuleWithOperations, ServiceReference, ValidatingWebhook,
        WebhookClientConfig,
    },
    apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement},
};
use serde::Serialize;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::match_conditions;

/// Most `Fail` entries; beyond that they are merged.
const FAIL_ENTRIES: usize = 64;
/// Most bytes of selectors in `Fail` entries. With the authorities that every entry carries, and two
/// of them during a rotation, a configuration stays below 256 KiB.
const FAIL_BYTES: usize = 48 * 1024;
/// Most namespaces that a merged entry names; beyond that it covers all.
const MERGED_NAMESPACES: usize = 500;
/// How long the API server waits for an answer, in seconds.
const TIMEOUT_SECONDS: i32 = 5;
/// Label that every namespace carries, with its own name as value.
const NAMESPACE_NAME: &str = "kubernetes.io/metadata.name";

/// Name of the probe entry in both configurations.
pub(super) const PROBE_NAME: &str = "probe.sidecarpolicy.dev";
/// Label of the object that the probe entries match.
pub(super) const PROBE_LABEL: (&str, &str) = (crds::keys::PROBE, "configuration");

/// The pods that must not start while the webhook is away, by policy.
pub(crate) type FailScopes = BTreeMap<PolicyId, FailScope>;

/// The pods of one policy that must not start while the webhook is away.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct FailScope {
    /// Labels of the namespaces; for the cluster kind.
    pub(crate) namespace_selector: LabelSelector,
    /// Labels of the pods.
    pub(crate) pod_selector: LabelSelector,
}

/// What the entries are made of.
pub(super) struct Inputs<'i> {
    /// Policies with failure policy `Fail` that are accepted and enforced.
    pub(super) fail_scopes: &'i FailScopes,
    /// Namespaces that no policy reaches.
    pub(super) exclusions: &'i Exclusions,
    /// Authorities that the API server trusts, as PEM.
    pub(super) authorities: &'i str,
    /// Namespace of the webhook's Service.
    pub(super) service_namespace: &'i str,
    /// Name of the webhook's Service.
    pub(super) service_name: &'i str,
    /// The namespace in which the operator asks the API server by dry runs.
    pub(super) dry_run_namespace: &'i str,
}

/// The entries of both configurations.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entries {
    /// Of the mutating one.
    pub(super) mutating: Vec<MutatingWebhook>,
    /// Of the validating one.
    pub(super) validating: Vec<ValidatingWebhook>,
    /// What the probe entries tell.
    pub(super) hashes: Hashes,
    /// The policies that each `Fail` entry stands for, by its name.
    pub(super) fail_policies: BTreeMap<String, BTreeSet<PolicyId>>,
    /// Policies whose `Fail` entry is wider than their selectors, since there are too many.
    pub(super) merged: BTreeSet<PolicyId>,
}

/// Hashes of the two configurations, as hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hashes {
    /// Of the entries of the mutating one, beside the probe entry.
    pub(super) mutating: String,
    /// Of those of the validating one.
    pub(super) validating: String,
}

/// The entries as they have to be.
pub(super) fn plan(inputs: &Inputs<'_>) -> Entries {
    let (fail, merged) = bounded(fail_groups(inputs.fail_scopes, inputs.exclusions), inputs);
    let entry_name = |name: &str| format!("{name}.pods.sidecarpolicy.dev");
    let fail_policies =
        fail.iter().map(|(name, group)| (entry_name(name), group.policies.clone())).collect();
    let ignore = Entry {
        name: "ignore.pods.sidecarpolicy.dev".to_owned(),
        path: "/mutate/pods".to_owned(),
        failure_policy: "Ignore",
        namespace_selector: not_excluded(inputs.exclusions),
        object_selector: LabelSelector::default(),
    };
    let fail = fail.into_iter().map(|(name, Group { selectors, .. })| Entry {
        name: entry_name(&name),
        path: "/mutate/pods".to_owned(),
        failure_policy: "Fail",
        namespace_selector: selectors.namespaces,
        object_selector: selectors.pods,
    });
    let mut mutating: Vec<MutatingWebhook> = std::iter::once(ignore)
        .chain(fail)
        .map(|entry| mutating_webhook(entry, inputs, vec![pods_rule()]))
        .collect();
    let workloads = Entry {
        name: "workloads.sidecarpolicy.dev".to_owned(),
        path: "/mutate/workloads".to_owned(),
        failure_policy: "Ignore",
        namespace_selector: not_excluded(inputs.exclusions),
        object_selector: LabelSelector::default(),
    };
    mutating.push(MutatingWebhook {
        match_conditions: Some(match_conditions::workloads()),
        ..mutating_webhook(workloads, inputs, workload_rules())
    });
    let mut validating = vec![policies_webhook(inputs)];
    let hashes = Hashes { mutating: hash_of(&mutating), validating: hash_of(&validating) };
    mutating.push(mutating_probe(&hashes.mutating, inputs));
    validating.push(validating_probe(&hashes.validating, inputs));
    Entries { mutating, validating, hashes, fail_policies, merged }
}

fn hash_of(entries: &impl Serialize) -> String {
    short_hash(&json!(entries).to_string())
}

struct Entry {
    name: String,
    path: String,
    failure_policy: &'static str,
    namespace_selector: LabelSelector,
    object_selector: LabelSelector,
}

fn mutating_webhook(
    entry: Entry,
    inputs: &Inputs<'_>,
    rules: Vec<RuleWithOperations>,
) -> MutatingWebhook {
    MutatingWebhook {
        name: entry.name,
        admission_review_versions: vec!["v1".to_owned()],
        client_config: client_config(inputs, &entry.path),
        failure_policy: Some(entry.failure_policy.to_owned()),
        match_conditions: None,
        match_policy: Some("Equivalent".to_owned()),
        namespace_selector: Some(entry.namespace_selector),
        object_selector: Some(entry.object_selector),
        reinvocation_policy: Some("IfNeeded".to_owned()),
        rules: Some(rules),
        side_effects: "None".to_owned(),
        timeout_seconds: Some(TIMEOUT_SECONDS),
    }
}

/// Our own kinds are checked wherever they are; nothing else depends on this entry.
fn policies_webhook(inputs: &Inputs<'_>) -> ValidatingWebhook {
    ValidatingWebhook {
        name: "policies.sidecarpolicy.dev".to_owned(),
        admission_review_versions: vec!["v1".to_owned()],
        client_config: client_config(inputs, "/validate/policies"),
        failure_policy: Some("Fail".to_owned()),
        match_conditions: None,
        match_policy: Some("Equivalent".to_owned()),
        namespace_selector: Some(LabelSelector::default()),
        object_selector: Some(LabelSelector::default()),
        rules: Some(vec![rule(
            crds::GROUP,
            crds::VERSION,
            &["sidecarpolicies", "clustersidecarpolicies"],
            &["CREATE", "UPDATE"],
            "*",
        )]),
        side_effects: "None".to_owned(),
        timeout_seconds: Some(TIMEOUT_SECONDS),
    }
}

/// Matches nothing but the dry runs by which the operator asks. With failure policy `Fail` the API server
/// says why it cannot call the webhook, and nothing else can fail by it.
fn mutating_probe(hash: &str, inputs: &Inputs<'_>) -> MutatingWebhook {
    let entry = Entry {
        name: PROBE_NAME.to_owned(),
        path: probe_path(hash),
        failure_policy: "Fail",
        namespace_selector: by_name("In", [inputs.dry_run_namespace]),
        object_selector: probe_object(),
    };
    MutatingWebhook {
        match_conditions: Some(match_conditions::probe()),
        reinvocation_policy: Some("Never".to_owned()),
        ..mutating_webhook(entry, inputs, vec![pod_templates_rule()])
    }
}

fn validating_probe(hash: &str, inputs: &Inputs<'_>) -> ValidatingWebhook {
    ValidatingWebhook {
        name: PROBE_NAME.to_owned(),
        client_config: client_config(inputs, &probe_path(hash)),
        match_conditions: Some(match_conditions::probe()),
        namespace_selector: Some(by_name("In", [inputs.dry_run_namespace])),
        object_selector: Some(probe_object()),
        rules: Some(vec![pod_templates_rule()]),
        ..policies_webhook(inputs)
    }
}

fn probe_path(hash: &str) -> String {
    format!("/probe/{hash}")
}

fn probe_object() -> LabelSelector {
    let (key, value) = PROBE_LABEL;
    LabelSelector {
        match_labels: Some([(key.to_owned(), value.to_owned())].into()),
        match_expressions: None,
    }
}

fn pod_templates_rule() -> RuleWithOperations {
    rule("", "v1", &["podtemplates"], &["CREATE"], "Namespaced")
}

fn client_config(inputs: &Inputs<'_>, path: &str) -> WebhookClientConfig {
    WebhookClientConfig {
        ca_bundle: Some(ByteString(inputs.authorities.as_bytes().to_vec())),
        service: Some(ServiceReference {
            name: inputs.service_name.to_owned(),
            namespace: inputs.service_namespace.to_owned(),
            path: Some(path.to_owned()),
            port: Some(443),
        }),
        url: None,
    }
}

fn pods_rule() -> RuleWithOperations {
    rule("", "v1", &["pods"], &["CREATE"], "Namespaced")
}

fn workload_rules() -> Vec<RuleWithOperations> {
    let operations = ["CREATE", "UPDATE"];
    let apps = ["deployments", "statefulsets", "daemonsets", "replicasets"];
    vec![
        rule("apps", "v1", &apps, &operations, "Namespaced"),
        rule("batch", "v1", &["jobs", "cronjobs"], &operations, "Namespaced"),
    ]
}

fn rule(
    group: &str,
    version: &str,
    resources: &[&str],
    operations: &[&str],
    scope: &str,
) -> RuleWithOperations {
    let owned = |values: &[&str]| Some(values.iter().map(ToString::to_string).collect());
    RuleWithOperations {
        api_groups: owned(&[group]),
        api_versions: owned(&[version]),
        resources: owned(resources),
        operations: owned(operations),
        scope: Some(scope.to_owned()),
    }
}

/// A pair of selectors, as one entry carries it.
#[derive(Clone, Debug, PartialEq)]
struct Selectors {
    namespaces: LabelSelector,
    pods: LabelSelector,
}

/// The policies that share one pair of selectors.
struct Group {
    selectors: Selectors,
    policies: BTreeSet<PolicyId>,
    bytes: usize,
}

/// Groups policies by their pair of selectors, keyed by a hash of the pair.
fn fail_groups(scopes: &FailScopes, exclusions: &Exclusions) -> BTreeMap<String, Group> {
    let mut groups: BTreeMap<String, Group> = BTreeMap::new();
    for (id, scope) in scopes {
        let namespaces = match &id.namespace {
            Some(namespace) => by_name("In", [namespace.as_str()]),
            None => both(&scope.namespace_selector, &not_excluded(exclusions)),
        };
        let selectors = Selectors {
            namespaces: canonical(namespaces),
            pods: canonical(scope.pod_selector.clone()),
        };
        let text = json!([selectors.namespaces, selectors.pods]).to_string();
        let group = groups.entry(short_hash(&text)).or_insert_with(|| Group {
            selectors,
            policies: BTreeSet::new(),
            bytes: text.len(),
        });
        group.policies.insert(id.clone());
    }
    groups
}

/// Keeps the number and the size of `Fail` entries bounded: what does not fit is merged into one
/// entry of all pods, in the namespaces concerned. Gives the policies that this happened to.
fn bounded(
    groups: BTreeMap<String, Group>,
    inputs: &Inputs<'_>,
) -> (BTreeMap<String, Group>, BTreeSet<PolicyId>) {
    let total: usize = groups.values().map(|group| group.bytes).sum();
    let fits = groups.len() <= FAIL_ENTRIES && total <= FAIL_BYTES;
    // One place is left for the merged entry.
    let places = if fits { groups.len() } else { FAIL_ENTRIES - 1 };
    let mut entries = BTreeMap::new();
    let mut merged = BTreeSet::new();
    let mut bytes = 0;
    for (position, (hash, group)) in groups.into_iter().enumerate() {
        bytes += group.bytes;
        if position < places && bytes <= FAIL_BYTES {
            entries.insert(format!("fail-{hash}"), group);
        } else {
            merged.extend(group.policies);
        }
    }
    if !merged.is_empty() {
        let selectors = merged_selectors(&merged, inputs.exclusions);
        let group = Group { selectors, policies: merged.clone(), bytes: 0 };
        entries.insert("fail-merged".to_owned(), group);
    }
    (entries, merged)
}

fn merged_selectors(policies: &BTreeSet<PolicyId>, exclusions: &Exclusions) -> Selectors {
    let namespaces: Option<BTreeSet<&str>> =
        policies.iter().map(|id| id.namespace.as_deref()).collect();
    let namespaces = match namespaces {
        Some(namespaces) if namespaces.len() <= MERGED_NAMESPACES => by_name("In", namespaces),
        _ => not_excluded(exclusions),
    };
    Selectors { namespaces, pods: LabelSelector::default() }
}

fn not_excluded(exclusions: &Exclusions) -> LabelSelector {
    by_name("NotIn", exclusions.iter())
}

fn by_name<'n>(operator: &str, names: impl IntoIterator<Item = &'n str>) -> LabelSelector {
    LabelSelector {
        match_expressions: Some(vec![LabelSelectorRequirement {
            key: NAMESPACE_NAME.to_owned(),
            operator: operator.to_owned(),
            values: Some(names.into_iter().map(ToOwned::to_owned).collect()),
        }]),
        match_labels: None,
    }
}

/// A selector that demands what both demand.
fn both(left: &LabelSelector, right: &LabelSelector) -> LabelSelector {
    let mut all = left.clone();
    all.match_expressions
        .get_or_insert_default()
        .extend(right.match_expressions.iter().flatten().cloned());
    all.match_labels.get_or_insert_default().extend(
        right.match_labels.iter().flatten().map(|(key, value)| (key.clone(), value.clone())),
    );
    all
}

/// One spelling for selectors that mean the same: order and empty lists do not count.
fn canonical(mut selector: LabelSelector) -> LabelSelector {
    let mut requirements = selector.match_expressions.take().unwrap_or_default();
    for requirement in &mut requirements {
        requirement.values = requirement.values.take().filter(|values| !values.is_empty());
        if let Some(values) = &mut requirement.values {
            values.sort_unstable();
            values.dedup();
        }
    }
    requirements.sort_by(|left, right| {
        (&left.key, &left.operator, &left.values).cmp(&(&right.key, &right.operator, &right.values))
    });
    requirements.dedup();
    LabelSelector {
        match_expressions: Some(requirements).filter(|requirements| !requirements.is_empty()),
        match_labels: selector.match_labels.filter(|labels| !labels.is_empty()),
    }
}

fn short_hash(text: &str) -> String {
    let digest = Sha256::digest(text);
    digest.iter().take(8).fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"))
}

#[cfg(test)]
#[path = "entries_tests.rs"]
pub(super) mod tests;
