//! The forms of names, keys and addresses that Kubernetes demands.

use std::net::{IpAddr, Ipv6Addr};

/// Longest DNS label.
pub(crate) const LABEL_LENGTH: usize = 63;
/// Longest DNS subdomain.
const SUBDOMAIN_LENGTH: usize = 253;
/// Longest name of a port.
const PORT_NAME_LENGTH: usize = 15;

/// Said of a name that is no DNS label.
pub(super) const DNS_LABEL: &str =
    "must be a DNS label (lower-case letters, digits, '-') of at most 63 characters";
/// Said of a name that is no DNS subdomain.
pub(super) const DNS_SUBDOMAIN: &str =
    "must be a name of lower-case letters, digits, '-' and '.' of at most 253 characters";
/// Said of a key that is no label key.
pub(crate) const LABEL_KEY: &str = "is not a label key: a name of at most 63 letters, digits, '-', '_' and '.', with an optional prefix such as example.com/";
/// Said of text that is no label value.
pub(crate) const LABEL_VALUE: &str = "is not a label value: at most 63 letters, digits, '-', '_' and '.', with a letter or digit at both ends";
/// Said of a name that is no port name.
pub(super) const PORT_NAME: &str =
    "is not a port name: at most 15 lower-case letters, digits and single '-', one letter at least";
/// Said of a name that is none of a variable.
pub(super) const VARIABLE_NAME: &str = "must be of printable ASCII characters other than '='";

/// Names of containers, volumes and the like.
pub(crate) fn is_dns_label(name: &str) -> bool {
    name.len() <= LABEL_LENGTH && is_dns_part(name)
}

/// Names of most objects.
pub(crate) fn is_dns_subdomain(name: &str) -> bool {
    name.len() <= SUBDOMAIN_LENGTH && name.split('.').all(is_dns_part)
}

fn is_dns_part(part: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !part.is_empty() && part.bytes().all(inner) && !part.starts_with('-') && !part.ends_with('-')
}

/// Keys of labels, and of annotations in lower case; also names of resources.
pub(crate) fn is_label_key(key: &str) -> bool {
    let (prefix, name) = match key.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, key),
    };
    !name.is_empty() && is_label_text(name) && prefix.is_none_or(is_dns_subdomain)
}

/// Values of labels.
pub(crate) fn is_label_value(value: &str) -> bool {
    is_label_text(value)
}

fn is_label_text(text: &str) -> bool {
    let alphanumeric = |byte: Option<&u8>| byte.is_none_or(u8::is_ascii_alphanumeric);
    let bytes = text.as_bytes();
    bytes.len() <= LABEL_LENGTH
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(byte))
        && alphanumeric(bytes.first())
        && alphanumeric(bytes.last())
}

/// Keys of ConfigMaps and Secrets.
pub(super) fn is_data_key(key: &str) -> bool {
    (1..=SUBDOMAIN_LENGTH).contains(&key.len())
        && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
        && key != "."
        && !key.starts_with("..")
}

/// Names of variables, also what a prefix of them may be.
pub(super) fn is_variable_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| (0x20..0x7f).contains(&byte) && byte != b'=')
}

/// Names of ports.
pub(super) fn is_port_name(name: &str) -> bool {
    (1..=PORT_NAME_LENGTH).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        && name.bytes().any(|byte| byte.is_ascii_lowercase())
        && !name.starts_with('-')
        && !name.ends_with('-')
        && !name.contains("--")
}

/// Names of HTTP headers.
pub(super) fn is_header_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// IP addresses as Kubernetes 1.36 takes them.
pub(super) fn is_ip_address(text: &str) -> bool {
    match text.parse() {
        Ok(IpAddr::V4(_)) => true,
        Ok(IpAddr::V6(address)) => Ipv6Addr::to_ipv4_mapped(&address).is_none(),
        Err(_) => false,
    }
}
