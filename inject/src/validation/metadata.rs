//! Labels and annotations.

use crds::keys;

use crate::problem::Problems;

use super::{names, object::Object};

/// Checks labels, which anything selects by.
pub(super) fn labels(metadata: &Object<'_>, problems: &mut Problems) {
    let Some(map) = metadata.object("labels") else { return };
    for key in map.fields().keys() {
        if names::is_label_key(key) {
            if let Some(value) = map.text(key).filter(|value| !names::is_label_value(value)) {
                problems.add(map.at(key), format!("{value:?} {}", names::LABEL_VALUE));
            }
        } else {
            problems.add(map.path(), format!("{key:?} {}", names::LABEL_KEY));
        }
    }
}

/// Checks the keys of annotations; any text is a value.
pub(super) fn annotation_keys(metadata: &Object<'_>, problems: &mut Problems) {
    let Some(map) = metadata.object("annotations") else { return };
    for key in map.fields().keys().filter(|key| !names::is_label_key(&key.to_lowercase())) {
        problems.add(map.path(), format!("{key:?} {}", names::LABEL_KEY));
    }
}

/// Checks a label.
pub(super) fn label(path: &str, key: &str, value: &str, problems: &mut Problems) {
    if !names::is_label_key(key) {
        problems.add(path, format!("{key:?} {}", names::LABEL_KEY));
    } else if !names::is_label_value(value) {
        problems.add(format!("{path}.{key}"), format!("{value:?} {}", names::LABEL_VALUE));
    }
}

/// Whether a key is one of the product's own.
pub(super) fn is_own(key: &str) -> bool {
    let own = keys::PREFIX.trim_end_matches('/');
    key.split_once('/').is_some_and(|(prefix, _)| {
        prefix == own || prefix.strip_suffix(own).is_some_and(|rest| rest.ends_with('.'))
    })
}
