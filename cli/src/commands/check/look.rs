//! How checks look at a cluster: objects as JSON values, and questions to the API server.

use http_body_util::{BodyExt, Limited};
use kube::{api::PostParams, client::Body, core::request::Request};
use serde_json::{Value, json};

use crate::{
    cluster::{Cluster, Error, Resource, Right},
    document::Node,
};

/// Largest answer to a dry run that is read, in bytes.
const ANSWER_BYTES: usize = 4 * 1024 * 1024;

const OWN_REVIEW: Resource = review("SelfSubjectAccessReview", "selfsubjectaccessreviews");
const REVIEW: Resource = review("SubjectAccessReview", "subjectaccessreviews");

const fn review(kind: &'static str, plural: &'static str) -> Resource {
    Resource::cluster("authorization.k8s.io", "v1", kind, plural)
}

/// A cluster that is looked at.
pub(super) struct Look {
    pub(super) cluster: Cluster,
}

/// Who is asked about a right.
#[derive(Clone, Copy, Debug)]
pub(super) enum Who<'a> {
    /// Whoever runs this program.
    Me,
    /// A service account: namespace and name.
    Account(&'a str, &'a str),
}

/// A right as RBAC has it. An empty namespace stands for all of them, an empty name for all objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Permission {
    pub(super) verb: String,
    pub(super) group: String,
    /// With its subresource after a slash.
    pub(super) resource: String,
    pub(super) name: String,
    pub(super) namespace: String,
}

impl Permission {
    /// Of all objects of a resource.
    pub(super) fn new(verb: &str, group: &str, resource: &str, namespace: &str) -> Self {
        Self {
            verb: verb.to_owned(),
            group: group.to_owned(),
            resource: resource.to_owned(),
            name: String::new(),
            namespace: namespace.to_owned(),
        }
    }

    /// As people read it: `patch deployments.apps`.
    pub(super) fn shown(&self) -> String {
        let dot = if self.group.is_empty() { "" } else { "." };
        let name = if self.name.is_empty() { String::new() } else { format!(" {}", self.name) };
        format!("{} {}{dot}{}{name}", self.verb, self.resource, self.group)
    }

    fn attributes(&self) -> Value {
        let (resource, subresource) = self.resource.split_once('/').unwrap_or((&self.resource, ""));
        json!({
            "verb": self.verb, "group": self.group, "resource": resource, "subresource": subresource,
            "name": self.name, "namespace": self.namespace,
        })
    }
}

/// What the API server says to a dry run.
#[derive(Debug)]
pub(super) struct DryRun {
    pub(super) warnings: Vec<String>,
    /// The object as it would be, or what the API server has against it.
    pub(super) outcome: Result<Value, Refusal>,
}

/// Why a dry run was refused.
#[derive(Debug)]
pub(super) struct Refusal {
    /// HTTP status code.
    pub(super) code: u64,
    pub(super) message: String,
}

impl Refusal {
    /// Whether whoever asks lacks the right to create such objects. Admission refuses with the same code, and in
    /// words of its own.
    pub(super) fn is_for_lack_of_right(&self) -> bool {
        self.code == 403
            && self.message.contains(" is forbidden: User \"")
            && self.message.contains(" cannot create resource ")
    }
}

impl Look {
    /// An object; `None` if there is none.
    pub(super) async fn object(
        &self,
        resource: &'static Resource,
        namespace: &str,
        name: &str,
    ) -> Result<Option<Value>, Error> {
        let found = self.cluster.find(resource, namespace, name).await?;
        Ok(found.map(|node| value(&node.to_json())))
    }

    /// The Deployments of the chart: in this namespace, or wherever they are seen.
    pub(super) async fn own_deployments(
        &self,
        namespace: Option<&str>,
    ) -> Result<Vec<Value>, Error> {
        Ok(values(&self.cluster.own_deployments(namespace).await?))
    }

    /// The objects that a label selector picks.
    pub(super) async fn objects(
        &self,
        resource: &'static Resource,
        namespace: Option<&str>,
        labels: Option<&str>,
    ) -> Result<Vec<Value>, Error> {
        Ok(values(&self.cluster.list(resource, namespace, labels).await?))
    }

    /// Which of these rights somebody does not have.
    pub(super) async fn lacks(
        &self,
        who: Who<'_>,
        permissions: &[Permission],
    ) -> Result<Vec<Permission>, Error> {
        let asked = permissions.iter().map(|permission| self.may(who, permission));
        let allowed = futures::future::try_join_all(asked).await?;
        let lacking = permissions.iter().zip(allowed).filter(|(_, allowed)| !allowed);
        Ok(lacking.map(|(permission, _)| permission.clone()).collect())
    }

    async fn may(&self, who: Who<'_>, permission: &Permission) -> Result<bool, Error> {
        let mut spec = json!({ "resourceAttributes": permission.attributes() });
        let resource = match who {
            Who::Me => &OWN_REVIEW,
            Who::Account(namespace, name) => {
                spec["user"] = json!(format!("system:serviceaccount:{namespace}:{name}"));
                spec["groups"] = json!([
                    "system:serviceaccounts",
                    format!("system:serviceaccounts:{namespace}"),
                    "system:authenticated",
                ]);
                &REVIEW
            }
        };
        let review = json!({
            "apiVersion": resource.api_version(), "kind": resource.kind, "spec": spec,
        });
        let request = Request::new(resource.path(None))
            .create(&PostParams::default(), review.to_string().into_bytes())
            .map_err(|error| Error::request(&error))?;
        let answer = self.cluster.client.request::<Value>(request).await;
        let answer = answer.map_err(|error| self.failed("create", resource, None, error))?;
        Ok(answer["status"]["allowed"] == true)
    }

    /// Creates an object by a dry run.
    pub(super) async fn dry_run(
        &self,
        resource: &'static Resource,
        namespace: &str,
        object: &Value,
    ) -> Result<DryRun, Error> {
        let parameters = PostParams { dry_run: true, ..PostParams::default() };
        let request = Request::new(resource.path(Some(namespace)))
            .create(&parameters, object.to_string().into_bytes())
            .map_err(|error| Error::request(&error))?;
        let failed = |error| self.failed("create", resource, Some(namespace), error);
        let response = self.cluster.client.send(request.map(Body::from)).await.map_err(failed)?;
        let warnings = response.headers().get_all("warning").into_iter();
        let warnings = warnings.filter_map(|header| quoted(header.to_str().ok()?)).collect();
        let status = response.status();
        let body = Limited::new(response.into_body(), ANSWER_BYTES).collect().await;
        let body = body.map_err(|error| Error::Answer(error.to_string()))?.to_bytes();
        let answer: Value = serde_json::from_slice(&body).map_err(|error| Error::answer(&error))?;
        let outcome = if status.is_success() {
            Ok(answer)
        } else {
            let message = answer["message"].as_str().unwrap_or("it gives no reason").to_owned();
            Err(Refusal { code: u64::from(status.as_u16()), message })
        };
        Ok(DryRun { warnings, outcome })
    }

    pub(super) fn failed(
        &self,
        verb: &'static str,
        resource: &'static Resource,
        namespace: Option<&str>,
        error: kube::Error,
    ) -> Error {
        let namespace = namespace.map(str::to_owned);
        self.cluster.failed(Right { verb, resource, namespace, name: None }, error)
    }
}

/// The text of a `Warning` header: `299 - "text"`, where a backslash stands before quotes.
fn quoted(header: &str) -> Option<String> {
    let (_, rest) = header.split_once('"')?;
    let mut text = String::new();
    let mut characters = rest.chars();
    loop {
        match characters.next()? {
            '"' => return Some(text),
            '\\' => text.push(characters.next()?),
            character => text.push(character),
        }
    }
}

fn values(nodes: &[Node]) -> Vec<Value> {
    nodes.iter().map(|node| value(&node.to_json())).collect()
}

/// What this program has read before is JSON.
fn value(json: &str) -> Value {
    serde_json::from_str(json).unwrap_or_default()
}

/// A text of a value, or nothing.
pub(super) fn text<'v>(value: &'v Value, pointer: &str) -> &'v str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}
