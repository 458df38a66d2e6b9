//! Nothing of the app's is overwritten or removed: every key, literal and element of the pod is in
//! the result, in the same order, to the byte.

use super::document::{Content, Document, decode};

/// Whether what stands at a path may be changed; `*` stands for an index.
pub(crate) fn may_change(path: &[&str]) -> bool {
    match path {
        ["metadata", "labels" | "annotations", key] => key.starts_with("sidecarpolicy.dev/"),
        // The second one: merge: Append.
        ["spec", "terminationGracePeriodSeconds"]
        | ["spec", "containers" | "initContainers", "*", "env", "*", "value"] => true,
        _ => false,
    }
}

/// Whether all of a pod is in what became of it.
pub(crate) fn check(original: &Document, patched: &Document) -> Result<(), String> {
    keeps(original, patched, &mut Vec::new())
}

fn keeps<'d>(
    original: &'d Document,
    patched: &Document,
    path: &mut Vec<&'d str>,
) -> Result<(), String> {
    match (&original.content, &patched.content) {
        // An empty parent may be written as null; the first child makes it a list or map.
        (Content::Literal(literal), _) if literal == "null" => Ok(()),
        (Content::Literal(before), Content::Literal(after)) if before == after => Ok(()),
        (Content::Literal(_), Content::Literal(_)) if may_change(path) => {
            changed_as_allowed(original, patched, path)
        }
        (Content::Map(before), Content::Map(after)) => {
            let mut rest = after.iter();
            for (key, value) in before {
                // What stays of the keys is compared in the form in which they are written.
                let name = key.get(1..key.len().saturating_sub(1)).unwrap_or_default();
                path.push(name);
                match rest.clone().find(|(found, _)| found == key) {
                    Some((_, found)) => {
                        rest.find(|(found, _)| found == key);
                        keeps(value, found, path)?;
                    }
                    None if may_change(path) => {}
                    None => return Err(format!("/{} is lost or moved", path.join("/"))),
                }
                path.pop();
            }
            Ok(())
        }
        (Content::List(before), Content::List(after)) => {
            path.push("*");
            let mut rest = after.iter();
            for element in before {
                if !rest.any(|found| keeps(element, found, &mut path.clone()).is_ok()) {
                    return Err(format!("/{}: {element} is lost or changed", path.join("/")));
                }
            }
            path.pop();
            Ok(())
        }
        _ => Err(format!("/{}: {original} became {patched}", path.join("/"))),
    }
}

/// A grace period is raised; a variable is added to.
fn changed_as_allowed(
    original: &Document,
    patched: &Document,
    path: &[&str],
) -> Result<(), String> {
    let number = |document: &Document| document.to_string().parse::<f64>().unwrap_or(f64::NAN);
    let allowed = match path {
        ["spec", "terminationGracePeriodSeconds"] => number(patched) > number(original),
        ["spec", .., "value"] => match (original.text(), patched.text()) {
            (Some(before), Some(after)) => after.starts_with(&before),
            _ => false,
        },
        _ => true,
    };
    let name = path.last().map_or(String::new(), |name| decode(name));
    if allowed { Ok(()) } else { Err(format!("{name}: {original} became {patched}")) }
}
