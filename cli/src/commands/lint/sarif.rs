//! Findings as SARIF 2.1.0, the form that code scanning services read.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::findings::{Finding, Level};

/// The log of one run.
pub(super) fn log(findings: &[Finding]) -> Value {
    let rules: BTreeMap<&str, &Finding> =
        findings.iter().map(|finding| (finding.rule, finding)).collect();
    let rules = rules.into_values().map(|finding| {
        json!({
            "id": finding.rule,
            "help": {"text": finding.remedy},
            "defaultConfiguration": {"level": level(finding.level)},
        })
    });
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "kubectl-sidecar",
                "version": env!("CARGO_PKG_VERSION"),
                "rules": rules.collect::<Value>(),
            }},
            "results": findings.iter().map(result).collect::<Value>(),
        }],
    })
}

fn result(finding: &Finding) -> Value {
    let Finding { policy, path, message, remedy, .. } = finding;
    json!({
        "ruleId": finding.rule,
        "level": level(finding.level),
        "message": {"text": format!("{policy}: {path}: {message}. To do: {remedy}.")},
        "locations": [{
            "physicalLocation": {
                "artifactLocation": {"uri": uri(&finding.file)},
                "region": {"startLine": finding.line},
            },
            "logicalLocations": [{"fullyQualifiedName": format!("{policy}/{path}")}],
        }],
    })
}

/// SARIF's word for a level.
fn level(level: Level) -> &'static str {
    match level {
        Level::Error => "error",
        Level::Warning => "warning",
        Level::Advice => "note",
    }
}

/// The name of a file as a relative reference: what would end the path, or is no part of one, is escaped.
fn uri(file: &str) -> String {
    let mut uri = String::with_capacity(file.len());
    for byte in file.replace(std::path::MAIN_SEPARATOR, "/").bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                uri.push(char::from(byte));
            }
            byte => {
                use std::fmt::Write as _;
                let _ = write!(uri, "%{byte:02X}");
            }
        }
    }
    uri
}
