//! Variables of the app's containers: added where absent, or added to the app's own value.

use serde::Deserialize;

use crate::{
    Conflict, Notice, canonical::Canonical, content::Variable, journal::ValueEdit, json,
    pod::Named, reader::Raw,
};

use super::{
    app_containers::{AppContainer, AppContainerAdditions, read_once},
    malformed,
};

/// The value that a variable has by now.
enum Current {
    Absent,
    Text(String),
    /// It comes from somewhere else, so that nothing can be added to it.
    Elsewhere,
}

/// A variable of the app's, as far as its value goes.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PodVariable {
    #[serde(default)]
    value: Option<String>,
    #[serde(default)]
    value_from: Option<serde_json::Value>,
}

impl<'p, 's> AppContainer<'p, 's> {
    pub(super) fn attempt_variable(
        &self,
        variable: &'s Variable,
        separators: &[(&str, &str)],
        addition: &mut AppContainerAdditions<'s>,
        notices: &mut Vec<Notice>,
    ) -> Result<(), Conflict> {
        if let (Some(separator), Some(value)) = (&variable.separator, &variable.value) {
            return match self.current(&variable.name, addition)? {
                Current::Absent => {
                    self.add(variable, addition, notices);
                    Ok(())
                }
                Current::Elsewhere => {
                    notices.push(self.variable_kept(&variable.name));
                    Ok(())
                }
                Current::Text(text) => {
                    let of_variable = separators.iter().filter(|(name, _)| *name == variable.name);
                    let separators = of_variable.map(|(_, separator)| *separator);
                    // That of an audited policy is none of the others'.
                    let separators: Vec<&str> = separators.chain([separator.as_str()]).collect();
                    if has_part(&text, &separators, value) {
                        return Ok(());
                    }
                    let between = if text.is_empty() { "" } else { separator };
                    addition.values.push((&variable.name, format!("{text}{between}{value}")));
                    Ok(())
                }
            };
        }
        let name = variable.name.as_str();
        let planned = addition.env.iter().chain(&self.taken().env).find(|other| other.name == name);
        let of_pod = self.position_of(name)?.is_some();
        match planned {
            Some(planned) if planned.rendered.equals(&variable.rendered) => {}
            None if !of_pod => self.add(variable, addition, notices),
            None if self.has_equal_variable(variable)? => {}
            _ => notices.push(self.variable_kept(name)),
        }
        Ok(())
    }

    /// A variable goes before what the container takes from whole sources, which nobody can see here.
    fn add(
        &self,
        variable: &'s Variable,
        addition: &mut AppContainerAdditions<'s>,
        notices: &mut Vec<Notice>,
    ) {
        addition.env.push(variable);
        if self.get().env_from.is_some_and(|sources| sources.get().contains('{')) {
            notices.push(Notice::SourceOverridden {
                container: self.name().to_owned(),
                variable: variable.name.clone(),
            });
        }
    }

    /// The value of a variable, with what was added to it so far.
    fn current(
        &self,
        name: &str,
        addition: &AppContainerAdditions<'s>,
    ) -> Result<Current, Conflict> {
        let longer = addition.values.iter().rev().chain(self.taken().values.iter().rev());
        if let Some((_, text)) = longer.into_iter().find(|(found, _)| *found == name) {
            return Ok(Current::Text(text.clone()));
        }
        let planned = addition.env.iter().chain(&self.taken().env).find(|other| other.name == name);
        if let Some(planned) = planned {
            return Ok(planned.value.clone().map_or(Current::Elsewhere, Current::Text));
        }
        let Some(position) = self.position_of(name)? else { return Ok(Current::Absent) };
        let variable = self.variable_at(position)?;
        Ok(match variable.value_from {
            Some(from) if !from.is_null() => Current::Elsewhere,
            _ => Current::Text(variable.value.unwrap_or_default()),
        })
    }

    /// Of variables with the same name the last one counts.
    fn position_of(&self, name: &str) -> Result<Option<usize>, Conflict> {
        Ok(self.env_names()?.iter().rposition(|found| found.name.as_str() == name))
    }

    fn variable_at(&self, position: usize) -> Result<PodVariable, Conflict> {
        let part = || format!("env[{position}] of container {:?}", self.name());
        let raw = self.variable_texts()?.get(position).map_or("{}", |raw| raw.get());
        serde_json::from_str(raw).map_err(|error| malformed(&part(), &error))
    }

    /// The variables as the pod has them.
    pub(super) fn variable_texts(&self) -> Result<&[Raw<'p>], Conflict> {
        read_once(&self.env_texts, self.get().env, self.name(), "env")
    }

    pub(super) fn env_names(&self) -> Result<&[Named<'p>], Conflict> {
        read_once(&self.env_names, self.get().env, self.name(), "env")
    }

    fn has_equal_variable(&self, variable: &Variable) -> Result<bool, Conflict> {
        let found = self.env_names()?.iter().zip(self.variable_texts()?);
        let mut found = found.filter(|(found, _)| found.name.as_str() == variable.name);
        Ok(found.any(|(_, raw)| variable.rendered.is(&Canonical::read(raw.get()))))
    }

    fn variable_kept(&self, name: &str) -> Notice {
        Notice::VariableKept { container: self.name().to_owned(), variable: name.to_owned() }
    }

    /// A variable by its name as JSON, as it is by now.
    pub(super) fn variable_json(&self, name: &str) -> Result<Option<String>, Conflict> {
        let longer = self.taken().values.iter().rev().find(|(found, _)| *found == name);
        if let Some((_, text)) = longer {
            return Ok(Some(with_value(name, text)));
        }
        if let Some(planned) = self.taken().env.iter().find(|planned| planned.name == name) {
            return Ok(Some(planned.rendered.json.to_string()));
        }
        let Some(position) = self.position_of(name)? else { return Ok(None) };
        Ok(self.variable_texts()?.get(position).map(|raw| raw.get().to_owned()))
    }

    /// The edits of variables that the app has and that got a longer value.
    pub(super) fn value_edits(&self) -> Result<Vec<ValueEdit>, Conflict> {
        let mut edits: Vec<ValueEdit> = Vec::new();
        for (name, value) in &self.taken().values {
            if self.taken().env.iter().any(|planned| planned.name == *name) {
                continue;
            }
            let Some(index) = self.position_of(name)? else { continue };
            if let Some(edit) = edits.iter_mut().find(|edit| edit.index == index) {
                edit.value.clone_from(value);
                continue;
            }
            let present = self.variable_at(index)?.value.is_some();
            let name = (*name).to_owned();
            edits.push(ValueEdit { index, name, present, value: value.clone() });
        }
        Ok(edits)
    }
}

/// A variable as JSON.
pub(super) fn with_value(name: &str, value: &str) -> String {
    let mut out = String::from("{\"name\":");
    json::push_string(&mut out, name);
    out.push_str(",\"value\":");
    json::push_string(&mut out, value);
    out.push('}');
    out
}

/// Whether a value has this part, between what separates parts.
fn has_part(text: &str, separators: &[&str], part: &str) -> bool {
    let ends = |before: &str| {
        before.is_empty() || separators.iter().any(|separator| before.ends_with(separator))
    };
    let begins = |after: &str| {
        after.is_empty() || separators.iter().any(|separator| after.starts_with(separator))
    };
    part.is_empty()
        || text
            .match_indices(part)
            .any(|(at, _)| ends(&text[..at]) && begins(&text[at + part.len()..]))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::has_part;

    #[rstest]
    #[case("-a", &[" "], "-a", true)]
    #[case("-a -b", &[" "], "-a", true)]
    #[case("-a -b", &[" "], "-b", true)]
    #[case("-a -b -c", &[" "], "-b", true)]
    #[case("-a -bc", &[" "], "-b", false)]
    #[case("-a -b,-c", &[" ", ","], "-b", true)]
    #[case("-a -b,-c", &[" "], "-b", false)]
    #[case("ab", &[""], "b", true)]
    fn parts(
        #[case] text: &str,
        #[case] separators: &[&str],
        #[case] part: &str,
        #[case] has: bool,
    ) {
        assert_eq!(has_part(text, separators, part), has);
    }
}
