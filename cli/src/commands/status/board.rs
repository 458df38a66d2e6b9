//! What a watch has told so far. Pure: events in, what changed out.

use std::collections::BTreeMap;

use inject::PolicyId;
use kube::runtime::watcher::Event;

use super::State;

/// The policies that are known, and the lists that are still arriving.
#[derive(Debug, Default)]
pub(super) struct Board {
    states: BTreeMap<PolicyId, State>,
    /// By watch, what has arrived of a list that began.
    arriving: BTreeMap<usize, BTreeMap<PolicyId, State>>,
}

/// What changed about a policy.
#[derive(Debug, PartialEq)]
pub(super) struct News {
    /// `None` if it is new.
    pub(super) before: Option<State>,
    /// `None` if it is gone.
    pub(super) after: Option<State>,
}

impl Board {
    /// Knows these policies.
    pub(super) fn new(states: &[State]) -> Self {
        let states = states.iter().map(|state| (state.policy.clone(), state.clone())).collect();
        Self { states, arriving: BTreeMap::new() }
    }

    /// All of them: those of the cluster kind, then by namespace and name.
    pub(super) fn states(&self) -> Vec<&State> {
        self.states.values().collect()
    }

    /// Takes over what a watch tells; `covers` says which policies it would tell of. Policies that nobody
    /// asks about come as `None`.
    pub(super) fn take(
        &mut self,
        watch: usize,
        event: Event<Option<State>>,
        covers: impl Fn(&PolicyId) -> bool,
    ) -> Vec<News> {
        match event {
            Event::Init => {
                self.arriving.insert(watch, BTreeMap::new());
                Vec::new()
            }
            Event::InitApply(state) => {
                let arriving = self.arriving.entry(watch).or_default();
                arriving.extend(state.map(|state| (state.policy.clone(), state)));
                Vec::new()
            }
            Event::InitDone => {
                let arrived = self.arriving.remove(&watch).unwrap_or_default();
                let gone = self.states.keys().filter(|id| covers(id) && !arrived.contains_key(*id));
                let gone: Vec<PolicyId> = gone.cloned().collect();
                let gone = gone.into_iter().filter_map(|id| self.states.remove(&id));
                let mut news: Vec<News> = gone.map(News::gone).collect();
                news.extend(arrived.into_values().filter_map(|state| self.set(state)));
                news
            }
            Event::Apply(state) => state.and_then(|state| self.set(state)).into_iter().collect(),
            Event::Delete(state) => {
                let gone = state.and_then(|state| self.states.remove(&state.policy));
                gone.map(News::gone).into_iter().collect()
            }
        }
    }

    fn set(&mut self, state: State) -> Option<News> {
        let before = self.states.insert(state.policy.clone(), state.clone());
        (before.as_ref() != Some(&state)).then_some(News { before, after: Some(state) })
    }
}

impl News {
    fn gone(state: State) -> Self {
        Self { before: Some(state), after: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::Node;

    fn state(name: &str, generation: i64) -> State {
        let json = format!(
            r#"{{"kind": "ClusterSidecarPolicy", "metadata": {{"name": "{name}", "generation": {generation}}}}}"#
        );
        State::of(&Node::from_json(&json, 1).expect("it is JSON")).expect("it is a policy")
    }

    fn changed(before: Option<State>, after: State) -> News {
        News { before, after: Some(after) }
    }

    #[test]
    fn only_what_changes_is_news() {
        let all = |_: &PolicyId| true;
        let mut board = Board::new(&[state("a", 1), state("b", 1), state("c", 1)]);
        assert_eq!(board.take(0, Event::Init, all), []);
        for arriving in [Some(state("a", 1)), Some(state("b", 2)), Some(state("d", 1)), None] {
            assert_eq!(board.take(0, Event::InitApply(arriving), all), []);
        }
        assert_eq!(
            board.take(0, Event::InitDone, all),
            [
                News::gone(state("c", 1)),
                changed(Some(state("b", 1)), state("b", 2)),
                changed(None, state("d", 1))
            ]
        );
        assert_eq!(board.take(0, Event::Apply(Some(state("a", 1))), all), []);
        assert_eq!(
            board.take(0, Event::Apply(Some(state("a", 2))), all),
            [changed(Some(state("a", 1)), state("a", 2))]
        );
        assert_eq!(board.take(0, Event::Apply(None), all), []);
        assert_eq!(
            board.take(0, Event::Delete(Some(state("a", 3))), all),
            [News::gone(state("a", 2))]
        );
        assert_eq!(board.states(), [&state("b", 2), &state("d", 1)]);
    }

    #[test]
    fn a_list_takes_nothing_away_that_its_watch_does_not_cover() {
        let mut board = Board::new(&[state("a", 1), state("b", 1)]);
        let covers = |id: &PolicyId| id.name == "a";
        assert_eq!(board.take(1, Event::Init, covers), []);
        assert_eq!(board.take(1, Event::InitDone, covers), [News::gone(state("a", 1))]);
        assert_eq!(board.states(), [&state("b", 1)]);
    }
}
