//! What a policy may do and better would not: each rule has a name, and says what to do instead.

use std::fmt;

use crds::{FailurePolicy, PolicySpec, Sidecar, SidecarType};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use serde_json::{Map, Value};

use crate::{
    quantity::Quantity,
    validation::{has_expression, placement_target},
};

/// Something legal that is likely to hurt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advice {
    /// Stable name of the rule.
    pub rule: &'static str,
    /// Path of the field.
    pub path: String,
    /// What can go wrong.
    pub message: String,
    /// What to do.
    pub remedy: &'static str,
}

impl fmt::Display for Advice {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rule, path, message, remedy } = self;
        write!(formatter, "{path}: {message}; {remedy} ({rule})")
    }
}

/// Everything in a policy that is legal and likely to hurt, in the order of the spec.
#[must_use]
pub fn advice(spec: &PolicySpec) -> Vec<Advice> {
    let mut found = Found(Vec::new());
    fails_closed_for_all(spec, &mut found);
    for (index, sidecar) in spec.sidecars.iter().enumerate() {
        let path = format!("spec.sidecars[{index}]");
        let sidecar = Part { sidecar, path };
        sidecar.image(&mut found);
        sidecar.resources(&mut found);
        sidecar.jobs(&mut found);
        sidecar.startup(spec, &mut found);
        sidecar.privileges(&mut found);
        let mounts = sidecar.objects("volumeMounts");
        unknown_volumes(spec, &format!("{}.volumeMounts", sidecar.path), mounts, &mut found);
        let devices = sidecar.objects("volumeDevices");
        unknown_volumes(spec, &format!("{}.volumeDevices", sidecar.path), devices, &mut found);
    }
    volumes(spec, &mut found);
    for (index, entry) in spec.app_containers.iter().enumerate() {
        let path = format!("spec.appContainers[{index}].volumeMounts");
        unknown_volumes(spec, &path, entry.volume_mounts.iter(), &mut found);
    }
    found.0
}

struct Found(Vec<Advice>);

impl Found {
    fn add(
        &mut self,
        rule: &'static str,
        path: impl Into<String>,
        message: impl Into<String>,
        remedy: &'static str,
    ) {
        self.0.push(Advice { rule, path: path.into(), message: message.into(), remedy });
    }
}

fn fails_closed_for_all(spec: &PolicySpec, found: &mut Found) {
    let selects_all = |selector: &LabelSelector| {
        selector.match_labels.as_ref().is_none_or(std::collections::BTreeMap::is_empty)
            && selector.match_expressions.as_ref().is_none_or(Vec::is_empty)
    };
    if spec.failure_policy == FailurePolicy::Fail
        && spec.pod_selector.as_ref().is_none_or(selects_all)
        && spec.namespace_selector.as_ref().is_none_or(selects_all)
    {
        found.add(
            "fails-closed-for-all-pods",
            "spec.failurePolicy",
            "while the webhook is away, every pod in reach is refused",
            "select the pods that must not start without it",
        );
    }
}

/// A sidecar and its path.
struct Part<'a> {
    sidecar: &'a Sidecar,
    path: String,
}

impl Part<'_> {
    fn field(&self, name: &str) -> Option<&Value> {
        self.sidecar.container.get(name).filter(|value| !value.is_null())
    }

    fn objects(&self, list: &str) -> impl Iterator<Item = &Map<String, Value>> {
        let elements = self.field(list).and_then(Value::as_array);
        elements.into_iter().flatten().filter_map(Value::as_object)
    }

    fn image(&self, found: &mut Found) {
        let Some(image) = self.field("image").and_then(Value::as_str) else { return };
        if has_expression(image) || image.contains('@') {
            return;
        }
        let name = image.rsplit('/').next().unwrap_or_default();
        let message = match name.split_once(':') {
            None => "an image without a tag is the latest of the day the node pulled it",
            Some((_, "latest")) => "the tag latest is another image every day",
            Some(_) => return,
        };
        let remedy = "name a version or a digest";
        found.add("image-tag-latest", format!("{}.image", self.path), message, remedy);
    }

    fn resources(&self, found: &mut Found) {
        if self.sidecar.kind == SidecarType::Init {
            return;
        }
        let path = format!("{}.resources", self.path);
        let cpu = self.amount("requests", "cpu").or_else(|| self.amount("limits", "cpu"));
        if cpu.is_none() {
            found.add(
                "no-cpu-request",
                format!("{path}.requests.cpu"),
                "without it, a HorizontalPodAutoscaler that scales the app by CPU stops working",
                "set a CPU request",
            );
        }
        let limit = self.amount("limits", "memory");
        if self.amount("requests", "memory").or(limit.clone()).is_none() {
            found.add(
                "no-memory-request",
                format!("{path}.requests.memory"),
                "the scheduler counts the sidecar as nothing, and it is evicted early",
                "set a memory request",
            );
        }
        if limit.is_none() {
            found.add(
                "no-memory-limit",
                format!("{path}.limits.memory"),
                "a leak takes the memory of the whole node",
                "set a memory limit",
            );
        }
        self.quality_of_service(&path, found);
    }

    fn quality_of_service(&self, path: &str, found: &mut Found) {
        let is_guaranteed = ["cpu", "memory"].into_iter().all(|resource| {
            let limit = self.amount("limits", resource);
            limit.is_some() && self.amount("requests", resource).is_none_or(|r| Some(r) == limit)
        });
        let asks = ["cpu", "memory"].into_iter().all(|resource| {
            self.amount("requests", resource).or_else(|| self.amount("limits", resource)).is_some()
        });
        // What asks for less than that has been told so already.
        if asks && !is_guaranteed && self.sidecar.resources_from_app.is_none() {
            found.add(
                "lowers-qos-class",
                path,
                "pods of the QoS class Guaranteed become Burstable, since requests and limits differ",
                "set equal requests and limits if apps rely on that class",
            );
        }
    }

    /// The amount of a resource, if one is set; what is sized from the app counts as set.
    fn amount(&self, kind: &str, resource: &str) -> Option<Amount> {
        let written = self.field("resources").and_then(|resources| resources.get(kind));
        if let Some(value) = written.and_then(|amounts| amounts.get(resource))
            && !value.is_null()
        {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            return Some(Quantity::parse(&text).map_or(Amount::Text(text), Amount::Known));
        }
        let sized = self.sidecar.resources_from_app.as_ref();
        sized?.get(kind)?.get(resource).map(|share| Amount::Text(share.to_string()))
    }

    fn jobs(&self, found: &mut Found) {
        if self.sidecar.kind == SidecarType::Container {
            found.add(
                "keeps-jobs-running",
                format!("{}.type", self.path),
                "a Job does not finish as long as an ordinary container runs",
                "use type: Sidecar unless the container ends by itself",
            );
        }
    }

    fn startup(&self, spec: &PolicySpec, found: &mut Found) {
        let is_waited_for = spec.sidecars.iter().any(|other| {
            placement_target(other) == Some(self.sidecar.name.as_str())
                && matches!(
                    &other.placement,
                    Some(crds::Placement::Relative(crds::RelativePlacement::After(_)))
                )
        });
        let serves = self.field("ports").and_then(Value::as_array).is_some_and(|p| !p.is_empty());
        let says_when = self.field("startupProbe").is_some()
            || self.field("lifecycle").is_some_and(|hooks| hooks.get("postStart").is_some());
        if self.sidecar.kind == SidecarType::Sidecar && (is_waited_for || serves) && !says_when {
            found.add(
                "no-startup-probe",
                format!("{}.startupProbe", self.path),
                "the containers after it start as soon as its process does, not when it can serve",
                "set a startup probe, so that they wait",
            );
        }
    }

    fn privileges(&self, found: &mut Found) {
        let context = self.field("securityContext");
        if context.and_then(|context| context.get("privileged")?.as_bool()) == Some(true) {
            found.add(
                "privileged",
                format!("{}.securityContext.privileged", self.path),
                "the sidecar can do everything on the node, in every pod that gets it",
                "add the capabilities that it needs instead",
            );
        }
    }
}

#[derive(Clone, PartialEq)]
enum Amount {
    Known(Quantity),
    Text(String),
}

fn volumes(spec: &PolicySpec, found: &mut Found) {
    for (index, volume) in spec.volumes.iter().enumerate() {
        let path = format!("spec.volumes[{index}]");
        if volume.source.get("hostPath").is_some_and(|source| !source.is_null()) {
            found.add(
                "host-path",
                format!("{path}.hostPath"),
                "pods that get it reach the files of their node",
                "use another volume, or mount it read-only and as deep as possible",
            );
        }
        let Some(Value::Object(empty_dir)) = volume.source.get("emptyDir") else { continue };
        let mounts = spec.app_containers.iter().flat_map(|entry| &entry.volume_mounts);
        let is_written_by_app = mounts
            .filter(|mount| mount.get("name").and_then(Value::as_str) == Some(&volume.name))
            .any(|mount| mount.get("readOnly").and_then(Value::as_bool) != Some(true));
        if is_written_by_app && empty_dir.get("sizeLimit").is_none_or(Value::is_null) {
            found.add(
                "empty-dir-without-size-limit",
                format!("{path}.emptyDir.sizeLimit"),
                "an app that writes more than it should fills the disk of the node",
                "set a size limit",
            );
        }
    }
}

/// Mounts and devices of volumes that the policy does not bring: the app or another policy has to.
fn unknown_volumes<'m>(
    spec: &PolicySpec,
    path: &str,
    mounts: impl Iterator<Item = &'m Map<String, Value>>,
    found: &mut Found,
) {
    for (position, mount) in mounts.enumerate() {
        let Some(name) = mount.get("name").and_then(Value::as_str) else { continue };
        let is_known = spec.volumes.iter().any(|volume| volume.name == name);
        if is_known || name.is_empty() || has_expression(name) {
            continue;
        }
        let meant = nearest(name, spec.volumes.iter().map(|volume| volume.name.as_str()));
        let meant = meant.map(|meant| format!(" (which has {meant:?})")).unwrap_or_default();
        found.add(
            "volume-of-others",
            format!("{path}[{position}].name"),
            format!(
                "the volume {name:?} is not in spec.volumes{meant}: pods that get it from neither the app nor another policy go without this policy"
            ),
            "add the volume, or correct the name, unless others bring it",
        );
    }
}

/// The name that this one is most like, if any is.
fn nearest<'n>(name: &str, known: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    const ALIKE: f64 = 0.7;
    let rated = known.map(|known| (strsim::jaro(name, known), known));
    let alike = rated.filter(|(likeness, _)| *likeness > ALIKE);
    alike.max_by(|(one, _), (other, _)| one.total_cmp(other)).map(|(_, known)| known)
}
