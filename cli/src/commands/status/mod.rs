//! `kubectl sidecar status`

mod board;
mod state;
mod structured;
mod table;
mod watch;

use std::{collections::BTreeMap, io};

use crds::{Overhead, PodCounts};
use inject::Quantity;

use super::{Ending, Error, Streams};
use crate::{
    arguments::StatusArguments,
    cluster::{self, Cluster, PolicyName, PolicyObjects, Resource, Scope},
    output::{ListFormat, Structured},
};
use state::State;

/// Says how policies of the cluster stand.
pub(super) fn run(arguments: &StatusArguments, streams: &mut Streams<'_>) -> Result<Ending, Error> {
    if arguments.watch && arguments.output != ListFormat::Table {
        return Err(Error::WatchedForm);
    }
    let names: Result<Vec<PolicyName>, cluster::Error> =
        arguments.policies.iter().map(|word| PolicyName::read(word)).collect();
    let names = names?;
    cluster::run(async {
        let cluster = Cluster::connect(&arguments.cluster).await?;
        let scope = match (&arguments.namespace, arguments.all_namespaces) {
            (_, true) => Scope::All,
            (Some(namespace), _) => Scope::One(namespace.clone()),
            (None, false) => Scope::One(cluster.default_namespace.clone()),
        };
        let question = Question { cluster, scope, names };
        let read = question.read(streams).await?;
        if arguments.watch {
            return watch::follow(&question, &read, streams).await;
        }
        if read.states.is_empty() {
            let elsewhere =
                if arguments.all_namespaces { "" } else { "; -A looks in all namespaces" };
            writeln!(streams.messages, "there are no policies{elsewhere}")?;
        }
        let states: Vec<&State> = read.states.iter().collect();
        write(&states, arguments.output, streams)?;
        let all_ready = states.iter().all(|state| state.readiness().why.is_none());
        Ok(if all_ready { Ending::Clean } else { Ending::Findings })
    })
}

fn write(states: &[&State], output: ListFormat, streams: &mut Streams<'_>) -> io::Result<()> {
    match output {
        ListFormat::Table if states.is_empty() => Ok(()),
        ListFormat::Table => table::write(states, streams.colours, streams.output),
        ListFormat::Name => states.iter().try_for_each(|state| {
            let resource = Resource::of_policy(&state.policy);
            writeln!(streams.output, "{}", resource.shown(&state.policy.name))
        }),
        ListFormat::Json => structured::write(states, Structured::Json, streams.output),
        ListFormat::Yaml => structured::write(states, Structured::Yaml, streams.output),
    }
}

/// Which policies are asked about.
struct Question {
    cluster: Cluster,
    scope: Scope,
    /// None for all.
    names: Vec<PolicyName>,
}

/// What could be read.
struct Read {
    states: Vec<State>,
    /// Whether this person may read policies of each kind.
    of_cluster: bool,
    of_namespaces: bool,
}

impl Question {
    /// Reads the policies.
    async fn read(&self, streams: &mut Streams<'_>) -> Result<Read, Error> {
        let namespaces = self.scope.namespaces(&self.names);
        let objects = self.cluster.policy_objects(namespaces.as_ref()).await?;
        let states = objects.all().filter_map(State::of).filter(|state| self.asks(state));
        let states: Vec<State> = states.collect();
        let is_there =
            |name: &PolicyName| states.iter().any(|state| name.names(&state.policy, &self.scope));
        if let Some(name) = self.names.iter().find(|name| !is_there(name)) {
            return Err(not_found(name, objects));
        }
        for note in objects.notes() {
            writeln!(streams.messages, "{note}")?;
        }
        let PolicyObjects { of_cluster, of_namespaces } = objects;
        Ok(Read { states, of_cluster: of_cluster.is_ok(), of_namespaces: of_namespaces.is_ok() })
    }

    /// Whether a policy is asked about.
    fn asks(&self, state: &State) -> bool {
        self.names.is_empty()
            || self.names.iter().any(|name| name.names(&state.policy, &self.scope))
    }
}

/// Why a policy was not found: there is none, or this person may not read those of its kind.
fn not_found(name: &PolicyName, objects: PolicyObjects) -> Error {
    match objects {
        PolicyObjects { of_cluster: Err(error), .. } if name.can_be_of_cluster() => error.into(),
        PolicyObjects { of_namespaces: Err(error), .. } if name.can_be_of_namespace() => {
            error.into()
        }
        _ => Error::NoPolicy { name: name.to_string() },
    }
}

/// What policies sum up to. A pod counts once for each of its policies.
#[derive(Debug, Default, PartialEq, Eq)]
struct Totals {
    pods: PodCounts,
    requests: BTreeMap<String, Quantity>,
    limits: BTreeMap<String, Quantity>,
}

impl Totals {
    fn of(states: &[&State]) -> Self {
        let mut totals = Self::default();
        for state in states {
            totals.pods += &state.status.pods;
            if let Some(Overhead { requests, limits }) = &state.status.overhead {
                add(&mut totals.requests, requests);
                add(&mut totals.limits, limits);
            }
        }
        totals
    }

    fn request(&self, resource: &str) -> Option<String> {
        self.requests.get(resource)?.to_amount_of(resource)
    }
}

type Written = k8s_openapi::apimachinery::pkg::api::resource::Quantity;

fn add(sum: &mut BTreeMap<String, Quantity>, amounts: &BTreeMap<String, Written>) {
    for (resource, amount) in amounts {
        let Some(amount) = Quantity::parse(&amount.0) else { continue };
        let known = sum.get(resource).and_then(|known| known.plus(&amount));
        sum.insert(resource.clone(), known.unwrap_or(amount));
    }
}
