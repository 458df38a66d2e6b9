//! Writes the custom resource definitions as templates of the Helm chart.
//!
//! An example rather than a binary, because only examples and tests may use the YAML writer.

mod template;

use std::path::PathBuf;
use std::{env, fs};

use anyhow::Context;

fn main() -> anyhow::Result<()> {
    let directory =
        env::args_os().nth(1).map(PathBuf::from).context("usage: generate-crds DIRECTORY")?;
    fs::create_dir_all(&directory)
        .with_context(|| format!("cannot make the directory {}", directory.display()))?;
    for template in template::chart_templates()? {
        let path = directory.join(template.file_name);
        fs::write(&path, template.text)
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}
