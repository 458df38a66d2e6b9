//! Objects as the API server has them, down to the spelling of numbers.

use kube::core::{
    params::{GetParams, ListParams},
    request::Request,
};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Cluster, Error, Resource, Right};
use crate::document::{Node, Value};

/// Objects of one answer; as many as kubectl asks for at once.
const PAGE: u32 = 500;

/// Which objects are listed.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Selection<'a> {
    /// A label selector, as a query has it.
    pub(crate) labels: Option<&'a str>,
    /// A field selector, as a query has it.
    pub(crate) fields: Option<&'a str>,
}

impl Cluster {
    /// An object by its name. The namespace counts for kinds that have one.
    pub(crate) async fn get(
        &self,
        resource: &'static Resource,
        namespace: &str,
        name: &str,
    ) -> Result<Node, Error> {
        let namespace = resource.namespaced.then_some(namespace);
        let right = Right {
            verb: "get",
            resource,
            namespace: namespace.map(str::to_owned),
            name: Some(name.to_owned()),
        };
        let request = Request::new(resource.path(namespace)).get(name, &GetParams::default());
        let request = request.map_err(|error| Error::request(&error))?;
        let text = self.client.request_text(request).await;
        let text = text.map_err(|error| self.failed(right, error))?;
        Node::from_json(&text, 1).map_err(|error| Error::answer(&error))
    }

    /// An object by its name, if there is one.
    pub(crate) async fn find(
        &self,
        resource: &'static Resource,
        namespace: &str,
        name: &str,
    ) -> Result<Option<Node>, Error> {
        match self.get(resource, namespace, name).await {
            Ok(object) => Ok(Some(object)),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The objects of a namespace, or of all; with a label selector, those that it selects.
    pub(crate) async fn list(
        &self,
        resource: &'static Resource,
        namespace: Option<&str>,
        labels: Option<&str>,
    ) -> Result<Vec<Node>, Error> {
        self.list_each(resource, namespace, Selection { labels, fields: None }, Some).await
    }

    /// What is taken of each object of a namespace, or of all: there may be more than fit into memory as a whole.
    pub(crate) async fn list_each<T>(
        &self,
        resource: &'static Resource,
        namespace: Option<&str>,
        selection: Selection<'_>,
        mut take: impl FnMut(Node) -> Option<T>,
    ) -> Result<Vec<T>, Error> {
        let namespace = namespace.filter(|_| resource.namespaced);
        let right =
            Right { verb: "list", resource, namespace: namespace.map(str::to_owned), name: None };
        let mut parameters = ListParams::default().limit(PAGE);
        parameters.label_selector = selection.labels.map(str::to_owned);
        parameters.field_selector = selection.fields.map(str::to_owned);
        let mut taken = Vec::new();
        loop {
            let request = Request::new(resource.path(namespace)).list(&parameters);
            let request = request.map_err(|error| Error::request(&error))?;
            let text = match self.client.request_text(request).await {
                // Reading took longer than the API server keeps the place; all at once needs none.
                Err(kube::Error::Api(status))
                    if status.code == 410 && parameters.limit.is_some() =>
                {
                    taken.clear();
                    (parameters.limit, parameters.continue_token) = (None, None);
                    continue;
                }
                text => text.map_err(|error| self.failed(right.clone(), error))?,
            };
            let page: Page<'_> =
                serde_json::from_str(&text).map_err(|error| Error::answer(&error))?;
            for item in &page.items {
                let object =
                    Node::from_json(item.get(), 1).map_err(|error| Error::answer(&error))?;
                taken.extend(take(named(object, resource)));
            }
            parameters.continue_token = page.metadata.next.filter(|token| !token.is_empty());
            if parameters.continue_token.is_none() {
                return Ok(taken);
            }
        }
    }
}

#[derive(Deserialize)]
struct Page<'a> {
    #[serde(default)]
    metadata: PageMetadata,
    #[serde(borrow, default)]
    items: Vec<&'a RawValue>,
}

#[derive(Default, Deserialize)]
struct PageMetadata {
    /// Where the next page begins.
    #[serde(rename = "continue")]
    next: Option<String>,
}

/// The object with its kind, which the API server leaves out in lists.
fn named(mut object: Node, resource: &Resource) -> Node {
    if let Value::Map(entries) = &mut object.value
        && !entries.iter().any(|(key, _)| key == "kind")
    {
        let text = |text: String| Node { line: 1, value: Value::Text(text) };
        entries.insert(0, ("kind".to_owned(), text(resource.kind.to_owned())));
        entries.insert(0, ("apiVersion".to_owned(), text(resource.api_version())));
    }
    object
}
