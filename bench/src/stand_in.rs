//! A stand-in for an API server, as far as the operator asks for one: keeps objects in memory, lists
//! them in pages, tells those who watch of every change, and counts what is written. It checks nothing
//! and believes everybody.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures::{StreamExt as _, channel::mpsc};
use http_body_util::{BodyExt as _, Collected, Full, StreamBody, combinators::BoxBody};
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Bytes, Frame, Incoming},
};
use serde_json::{Map, Value, json};

use crate::{cluster::Cluster, https_server};

type Answer = Response<BoxBody<Bytes, Infallible>>;

/// Objects on a page, unless another number is asked for.
const PAGE: usize = 500;

/// The stand-in; shared by the server and the one who asks what was written.
#[derive(Clone)]
pub struct StandIn(Arc<Mutex<State>>);

/// What it knows.
pub struct State {
    /// The pods, which are printed when they are asked for: together they have a gigabyte.
    pub cluster: Cluster,
    objects: BTreeMap<Key, Value>,
    version: u64,
    watches: Vec<Watch>,
    written: BTreeMap<String, usize>,
    lists: usize,
}

/// Resource, namespace (empty without), name.
type Key = (String, String, String);

struct Watch {
    resource: String,
    sender: mpsc::UnboundedSender<Bytes>,
}

/// What a request is about.
#[derive(Debug, PartialEq, Eq)]
struct Target {
    resource: String,
    namespace: String,
    name: Option<String>,
    is_status: bool,
}

impl StandIn {
    /// Holds a cluster.
    #[must_use]
    pub fn new(cluster: Cluster) -> Self {
        let mut state = State {
            cluster,
            objects: BTreeMap::new(),
            version: 1_000,
            watches: Vec::new(),
            written: BTreeMap::new(),
            lists: 0,
        };
        for (resource, object) in state.cluster.objects() {
            state.put(resource, object);
        }
        Self(Arc::new(Mutex::new(state)))
    }

    /// What it knows, to look at and to change.
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers one request.
    pub async fn answer(self, request: Request<Incoming>) -> Answer {
        let (parts, body) = request.into_parts();
        let query = parts.uri.query().unwrap_or_default().to_owned();
        let Some(target) = Target::read(parts.uri.path()) else {
            return refused(StatusCode::NOT_FOUND, "NotFound");
        };
        let body = body.collect().await.map(Collected::to_bytes).unwrap_or_default();
        let object = serde_json::from_slice(&body).unwrap_or(Value::Null);
        let mut state = self.state();
        match parts.method {
            Method::GET if target.name.is_some() => found(state.objects.get(&target.key())),
            Method::GET if parameter(&query, "watch").is_some() => state.watch(target.resource),
            Method::GET => full(state.list(&target, &query)),
            Method::DELETE => found(state.remove(&target).as_ref()),
            // A dry run, and what nobody reads again.
            Method::POST if query.contains("dryRun") || target.resource == "events" => {
                full(object.to_string())
            }
            Method::POST | Method::PUT | Method::PATCH => state.write(&target, object),
            _ => refused(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed"),
        }
    }
}

impl State {
    /// Writes by resource, those of statuses as `RESOURCE/status`.
    #[must_use]
    pub fn written(&self) -> &BTreeMap<String, usize> {
        &self.written
    }

    /// How many pages of pods were asked for.
    #[must_use]
    pub fn pod_pages(&self) -> usize {
        self.lists
    }

    /// An object; the namespace is empty for what has none.
    #[must_use]
    pub fn object(&self, resource: &str, namespace: &str, name: &str) -> Option<&Value> {
        self.objects.get(&(resource.to_owned(), namespace.to_owned(), name.to_owned()))
    }

    /// Stores an object in its next version and tells those who watch. Gives it as it is stored.
    pub fn put(&mut self, resource: &str, mut object: Value) -> &Value {
        let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default().to_owned();
        let key = (resource.to_owned(), text("namespace"), text("name"));
        let is_new = !self.objects.contains_key(&key);
        self.version += 1;
        let metadata = &mut object["metadata"];
        metadata["resourceVersion"] = json!(self.version.to_string());
        if metadata["uid"].is_null() {
            metadata["uid"] = json!(format!("11111111-0000-4000-8000-{:012}", self.version));
        }
        let event = if is_new { "ADDED" } else { "MODIFIED" };
        self.tell(resource, &event_line(event, &object.to_string()));
        let entry = self.objects.entry(key).or_default();
        *entry = object;
        entry
    }

    /// Pods of these numbers become ready, or not.
    pub fn set_ready(&mut self, pods: impl Iterator<Item = usize>, ready: bool) {
        for pod in pods {
            self.version += 1;
            self.cluster.set_ready(pod, ready);
            let mut text = String::new();
            self.cluster.write_pod(pod, self.version, &mut text);
            self.tell("pods", &event_line("MODIFIED", &text));
        }
    }

    /// Ends every watch of a resource, as an API server does that has forgotten where it began.
    pub fn expire_watches(&mut self, resource: &str) {
        let status = json!({
            "apiVersion": "v1", "kind": "Status", "metadata": {}, "status": "Failure", "code": 410,
            "reason": "Expired", "message": "too old resource version"
        });
        self.tell(resource, &event_line("ERROR", &status.to_string()));
        self.watches.retain(|watch| watch.resource != resource);
    }

    fn tell(&mut self, resource: &str, line: &Bytes) {
        self.watches.retain(|watch| {
            watch.resource != resource || watch.sender.unbounded_send(line.clone()).is_ok()
        });
    }

    fn watch(&mut self, resource: String) -> Answer {
        let (sender, receiver) = mpsc::unbounded();
        self.watches.push(Watch { resource, sender });
        let frames = receiver.map(|line| Ok(Frame::data(line)));
        Response::new(BoxBody::new(StreamBody::new(frames)))
    }

    fn list(&mut self, target: &Target, query: &str) -> String {
        let number = |name| parameter(query, name).and_then(|text| text.parse().ok());
        let (from, limit) = (number("continue").unwrap_or(0), number("limit").unwrap_or(PAGE));
        let mut items = String::new();
        let count = if target.resource == "pods" {
            self.lists += 1;
            let count = self.cluster.pods();
            for pod in from..count.min(from + limit) {
                items.push_str(if items.is_empty() { "" } else { "," });
                self.cluster.write_pod(pod, self.version, &mut items);
            }
            count
        } else {
            let wanted = parameter(query, "fieldSelector")
                .and_then(|selector| selector.strip_prefix("metadata.name%3D"));
            let is_listed = |(resource, namespace, name): &Key| {
                *resource == target.resource
                    && (target.namespace.is_empty() || *namespace == target.namespace)
                    && wanted.is_none_or(|wanted| wanted == name)
            };
            let found: Vec<_> = self.objects.iter().filter(|(key, _)| is_listed(key)).collect();
            for (_, object) in found.iter().skip(from).take(limit) {
                items.push_str(if items.is_empty() { "" } else { "," });
                items.push_str(&object.to_string());
            }
            found.len()
        };
        let next = if from + limit < count { (from + limit).to_string() } else { String::new() };
        let version = self.version;
        format!(
            r#"{{"apiVersion":"v1","kind":"List","metadata":{{"resourceVersion":"{version}","continue":"{next}"}},"items":[{items}]}}"#
        )
    }

    fn remove(&mut self, target: &Target) -> Option<Value> {
        let removed = self.objects.remove(&target.key())?;
        self.tell(&target.resource, &event_line("DELETED", &removed.to_string()));
        Some(removed)
    }

    /// Creates, replaces or applies: whatever comes is laid over what is there.
    fn write(&mut self, target: &Target, mut written: Value) -> Answer {
        let suffix = if target.is_status { "/status" } else { "" };
        *self.written.entry(format!("{}{suffix}", target.resource)).or_default() += 1;
        if !target.namespace.is_empty() {
            written["metadata"]["namespace"] = json!(target.namespace);
        }
        if let Some(name) = &target.name {
            written["metadata"]["name"] = json!(name);
        }
        let name = written["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        let key = (target.resource.clone(), target.namespace.clone(), name);
        let mut object = self.objects.get(&key).cloned().unwrap_or(Value::Null);
        if target.is_status {
            // The only writer of a status takes away what it does not name.
            object["status"] = written["status"].take();
        } else {
            lay_over(&mut object, written);
        }
        full(self.put(&target.resource, object).to_string())
    }
}

impl Target {
    fn read(path: &str) -> Option<Self> {
        let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
        let (["api", _, rest @ ..] | ["apis", _, _, rest @ ..]) = parts.as_slice() else {
            return None;
        };
        let (namespace, rest) = match rest {
            ["namespaces", namespace, rest @ ..] if !rest.is_empty() => (*namespace, rest),
            rest => ("", rest),
        };
        let (resource, name, subresource) = match rest {
            [resource] => (*resource, None, ""),
            [resource, name] => (*resource, Some((*name).to_owned()), ""),
            [resource, name, subresource] => (*resource, Some((*name).to_owned()), *subresource),
            _ => return None,
        };
        Some(Self {
            resource: resource.to_owned(),
            namespace: namespace.to_owned(),
            name,
            is_status: subresource == "status",
        })
    }

    fn key(&self) -> Key {
        (self.resource.clone(), self.namespace.clone(), self.name.clone().unwrap_or_default())
    }
}

fn lay_over(object: &mut Value, written: Value) {
    match (object, written) {
        (Value::Object(object), Value::Object(written)) => {
            for (key, value) in written {
                lay_over(object.entry(key).or_insert(Value::Null), value);
            }
        }
        (object @ Value::Null, Value::Object(written)) => {
            *object = Value::Object(Map::new());
            lay_over(object, Value::Object(written));
        }
        (object, written) => *object = written,
    }
}

fn parameter<'q>(query: &'q str, name: &str) -> Option<&'q str> {
    let parts = query.split('&').filter_map(|part| part.split_once('='));
    parts.filter(|(key, _)| *key == name).map(|(_, value)| value).find(|value| !value.is_empty())
}

fn event_line(kind: &str, object: &str) -> Bytes {
    format!("{{\"type\":\"{kind}\",\"object\":{object}}}\n").into()
}

fn full(body: impl Into<Bytes>) -> Answer {
    https_server::json(body).map(BoxBody::new)
}

fn found(object: Option<&Value>) -> Answer {
    match object {
        Some(object) => full(object.to_string()),
        None => refused(StatusCode::NOT_FOUND, "NotFound"),
    }
}

fn refused(code: StatusCode, reason: &str) -> Answer {
    let status = json!({
        "apiVersion": "v1", "kind": "Status", "metadata": {}, "status": "Failure",
        "code": code.as_u16(), "reason": reason, "message": reason
    });
    let mut answer: Response<Full<Bytes>> = https_server::json(status.to_string());
    *answer.status_mut() = code;
    answer.map(BoxBody::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_name_what_they_are_about() {
        let read = |path| {
            let target = Target::read(path).unwrap();
            (target.resource, target.namespace, target.name.unwrap_or_default(), target.is_status)
        };
        let expected = |resource: &str, namespace: &str, name: &str, is_status| {
            (resource.to_owned(), namespace.to_owned(), name.to_owned(), is_status)
        };
        assert_eq!(read("/api/v1/namespaces"), expected("namespaces", "", "", false));
        assert_eq!(
            read("/api/v1/namespaces/shop/secrets/a"),
            expected("secrets", "shop", "a", false)
        );
        assert_eq!(
            read("/apis/sidecarpolicy.dev/v1alpha1/clustersidecarpolicies/mesh/status"),
            expected("clustersidecarpolicies", "", "mesh", true)
        );
        assert_eq!(Target::read("/version"), None);
    }
}
