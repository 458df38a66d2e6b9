//! The chart carries exactly the definitions that this crate generates.

#![allow(
    clippy::expect_used,
    reason = "clippy takes what stands beside the tests of this file for product code"
)]

#[path = "../examples/generate-crds/template.rs"]
mod template;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Client-side apply keeps the object in an annotation of at most this many bytes.
const CLIENT_SIDE_APPLY_LIMIT: usize = 256 * 1024;

#[test]
fn chart_holds_what_is_generated() {
    let generated: BTreeMap<String, String> = template::chart_templates()
        .expect("the templates are generated")
        .into_iter()
        .map(|template| (template.file_name, template.text))
        .collect();
    let committed = files_of(&chart_directory());
    assert!(
        generated == committed,
        "{} does not hold what the Rust types say; run:\n    \
         cargo run -p crds --example generate-crds -- charts/sidecar-policy/templates/crds\n\
         and delete files of other names there",
        chart_directory().display()
    );
}

#[test]
fn yaml_says_what_the_definition_says() {
    let definitions = crds::custom_resource_definitions().expect("the definitions are generated");
    let templates = template::chart_templates().expect("the templates are generated");
    for (definition, template) in definitions.iter().zip(templates) {
        let yaml: String =
            template.text.split_inclusive('\n').filter(|line| !line.starts_with("{{")).collect();
        let written: serde_json::Value = serde_saphyr::from_str(&yaml).expect("YAML");
        let expected = serde_json::to_value(definition).expect("a definition is JSON");
        assert_eq!(written["spec"], expected["spec"], "{}", template.file_name);
    }
}

#[test]
fn templates_stay_below_the_limit_of_client_side_apply() {
    for template in template::chart_templates().expect("the templates are generated") {
        assert!(
            template.text.len() < CLIENT_SIDE_APPLY_LIMIT,
            "{} has {} bytes",
            template.file_name,
            template.text.len()
        );
    }
}

fn chart_directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../charts/sidecar-policy/templates/crds")
}

fn files_of(directory: &Path) -> BTreeMap<String, String> {
    fs::read_dir(directory)
        .expect("the chart has a directory of definitions")
        .map(|entry| {
            let entry = entry.expect("a directory entry");
            let text = fs::read_to_string(entry.path()).expect("a text file");
            (entry.file_name().to_string_lossy().into_owned(), text)
        })
        .collect()
}
