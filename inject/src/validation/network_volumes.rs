//! Volumes of storage systems that Kubernetes has types for: what their drivers cannot do without.

use crate::problem::Problems;

use super::{mounts, names, object::Object};

/// Fields that a source cannot do without.
const REQUIRED: [(&str, &[&str]); 18] = [
    ("nfs", &["server", "path"]),
    ("iscsi", &["targetPortal", "iqn"]),
    ("gcePersistentDisk", &["pdName"]),
    ("awsElasticBlockStore", &["volumeID"]),
    ("glusterfs", &["endpoints", "path"]),
    ("rbd", &["image"]),
    ("cinder", &["volumeID"]),
    ("azureFile", &["secretName", "shareName"]),
    ("azureDisk", &["diskName", "diskURI"]),
    ("vsphereVolume", &["volumePath"]),
    ("photonPersistentDisk", &["pdID"]),
    ("portworxVolume", &["volumeID"]),
    ("scaleIO", &["gateway", "system", "volumeName"]),
    ("storageos", &["volumeName"]),
    ("quobyte", &["registry", "volume"]),
    ("flexVolume", &["driver"]),
    ("gitRepo", &["repository"]),
    ("fc", &[]),
];
/// Longest name of a volume and its portal together, where iSCSI names the initiator.
const ISCSI_NAME_LENGTH: usize = 64;
/// Longest tenant of Quobyte.
const TENANT_LENGTH: usize = 64;

/// Checks the sources that are of a storage system.
pub(super) fn check(volume: &Object<'_>, problems: &mut Problems) {
    for (kind, fields) in REQUIRED {
        let Some(source) = volume.object(kind) else { continue };
        for field in fields {
            source.require(field, problems);
        }
        match kind {
            "nfs" if source.filled("path").is_some_and(|path| !path.starts_with('/')) => {
                problems.add(source.at("path"), "must be absolute");
            }
            "iscsi" => iscsi(volume, &source, problems),
            "fc" => fibre_channel(&source, problems),
            "gcePersistentDisk" | "awsElasticBlockStore" => {
                source.range("partition", 0..=255, problems);
            }
            "cinder" | "storageos" => {
                if let Some(reference) = source.object("secretRef") {
                    reference.require("name", problems);
                }
            }
            "azureDisk" => azure_disk(&source, problems),
            "quobyte" => quobyte(&source, problems),
            "flexVolume" => flex_volume(&source, problems),
            "gitRepo" => {
                let directory = source.text("directory").unwrap_or_default();
                if directory.starts_with('/') || mounts::has_parent(directory) {
                    problems.add(source.at("directory"), "must be relative and without '..'");
                }
            }
            _ => {}
        }
    }
    for kind in ["rbd", "cephfs"] {
        if let Some(source) = volume.object(kind)
            && source.length("monitors") == 0
        {
            problems.add(source.at("monitors"), "is missing");
        }
    }
    if let Some(source) = volume.object("storageos") {
        for field in ["volumeName", "volumeNamespace"] {
            if let Some(name) = source.filled(field).filter(|name| !names::is_dns_label(name)) {
                problems.add(source.at(field), format!("{name:?} {}", names::DNS_LABEL));
            }
        }
    }
    if let Some(source) = volume.object("flocker") {
        let fields = ["datasetName", "datasetUUID"];
        if fields.iter().filter(|field| source.has(field)).count() != 1 {
            problems.add(source.path(), "must have exactly one of datasetName, datasetUUID");
        }
        if source.text("datasetName").is_some_and(|name| name.contains('/')) {
            problems.add(source.at("datasetName"), "must not contain '/'");
        }
    }
}

fn iscsi(volume: &Object<'_>, source: &Object<'_>, problems: &mut Problems) {
    source.range("lun", 0..=255, problems);
    for field in ["iqn", "initiatorName"] {
        if let Some(name) = source.filled(field).filter(|name| !is_iscsi_name(name)) {
            let message = format!("{name:?} is not a name such as iqn.2001-04.com.example:storage");
            problems.add(source.at(field), message);
        }
    }
    let authenticates = ["chapAuthDiscovery", "chapAuthSession"];
    if authenticates.iter().any(|field| source.flag(field) == Some(true)) {
        source.require("secretRef", problems);
    }
    let length = |object: &Object<'_>, field: &str| object.text(field).unwrap_or_default().len();
    if source.has("initiatorName")
        && length(volume, "name") + 1 + length(source, "targetPortal") > ISCSI_NAME_LENGTH
    {
        let message = format!(
            "must have, together with the name of the volume, less than {ISCSI_NAME_LENGTH} characters where initiatorName is set"
        );
        problems.add(source.at("targetPortal"), message);
    }
}

fn is_iscsi_name(name: &str) -> bool {
    let extended = |prefix: &str, length: usize| {
        name.strip_prefix(prefix).is_some_and(|rest| {
            let mut characters = rest.chars();
            characters.next().is_some()
                && rest.len() == length + 1
                && characters.all(|character| character.is_ascii_alphanumeric())
        })
    };
    extended("eui", 16) || extended("naa", 32) || is_qualified_iscsi_name(name)
}

/// `iqn.YYYY-MM.REVERSED.DOMAIN:NAME`.
fn is_qualified_iscsi_name(name: &str) -> bool {
    let Some(rest) = name.strip_prefix("iqn.") else { return false };
    let Some((date, rest)) = rest.split_once('.') else { return false };
    let Some((domain, name)) = rest.split_once(':') else { return false };
    let is_date = date.len() == 7
        && date.bytes().enumerate().all(
            |(at, byte)| {
                if at == 4 { byte == b'-' } else { byte.is_ascii_digit() }
            },
        );
    is_date
        && !domain.is_empty()
        && domain.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.".contains(&byte))
        && !name.is_empty()
        && !name.contains(|character: char| {
            ",;*&$|".contains(character) || character.is_ascii_whitespace()
        })
}

fn fibre_channel(source: &Object<'_>, problems: &mut Problems) {
    let ports = source.length("targetWWNs") > 0;
    if ports == (source.length("wwids") > 0) {
        problems.add(source.path(), "must have exactly one of targetWWNs, wwids");
    }
    if ports {
        source.require("lun", problems);
        source.range("lun", 0..=255, problems);
    }
}

fn azure_disk(source: &Object<'_>, problems: &mut Problems) {
    source.strict_word("cachingMode", &["None", "ReadOnly", "ReadWrite"], problems);
    source.strict_word("kind", &["Shared", "Dedicated", "Managed"], problems);
    let Some(address) = source.filled("diskURI") else { return };
    let is_managed = source.text("kind") == Some("Managed");
    // Without a kind the API server fills in Shared.
    let known = !source.has("kind") || source.text("kind").is_some();
    let start = if is_managed { "/subscriptions/" } else { "https://" };
    if known && !address.starts_with(start) {
        problems
            .add(source.at("diskURI"), format!("must begin with {start} for this kind of disk"));
    }
}

fn quobyte(source: &Object<'_>, problems: &mut Problems) {
    if source.text("tenant").is_some_and(|tenant| tenant.len() > TENANT_LENGTH) {
        problems.add(source.at("tenant"), format!("must have at most {TENANT_LENGTH} characters"));
    }
    let Some(registry) = source.filled("registry") else { return };
    let is_pair = |pair: &str| match pair.rsplit_once(':') {
        Some((host, port)) => {
            let bracketed = host.starts_with('[') && host.ends_with(']');
            !port.contains(['[', ']']) && (bracketed || !host.contains([':', '[', ']']))
        }
        None => false,
    };
    if !registry.split(',').all(is_pair) {
        let message = "must be HOST:PORT, or several of them separated by commas";
        problems.add(source.at("registry"), message);
    }
}

fn flex_volume(source: &Object<'_>, problems: &mut Problems) {
    for (key, _) in source.entries("options") {
        let domain = key.split('/').next().unwrap_or_default().to_lowercase();
        let is_of = |own: &str| {
            domain == own || domain.strip_suffix(own).is_some_and(|rest| rest.ends_with('.'))
        };
        if is_of("kubernetes.io") || is_of("k8s.io") {
            let message = format!("{key:?} must not be of kubernetes.io or k8s.io");
            problems.add(source.at("options"), message);
        }
    }
}
