//! Pods that a kubelet runs from a file: the API server shows a mirror of them, which nothing can go into.

use e2e::{Pod, TestNamespace, eventually, manifests};
use serde_json::{Value, json};

use crate::DEADLINE;

/// The folder from which the kubelets of kubeadm, and so of kind, run pods.
const MANIFESTS: &str = "/etc/kubernetes/manifests";

/// A pod that writes into the folder of its node's kubelet.
struct Writer<'n> {
    namespace: &'n TestNamespace,
    file: String,
}

impl<'n> Writer<'n> {
    fn create(namespace: &'n TestNamespace) -> Self {
        let mut pod = manifests::pod("writer", "writer");
        pod["spec"]["containers"][0]["volumeMounts"] =
            json!([{"name": "manifests", "mountPath": "/manifests"}]);
        pod["spec"]["volumes"] =
            json!([{"name": "manifests", "hostPath": {"path": MANIFESTS, "type": "Directory"}}]);
        // Wherever else it ran, no kubelet would look into its folder.
        pod["spec"]["tolerations"] = json!([{"operator": "Exists"}]);
        pod["spec"]["nodeSelector"] = json!({"node-role.kubernetes.io/control-plane": ""});
        namespace.create_pod(&pod);
        namespace.wait_for("pod/writer", "Ready");
        Self { namespace, file: format!("/manifests/{}.json", namespace.name()) }
    }

    fn node(&self) -> String {
        let pod = self.namespace.pod("writer");
        pod.0["spec"]["nodeName"].as_str().unwrap_or_default().to_owned()
    }

    fn write(&self, pod: &Value) {
        // The kubelet passes over files that begin with a dot, so it never reads half of one.
        let script = format!(
            "printf %s \"$1\" > /manifests/.{name} && mv /manifests/.{name} {file}",
            name = self.namespace.name(),
            file = self.file
        );
        let pod = pod.to_string();
        self.namespace.kubectl(&["exec", "pod/writer", "--", "sh", "-c", &script, "sh", &pod]);
    }
}

impl Drop for Writer<'_> {
    fn drop(&mut self) {
        let _ = self.namespace.ask(&["exec", "pod/writer", "--", "rm", "-f", &self.file]);
    }
}

#[test]
fn a_mirror_pod_is_left_as_its_kubelet_wrote_it() {
    let namespace = TestNamespace::create("mirror");
    namespace.apply_policy(&manifests::policy("watcher", "api"));
    let writer = Writer::create(&namespace);

    let mut static_pod = manifests::pod("static", "api");
    static_pod["metadata"]["namespace"] = json!(namespace.name());
    writer.write(&static_pod);
    let mirror_name = format!("static-{}", writer.node());
    let mirror = eventually("the mirror pod runs", DEADLINE, || {
        let answer = namespace.ask(&["get", "pod", &mirror_name, "-o", "json"]);
        let pod: Value = serde_json::from_str(&answer.output).map_err(|_| answer.errors)?;
        match pod["status"]["phase"].as_str() {
            Some("Running") => Ok(Pod(pod)),
            phase => Err(format!("phase {phase:?}")),
        }
    });
    assert!(mirror.annotation("kubernetes.io/config.mirror").is_some(), "{}", mirror.0);
    assert!(!mirror.is_marked() && mirror.init_containers().is_empty(), "{}", mirror.0);

    // The annotation alone, which anyone can write, is no way round a policy.
    let mut posing = manifests::pod("posing", "api");
    posing["metadata"]["annotations"] = json!({"kubernetes.io/config.mirror": "posing"});
    // The API server wants to know the node of what says to be a mirror.
    posing["spec"]["nodeName"] = json!(writer.node());
    let posing = Pod(namespace.dry_run(&posing));
    assert_eq!(posing.init_containers(), ["watcher"]);
}
