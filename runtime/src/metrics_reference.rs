//! Compares metrics with `docs/reference/metrics.md`. Part of the tests of both programs, which
//! include this file.

use std::collections::{BTreeMap, BTreeSet};

use prometheus_client::{encoding::text, registry::Registry};

const PAGE: &str =
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/reference/metrics.md"));

/// Fails unless the section of the page has a row for each metric, with its type and labels, and
/// no other. Every metric must have a value: without one it is not shown.
pub(crate) fn assert_documented(section: &str, registry: &Registry) {
    let mut shown = String::new();
    text::encode(&mut shown, registry).unwrap();
    let (written, registered) = (written(section), registered(&shown));
    let surplus: Vec<_> = written.difference(&registered).collect();
    let missing: Vec<_> = registered.difference(&written).collect();
    assert!(
        surplus.is_empty() && missing.is_empty(),
        "section {section:?} of docs/reference/metrics.md has {surplus:#?}, which are not registered, and lacks {missing:#?}"
    );
}

/// `NAME, TYPE, LABELS` of every row.
fn written(section: &str) -> BTreeSet<String> {
    let body = PAGE.split("\n## ").find_map(|text| text.strip_prefix(section)).unwrap();
    let rows = body.lines().filter(|line| line.starts_with("| `"));
    rows.map(|row| {
        let mut columns = row.split('|').skip(1).map(|column| column.trim().replace('`', ""));
        let mut column = || columns.next().unwrap();
        format!("{}, {}, {}", column(), column(), column())
    })
    .collect()
}

/// The same of every metric in the text form.
fn registered(shown: &str) -> BTreeSet<String> {
    let mut labels: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    let mut metric = String::new();
    for line in shown.lines() {
        if let Some(declared) = line.strip_prefix("# TYPE ") {
            let (name, kind) = declared.split_once(' ').unwrap();
            let suffix = if kind == "counter" { "_total" } else { "" };
            metric = format!("{name}{suffix}, {kind}");
            labels.entry(metric.clone()).or_default();
        } else if !line.starts_with('#')
            && let Some((_, rest)) = line.split_once('{')
        {
            let pairs = rest.split("\",").filter_map(|pair| pair.split_once('='));
            let names = labels.entry(metric.clone()).or_default();
            for (name, _) in pairs {
                if name != "le" && !names.contains(&name) {
                    names.push(name);
                }
            }
        }
    }
    labels.into_iter().map(|(metric, labels)| format!("{metric}, {}", labels.join(", "))).collect()
}
