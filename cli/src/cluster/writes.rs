//! Changes of objects. Whatever is refused, is refused in the API server's own words.

use std::collections::BTreeSet;

use kube::core::{
    Status,
    params::{Patch, PatchParams},
    request::Request,
    response::StatusCause,
};
use serde_json::Value;

use super::{Cluster, Error, Resource, Right};

/// Who changes an object, as the API server keeps it.
pub(crate) const FIELD_MANAGER: &str = "kubectl-sidecar";

/// The reason of what stands in the way of server-side apply.
const CONFLICT: &str = "FieldManagerConflict";

/// How an object is applied.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Applying {
    /// Nothing is stored.
    pub(crate) dry_run: bool,
    /// Fields that others have set are taken over.
    pub(crate) force_conflicts: bool,
}

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

    /// Applies an object by server-side apply, and gives it as it is then.
    pub(crate) async fn apply(
        &self,
        resource: &'static Resource,
        namespace: Option<&str>,
        name: &str,
        object: Value,
        how: Applying,
    ) -> Result<Value, Error> {
        let Applying { dry_run, force_conflicts: force } = how;
        let parameters = PatchParams { dry_run, force, ..PatchParams::apply(FIELD_MANAGER) };
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
            kube::Error::Api(status) if !conflicts(&status).is_empty() => conflict(right, *status),
            error => self.failed(right, error),
        })
    }
}

/// The fields that others have set, and who they are.
fn conflicts(status: &Status) -> Vec<&StatusCause> {
    let causes = status.details.iter().flat_map(|details| &details.causes);
    causes.filter(|cause| cause.reason == CONFLICT).collect()
}

fn conflict(right: Right, status: Status) -> Error {
    let conflicts = conflicts(&status);
    let own = format!("conflict with \"{FIELD_MANAGER}\"");
    if conflicts.iter().any(|cause| !cause.message.starts_with(&own)) {
        return Error::Conflict { right, said: status.message };
    }
    let fields: BTreeSet<&str> =
        conflicts.iter().map(|cause| cause.field.trim_start_matches('.')).collect();
    Error::OwnConflict { right, fields: fields.into_iter().collect::<Vec<_>>().join(", ") }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told(managers: &[&str]) -> String {
        let cause = |manager: &&str| {
            json!({"reason": CONFLICT, "field": ".spec.sidecars",
                "message": format!("conflict with \"{manager}\" using sidecarpolicy.dev/v1alpha1")})
        };
        let causes: Vec<Value> = managers.iter().map(cause).collect();
        let status = json!({"code": 409, "message": "Apply failed", "details": {"causes": causes}});
        let status: Status = serde_json::from_value(status).expect("it is a status");
        let right = Right {
            verb: "patch",
            resource: &Resource::CLUSTER_SIDECAR_POLICY,
            namespace: None,
            name: Some("log".to_owned()),
        };
        conflict(right, status).to_string()
    }

    #[test]
    fn who_set_a_field_is_told_from_the_program_itself() {
        let own = told(&[FIELD_MANAGER, FIELD_MANAGER]);
        assert!(own.contains("rollout itself has changed spec.sidecars since"), "{own}");
        for others in [&["kubectl-edit"][..], &[FIELD_MANAGER, "flux"], &["kubectl-sidecar-2"]] {
            let told = told(others);
            assert!(told.contains("Apply failed") && !told.contains("itself"), "{told}");
        }
    }
}
