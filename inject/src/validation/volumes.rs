//! Volumes: one source each, with what that source cannot do without.

use std::collections::HashSet;

use k8s_openapi::api::core::v1 as core;

use crate::problem::Problems;

use super::{
    claim_template, mounts, names, network_volumes,
    object::{Object, in_range},
    typed,
    variables::{self, Taker},
};

/// All permission bits of a file.
const FILE_MODE: i64 = 0o777;
/// Seconds that a token lives at least and at most.
const TOKEN_LIFE: (i64, i64) = (600, 1 << 32);
/// Seconds that a pod's certificate lives at least and at most; one that Kubernetes itself signs
/// lives at most a day.
const CERTIFICATE_LIFE: (i64, i64) = (3600, 91 * 24 * 3600);

/// Checks a volume without its name.
pub(super) fn check(volume: &Object<'_>, problems: &mut Problems) {
    typed::check::<core::Volume>(volume, problems);
    // Sources of a newer Kubernetes count as well.
    let sources = volume
        .fields()
        .iter()
        .filter(|(name, source)| name.as_str() != "name" && !source.is_null());
    if sources.count() != 1 {
        problems.add(volume.path(), "must name exactly one source, such as emptyDir: {}");
    }
    for kind in ["secret", "configMap", "downwardAPI", "projected"] {
        if let Some(source) = volume.object(kind) {
            source.range("defaultMode", 0..=FILE_MODE, problems);
        }
    }
    for (kind, name) in [("secret", "secretName"), ("configMap", "name")] {
        if let Some(source) = volume.object(kind) {
            source.require(name, problems);
            items(&source, None, problems);
        }
    }
    if let Some(source) = volume.object("downwardAPI") {
        downward_files(&source, None, problems);
    }
    if let Some(source) = volume.object("projected") {
        projected(&source, problems);
    }
    if let Some(source) = volume.object("emptyDir")
        && source.quantity("sizeLimit", problems).is_some_and(|size| size.is_negative())
    {
        problems.add(source.at("sizeLimit"), "must not be negative");
    }
    if let Some(source) = volume.object("hostPath") {
        host_path(&source, problems);
    }
    if let Some(source) = volume.object("persistentVolumeClaim") {
        source.require("claimName", problems);
    }
    if let Some(source) = volume.object("csi") {
        csi(&source, problems);
    }
    if let Some(source) = volume.object("image") {
        source.require("reference", problems);
        source.word("pullPolicy", &["Always", "IfNotPresent", "Never"], problems);
    }
    if let Some(source) = volume.object("ephemeral") {
        source.require("volumeClaimTemplate", problems);
        if let Some(template) = source.object("volumeClaimTemplate") {
            claim_template::check(&template, problems);
        }
    }
    network_volumes::check(volume, problems);
}

fn host_path(source: &Object<'_>, problems: &mut Problems) {
    source.require("path", problems);
    let types = [
        "DirectoryOrCreate",
        "Directory",
        "FileOrCreate",
        "File",
        "Socket",
        "CharDevice",
        "BlockDevice",
    ];
    source.word("type", &types, problems);
    if source.text("path").is_some_and(mounts::has_parent) {
        problems.add(source.at("path"), "must not contain '..'");
    }
}

fn csi(source: &Object<'_>, problems: &mut Problems) {
    source.require("driver", problems);
    if let Some(driver) = source.filled("driver")
        && (driver.len() > names::LABEL_LENGTH || !names::is_dns_subdomain(&driver.to_lowercase()))
    {
        let message = format!(
            "{driver:?} must be the name of a driver: at most 63 letters, digits, '-' and '.'"
        );
        problems.add(source.at("driver"), message);
    }
    if let Some(reference) = source.object("nodePublishSecretRef") {
        reference.require("name", problems);
        variables::object_name(&reference, "name", problems);
    }
}

/// The paths of a projected volume, which all of its sources share.
type Paths<'a> = HashSet<&'a str>;

fn projected(volume: &Object<'_>, problems: &mut Problems) {
    let mut paths = Paths::new();
    for source in volume.objects("sources") {
        if source.fields().values().filter(|part| !part.is_null()).count() > 1 {
            problems.add(source.path(), "must not have more than one source");
        }
        for kind in ["secret", "configMap"] {
            if let Some(source) = source.object(kind) {
                source.require("name", problems);
                items(&source, Some(&mut paths), problems);
            }
        }
        if let Some(source) = source.object("downwardAPI") {
            downward_files(&source, Some(&mut paths), problems);
        }
        if let Some(token) = source.object("serviceAccountToken") {
            token.range("expirationSeconds", TOKEN_LIFE.0..=TOKEN_LIFE.1, problems);
            token.require("path", problems);
            // The API server does not compare it with the other paths.
            file_path(&token, "path", None, problems);
        }
        if let Some(bundle) = source.object("clusterTrustBundle") {
            if bundle.has("name") == bundle.has("signerName") {
                problems.add(bundle.path(), "must have exactly one of name, signerName");
            }
            bundle.require("path", problems);
            file_path(&bundle, "path", Some(&mut paths), problems);
        }
        if let Some(certificate) = source.object("podCertificate") {
            pod_certificate(&certificate, &mut paths, problems);
        }
    }
}

fn pod_certificate<'a>(source: &Object<'a>, paths: &mut Paths<'a>, problems: &mut Problems) {
    source.require("signerName", problems);
    source.require("keyType", problems);
    let types = ["RSA3072", "RSA4096", "ECDSAP256", "ECDSAP384", "ECDSAP521", "ED25519"];
    source.word("keyType", &types, problems);
    let (least, most) = CERTIFICATE_LIFE;
    source.range("maxExpirationSeconds", least..=most, problems);
    let fields = ["credentialBundlePath", "keyPath", "certificateChainPath"];
    if !fields.iter().any(|field| source.has(field)) {
        problems.add(source.path(), format!("must have at least one of {}", fields.join(", ")));
    }
    for field in fields {
        file_path(source, field, Some(paths), problems);
    }
}

fn items<'a>(source: &Object<'a>, mut paths: Option<&mut Paths<'a>>, problems: &mut Problems) {
    for item in source.objects("items") {
        item.require("key", problems);
        item.require("path", problems);
        file_path(&item, "path", paths.as_deref_mut(), problems);
        file_mode(&item, problems);
    }
}

fn downward_files<'a>(
    source: &Object<'a>,
    mut paths: Option<&mut Paths<'a>>,
    problems: &mut Problems,
) {
    for file in source.objects("items") {
        file.require("path", problems);
        file_path(&file, "path", paths.as_deref_mut(), problems);
        file_mode(&file, problems);
        match (file.object("fieldRef"), file.object("resourceFieldRef")) {
            (Some(reference), None) => variables::pod_field(&reference, Taker::File, problems),
            (None, Some(reference)) => variables::resource_field(&reference, Taker::File, problems),
            _ => problems.add(file.path(), "must have exactly one of fieldRef, resourceFieldRef"),
        }
    }
}

fn file_mode(file: &Object<'_>, problems: &mut Problems) {
    if let Some(mode) = file.number("mode") {
        in_range(mode, &(0..=FILE_MODE), file.at("mode"), problems);
    }
}

/// Checks the path of a file inside a volume.
fn file_path<'a>(
    file: &Object<'a>,
    field: &str,
    paths: Option<&mut Paths<'a>>,
    problems: &mut Problems,
) {
    let Some(path) = file.filled(field) else { return };
    if path.starts_with('/') || path.starts_with("..") || mounts::has_parent(path) {
        let message = "must be relative, without '..', and not begin with '..'";
        problems.add(file.at(field), message);
    } else if paths.is_some_and(|paths| !paths.insert(path)) {
        problems.add(file.at(field), format!("{path} is used twice"));
    }
}
