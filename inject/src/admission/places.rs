//! Where the containers go: the order of the merge's placement, step by step, each a variable.
//!
//! Of a single sidecar the place is plain. Where a policy brings several into one list, some of them may
//! be there already: then each step says where the sidecar goes, how far the list is passed with it, and
//! how many were put in so far.

use crate::{
    content::{Placement, Sidecar},
    policy::ContainerList,
};

use super::{
    Parts, Variable, add, cel,
    refusals::{app_target, fields},
    sidecars, variable,
};

/// What comes next in a list.
enum Step<'s> {
    Sidecar(&'s Sidecar),
    /// All of the app's that stand before this one.
    PassBefore(&'s str),
    /// All up to this one.
    Pass(&'s str),
    PassAll,
}

impl<'p> Parts<'p> {
    /// The steps of both lists.
    pub(super) fn places(self) -> Vec<Variable> {
        let lists = [ContainerList::InitContainers, ContainerList::Containers];
        lists.into_iter().flat_map(|list| self.places_in(list)).collect()
    }

    fn places_in(self, list: ContainerList) -> Vec<Variable> {
        if self.is_plain(list) {
            return Vec::new();
        }
        let field = list.field();
        let ours = self.ours(list);
        let apps =
            format!("!(c.name in {})", cel::texts(ours.iter().map(|ours| ours.name.as_str())));
        let mut variables = vec![
            variable(&format!("{field}Names"), format!("variables.{field}.map(c, c.name)")),
            variable(&format!("{field}Place0"), "[0, 0, 0]"),
        ];
        for (number, step) in self.steps(list).into_iter().enumerate() {
            let before = format!("variables.{field}Place{number}");
            let passed = |condition: &str| {
                let positions = format!(
                    "variables.{field}.transformList(i, c, {apps}{condition}, i + 1 + {before}[2])"
                );
                format!("[0, ([{before}[1]] + {positions}).max(), {before}[2]]")
            };
            let index = |name: &str| format!("variables.{field}Names.indexOf({})", cel::text(name));
            let place = match step {
                Step::PassAll => passed(""),
                Step::PassBefore(name) => passed(&format!(" && i < {}", index(name))),
                Step::Pass(name) => passed(&format!(" && i <= {}", index(name))),
                Step::Sidecar(sidecar) => {
                    let there = sidecars::is_there(sidecar);
                    let index = index(&sidecar.name);
                    format!(
                        "{there} ? [0, [{before}[1], {index} + 1 + {before}[2]].max(), {before}[2]] : [{before}[1], {before}[1] + 1, {before}[2] + 1]"
                    )
                }
            };
            variables.push(variable(&format!("{field}Place{}", number + 1), place));
        }
        variables
    }

    /// The edits that put the sidecars in.
    pub(super) fn insertions(self) -> Vec<String> {
        let lists = [ContainerList::InitContainers, ContainerList::Containers];
        lists.into_iter().flat_map(|list| self.insertions_into(list)).collect()
    }

    fn insertions_into(self, list: ContainerList) -> Vec<String> {
        let field = list.field();
        let mut edits = Vec::new();
        if self.ours(list).is_empty() {
            return edits;
        }
        let whole = add(&cel::text(&format!("/spec/{field}")), "[]");
        edits.push(format!("(has(object.spec.{field}) ? [] : [{whole}])"));
        let is_plain = self.is_plain(list);
        for (number, step) in self.steps(list).into_iter().enumerate() {
            let Step::Sidecar(sidecar) = step else { continue };
            let path = match sidecar.placement {
                Placement::Last if is_plain => cel::text(&format!("/spec/{field}/-")),
                _ if is_plain => cel::text(&format!("/spec/{field}/0")),
                _ => format!("'/spec/{field}/' + string(variables.{field}Place{}[0])", number + 1),
            };
            let literal = cel::literal(&fields(&sidecar.rendered.json).into());
            let there = sidecars::is_there(sidecar);
            edits.push(format!("({there} ? [] : [{}])", add(&path, &literal)));
        }
        edits
    }

    fn ours(self, list: ContainerList) -> Vec<&'p Sidecar> {
        let sidecars = self.content.sidecars.iter().map(|sidecar| &**sidecar);
        sidecars.filter(|sidecar| sidecar.list == list).collect()
    }

    /// Whether the place is the start or the end of the list, whatever is in it.
    fn is_plain(self, list: ContainerList) -> bool {
        match self.ours(list).as_slice() {
            [] => true,
            [only] => matches!(only.placement, Placement::First | Placement::Last),
            _ => false,
        }
    }

    /// The order in which the list would be if none of the sidecars were there yet.
    fn steps(self, list: ContainerList) -> Vec<Step<'p>> {
        let ours = self.ours(list);
        let mut steps = Vec::new();
        let block = |placement: &Placement, steps: &mut Vec<Step<'p>>| {
            for sidecar in ours.iter().filter(|sidecar| sidecar.placement == *placement) {
                visit(sidecar, &ours, steps);
            }
        };
        block(&Placement::First, &mut steps);
        let target = ours.iter().find_map(|sidecar| app_target(sidecar, ours.iter().copied()));
        if let Some(target) = target {
            steps.push(Step::PassBefore(target));
            beside(target, false, &ours, &mut steps);
            steps.push(Step::Pass(target));
            beside(target, true, &ours, &mut steps);
        }
        steps.push(Step::PassAll);
        block(&Placement::Last, &mut steps);
        steps
    }
}

/// A sidecar between those that are placed beside it.
fn visit<'s>(sidecar: &'s Sidecar, ours: &[&'s Sidecar], steps: &mut Vec<Step<'s>>) {
    beside(&sidecar.name, false, ours, steps);
    steps.push(Step::Sidecar(sidecar));
    beside(&sidecar.name, true, ours, steps);
}

fn beside<'s>(target: &str, after: bool, ours: &[&'s Sidecar], steps: &mut Vec<Step<'s>>) {
    for sidecar in ours {
        let is_beside = match &sidecar.placement {
            Placement::Before(name) => !after && name == target,
            Placement::After(name) => after && name == target,
            Placement::First | Placement::Last => false,
        };
        if is_beside {
            visit(sidecar, ours, steps);
        }
    }
}
