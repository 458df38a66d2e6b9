//! The ready-made policies that are built in: the folders of `policies/`.

/// A ready-made policy.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReadyMade {
    pub(crate) name: &'static str,
    /// The policy as YAML.
    pub(crate) policy: &'static str,
    /// How to use it, as Markdown.
    pub(crate) readme: &'static str,
}

impl ReadyMade {
    /// What it is for: the first sentence after the title of its description.
    pub(crate) fn summary(&self) -> String {
        let text = self.readme.lines().skip_while(|line| line.starts_with('#') || line.is_empty());
        let paragraph: Vec<&str> = text.take_while(|line| !line.is_empty()).collect();
        let paragraph = paragraph.join(" ");
        paragraph.split_inclusive(". ").next().unwrap_or_default().trim_end().to_owned()
    }
}

macro_rules! ready_made {
    ($name:literal) => {
        ReadyMade {
            name: $name,
            policy: include_str!(concat!("../../policies/", $name, "/policy.yaml")),
            readme: include_str!(concat!("../../policies/", $name, "/README.md")),
        }
    };
}

/// All of them, by name.
pub(crate) const CATALOG: &[ReadyMade] = &[ready_made!("debug-shell"), ready_made!("log-shipper")];

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn every_folder_of_the_catalogue_is_built_in() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../policies");
        let entries = fs::read_dir(folder).expect("policies/ can be read");
        let mut names: Vec<String> = entries
            .map(|entry| entry.expect("an entry").path())
            .filter(|path| path.is_dir())
            .map(|path| path.file_name().expect("a name").to_string_lossy().into_owned())
            .collect();
        names.sort_unstable();
        let built_in: Vec<&str> = CATALOG.iter().map(|ready_made| ready_made.name).collect();
        assert_eq!(built_in, names);
    }
}
