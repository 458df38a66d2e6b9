//! Shows how policies stand, and what changes: the table anew on a terminal, elsewhere a line for
//! each change.

use std::io::{self, Write as _};

use crds::{ClusterSidecarPolicy, SidecarPolicy};
use futures::{Stream, StreamExt as _, stream};
use inject::PolicyId;
use kube::{
    Api,
    api::{ApiResource, DynamicObject},
    runtime::{
        WatchStreamExt as _,
        watcher::{self, Config, Event, watcher},
    },
};

use super::{
    Question, Read, State,
    board::{Board, News},
    table,
};
use crate::{
    cluster::{self, Cluster, Resource, Right},
    commands::{Ending, Error, Streams},
    document::Node,
    output::Cell,
};

/// Puts the cursor into the corner and clears what is below.
const CLEAR: &str = "\x1b[H\x1b[J";
/// Clears the whole terminal.
const CLEAR_ALL: &str = "\x1b[2J\x1b[H";

/// Shows how policies stand, until somebody ends the program.
pub(super) async fn follow(
    question: &Question,
    read: &Read,
    streams: &mut Streams<'_>,
) -> Result<Ending, Error> {
    let watches = watches(question, read);
    let mut board = Board::new(&read.states);
    let mut events =
        stream::select_all(watches.iter().enumerate().map(|(position, watched)| {
            Box::pin(watched.events().map(move |event| (position, event)))
        }));
    let layout = table::layout(&board.states());
    if streams.is_terminal {
        clear(CLEAR_ALL, streams)?;
        redraw(&board, streams)?;
    } else {
        layout.write_headings(streams.colours, streams.output)?;
        for state in board.states() {
            layout.write_row(&table::row(state), streams.colours, streams.output)?;
        }
        streams.output.flush()?;
    }
    let mut interrupted = false;
    while let Some((position, event)) = events.next().await {
        let event = match event {
            Ok(event) => event,
            Err(error) => {
                if let Some(refusal) = watches[position].refusal(&error, &question.cluster) {
                    return Err(refusal.into());
                }
                if !interrupted {
                    writeln!(
                        streams.messages,
                        "the watch was interrupted and begins again: {error}"
                    )?;
                }
                interrupted = true;
                continue;
            }
        };
        if !matches!(event, Event::Init) {
            interrupted = false;
        }
        let event = map(event, |object| state(&object).filter(|state| question.asks(state)));
        let news = board.take(position, event, |policy| watches[position].covers(policy));
        if news.is_empty() {
            continue;
        }
        if streams.is_terminal {
            redraw(&board, streams)?;
            continue;
        }
        for row in news.into_iter().filter_map(line) {
            layout.write_row(&row, streams.colours, streams.output)?;
        }
        streams.output.flush()?;
    }
    Ok(Ending::Clean)
}

/// Goes past what keeps control characters from the terminal.
fn clear(sequence: &str, streams: &mut Streams<'_>) -> io::Result<()> {
    streams.output.flush()?;
    let mut terminal = io::stdout();
    terminal.write_all(sequence.as_bytes())?;
    terminal.flush()
}

fn redraw(board: &Board, streams: &mut Streams<'_>) -> io::Result<()> {
    clear(CLEAR, streams)?;
    table::write(&board.states(), streams.colours, streams.output)?;
    streams.output.flush()
}

/// The row that tells of a change; `None` if nothing in it changed.
fn line(News { before, after }: News) -> Option<Vec<Cell>> {
    let before = before.as_ref().map(table::row);
    match after {
        Some(after) => Some(table::row(&after)).filter(|row| before.as_ref() != Some(row)),
        None => before.map(|mut row| {
            row.truncate(3);
            row.push("deleted".into());
            row
        }),
    }
}

/// A watch of policies of one kind, in one namespace or all.
struct Watched {
    api: Api<DynamicObject>,
    of_cluster: bool,
    namespace: Option<String>,
}

fn watches(question: &Question, read: &Read) -> Vec<Watched> {
    let client = || question.cluster.client.clone();
    let mut watches = Vec::new();
    if read.of_cluster {
        let resource = ApiResource::erase::<ClusterSidecarPolicy>(&());
        let api = Api::all_with(client(), &resource);
        watches.push(Watched { api, of_cluster: true, namespace: None });
    }
    let resource = ApiResource::erase::<SidecarPolicy>(&());
    match question.scope.namespaces(&question.names).filter(|_| read.of_namespaces) {
        Some(namespaces) => watches.extend(namespaces.into_iter().map(|namespace| Watched {
            api: Api::namespaced_with(client(), &namespace, &resource),
            of_cluster: false,
            namespace: Some(namespace),
        })),
        None if read.of_namespaces => {
            let api = Api::all_with(client(), &resource);
            watches.push(Watched { api, of_cluster: false, namespace: None });
        }
        None => {}
    }
    watches
}

impl Watched {
    fn events(&self) -> impl Stream<Item = Result<Event<DynamicObject>, watcher::Error>> + Send {
        watcher(self.api.clone(), Config::default()).default_backoff()
    }

    /// What ends the watch: that this person may not read or watch. Everything else may pass.
    fn refusal(&self, error: &watcher::Error, cluster: &Cluster) -> Option<cluster::Error> {
        let (verb, status) = match error {
            watcher::Error::InitialListFailed(kube::Error::Api(status)) => ("list", status),
            watcher::Error::WatchStartFailed(kube::Error::Api(status))
            | watcher::Error::WatchFailed(kube::Error::Api(status))
            | watcher::Error::WatchError(status) => ("watch", status),
            _ => return None,
        };
        if !matches!(status.code, 401 | 403) {
            return None;
        }
        let resource = if self.of_cluster {
            &Resource::CLUSTER_SIDECAR_POLICY
        } else {
            &Resource::SIDECAR_POLICY
        };
        let right = Right { verb, resource, namespace: self.namespace.clone(), name: None };
        Some(cluster.failed(right, kube::Error::Api(status.clone())))
    }

    /// Whether it tells of this policy.
    fn covers(&self, policy: &PolicyId) -> bool {
        match &policy.namespace {
            None => self.of_cluster,
            Some(namespace) => {
                !self.of_cluster && self.namespace.as_ref().is_none_or(|own| own == namespace)
            }
        }
    }
}

fn state(object: &DynamicObject) -> Option<State> {
    let json = serde_json::to_string(object).ok()?;
    State::of(&Node::from_json(&json, 1).ok()?)
}

fn map<K, T>(event: Event<K>, each: impl Fn(K) -> T) -> Event<T> {
    match event {
        Event::Apply(object) => Event::Apply(each(object)),
        Event::Delete(object) => Event::Delete(each(object)),
        Event::Init => Event::Init,
        Event::InitApply(object) => Event::InitApply(each(object)),
        Event::InitDone => Event::InitDone,
    }
}
