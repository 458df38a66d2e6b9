//! What the API server demands of single fields of containers and volumes: words, ranges, and
//! parts that have to be there.

use std::collections::HashSet;

use serde_json::Value;

use super::{Fields, elements, is_set};
use crate::{problem::Problems, quantity::Quantity};

/// Longest name of a port.
const PORT_NAME_LENGTH: usize = 15;
/// All permission bits of a file.
const FILE_MODE: i64 = 0o777;
/// Largest number that the API server takes in a field of 32 bits.
const LARGEST: i64 = i32::MAX as i64;

/// Checks the fields of a container of our own that have a fixed set of values.
pub(super) fn words(fields: &Fields, path: &str, problems: &mut Problems) {
    word(fields, "imagePullPolicy", &["Always", "IfNotPresent", "Never"], path, problems);
    let policies = ["File", "FallbackToLogsOnError"];
    word(fields, "terminationMessagePolicy", &policies, path, problems);
}

/// Checks a probe beside its handler; `name` is its field.
pub(super) fn probe(probe: &Fields, name: &str, path: &str, problems: &mut Problems) {
    let numbers = [
        "initialDelaySeconds",
        "timeoutSeconds",
        "periodSeconds",
        "successThreshold",
        "failureThreshold",
    ];
    for field in numbers {
        number(probe, field, 0..=LARGEST, path, problems);
    }
    if name != "readinessProbe" {
        number(probe, "successThreshold", 0..=1, path, problems);
        number(probe, "terminationGracePeriodSeconds", 1..=LARGEST, path, problems);
    } else if is_set(probe, "terminationGracePeriodSeconds") {
        let path = format!("{path}.terminationGracePeriodSeconds");
        problems.add(path, "is not allowed in a readiness probe");
    }
}

/// Checks the handler of a probe or hook.
pub(super) fn handler(fields: &Fields, path: &str, problems: &mut Problems) {
    if let Some(exec) = fields.get("exec").and_then(Value::as_object)
        && exec.get("command").and_then(Value::as_array).is_none_or(Vec::is_empty)
    {
        problems.add(format!("{path}.exec.command"), "is missing");
    }
    if let Some(sleep) = fields.get("sleep").and_then(Value::as_object) {
        number(sleep, "seconds", 0..=LARGEST, &format!("{path}.sleep"), problems);
    }
    for name in ["httpGet", "tcpSocket", "grpc"] {
        let Some(action) = fields.get(name).and_then(Value::as_object) else { continue };
        let path = format!("{path}.{name}");
        word(action, "scheme", &["HTTP", "HTTPS"], &path, problems);
        match action.get("port") {
            Some(Value::String(name)) => port_name(name, &format!("{path}.port"), problems),
            _ => number(action, "port", 1..=65535, &path, problems),
        }
    }
}

/// Checks the ports of a container of our own.
pub(super) fn ports(fields: &Fields, path: &str, problems: &mut Problems) {
    let (mut names, mut on_node) = (HashSet::new(), HashSet::new());
    for (index, port) in elements(fields, "ports") {
        let Some(port) = port.as_object() else { continue };
        let path = format!("{path}.ports[{index}]");
        word(port, "protocol", &["TCP", "UDP", "SCTP"], &path, problems);
        number(port, "hostPort", 0..=65535, &path, problems);
        let text = |field: &str| port.get(field).and_then(Value::as_str).unwrap_or_default();
        let name = text("name");
        if !name.is_empty() {
            let path = format!("{path}.name");
            port_name(name, &path, problems);
            if !names.insert(name) {
                problems.add(path, format!("{name:?} is used twice"));
            }
        }
        let host_port = port.get("hostPort").and_then(Value::as_i64).unwrap_or_default();
        let protocol = if text("protocol").is_empty() { "TCP" } else { text("protocol") };
        if host_port != 0 && !on_node.insert((protocol, text("hostIP"), host_port)) {
            problems.add(format!("{path}.hostPort"), format!("{host_port} is used twice"));
        }
    }
}

/// Checks the name of a variable and where its value is from.
pub(super) fn variable(variable: &Value, name: &str, path: &str, problems: &mut Problems) {
    if !name.bytes().all(|byte| (0x20..0x7f).contains(&byte)) {
        problems.add(format!("{path}.name"), "must be of printable ASCII characters");
    }
    if let Some(Value::Object(source)) = variable.get("valueFrom")
        && source.values().filter(|part| !part.is_null()).count() != 1
    {
        problems.add(format!("{path}.valueFrom"), "must name exactly one source");
    }
}

/// Checks the sources of variables.
pub(super) fn variable_sources(fields: &Fields, path: &str, problems: &mut Problems) {
    for (index, source) in elements(fields, "envFrom") {
        let path = format!("{path}.envFrom[{index}]");
        let kinds = ["configMapRef", "secretRef"];
        let mut named =
            kinds.iter().filter_map(|kind| Some((kind, source.get(kind)?.as_object()?)));
        match (named.next(), named.next()) {
            (Some((kind, reference)), None) => {
                required(reference, "name", &format!("{path}.{kind}"), problems);
            }
            _ => problems.add(path, "must have exactly one of configMapRef, secretRef"),
        }
    }
}

/// Checks how a volume is mounted.
pub(super) fn mount(mount: &Value, path: &str, problems: &mut Problems) {
    let Some(mount) = mount.as_object() else { return };
    let modes = ["None", "HostToContainer", "Bidirectional"];
    word(mount, "mountPropagation", &modes, path, problems);
    word(mount, "recursiveReadOnly", &["Disabled", "IfPossible", "Enabled"], path, problems);
    let text = |field: &str| mount.get(field).and_then(Value::as_str).unwrap_or_default();
    for field in ["subPath", "subPathExpr"] {
        if text(field).starts_with('/') || text(field).split('/').any(|part| part == "..") {
            problems.add(format!("{path}.{field}"), "must be relative and without '..'");
        }
    }
    if !text("subPath").is_empty() && !text("subPathExpr").is_empty() {
        problems.add(path, "must not have both subPath and subPathExpr");
    }
    let read_only = mount.get("readOnly").and_then(Value::as_bool).unwrap_or_default();
    if ["Enabled", "IfPossible"].contains(&text("recursiveReadOnly")) && !read_only {
        problems.add(format!("{path}.recursiveReadOnly"), "needs readOnly: true");
    }
}

/// Checks what a container of our own may do.
pub(super) fn privileges(fields: &Fields, path: &str, problems: &mut Problems) {
    let context = fields.get("securityContext").and_then(Value::as_object);
    let flag = |name: &str| context.and_then(|context| context.get(name)?.as_bool());
    let privileged = flag("privileged") == Some(true);
    if privileged && flag("allowPrivilegeEscalation") == Some(false) {
        problems.add(
            format!("{path}.securityContext.allowPrivilegeEscalation"),
            "must not be false in a privileged container",
        );
    }
    for name in ["runAsUser", "runAsGroup"] {
        if let Some(context) = context {
            number(context, name, 0..=LARGEST, &format!("{path}.securityContext"), problems);
        }
    }
    for (index, mount) in elements(fields, "volumeMounts") {
        if mount.get("mountPropagation").and_then(Value::as_str) == Some("Bidirectional")
            && !privileged
        {
            let path = format!("{path}.volumeMounts[{index}].mountPropagation");
            problems.add(path, "Bidirectional needs securityContext.privileged: true");
        }
    }
}

/// Checks that no resource is requested beyond its limit, or negative.
pub(super) fn resources(fields: &Fields, path: &str, problems: &mut Problems) {
    let amounts = |kind: &str| fields.get("resources")?.get(kind)?.as_object();
    for kind in ["requests", "limits"] {
        for (name, value) in amounts(kind).into_iter().flatten() {
            if amount(value).is_some_and(|amount| amount.is_negative()) {
                let path = format!("{path}.resources.{kind}.{name}");
                problems.add(path, "must not be negative");
            }
        }
    }
    for (name, requested) in amounts("requests").into_iter().flatten() {
        let limit = amounts("limits").and_then(|limits| limits.get(name)).and_then(amount);
        if let (Some(requested), Some(limit)) = (amount(requested), limit)
            && !requested.is_at_most(&limit)
        {
            let path = format!("{path}.resources.requests.{name}");
            problems.add(path, "must not be more than the limit");
        }
    }
}

/// Checks what the source of a volume cannot do without.
pub(super) fn volume(source: &Fields, path: &str, problems: &mut Problems) {
    let demanded = [
        ("secret", "secretName"),
        ("configMap", "name"),
        ("hostPath", "path"),
        ("persistentVolumeClaim", "claimName"),
        ("csi", "driver"),
        ("image", "reference"),
        ("ephemeral", "volumeClaimTemplate"),
    ];
    for (kind, field) in demanded {
        if let Some(fields) = source.get(kind).and_then(Value::as_object) {
            required(fields, field, &format!("{path}.{kind}"), problems);
        }
    }
    for kind in ["secret", "configMap", "downwardAPI", "projected"] {
        if let Some(fields) = source.get(kind).and_then(Value::as_object) {
            number(fields, "defaultMode", 0..=FILE_MODE, &format!("{path}.{kind}"), problems);
        }
    }
    if let Some(host_path) = source.get("hostPath").and_then(Value::as_object) {
        let path = format!("{path}.hostPath");
        let types = [
            "DirectoryOrCreate",
            "Directory",
            "FileOrCreate",
            "File",
            "Socket",
            "CharDevice",
            "BlockDevice",
        ];
        word(host_path, "type", &types, &path, problems);
        let on_host = host_path.get("path").and_then(Value::as_str).unwrap_or_default();
        if on_host.split('/').any(|part| part == "..") {
            problems.add(format!("{path}.path"), "must not contain '..'");
        }
    }
    let size_limit = source.get("emptyDir").and_then(|dir| dir.get("sizeLimit"));
    if size_limit.and_then(amount).is_some_and(|amount| amount.is_negative()) {
        problems.add(format!("{path}.emptyDir.sizeLimit"), "must not be negative");
    }
}

fn amount(value: &Value) -> Option<Quantity> {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    Quantity::parse(&text)
}

fn required(fields: &Fields, name: &str, path: &str, problems: &mut Problems) {
    let empty = |value: &Value| value.is_null() || value.as_str().is_some_and(str::is_empty);
    if fields.get(name).is_none_or(empty) {
        problems.add(format!("{path}.{name}"), "is missing");
    }
}

fn word(fields: &Fields, name: &str, words: &[&str], path: &str, problems: &mut Problems) {
    let Some(found) = fields.get(name).and_then(Value::as_str) else { return };
    if !found.is_empty() && !words.contains(&found) {
        let path = format!("{path}.{name}");
        problems.add(path, format!("{found:?} is not one of {}", words.join(", ")));
    }
}

fn number(
    fields: &Fields,
    name: &str,
    range: std::ops::RangeInclusive<i64>,
    path: &str,
    problems: &mut Problems,
) {
    let Some(found) = fields.get(name).and_then(Value::as_i64) else { return };
    if !range.contains(&found) {
        let message = if *range.end() == LARGEST {
            format!("must be at least {}", range.start())
        } else {
            format!("must be a number from {} to {}", range.start(), range.end())
        };
        problems.add(format!("{path}.{name}"), message);
    }
}

fn port_name(name: &str, path: &str, problems: &mut Problems) {
    let valid = (1..=PORT_NAME_LENGTH).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        && name.bytes().any(|byte| byte.is_ascii_lowercase())
        && !name.starts_with('-')
        && !name.ends_with('-')
        && !name.contains("--");
    if !valid {
        problems.add(
            path,
            format!(
                "{name:?} is not a port name: at most {PORT_NAME_LENGTH} lower-case letters, digits and single '-', one letter at least"
            ),
        );
    }
}
