//! When a container is restarted: its type says so, and rules by exit code may refine it.

use crds::SidecarType;

use crate::problem::Problems;

use super::object::Object;

/// Most rules of one container.
const RULES: usize = 20;
/// Most exit codes of one rule.
const EXIT_CODES: usize = 255;

/// Checks the restart policy and its rules.
pub(super) fn check(container: &Object<'_>, kind: SidecarType, problems: &mut Problems) {
    if container.has("restartPolicy") {
        problems.add(
            container.at("restartPolicy"),
            "is set by the field type (Sidecar, Init or Container); leave it out",
        );
    }
    let rules = container.objects("restartPolicyRules");
    let path = container.at("restartPolicyRules");
    if kind != SidecarType::Sidecar && !rules.is_empty() {
        return problems.add(path, "needs type: Sidecar; the other types have no restart policy");
    }
    if rules.len() > RULES {
        problems.add(path, format!("must have at most {RULES} rules"));
    }
    for rule in &rules {
        rule.require("action", problems);
        rule.word("action", &["Restart", "RestartAllContainers"], problems);
        let Some(exit_codes) = rule.object("exitCodes") else {
            rule.require("exitCodes", problems);
            continue;
        };
        exit_codes.require("operator", problems);
        exit_codes.word("operator", &["In", "NotIn"], problems);
        if exit_codes.length("values") > EXIT_CODES {
            let message = format!("must have at most {EXIT_CODES} exit codes");
            problems.add(exit_codes.at("values"), message);
        }
    }
}
