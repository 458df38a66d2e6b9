//! What happens to a pod between two calls of the webhook: the API server fills in defaults and
//! drops what is empty, its plugins add a token and resources, other webhooks rewrite images.

use serde_json::{Map, Value, json};

const LISTS: [&str; 2] = ["initContainers", "containers"];
const PROBES: [&str; 3] = ["livenessProbe", "readinessProbe", "startupProbe"];
const TOKEN_PATH: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// What the API server and its plugins ServiceAccount and LimitRanger make of a pod.
pub(crate) fn fill_in_defaults(pod: &mut Value) {
    drop_nulls(pod);
    let Some(spec) = pod.get_mut("spec").and_then(Value::as_object_mut) else { return };
    let host_network = spec.get("hostNetwork") == Some(&json!(true));
    for (key, value) in [
        ("restartPolicy", json!("Always")),
        ("terminationGracePeriodSeconds", json!(30)),
        ("dnsPolicy", json!("ClusterFirst")),
        ("schedulerName", json!("default-scheduler")),
        ("securityContext", json!({})),
        ("serviceAccountName", json!("default")),
    ] {
        set_default(spec, key, value);
    }
    for volume in objects(spec.get_mut("volumes")) {
        volume_defaults(volume);
    }
    for list in LISTS {
        for container in objects(spec.get_mut(list)) {
            container_defaults(container, host_network);
        }
    }
    let token = json!({"name": "kube-api-access-abcde", "projected": {"defaultMode": 420,
        "sources": [{"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}}]}});
    append(spec, "volumes", token);
}

/// What a mirror of images does: each comes from a registry of its own.
pub(crate) fn rewrite_images(pod: &mut Value) {
    for list in LISTS {
        for container in objects(pod.pointer_mut(&format!("/spec/{list}"))) {
            if let Some(Value::String(image)) = container.get_mut("image") {
                *image = format!("mirror.example.com/cache/{image}");
            }
        }
    }
}

fn container_defaults(container: &mut Map<String, Value>, host_network: bool) {
    set_default(container, "terminationMessagePath", json!("/dev/termination-log"));
    set_default(container, "terminationMessagePolicy", json!("File"));
    set_default(container, "imagePullPolicy", json!("IfNotPresent"));
    set_default(container, "resources", json!({}));
    if let Some(resources) = container.get_mut("resources").and_then(Value::as_object_mut) {
        // The API server takes a limit for the request that is not set, before LimitRanger is asked.
        let limits = resources.get("limits").and_then(Value::as_object).cloned();
        for (resource, limit) in limits.into_iter().flatten() {
            set_default(resources, "requests", json!({}));
            if let Some(requests) = resources.get_mut("requests").and_then(Value::as_object_mut) {
                set_default(requests, &resource, limit);
            }
        }
        set_default(resources, "limits", json!({"cpu": "2", "memory": "2Gi"}));
        set_default(resources, "requests", json!({"cpu": "50m", "memory": "64Mi"}));
    }
    for field in ["command", "args", "env", "envFrom", "ports", "volumeMounts"] {
        if container.get(field) == Some(&json!([])) {
            container.remove(field);
        }
    }
    for port in objects(container.get_mut("ports")) {
        set_default(port, "protocol", json!("TCP"));
        if host_network && let Some(number) = port.get("containerPort").cloned() {
            set_default(port, "hostPort", number);
        }
    }
    for variable in objects(container.get_mut("env")) {
        if variable.get("value") == Some(&json!("")) {
            variable.remove("value");
        }
        if let Some(Value::Object(field)) =
            variable.get_mut("valueFrom").and_then(|from| from.get_mut("fieldRef"))
        {
            set_default(field, "apiVersion", json!("v1"));
        }
    }
    for mount in objects(container.get_mut("volumeMounts")) {
        if mount.get("readOnly") == Some(&json!(false)) {
            mount.remove("readOnly");
        }
    }
    for probe in PROBES {
        if let Some(Value::Object(probe)) = container.get_mut(probe) {
            probe_defaults(probe);
        }
    }
    append(
        container,
        "volumeMounts",
        json!({"name": "kube-api-access-abcde", "mountPath": TOKEN_PATH, "readOnly": true}),
    );
}

fn probe_defaults(probe: &mut Map<String, Value>) {
    for (field, default) in [
        ("timeoutSeconds", 1),
        ("periodSeconds", 10),
        ("successThreshold", 1),
        ("failureThreshold", 3),
    ] {
        if probe.get(field) == Some(&json!(0)) {
            probe.remove(field);
        }
        set_default(probe, field, json!(default));
    }
    if let Some(Value::Object(request)) = probe.get_mut("httpGet") {
        set_default(request, "path", json!("/"));
        set_default(request, "scheme", json!("HTTP"));
    }
}

fn volume_defaults(volume: &mut Map<String, Value>) {
    for source in ["configMap", "secret", "projected", "downwardAPI"] {
        if let Some(Value::Object(source)) = volume.get_mut(source) {
            set_default(source, "defaultMode", json!(420));
        }
    }
    let limit = volume.get_mut("emptyDir").and_then(|directory| directory.get_mut("sizeLimit"));
    if let Some(limit) = limit
        && limit == "1024Mi"
    {
        *limit = json!("1Gi");
    }
}

fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.retain(|_, member| !member.is_null());
            members.values_mut().for_each(drop_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

fn objects(list: Option<&mut Value>) -> impl Iterator<Item = &mut Map<String, Value>> {
    list.and_then(Value::as_array_mut).into_iter().flatten().filter_map(Value::as_object_mut)
}

fn set_default(fields: &mut Map<String, Value>, key: &str, value: Value) {
    if fields.get(key).is_none_or(Value::is_null) {
        fields.insert(key.to_owned(), value);
    }
}

fn append(fields: &mut Map<String, Value>, key: &str, element: Value) {
    set_default(fields, key, json!([]));
    if let Some(Value::Array(list)) = fields.get_mut(key)
        && !list.contains(&element)
    {
        list.push(element);
    }
}
