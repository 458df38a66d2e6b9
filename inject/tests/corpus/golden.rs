//! What is expected of each object: what was decided and said as comments, and the result as YAML
//! that the API server takes.

use std::{collections::HashSet, fmt::Write as _, fs, path::PathBuf, sync::Arc};

use inject::Policy;

use crate::{
    objects::{Object, Part},
    patch_laws::{Checked, check, shop},
    yaml,
};

/// The golden text of an object.
pub(crate) fn result(object: &Object, policies: &[Arc<Policy>]) -> String {
    let mut text = String::new();
    for (number, part) in object.parts(policies).into_iter().enumerate() {
        if number > 0 {
            text.push_str("---\n");
        }
        let pod = match part {
            Part::Other => {
                text.push_str("# left alone: neither a pod nor a workload\n");
                continue;
            }
            Part::Pod(pod) => pod,
            Part::Workload(workload, pod) => {
                for warning in &workload.warnings {
                    comment(&mut text, "warning", warning);
                }
                if workload.changed {
                    text.push_str(&yaml::print(&workload.object));
                } else {
                    text.push_str("# the workload is left alone\n");
                }
                text.push_str("---\n# its pod\n");
                pod
            }
        };
        match check(&pod, &shop(), policies) {
            Ok(Some(checked)) => push_pod(&mut text, &checked),
            Ok(None) => text.push_str("# cannot be read as a pod\n"),
            Err(law) => panic!("{}: {law}", object.name),
        }
    }
    text
}

fn push_pod(text: &mut String, checked: &Checked) {
    let seen = &checked.seen;
    for (policy, reason, words) in &seen.decisions {
        comment(text, policy, &format!("{reason}: {words}"));
    }
    for warning in &seen.warnings {
        comment(text, "warning", warning);
    }
    if let Some(denied) = &seen.denied {
        comment(text, "denied", denied);
    } else if seen.patch == "[]" {
        text.push_str("# the pod is left alone\n");
    } else {
        text.push_str(&yaml::print(&checked.patched));
    }
}

fn comment(text: &mut String, what: &str, words: &str) {
    let words = words.replace('\r', "\\r").replace('\n', "\\n");
    let _ = writeln!(text, "# {what}: {words}");
}

/// Compares names and texts with the golden files, or writes these.
pub(crate) fn compare(results: &[(String, String)]) {
    let path = |name: &str| {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/results");
        folder.join(format!("{}.yaml", name.split_once('/').unwrap().1))
    };
    let paths: HashSet<PathBuf> = results.iter().map(|(name, _)| path(name)).collect();
    assert_eq!(paths.len(), results.len(), "two objects have one name");
    let folder = path("x/x").parent().unwrap().to_owned();
    let stale: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|found| !paths.contains(found))
        .collect();
    if std::env::var_os("UPDATE_GOLDENS").is_some() {
        for path in &stale {
            fs::remove_file(path).unwrap();
        }
        for (name, text) in results {
            if fs::read_to_string(path(name)).ok().as_ref() != Some(text) {
                fs::write(path(name), text).unwrap();
            }
        }
        return;
    }
    let mut differences = String::new();
    for (name, text) in results {
        let expected = fs::read_to_string(path(name)).unwrap_or_default();
        if expected != *text {
            let _ = writeln!(differences, "{name}:\n{}", difference(&expected, text));
        }
    }
    assert!(stale.is_empty(), "of no object are {stale:?}");
    assert!(
        differences.is_empty(),
        "{differences}\nif this is meant: UPDATE_GOLDENS=1 cargo test -p inject --test corpus"
    );
}

/// The lines that only one of them has.
fn difference(expected: &str, found: &str) -> String {
    let mut text = String::new();
    for (sign, these, those) in [('-', expected, found), ('+', found, expected)] {
        let others: HashSet<&str> = those.lines().collect();
        for line in these.lines().filter(|line| !others.contains(line)) {
            let _ = writeln!(text, "  {sign} {line}");
        }
    }
    text
}
