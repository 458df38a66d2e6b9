//! Changes of objects. Whatever is refused, is refused in the API server's own words.

use kube::core::{
    params::{Patch, PatchParams},
    request::Request,
};
use serde_json::Value;

use super::{Cluster, Error, Resource, Right};

/// Who changes an object, as the API server keeps it.
pub(crate) const FIELD_MANAGER: &str = "kubectl-sidecar";

impl Cluster {
    /// Changes an object by a patch of its spec, and gives it as it is then.
    pub(crate) async fn patch(
        &self,
        resource: &'static Resource,
        namespace: Option<&str>,
        name: &str,
        patch: Patch<Value>,
    ) -> Result<Value, Error> {
        let parameters =
            PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        self.send(resource, namespace, name, &patch, &parameters).await
    }

    /// Applies an object by server-side apply, and gives it as it is then. In a dry run nothing is
    /// stored.
    pub(crate) async fn apply(
        &self,
        resource: &'static Resource,
        namespace: Option<&str>,
        name: &str,
        object: Value,
        dry_run: bool,
    ) -> Result<Value, Error> {
        let parameters = PatchParams { dry_run, ..PatchParams::apply(FIELD_MANAGER) };
        self.send(resource, namespace, name, &Patch::Apply(object), &parameters).await
    }

    async fn send(
        &self,
        resource: &'static Resource,
        namespace: Option<&str>,
        name: &str,
        patch: &Patch<Value>,
        parameters: &PatchParams,
    ) -> Result<Value, Error> {
        let right = Right {
            verb: "patch",
            resource,
            namespace: namespace.map(str::to_owned),
            name: Some(name.to_owned()),
        };
        let request = Request::new(resource.path(namespace)).patch(name, parameters, patch);
        let request = request.map_err(|error| Error::request(&error))?;
        self.client.request(request).await.map_err(|error| match error {
            // What is missing is the namespace, and not the object, which would be made.
            kube::Error::Api(status)
                if status.code == 404
                    && status.details.as_ref().is_some_and(|of| of.kind == "namespaces") =>
            {
                Error::Refused { right, code: status.code, said: status.message }
            }
            error => self.failed(right, error),
        })
    }
}
