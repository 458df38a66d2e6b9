//! What pod and namespace have to allow: demands on the pod's other fields, and Pod Security.

use serde::Deserialize;

use crate::{
    Conflict,
    content::Content,
    demands::{PodTraits, Unmet},
    pod::{Container, Named},
    pod_security::PodContext,
    reader::{self, Raw},
};

use super::{Merge, PodEdits, app_containers::AppContainerAdditions, malformed};

/// The part of a security defaults that is read here; pods and containers have it alike.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct SecurityContext {
    run_as_non_root: Option<bool>,
    seccomp_profile: Option<SeccompProfile>,
    windows_options: Option<WindowsOptions>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct SeccompProfile {
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WindowsOptions {
    host_process: Option<bool>,
}

impl Merge<'_, '_> {
    /// Refuses content that the API server would not let into this pod.
    pub(super) fn check_demands(
        &self,
        content: &Content,
        pod: &PodEdits<'_>,
        app_containers: &[AppContainerAdditions<'_>],
    ) -> Result<(), Conflict> {
        let demands = &content.safety.demands;
        if demands.is_empty() {
            return Ok(());
        }
        let defaults = security_context(self.spec.security_context, "spec.securityContext")?;
        let claims: Vec<Named<'_>> = self
            .spec
            .resource_claims
            .map_or_else(|| Ok(Vec::new()), |raw| reader::read(raw.get()))
            .map_err(|error| malformed("spec.resourceClaims", &error))?;
        let claims: Vec<&str> = claims.iter().map(|claim| claim.name.as_str()).collect();
        let traits = PodTraits {
            operating_system: self.spec.declared_operating_system(),
            grace_period_seconds: self.grace_period(&self.pod).max(self.grace_period(pod)),
            restart_policy: self.spec.restart_policy(),
            host_users: self.spec.host_users,
            host_network: self.spec.host_network.unwrap_or_default(),
            host_pid: self.spec.host_pid.unwrap_or_default(),
            resource_claims: &claims,
            host_process: defaults.windows_options.and_then(|options| options.host_process),
            host_process_containers: self
                .app_containers
                .iter()
                .any(|app| is_host_process(app.get())),
        };
        let of_hooks = app_containers.iter().flat_map(|addition| &addition.hooks_of);
        let mut of_hooks = of_hooks.filter_map(|entry| demands.unmet_by_entry(*entry, &traits));
        match demands.unmet(&traits).or_else(|| of_hooks.next()) {
            Some(Unmet { path, why, reason }) => {
                Err(Conflict::Demand { reason, field: path.to_owned(), why })
            }
            None => Ok(()),
        }
    }

    /// Refuses content that breaks the Pod Security level of the namespace.
    pub(super) fn check_pod_security(&self, content: &Content) -> Result<(), Conflict> {
        let Some(enforced) = self.enforced else { return Ok(()) };
        let defaults = security_context(self.spec.security_context, "spec.securityContext")?;
        let pod = PodContext {
            run_as_non_root: defaults.run_as_non_root,
            seccomp_profile: defaults.seccomp_profile.as_ref().map(|profile| profile.kind.as_str()),
            operating_system: self.spec.declared_operating_system(),
            host_users: self.spec.host_users,
        };
        let mut violations = content.safety.pod_security.violations(enforced, &pod);
        violations.next().map_or(Ok(()), |violation| {
            let level = enforced.level.to_string();
            Err(Conflict::PodSecurity { level, why: violation.to_string() })
        })
    }
}

fn security_context(raw: Option<Raw<'_>>, part: &str) -> Result<SecurityContext, Conflict> {
    let read = raw.map_or_else(|| Ok(None), |raw| serde_json::from_str(raw.get()));
    let read: Option<SecurityContext> = read.map_err(|error| malformed(part, &error))?;
    Ok(read.unwrap_or_default())
}

fn is_host_process(container: &Container<'_>) -> bool {
    let context = security_context(container.security_context, "securityContext");
    let options = context.ok().and_then(|context| context.windows_options);
    options.and_then(|options| options.host_process) == Some(true)
}
