//! What goes into the app's containers: mounts, variables, probes and hooks, only where absent.

use serde_json::Value;

use crate::{
    content::{AppContainers, Mount, Rendered},
    merge::trimmed,
    policy::ContainerList,
};

use super::{Parts, Variable, add, cel, comparison, refusals::fields, variable};

/// The lists of a container that a policy adds to, in the order of the edits.
const LISTS: [&str; 3] = ["env", "envFrom", "volumeMounts"];
const SIZE: &str = "a.env.size() + a.envFrom.size() + a.volumeMounts.size() + a.fields.size()";

impl Parts<'_> {
    /// The app's containers that are meant, with what they lack and what is in the way; and those of them
    /// that something goes into.
    pub(super) fn app_containers(self) -> Vec<Variable> {
        if self.content.app_containers.is_empty() {
            return Vec::new();
        }
        let lists = [ContainerList::InitContainers, ContainerList::Containers];
        let meant = lists.into_iter().filter_map(|list| self.meant_in(list));
        let meant = meant.collect::<Vec<_>>().join(" +\n");
        let additions = format!("variables.appContainers.filter(a, {SIZE} > 0)");
        vec![variable("appContainers", meant), variable("appAdditions", additions)]
    }

    fn meant_in(self, list: ContainerList) -> Option<String> {
        use crds::ContainersIncluded::{All, Containers, InitContainers};
        let included = |entry: &AppContainers| match entry.include {
            All => true,
            Containers => list == ContainerList::Containers,
            InitContainers => list == ContainerList::InitContainers,
        };
        let entries = self.content.app_containers.iter().filter(|entry| included(entry));
        let entries: Vec<Meant<'_>> =
            entries.map(|entry| Meant { parts: self, entry, list }).collect();
        if entries.is_empty() {
            return None;
        }
        let guards: Vec<Option<String>> =
            entries.iter().map(|meant| named(&meant.entry.names)).collect();
        let ours = self.content.sidecars.iter().map(|sidecar| sidecar.name.as_str());
        let mut filter = vec![format!("!(c.name in {})", cel::texts(ours))];
        if guards.iter().all(Option::is_some) {
            let any: Vec<String> = guards.iter().flatten().cloned().collect();
            filter.push(format!("({})", any.join(" || ")));
        }
        let is_only = entries.len() == 1;
        let all = |part: &dyn Fn(&Meant<'_>) -> Vec<String>| {
            let parts = entries.iter().zip(&guards).flat_map(|(meant, guard)| {
                let guard = guard.clone().filter(|_| !is_only);
                part(meant).into_iter().map(move |part| match &guard {
                    Some(guard) => format!("({guard} ? {part} : [])"),
                    None => part,
                })
            });
            let parts: Vec<String> = parts.collect();
            if parts.is_empty() { "[]".to_owned() } else { parts.join(" + ") }
        };
        let field = list.field();
        let entries = [
            ("path", format!("'/spec/{field}/' + string(i)")),
            ("container", "c".to_owned()),
            ("env", all(&|meant| meant.variables())),
            ("envFrom", all(&|meant| meant.sources())),
            ("volumeMounts", all(&|meant| meant.mounts())),
            ("fields", all(&|meant| meant.fields())),
            ("conflicts", all(&|meant| meant.conflicts())),
        ];
        let entries = entries.map(|(key, value)| format!("  '{key}': dyn({value})"));
        Some(format!(
            "variables.{field}.transformList(i, c, {}, {{\n{}\n}})",
            filter.join(" && "),
            entries.join(",\n")
        ))
    }

    /// The edits of the app's containers.
    pub(super) fn app_container_edits(self) -> Option<String> {
        if self.content.app_containers.is_empty() {
            return None;
        }
        let guard = "[JSONPatch{op: 'test', path: a.path + '/name', value: a.container.name}]";
        let mut edits = vec![guard.to_owned()];
        for list in LISTS {
            let place = if list == "envFrom" { "0" } else { "-" };
            let whole = add(&format!("a.path + '/{list}'"), "[]");
            let each = add(&format!("a.path + '/{list}/{place}'"), "x");
            edits.push(format!(
                "(a.{list}.size() == 0 || has(a.container.{list}) ? [] : [{whole}]) + a.{list}.map(x, {each})"
            ));
        }
        let field = add("a.path + '/' + x.name", "x.value");
        edits.push(format!("a.fields.map(x, {field})"));
        Some(format!("variables.appAdditions.map(a,\n    {}).flatten()", edits.join(" +\n    ")))
    }
}

/// An entry of the policy and one of the lists that it means.
struct Meant<'p> {
    parts: Parts<'p>,
    entry: &'p AppContainers,
    list: ContainerList,
}

impl Meant<'_> {
    fn variables(&self) -> Vec<String> {
        let variables = self.entry.env.iter().map(|variable| {
            let name = cel::text(&variable.name);
            let there = format!("has(c.env) && c.env.exists(x, x.name == {name})");
            unless(&there, &variable.rendered)
        });
        variables.collect()
    }

    /// They are put in front one by one, so the last comes first.
    fn sources(&self) -> Vec<String> {
        let sources = self.entry.env_from.iter().rev();
        let there =
            |source: &Rendered| comparison::element_of("c", "envFrom", &fields(&source.json));
        sources.map(|source| unless(&there(source), source)).collect()
    }

    fn mounts(&self) -> Vec<String> {
        let mounts = self.entry.mounts.iter();
        let there = |mount: &Mount| {
            format!(
                "has(c.volumeMounts) && c.volumeMounts.exists(x, {})",
                is_at("x.mountPath", mount)
            )
        };
        mounts.map(|mount| unless(&there(mount), &mount.rendered)).collect()
    }

    /// The API server refuses probes and hooks in containers that run to completion.
    fn fields(&self) -> Vec<String> {
        let completes = match self.list {
            ContainerList::InitContainers => {
                "!has(c.restartPolicy) || c.restartPolicy != 'Always' || "
            }
            ContainerList::Containers => "",
        };
        let fields = self.entry.fields.iter().map(|(field, rendered)| {
            let name = field.name();
            let value = cel::literal(&fields(&rendered.json).into());
            format!("({completes}has(c.{name}) ? [] : [{{'name': dyn('{name}'), 'value': dyn({value})}}])")
        });
        fields.collect()
    }

    fn conflicts(&self) -> Vec<String> {
        let conflicts = self.entry.mounts.iter().flat_map(|mount| {
            let fields = fields(&mount.rendered.json);
            let at_path = is_at("x.mountPath", mount);
            let same = comparison::object("x", "", &fields);
            let taken = format!(
                "has(c.volumeMounts) && c.volumeMounts.exists(x, {at_path} && !({same})) || has(c.volumeDevices) && c.volumeDevices.exists(x, x.name == {} || {})",
                cel::text(&mount.volume),
                is_at("x.devicePath", mount)
            );
            let path = cel::text(&format!("\" has something else at {}", mount.path));
            let reason = format!("'container \"' + c.name + {path}");
            let missing = (!self.parts.content.has_volume(&mount.volume)).then(|| {
                let name = cel::text(&mount.volume);
                let reason = cel::text(&format!("there is no volume \"{}\"", mount.volume));
                format!("(variables.volumes.exists(v, v.name == {name}) ? [] : [{reason}])")
            });
            [format!("({taken} ? [{reason}] : [])")].into_iter().chain(missing)
        });
        conflicts.collect()
    }
}

fn unless(there: &str, part: &Rendered) -> String {
    let literal = cel::literal(&Value::Object(fields(&part.json)));
    format!("({there} ? [] : [dyn({literal})])")
}

/// Whether a path is that of a mount, slashes at the end aside.
fn is_at(path: &str, mount: &Mount) -> String {
    let wanted = trimmed(&mount.path);
    if wanted.ends_with('/') {
        return format!("{path} == {}", cel::text(wanted));
    }
    format!("{path}.matches({})", cel::text(&format!("^{}/*$", cel::escaped(wanted))))
}

/// Whether a container has one of these names or globs; none where every name will do.
fn named(names: &[String]) -> Option<String> {
    if names.is_empty() || names.iter().any(|name| name == "*") {
        return None;
    }
    if names.iter().all(|name| !name.contains('*')) {
        let names = names.iter().map(String::as_str);
        return Some(format!("c.name in {}", cel::texts(names)));
    }
    let globs =
        names.iter().map(|name| name.split('*').map(cel::escaped).collect::<Vec<_>>().join(".*"));
    let pattern = format!("^({})$", globs.collect::<Vec<_>>().join("|"));
    Some(format!("c.name.matches({})", cel::text(&pattern)))
}
