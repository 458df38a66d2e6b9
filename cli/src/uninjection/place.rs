//! Places in an object that do not change when something around them does: elements of lists are named
//! by what Kubernetes knows them by.

use std::collections::BTreeSet;

use crate::document::{Node, Value};

/// A step into an object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Step {
    /// The value of a key.
    Field(String),
    /// The element of a list that is known by this.
    Element(String),
}

/// The steps that lead from an object to something in it.
pub(super) type Place = Vec<Step>;

/// The place that lies one step or more behind another.
pub(super) fn behind(place: &[Step], steps: impl IntoIterator<Item = Step>) -> Place {
    place.iter().cloned().chain(steps).collect()
}

/// Steps into fields.
pub(super) fn fields<'k>(keys: &[&'k str]) -> impl Iterator<Item = Step> + use<'k> {
    let steps: Vec<Step> = keys.iter().map(|key| Step::Field((*key).to_owned())).collect();
    steps.into_iter()
}

/// A place as people read it: `spec.containers[app].env[MODE]`.
pub(super) fn shown(place: &[Step]) -> String {
    let mut out = String::new();
    for step in place {
        match step {
            Step::Field(key) if out.is_empty() => out.push_str(key),
            Step::Field(key) => {
                out.push('.');
                out.push_str(key);
            }
            Step::Element(name) => {
                out.push('[');
                out.push_str(name);
                out.push(']');
            }
        }
    }
    out
}

/// What an element of the list is known by.
pub(super) fn element_name(list: &str, element: &Node) -> Option<String> {
    let text = |key| element.text_of(key).map(str::to_owned);
    match list {
        "volumeMounts" => text("mountPath").map(|path| trimmed(&path).to_owned()),
        "hostAliases" => text("ip"),
        "envFrom" | "hostnames" | "supplementalGroups" => Some(element.to_json()),
        _ => text("name"),
    }
}

/// A path without the slashes at its end, which change nothing.
pub(super) fn trimmed(path: &str) -> &str {
    let trimmed = path.trim_end_matches('/');
    if trimmed.is_empty() { path } else { trimmed }
}

/// What stands at a place; `None` also where two elements have its name.
pub(super) fn find<'n>(object: &'n Node, place: &[Step]) -> Option<&'n Node> {
    let mut node = object;
    let mut list = "";
    for step in place {
        node = match step {
            Step::Field(key) => {
                list = key;
                node.get(key)?
            }
            Step::Element(name) => {
                let mut found = node
                    .items()
                    .iter()
                    .filter(|item| element_name(list, item).as_ref() == Some(name));
                let first = found.next()?;
                if found.next().is_some() {
                    return None;
                }
                first
            }
        };
    }
    Some(node)
}

/// What stands at a place, to be changed; of two elements of its name the first.
pub(super) fn find_mut<'n>(object: &'n mut Node, place: &[Step]) -> Option<&'n mut Node> {
    let mut node = object;
    let mut list = "";
    for step in place {
        node = match step {
            Step::Field(key) => {
                list = key;
                node.get_mut(key)?
            }
            Step::Element(name) => node
                .items_mut()
                .iter_mut()
                .find(|item| element_name(list, item).as_ref() == Some(name))?,
        };
    }
    Some(node)
}

/// How many of its neighbours stand before it, those at the places that do not count left out.
pub(super) fn neighbours_before(
    object: &Node,
    place: &[Step],
    left_out: &BTreeSet<Place>,
) -> Option<usize> {
    let (own, parent) = place.split_last()?;
    let counts = |step: Step| !left_out.contains(&behind(parent, [step]));
    let parent_node = find(object, parent)?;
    match own {
        Step::Field(key) => {
            let before = parent_node.entries().iter().take_while(|(found, _)| found != key);
            Some(before.filter(|(found, _)| counts(Step::Field(found.clone()))).count())
        }
        Step::Element(name) => {
            let Some(Step::Field(list)) = parent.last() else { return None };
            let names = parent_node.items().iter().map(|item| element_name(list, item));
            let before = names.take_while(|found| found.as_ref() != Some(name));
            Some(
                before.filter(|name| name.clone().is_none_or(|n| counts(Step::Element(n)))).count(),
            )
        }
    }
}

/// An object without what stands at some places.
pub(super) struct Without {
    pub(super) object: Node,
    /// Lists and maps that went because nothing was left in them.
    pub(super) emptied: BTreeSet<Place>,
}

/// Takes out what stands at the places, and the lists and maps that are empty then, unless they are to
/// stay.
pub(super) fn without(object: &Node, out: &BTreeSet<Place>, stays: &BTreeSet<Place>) -> Without {
    let mut walk = Walk { out, stays, emptied: BTreeSet::new(), place: Vec::new() };
    let kept = walk.kept(object, "");
    let object = kept.unwrap_or(Node { line: object.line, value: Value::Map(Vec::new()) });
    Without { object, emptied: walk.emptied }
}

struct Walk<'a> {
    out: &'a BTreeSet<Place>,
    stays: &'a BTreeSet<Place>,
    emptied: BTreeSet<Place>,
    place: Place,
}

impl Walk<'_> {
    /// What is left of a node, if anything is.
    fn kept(&mut self, node: &Node, list: &str) -> Option<Node> {
        if self.out.contains(&self.place) {
            return None;
        }
        // Below it, nothing goes.
        let next = self.out.range(self.place.clone()..).next();
        if next.is_none_or(|next| !next.starts_with(&self.place)) {
            return Some(node.clone());
        }
        let value = match &node.value {
            Value::Map(entries) => {
                let mut kept = Vec::with_capacity(entries.len());
                for (key, child) in entries {
                    self.place.push(Step::Field(key.clone()));
                    kept.extend(self.kept(child, key).map(|child| (key.clone(), child)));
                    self.place.pop();
                }
                let nothing_left = match kept.as_slice() {
                    [] => true,
                    // An alias without names is nothing.
                    [(key, _)] => {
                        key == "ip"
                            && entries.len() > 1
                            && is_element_of(&self.place, "hostAliases")
                    }
                    _ => false,
                };
                if nothing_left && !self.place.is_empty() && !self.stays.contains(&self.place) {
                    self.emptied.insert(self.place.clone());
                    return None;
                }
                Value::Map(kept)
            }
            Value::List(items) => {
                let mut kept = Vec::with_capacity(items.len());
                for item in items {
                    let Some(name) = element_name(list, item) else {
                        kept.push(item.clone());
                        continue;
                    };
                    self.place.push(Step::Element(name));
                    kept.extend(self.kept(item, ""));
                    self.place.pop();
                }
                if kept.is_empty() && !self.stays.contains(&self.place) {
                    self.emptied.insert(self.place.clone());
                    return None;
                }
                Value::List(kept)
            }
            _ => return Some(node.clone()),
        };
        Some(Node { line: node.line, value })
    }
}

/// Whether this is the place of an element of a list of this name.
pub(super) fn is_element_of(place: &[Step], list: &str) -> bool {
    matches!(place, [.., Step::Field(found), Step::Element(_)] if found == list)
}

/// Whether everything of one value is in another; the API server may have filled in more.
pub(super) fn contains(found: &Node, ours: &Node) -> bool {
    match (&found.value, &ours.value) {
        (Value::Map(_), Value::Map(entries)) => entries
            .iter()
            .all(|(key, value)| found.get(key).is_some_and(|found| contains(found, value))),
        (Value::List(found), Value::List(ours)) => {
            found.len() == ours.len()
                && found.iter().zip(ours).all(|(found, ours)| contains(found, ours))
        }
        _ => found.to_json() == ours.to_json(),
    }
}
