//! The policies of the corpus.

use std::{fs, path::Path, sync::Arc};

use inject::{Invalid, Policy, PolicyId, compile, sample};
use serde_json::Value;

/// Every policy, compiled.
pub(crate) fn compiled() -> Vec<Arc<Policy>> {
    let policies = read();
    assert!(policies.len() >= 15, "{} policies", policies.len());
    policies
        .into_iter()
        .map(|(name, policy)| match compile_one(&policy) {
            Ok(policy) => Arc::new(policy),
            Err(invalid) => panic!("policies/{name}.yaml: {invalid}"),
        })
        .collect()
}

/// Name and content of every policy, by name.
fn read() -> Vec<(String, Value)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/policies");
    let mut policies: Vec<(String, Value)> = fs::read_dir(folder)
        .expect("the folder of policies can be read")
        .map(|entry| {
            let path = entry.unwrap().path();
            let text = fs::read_to_string(&path).unwrap();
            let policy: Value = serde_saphyr::from_str(&text)
                .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            assert_eq!(
                policy["metadata"]["name"],
                name.as_str(),
                "the file is named for the policy"
            );
            (name, policy)
        })
        .collect();
    policies.sort_unstable_by(|left, right| left.0.cmp(&right.0));
    policies
}

fn compile_one(policy: &Value) -> Result<Policy, Invalid> {
    let spec = serde_json::from_value(policy["spec"].clone()).unwrap();
    compile(id(policy), "11111111-2222-3333-4444-555555555555", 1, &spec)
}

fn id(policy: &Value) -> PolicyId {
    let name = policy["metadata"]["name"].as_str().unwrap();
    match policy["kind"].as_str().unwrap() {
        "SidecarPolicy" => PolicyId::namespaced("shop", name),
        "ClusterSidecarPolicy" => PolicyId::cluster(name),
        kind => panic!("{name}: a policy cannot be a {kind}"),
    }
}

#[test]
fn every_policy_goes_into_its_sample() {
    for (name, policy) in read() {
        let spec = serde_json::from_value(policy["spec"].clone()).unwrap();
        let sample = sample(&id(&policy), &spec).unwrap_or_else(|why| panic!("{name}: {why}"));
        let mut pod: Value = serde_json::from_str(&sample.pod).unwrap();
        let operations: json_patch::Patch = serde_json::from_str(&sample.patch).unwrap();
        json_patch::patch(&mut pod, &operations).unwrap();
        assert_eq!(pod["metadata"]["labels"]["sidecarpolicy.dev/injected"], "true", "{name}");
    }
}
