//! `copyFromApp`: sidecars that get mounts and variables of the app's containers too.
//!
//! The app's containers are read with what policies put into them. What a sidecar has itself stays;
//! of two containers with the same path or variable the first one counts.

use serde_json::{Map, Value, value::RawValue};

use crate::{
    Conflict,
    content::{CopyFromApp, FromApp, Sidecar},
    json,
    policy::ContainerList,
    reader::{self, Raw},
};

use super::{
    Merge,
    app_containers::AppContainer,
    malformed,
    mounts::{PodMount, trimmed},
    resources,
};

impl<'p> Merge<'p, '_> {
    /// The container as JSON, with everything that it takes over from the app.
    pub(super) fn completed(&self, sidecar: &Sidecar, from: &FromApp) -> Result<String, Conflict> {
        let mut fields = from.fields.clone();
        if from.resources.is_some() {
            resources::write(&mut fields, &self.resources_of(sidecar)?);
        }
        let Some(copy) = &from.copy else { return Ok(Value::Object(fields).to_string()) };
        let mounts = self.copied_mounts(copy, &fields)?;
        let env = self.copied_variables(copy, &fields)?;
        for (name, copied) in [("volumeMounts", &mounts), ("env", &env)] {
            if !copied.is_empty() && !fields.get(name).is_some_and(Value::is_array) {
                fields.insert(name.to_owned(), Value::Array(Vec::new()));
            }
        }
        Ok(written(&fields, &mounts, &env))
    }

    fn copied_mounts(
        &self,
        copy: &CopyFromApp,
        fields: &Map<String, Value>,
    ) -> Result<Vec<String>, Conflict> {
        let mut copied = Vec::new();
        if !copy.volume_mounts {
            return Ok(copied);
        }
        let mut paths = texts(fields, "volumeMounts", "mountPath");
        paths.extend(texts(fields, "volumeDevices", "devicePath"));
        let own = paths.clone();
        let privileged =
            fields.get("securityContext").and_then(|context| context.get("privileged"))
                == Some(&Value::Bool(true));
        for container in self.app_containers.iter().filter(|found| is_meant(copy, found)) {
            let part = || format!("volumeMounts of container {:?}", container.name());
            let raw = container.get().volume_mounts;
            let texts: Vec<Raw<'p>> = raw
                .map_or_else(|| Ok(Vec::new()), |raw| reader::read(raw.get()))
                .map_err(|error| malformed(&part(), &error))?;
            let taken = container.taken().mounts.iter().map(|mount| &*mount.rendered.json);
            for text in texts.iter().map(|raw| raw.get()).chain(taken) {
                let mount: PodMount<'_> =
                    serde_json::from_str(text).map_err(|error| malformed(&part(), &error))?;
                let path = trimmed(mount.mount_path.as_str()).to_owned();
                // The sidecar has no such variables, and its own mounts cannot be made inside.
                if paths.contains(&path)
                    || mount.sub_path_expr.is_some_and(|expression| !expression.as_str().is_empty())
                    || own.iter().any(|own| is_inside(own, &path))
                {
                    continue;
                }
                paths.push(path);
                let to_node =
                    mount.mount_propagation.is_some_and(|how| how.as_str() == "Bidirectional");
                copied.push(if to_node && !privileged {
                    without_propagation(text).map_err(|error| malformed(&part(), &error))?
                } else {
                    text.to_owned()
                });
            }
        }
        Ok(copied)
    }

    fn copied_variables(
        &self,
        copy: &CopyFromApp,
        fields: &Map<String, Value>,
    ) -> Result<Vec<String>, Conflict> {
        let own = texts(fields, "env", "name");
        let mut copied = Vec::new();
        for name in copy.env.iter().filter(|name| !own.contains(name)) {
            for container in self.app_containers.iter().filter(|found| is_meant(copy, found)) {
                let Some(text) = container.variable_json(name)? else { continue };
                let part = || format!("env of container {:?}", container.name());
                // Passed over until now, and about to be written somewhere else.
                let checked: &RawValue =
                    serde_json::from_str(&text).map_err(|error| malformed(&part(), &error))?;
                copied.push(
                    of_container(checked.get(), container.name())
                        .map_err(|error| malformed(&part(), &error))?,
                );
                break;
            }
        }
        Ok(copied)
    }
}

/// Which of the app's containers are copied from: by name, or else all ordinary ones.
fn is_meant(copy: &CopyFromApp, container: &AppContainer<'_, '_>) -> bool {
    if copy.containers.is_empty() {
        container.list() == ContainerList::Containers
    } else {
        container.is_named_by(&copy.containers)
    }
}

fn texts(fields: &Map<String, Value>, list: &str, field: &str) -> Vec<String> {
    let elements = fields.get(list).and_then(Value::as_array).into_iter().flatten();
    elements.filter_map(|element| Some(trimmed(element.get(field)?.as_str()?).to_owned())).collect()
}

fn is_inside(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))
}

/// The variable as it is in the app's container: a resource field means the container that it stands
/// in, unless it names one.
fn of_container(variable: &str, container: &str) -> Result<String, serde_json::Error> {
    if !variable.contains("resourceFieldRef") {
        return Ok(variable.to_owned());
    }
    let mut fields: Map<String, Value> = serde_json::from_str(variable)?;
    let reference = fields
        .get_mut("valueFrom")
        .and_then(|from| from.get_mut("resourceFieldRef"))
        .and_then(Value::as_object_mut);
    if let Some(reference) = reference
        && reference.get("containerName").and_then(Value::as_str).is_none_or(str::is_empty)
    {
        reference.insert("containerName".to_owned(), container.into());
    }
    Ok(Value::Object(fields).to_string())
}

/// Only a privileged container may mount in a way that reaches the node.
fn without_propagation(mount: &str) -> Result<String, serde_json::Error> {
    let mut fields: Map<String, Value> = serde_json::from_str(mount)?;
    fields.remove("mountPropagation");
    Ok(Value::Object(fields).to_string())
}

/// The container as JSON, with elements added to two of its lists.
fn written(fields: &Map<String, Value>, mounts: &[String], env: &[String]) -> String {
    let mut out = String::from("{");
    for (position, (name, value)) in fields.iter().enumerate() {
        if position > 0 {
            out.push(',');
        }
        json::push_string(&mut out, name);
        out.push(':');
        let more: &[String] = match name.as_str() {
            "volumeMounts" => mounts,
            "env" => env,
            _ => &[],
        };
        match value {
            Value::Array(list) if !more.is_empty() => {
                let own = list.iter().map(Value::to_string);
                let all: Vec<String> = own.chain(more.iter().cloned()).collect();
                out.push('[');
                out.push_str(&all.join(","));
                out.push(']');
            }
            value => out.push_str(&value.to_string()),
        }
    }
    out.push('}');
    out
}
