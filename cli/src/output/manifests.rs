//! Writes manifests: documents that were not changed byte for byte, the others as YAML; or all of
//! them as JSON.

use std::io::{self, Write};

use super::Format;
use crate::manifests::Document;

/// A document, and whether its content was changed since it was read.
#[derive(Debug)]
pub(crate) struct Manifest {
    pub(crate) document: Document,
    pub(crate) changed: bool,
}

/// Writes manifests in their order.
pub(crate) fn write(manifests: &[Manifest], format: Format, out: &mut dyn Write) -> io::Result<()> {
    let text = match format {
        Format::Yaml => yaml(manifests),
        Format::Json => json(manifests),
    };
    out.write_all(text.as_bytes())
}

/// Manifests in their order, as YAML.
pub(crate) fn yaml(manifests: &[Manifest]) -> String {
    let mut out = String::new();
    for Manifest { document, changed } in manifests {
        if document.text.is_empty() {
            continue;
        }
        if !out.is_empty() && !out.ends_with('\n') {
            out.push('\n');
        }
        if !out.is_empty() && !document.separated {
            out.push_str("---\n");
        }
        if *changed {
            push_changed(&mut out, document);
        } else {
            out.push_str(&document.text);
        }
    }
    out
}

/// The document with the comments above its content, and its content written anew.
fn push_changed(out: &mut String, document: &Document) {
    let Some(root) = &document.root else { return };
    let (header, content) = document.text.split_at(document.header);
    out.push_str(header);
    // Content that starts on the line `---` itself, such as `--- {kind: Pod}`.
    if document.separated && content.starts_with("---") {
        out.push_str("---\n");
    }
    let yaml = root.to_yaml();
    if document.text.contains("\r\n") {
        out.push_str(&yaml.replace('\n', "\r\n"));
    } else {
        out.push_str(&yaml);
    }
}

fn json(manifests: &[Manifest]) -> String {
    let roots: Vec<_> =
        manifests.iter().filter_map(|manifest| manifest.document.root.as_ref()).collect();
    let mut out = String::new();
    if let [root] = roots.as_slice() {
        root.write_json(&mut out, Some(0));
    } else {
        out.push_str("{\n    \"apiVersion\": \"v1\",\n    \"items\": [");
        for (position, root) in roots.iter().enumerate() {
            out.push_str(if position > 0 { ",\n        " } else { "\n        " });
            root.write_json(&mut out, Some(2));
        }
        out.push_str(if roots.is_empty() { "],\n" } else { "\n    ],\n" });
        out.push_str("    \"kind\": \"List\"\n}");
    }
    out.push('\n');
    out
}
