//! What a sidecar takes over from the app's containers: mounts, variables, and its size.

use crds::Sidecar;

use crate::problem::Problems;

use super::{
    app_containers, names,
    object::{Object, Stage, has_expression},
};

/// Checks `copyFromApp` and `resourcesFromApp`, which take no expressions.
pub(super) fn check(sidecar: &Sidecar, path: &str, stage: Stage, problems: &mut Problems) {
    if let Some(value) = &sidecar.copy_from_app {
        let path = format!("{path}.copyFromApp");
        match value.as_object() {
            Some(fields) => copy(&Object::new(fields, path, Stage::Rendered), problems),
            None => problems.add(path, "must be an object"),
        }
    }
    if let Some(value) = &sidecar.resources_from_app {
        let path = format!("{path}.resourcesFromApp");
        match value.as_object() {
            Some(fields) => {
                let resources = Object::new(&sidecar.container, "", stage).object("resources");
                size(&Object::new(fields, path, Stage::Rendered), resources.as_ref(), problems);
            }
            None => problems.add(path, "must be an object"),
        }
    }
}

fn copy(copy: &Object<'_>, problems: &mut Problems) {
    only(copy, &["containers", "volumeMounts", "env"], problems);
    app_containers::patterns(copy, problems);
    if copy.has("volumeMounts") && copy.flag("volumeMounts").is_none() {
        problems.add(copy.at("volumeMounts"), "must be true or false");
    }
    for (path, name) in copy.texts("env") {
        if has_expression(name) {
            problems.add(path, "takes no expression; name the variable");
        } else if !names::is_variable_name(name) {
            problems.add(path, names::VARIABLE_NAME);
        }
    }
    if copy.flag("volumeMounts") != Some(true) && copy.length("env") == 0 {
        problems
            .add(copy.path(), "copies nothing; set volumeMounts: true or name variables in env");
    }
}

fn size(size: &Object<'_>, written: Option<&Object<'_>>, problems: &mut Problems) {
    only(size, &["function", "requests", "limits"], problems);
    size.require("function", problems);
    size.word("function", &["Sum", "Max"], problems);
    let (requests, limits) = (size.object("requests"), size.object("limits"));
    if requests.is_none() && limits.is_none() {
        problems.add(size.path(), "sizes nothing; set requests or limits");
    }
    for shares in [&requests, &limits].into_iter().flatten() {
        only(shares, &["cpu", "memory"], problems);
        for resource in ["cpu", "memory"] {
            if let Some(share) = shares.object(resource) {
                self::share(&share, problems);
            }
        }
    }
    for resource in ["cpu", "memory"] {
        let Some(request) = requests.as_ref().and_then(|requests| requests.object(resource)) else {
            continue;
        };
        // The least request against the most that the limit can be, sized or written.
        let mut ignored = Problems::default();
        let least = request.quantity("min", &mut ignored);
        let most = match limits.as_ref().and_then(|limits| limits.object(resource)) {
            Some(limit) => limit.quantity("max", &mut ignored),
            None => written
                .and_then(|resources| resources.object("limits"))
                .and_then(|limits| limits.quantity(resource, &mut ignored)),
        };
        if let (Some(least), Some(most)) = (least, most)
            && !least.is_at_most(&most)
        {
            problems.add(request.at("min"), "must not be more than the limit can be");
        }
    }
}

fn share(share: &Object<'_>, problems: &mut Problems) {
    only(share, &["percent", "min", "max"], problems);
    share.require("percent", problems);
    share.range("percent", 1..=1000, problems);
    let bounds = ["min", "max"].map(|bound| share.quantity(bound, problems));
    for (bound, quantity) in ["min", "max"].iter().zip(&bounds) {
        if quantity.as_ref().is_some_and(crate::quantity::Quantity::is_negative) {
            problems.add(share.at(bound), "must not be negative");
        }
    }
    if let [Some(min), Some(max)] = &bounds
        && !min.is_negative()
        && !min.is_at_most(max)
    {
        problems.add(share.at("min"), "must not be more than max");
    }
}

/// Refuses fields that would be ignored.
fn only(object: &Object<'_>, known: &[&str], problems: &mut Problems) {
    for (name, _) in object.fields().iter().filter(|(_, value)| !value.is_null()) {
        if !known.contains(&name.as_str()) {
            problems.add(object.at(name), format!("is unknown; known are {}", known.join(", ")));
        }
    }
}
