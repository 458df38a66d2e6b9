//! The security context of a container.

use crds::OperatingSystem;

use crate::problem::Problems;

use super::{
    mounts, names,
    object::{LARGEST, Object},
};

/// Fields of a container's security context that a pod with `spec.os.name: windows` cannot have.
pub(crate) const LINUX_ONLY: [&str; 10] = [
    "appArmorProfile",
    "seLinuxOptions",
    "seccompProfile",
    "capabilities",
    "readOnlyRootFilesystem",
    "privileged",
    "allowPrivilegeEscalation",
    "procMount",
    "runAsUser",
    "runAsGroup",
];
/// Longest path of an AppArmor profile.
const PROFILE_LENGTH: usize = 4095;
/// Longest specification of a group managed service account.
const CREDENTIAL_LENGTH: usize = 64 * 1024;
const USER_LENGTH: usize = 104;
const DOMAIN_LENGTH: usize = 255;

/// Checks what a container may do.
pub(super) fn check(container: &Object<'_>, os: OperatingSystem, problems: &mut Problems) {
    let context = container.object("securityContext");
    let privileged = context.as_ref().and_then(|context| context.flag("privileged")) == Some(true);
    for mount in container.objects("volumeMounts") {
        if mount.text("mountPropagation") == Some("Bidirectional") && !privileged {
            let message = "Bidirectional needs securityContext.privileged: true";
            problems.add(mount.at("mountPropagation"), message);
        }
    }
    let Some(context) = context else { return };
    for name in ["runAsUser", "runAsGroup"] {
        context.range(name, 0..=LARGEST, problems);
    }
    context.strict_word("procMount", &["Default", "Unmasked"], problems);
    escalation(&context, privileged, problems);
    for field in ["seccompProfile", "appArmorProfile"] {
        if let Some(found) = context.object(field) {
            profile(&found, field == "appArmorProfile", problems);
        }
    }
    operating_system(&context, os, problems);
    if let Some(options) = context.object("windowsOptions") {
        windows(&options, problems);
    }
}

fn escalation(context: &Object<'_>, privileged: bool, problems: &mut Problems) {
    if context.flag("allowPrivilegeEscalation") != Some(false) {
        return;
    }
    let path = || context.at("allowPrivilegeEscalation");
    if privileged {
        problems.add(path(), "must not be false in a privileged container");
    }
    let capabilities = context.object("capabilities");
    let added = capabilities.map(|capabilities| capabilities.texts("add")).unwrap_or_default();
    if added.iter().any(|(_, name)| *name == "CAP_SYS_ADMIN") {
        problems.add(path(), "must not be false with the capability CAP_SYS_ADMIN");
    }
}

fn profile(profile: &Object<'_>, app_armor: bool, problems: &mut Problems) {
    profile.require("type", problems);
    profile.word("type", &["RuntimeDefault", "Localhost", "Unconfined"], problems);
    let path = profile.at("localhostProfile");
    match (profile.text("type"), profile.has("localhostProfile")) {
        (Some("Localhost"), false) => problems.add(path, "is missing with type: Localhost"),
        (Some("Localhost"), true) => {
            let Some(name) = profile.text("localhostProfile") else { return };
            if !app_armor {
                if name.starts_with('/') || mounts::has_parent(name) {
                    problems.add(path, "must be relative and without '..'");
                }
            } else if name.is_empty() {
                problems.add(path, "is missing with type: Localhost");
            } else if name.trim() != name {
                problems.add(path, "must not begin or end with white space");
            } else if name.len() > PROFILE_LENGTH {
                problems.add(path, format!("must have at most {PROFILE_LENGTH} characters"));
            }
        }
        (Some("RuntimeDefault" | "Unconfined"), true) => {
            problems.add(path, "belongs to type: Localhost; leave it out");
        }
        _ => {}
    }
}

/// Checks that nothing is of the other operating system. With `os: Any` that is found out pod by pod.
fn operating_system(context: &Object<'_>, os: OperatingSystem, problems: &mut Problems) {
    match os {
        OperatingSystem::Linux => {
            if context.has("windowsOptions") {
                problems.add(context.at("windowsOptions"), "needs os: Windows or os: Any");
            }
        }
        OperatingSystem::Windows => {
            for field in LINUX_ONLY.iter().filter(|field| context.has(field)) {
                problems.add(context.at(field), "is for Linux only; leave it out with os: Windows");
            }
        }
        OperatingSystem::Any => {}
    }
}

fn windows(options: &Object<'_>, problems: &mut Problems) {
    if let Some(name) = options.text("gmsaCredentialSpecName")
        && !names::is_dns_subdomain(name)
    {
        let path = options.at("gmsaCredentialSpecName");
        problems.add(path, format!("{name:?} {}", names::DNS_SUBDOMAIN));
    }
    if let Some(text) = options.text("gmsaCredentialSpec")
        && !(1..=CREDENTIAL_LENGTH).contains(&text.len())
    {
        let message = format!("must have 1 to {CREDENTIAL_LENGTH} characters");
        problems.add(options.at("gmsaCredentialSpec"), message);
    }
    if let Some(name) = options.text("runAsUserName")
        && !is_user_name(name)
    {
        let message = format!("{name:?} is not a user name such as USER or DOMAIN\\USER");
        problems.add(options.at("runAsUserName"), message);
    }
}

/// Whether Windows takes a user name, with or without a domain.
fn is_user_name(name: &str) -> bool {
    let (domain, user) = match name.split_once('\\') {
        Some((domain, user)) => (Some(domain), user),
        None => (None, name),
    };
    let forbidden = |character: char| "\"/\\:;|=,+*?<>@[]".contains(character);
    !name.chars().any(char::is_control)
        && (1..=USER_LENGTH).contains(&user.len())
        && !user.contains(forbidden)
        && !user.chars().all(|character| ". ".contains(character))
        && domain.is_none_or(is_domain)
}

fn is_domain(domain: &str) -> bool {
    let net_bios = (1..=15).contains(&domain.chars().count())
        && !domain.starts_with('.')
        && !domain.contains(|character: char| "\\/:*?\"<>|".contains(character));
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    domain.len() <= DOMAIN_LENGTH && (net_bios || domain.split('.').all(label))
}
