//! What the generators of the heart need beside themselves.

use inject::Namespace;

/// The namespace of generated pods.
pub(crate) fn shop() -> Namespace {
    let label = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    Namespace {
        name: "shop".to_owned(),
        labels: [label("kubernetes.io/metadata.name", "shop"), label("team", "blue")].into(),
        ..Namespace::default()
    }
}
