//! Host aliases. An address stands in the list once, since server-side apply and `kubectl apply` know
//! the entries by it: names are added to the entry that is there.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor, value::MapAccessDeserializer},
};
use serde_json::Value;

use crate::{
    Conflict,
    content::{HostAlias, PodAdditions},
    journal::{HostAliasEdit, ListEdits},
    json,
    pod::{Spec, Text, read_from_object},
};

use super::{
    Merge,
    pod::{PodEdits, read_list},
};

/// A host alias that the pod has.
#[derive(Deserialize)]
#[serde(remote = "Self")]
struct PodHostAlias<'p> {
    #[serde(borrow, default)]
    ip: Option<Text<'p>>,
    #[serde(borrow, default)]
    hostnames: Option<Vec<Text<'p>>>,
}

read_from_object!(PodHostAlias);

impl PodHostAlias<'_> {
    fn is_for(&self, ip: &str) -> bool {
        self.ip.as_ref().is_some_and(|own| own.as_str() == ip)
    }

    fn hostnames(&self) -> impl Iterator<Item = &str> {
        self.hostnames.iter().flatten().map(Text::as_str)
    }
}

/// What goes in of a policy's host alias.
pub(super) struct AliasAddition<'s> {
    alias: &'s HostAlias,
    /// The hostnames that are not there for the address, each once.
    hostnames: Vec<&'s str>,
}

impl<'s> Merge<'_, 's> {
    /// The aliases that the pod lacks, whole or in part.
    pub(super) fn attempt_host_aliases(
        &self,
        wanted: &'s PodAdditions,
        edits: &mut PodEdits<'s>,
    ) -> Result<(), Conflict> {
        if wanted.host_aliases.is_empty() {
            return Ok(());
        }
        let of_pod = read(self.spec)?;
        for alias in &wanted.host_aliases {
            let planned = self.pod.host_aliases.iter().chain(&edits.host_aliases);
            let planned: Vec<_> = planned.filter(|found| found.alias.ip == alias.ip).collect();
            let of_pod: Vec<_> = of_pod.iter().filter(|found| found.is_for(&alias.ip)).collect();
            let mut hostnames: Vec<&str> = Vec::new();
            for name in alias.hostnames.iter().map(String::as_str) {
                let there = of_pod.iter().any(|found| found.hostnames().any(|own| own == name))
                    || planned.iter().any(|found| found.hostnames.contains(&name));
                if !there && !hostnames.contains(&name) {
                    hostnames.push(name);
                }
            }
            if (of_pod.is_empty() && planned.is_empty()) || !hostnames.is_empty() {
                edits.host_aliases.push(AliasAddition { alias, hostnames });
            }
        }
        Ok(())
    }
}

/// The entries of the pod that get more names, and the new entries.
pub(super) fn host_alias_edits(
    additions: &[AliasAddition<'_>],
    spec: &Spec<'_>,
) -> Result<(Vec<HostAliasEdit>, ListEdits), Conflict> {
    let new = ListEdits { present: spec.host_aliases.is_some(), ..ListEdits::default() };
    if additions.is_empty() {
        return Ok((Vec::new(), new));
    }
    let of_pod = read(spec)?;
    let mut entries: Vec<HostAliasEdit> = Vec::new();
    let mut added: Vec<(&HostAlias, Vec<&str>)> = Vec::new();
    for AliasAddition { alias, hostnames } in additions {
        let Some(index) = of_pod.iter().position(|found| found.is_for(&alias.ip)) else {
            match added.iter_mut().find(|(first, _)| first.ip == alias.ip) {
                Some((_, names)) => names.extend(hostnames),
                None => added.push((alias, hostnames.clone())),
            }
            continue;
        };
        let names = hostnames.iter().map(|name| json::string(name).into());
        match entries.iter_mut().find(|edit| edit.index == index) {
            Some(edit) => edit.hostnames.items.extend(names),
            None => entries.push(HostAliasEdit {
                index,
                ip: alias.ip.clone(),
                hostnames: ListEdits {
                    present: of_pod[index].hostnames.is_some(),
                    before: false,
                    items: names.collect(),
                },
            }),
        }
    }
    let items = added.into_iter().map(|(alias, names)| with_hostnames(alias, &names).into());
    Ok((entries, ListEdits { items: items.collect(), ..new }))
}

/// The alias with these hostnames in the place of its own.
fn with_hostnames(alias: &HostAlias, hostnames: &[&str]) -> String {
    let mut fields = alias.fields.clone();
    if !hostnames.is_empty() {
        fields.insert("hostnames".to_owned(), hostnames.into());
    }
    Value::Object(fields).to_string()
}

fn read<'p>(spec: &Spec<'p>) -> Result<Vec<PodHostAlias<'p>>, Conflict> {
    read_list(spec.host_aliases, "spec.hostAliases")
}
