//! Namespaces that no policy ever reaches.

/// Always excluded, whatever the installation says.
const ALWAYS: [&str; 3] = ["kube-system", "kube-node-lease", "kube-public"];

/// The excluded namespaces of an installation: Kubernetes' own, the operator's, and those the chart adds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exclusions {
    namespaces: Vec<String>,
}

impl Exclusions {
    /// Exclusions of an installation in namespace `own`, with `added` ones.
    #[must_use]
    pub fn new(own: &str, added: &[String]) -> Self {
        let mut namespaces: Vec<String> = ALWAYS.iter().map(ToString::to_string).collect();
        namespaces.push(own.to_owned());
        namespaces.extend(added.iter().filter(|name| !name.is_empty()).cloned());
        namespaces.sort_unstable();
        namespaces.dedup();
        Self { namespaces }
    }

    /// Whether no policy reaches this namespace.
    #[must_use]
    pub fn contains(&self, namespace: &str) -> bool {
        self.namespaces.iter().any(|excluded| excluded == namespace)
    }

    /// The excluded namespaces, sorted.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.namespaces.iter().map(String::as_str)
    }
}
