//! What a policy puts in, where expressions decide a part of it: constant parts are rendered when
//! the policy is compiled, the others for each pod.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    mem,
    sync::{Arc, LazyLock},
};

use crds::{OperatingSystem, PodPatch, PolicySpec};
use serde_json::{Map, Value, json};

use crate::{
    Conflict, Namespace, Pod, PolicyId,
    content::{Content, Safety},
    facts::{Added, AddedEntry, Facts, PodFacts},
    files,
    parameters::Parameters,
    policy::ContainerList,
    problem::Problems,
    render,
    shape::Shape,
    template::{Compiled, Template},
    validation::{self, Stage},
};

/// What a policy puts in.
pub(crate) struct Body {
    /// Names of the sidecars, which no expression decides.
    pub(crate) sidecars: Vec<(String, ContainerList)>,
    /// Names of the volumes, which no expression decides either.
    pub(crate) volumes: Vec<String>,
    /// The parts that every pod gets alike; those with expressions are left out.
    constant: Content,
    templates: Option<Box<Templates>>,
}

/// Parts with expressions, each with its position among its like.
struct Templates {
    id: PolicyId,
    os: OperatingSystem,
    /// Names of all sidecars.
    names: Vec<String>,
    /// The policy as written, where an expression decides what pod and namespace have to allow.
    written: Option<PolicySpec>,
    sidecars: Vec<(usize, crds::Sidecar, Template)>,
    volumes: Vec<(usize, crds::Volume, Template)>,
    app_containers: Vec<(usize, crds::AppContainers, Template)>,
    /// `pod` and `files`, as one value.
    pod: Option<(PodPatch, Template)>,
}

impl Body {
    /// Compiles what a policy puts in.
    pub(crate) fn compile(
        id: &PolicyId,
        spec: &PolicySpec,
        parameters: &Parameters,
        problems: &mut Problems,
    ) -> Self {
        let mut compiler = Compiler {
            parameters,
            problems,
            constant: Content {
                safety: Arc::new(Safety::of(spec, Stage::Written)),
                ..Content::default()
            },
            templates: Templates {
                id: id.clone(),
                os: spec.os,
                names: spec.sidecars.iter().map(|sidecar| sidecar.name.clone()).collect(),
                written: safety_varies(spec).then(|| content_of(spec)),
                sidecars: Vec::new(),
                volumes: Vec::new(),
                app_containers: Vec::new(),
                pod: None,
            },
        };
        for (position, sidecar) in spec.sidecars.iter().enumerate() {
            compiler.sidecar(position, files::mounted(id, spec, sidecar));
        }
        let volumes = spec.volumes.iter().cloned().chain(files::volume(id, spec));
        for (position, volume) in volumes.enumerate() {
            compiler.volume(position, volume);
        }
        for (position, entry) in spec.app_containers.iter().enumerate() {
            compiler.app_containers(position, entry);
        }
        compiler.pod(id, spec);
        let Compiler { constant, templates, problems, .. } = compiler;
        // What is wrong as it is written would be told twice.
        if problems.is_empty() {
            templates.check_without_pod(parameters, problems);
        }
        Self {
            sidecars: spec
                .sidecars
                .iter()
                .map(|sidecar| (sidecar.name.clone(), render::list(sidecar.kind)))
                .collect(),
            volumes: spec.volumes.iter().map(|volume| volume.name.clone()).collect(),
            constant,
            templates: (!templates.is_empty()).then(|| Box::new(templates)),
        }
    }

    /// The labels and annotations that the policy adds to a pod.
    pub(crate) fn collect_added<'a>(&'a self, added: &mut Added<'a>) {
        let pod = &self.constant.pod;
        added.labels.extend(pod.labels.iter().map(constant));
        added.annotations.extend(pod.annotations.iter().map(constant));
        let templates = self.templates.iter().filter_map(|templates| templates.pod.as_ref());
        for (pod, _) in templates {
            added.labels.extend(pod.labels.iter().map(perhaps_constant));
            added.annotations.extend(pod.annotations.iter().map(perhaps_constant));
        }
    }

    /// The parts that every pod gets alike.
    pub(crate) fn constant(&self) -> &Content {
        &self.constant
    }

    /// Whether every pod gets the same.
    pub(crate) fn is_constant(&self) -> bool {
        self.templates.is_none()
    }

    /// What goes into the pod that the facts are of.
    pub(crate) fn render(&self, facts: &Facts<'_, '_>) -> Result<Cow<'_, Content>, Conflict> {
        match &self.templates {
            None => Ok(Cow::Borrowed(&self.constant)),
            Some(templates) => templates.render(&self.constant, facts).map(Cow::Owned),
        }
    }
}

fn constant((key, value): &(String, String)) -> AddedEntry<'_> {
    AddedEntry { key, value: Some(value) }
}

fn perhaps_constant<'a>((key, value): (&'a String, &'a String)) -> AddedEntry<'a> {
    AddedEntry { key, value: Some(value.as_str()).filter(|value| !value.contains("${")) }
}

impl Templates {
    fn is_empty(&self) -> bool {
        self.sidecars.is_empty()
            && self.volumes.is_empty()
            && self.app_containers.is_empty()
            && self.pod.is_none()
    }

    /// Checks what comes out without any annotation, where nothing of a pod decides it: a policy that
    /// cannot work with its own defaults is refused.
    fn check_without_pod(&self, parameters: &Parameters, problems: &mut Problems) {
        let nothing = BTreeMap::new();
        let Ok(values) = parameters.values([&nothing, &nothing]) else { return };
        let (pod, namespace) = (Pod::default(), Namespace::default());
        let pod = PodFacts::new(&pod, &namespace, Added::default());
        let render = |template: &Template, problems: &mut Problems| {
            let facts = Facts::new(&pod, &self.id.name, "", &values);
            let rendered = template.render(&facts);
            match rendered {
                _ if facts.was_read() => None,
                Ok(value) => Some(fields(value)),
                Err(error) => {
                    let expression = &error.expression;
                    problems.add(&error.path, format!("${{{expression}}}: {}", error.message));
                    None
                }
            }
        };
        for (position, shell, template) in &self.sidecars {
            if let Some(container) = render(template, problems) {
                let sidecar = crds::Sidecar { container, ..shell.clone() };
                let path = format!("spec.sidecars[{position}]");
                validation::sidecar(&sidecar, self.os, &path, Stage::Rendered, problems);
            }
        }
        for (position, shell, template) in &self.volumes {
            if let Some(source) = render(template, problems) {
                let volume = crds::Volume { source, ..shell.clone() };
                let path = format!("spec.volumes[{position}]");
                validation::volume(&volume, &path, Stage::Rendered, problems);
            }
        }
        for (position, shell, template) in &self.app_containers {
            let path = format!("spec.appContainers[{position}]");
            if let Some(additions) = render(template, problems)
                && let Ok(entry) = with_additions(shell, additions, &path)
            {
                validation::app_containers(&entry, self.os, &path, Stage::Rendered, problems);
            }
        }
        if let Some((shell, template)) = &self.pod
            && let Some(rendered) = render(template, problems)
            && let Ok((pod, _)) = pod_and_files(shell, rendered)
        {
            let names: Vec<&str> = self.names.iter().map(String::as_str).collect();
            validation::pod_patch(&pod, &names, "spec.pod", Stage::Rendered, problems);
        }
    }

    fn render(&self, constant: &Content, facts: &Facts<'_, '_>) -> Result<Content, Conflict> {
        let mut content = constant.clone();
        let mut written = self.written.clone();
        for (position, shell, template) in &self.sidecars {
            let sidecar = crds::Sidecar { container: object(template, facts)?, ..shell.clone() };
            let path = format!("spec.sidecars[{position}]");
            checked(|problems| {
                validation::sidecar(&sidecar, self.os, &path, Stage::Rendered, problems);
            })?;
            content.sidecars.insert(*position, Arc::new(render::sidecar(&sidecar)));
            if let Some(written) = &mut written {
                written.sidecars[*position] = sidecar;
            }
        }
        for (position, shell, template) in &self.volumes {
            let volume = crds::Volume { source: object(template, facts)?, ..shell.clone() };
            let path = format!("spec.volumes[{position}]");
            checked(|problems| validation::volume(&volume, &path, Stage::Rendered, problems))?;
            content.volumes.insert(*position, Arc::new(render::volume(&volume)));
        }
        for (position, shell, template) in &self.app_containers {
            let path = format!("spec.appContainers[{position}]");
            let entry = with_additions(shell, object(template, facts)?, &path)?;
            checked(|problems| {
                validation::app_containers(&entry, self.os, &path, Stage::Rendered, problems);
            })?;
            content.app_containers.insert(*position, Arc::new(render::app_containers(&entry)));
            if let Some(written) = &mut written {
                written.app_containers[*position] = entry;
            }
        }
        if let Some((shell, template)) = &self.pod {
            let (pod, files) = pod_and_files(shell, object(template, facts)?)?;
            let names: Vec<&str> = self.names.iter().map(String::as_str).collect();
            checked(|problems| {
                validation::pod_patch(&pod, &names, "spec.pod", Stage::Rendered, problems);
            })?;
            content.pod = Arc::new(render::pod_additions(&self.id, &pod, &files));
            if let Some(written) = &mut written {
                written.pod = Some(pod);
            }
        }
        if let Some(written) = written {
            content.safety = Arc::new(Safety::of(&written, Stage::Rendered));
        }
        Ok(content)
    }
}

struct Compiler<'c> {
    parameters: &'c Parameters,
    problems: &'c mut Problems,
    constant: Content,
    templates: Templates,
}

impl Compiler<'_> {
    fn sidecar(&mut self, position: usize, mut sidecar: crds::Sidecar) {
        let path = format!("spec.sidecars[{position}]");
        let container = mem::take(&mut sidecar.container);
        match self.compile(container.into(), Shape::container, &path) {
            Compiled::Constant(value) => {
                let sidecar = crds::Sidecar { container: fields(value), ..sidecar };
                self.constant.sidecars.push(Arc::new(render::sidecar(&sidecar)));
            }
            Compiled::Template(template) => {
                self.templates.sidecars.push((position, sidecar, template));
            }
        }
    }

    fn volume(&mut self, position: usize, mut volume: crds::Volume) {
        let path = format!("spec.volumes[{position}]");
        let source = mem::take(&mut volume.source);
        match self.compile(source.into(), Shape::volume, &path) {
            Compiled::Constant(value) => {
                let volume = crds::Volume { source: fields(value), ..volume };
                self.constant.volumes.push(Arc::new(render::volume(&volume)));
            }
            Compiled::Template(template) => {
                self.templates.volumes.push((position, volume, template));
            }
        }
    }

    fn app_containers(&mut self, position: usize, entry: &crds::AppContainers) {
        let path = format!("spec.appContainers[{position}]");
        let shell = crds::AppContainers {
            containers: entry.containers.clone(),
            include: entry.include,
            ..crds::AppContainers::default()
        };
        match self.compile(additions(entry), Shape::container, &path) {
            Compiled::Constant(value) => {
                let entry = with_additions(&shell, fields(value), &path);
                // What has a wrong type is reported by the validation of the policy.
                let entry = entry.unwrap_or(shell);
                self.constant.app_containers.push(Arc::new(render::app_containers(&entry)));
            }
            Compiled::Template(template) => {
                self.templates.app_containers.push((position, shell, template));
            }
        }
    }

    fn pod(&mut self, id: &PolicyId, spec: &PolicySpec) {
        if spec.pod.is_none() && spec.files.is_empty() {
            return;
        }
        let pod = spec.pod.clone().unwrap_or_default();
        let files: Vec<Value> =
            spec.files.iter().map(|file| json!({ "content": file.content })).collect();
        let value = json!({ "pod": pod, "files": files });
        match self.compile(value, || &POD_SHAPE, "spec") {
            Compiled::Constant(value) => {
                let (pod, files) = pod_and_files(&pod, fields(value)).unwrap_or_default();
                self.constant.pod = Arc::new(render::pod_additions(id, &pod, &files));
            }
            Compiled::Template(template) => self.templates.pod = Some((pod, template)),
        }
    }

    fn compile(
        &mut self,
        value: Value,
        shape: impl FnOnce() -> &'static Shape,
        path: &str,
    ) -> Compiled {
        Template::compile(value, shape, path, self.parameters, self.problems)
    }
}

/// Whether an expression decides what pod and namespace have to allow.
fn safety_varies(spec: &PolicySpec) -> bool {
    let varies = |value: Option<&Value>| value.is_some_and(holds_expression);
    let of_sidecars = spec.sidecars.iter().any(|sidecar| {
        let fields = ["lifecycle", "ports", "resizePolicy", "resources", "securityContext"];
        fields.into_iter().any(|field| varies(sidecar.container.get(field)))
    });
    let mut hooks = spec.app_containers.iter().filter_map(|entry| entry.lifecycle.as_ref());
    let annotations = spec.pod.iter().flat_map(|pod| pod.annotations.values());
    of_sidecars
        || hooks.any(|hooks| hooks.values().any(holds_expression))
        || annotations.into_iter().any(|value| validation::has_expression(value))
}

fn holds_expression(value: &Value) -> bool {
    match value {
        Value::String(text) => validation::has_expression(text),
        Value::Array(list) => list.iter().any(holds_expression),
        Value::Object(fields) => fields.values().any(holds_expression),
        _ => false,
    }
}

/// The part of a spec that says what pod and namespace have to allow.
fn content_of(spec: &PolicySpec) -> PolicySpec {
    PolicySpec {
        os: spec.os,
        sidecars: spec.sidecars.clone(),
        volumes: spec.volumes.clone(),
        app_containers: spec.app_containers.clone(),
        pod: spec.pod.clone(),
        ..PolicySpec::default()
    }
}

/// Renders a template that is an object.
fn object(template: &Template, facts: &Facts<'_, '_>) -> Result<Map<String, Value>, Conflict> {
    let rendered = template.render(facts).map_err(|error| Conflict::Expression {
        path: error.path.clone(),
        why: format!("${{{}}}: {}", error.expression, error.message),
    })?;
    Ok(fields(rendered))
}

fn fields(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

/// What was rendered has to pass what the policy itself has to pass.
fn checked(check: impl FnOnce(&mut Problems)) -> Result<(), Conflict> {
    let mut problems = Problems::default();
    check(&mut problems);
    problems.or_ok(()).map_err(|invalid| {
        let first = invalid.problems.into_iter().next();
        let (path, why) = first.map(|problem| (problem.path, problem.message)).unwrap_or_default();
        let why = format!("{why}; an expression of the policy gave the value");
        Conflict::Expression { path, why }
    })
}

/// What an entry of `appContainers` adds, without the names of the containers that it is for.
fn additions(entry: &crds::AppContainers) -> Value {
    let mut value = serde_json::to_value(entry).unwrap_or_default();
    if let Some(fields) = value.as_object_mut() {
        fields.remove("containers");
        fields.remove("include");
    }
    value
}

fn with_additions(
    shell: &crds::AppContainers,
    additions: Map<String, Value>,
    path: &str,
) -> Result<crds::AppContainers, Conflict> {
    let read: crds::AppContainers = read(additions.into(), path)?;
    Ok(crds::AppContainers { containers: shell.containers.clone(), include: shell.include, ..read })
}

/// The contents of files go beside the additions to the pod.
fn pod_and_files(
    shell: &PodPatch,
    mut rendered: Map<String, Value>,
) -> Result<(PodPatch, Vec<String>), Conflict> {
    let pod = match rendered.remove("pod") {
        Some(pod) => read(pod, "spec.pod")?,
        None => shell.clone(),
    };
    let files = rendered.remove("files");
    let files = files.as_ref().and_then(Value::as_array).into_iter().flatten();
    let contents = files
        .map(|file| file.get("content").and_then(Value::as_str).unwrap_or_default().to_owned());
    Ok((pod, contents.collect()))
}

fn read<T: serde::de::DeserializeOwned>(value: Value, path: &str) -> Result<T, Conflict> {
    serde_json::from_value(value)
        .map_err(|error| Conflict::Expression { path: path.to_owned(), why: error.to_string() })
}

/// The shape of `pod` and `files`.
static POD_SHAPE: LazyLock<Shape> = LazyLock::new(|| {
    let object = |fields: Vec<(&str, Shape)>| {
        Shape::Object(fields.into_iter().map(|(name, shape)| (name.to_owned(), shape)).collect())
    };
    let pod = object(vec![
        ("labels", Shape::texts().clone()),
        ("annotations", Shape::texts().clone()),
        ("imagePullSecrets", Shape::List(Box::new(Shape::local_object_reference().clone()))),
        ("hostAliases", Shape::List(Box::new(Shape::host_alias().clone()))),
        ("securityContext", Shape::pod_security_context().clone()),
    ]);
    let file = object(vec![("content", Shape::Text)]);
    object(vec![("pod", pod), ("files", Shape::List(Box::new(file)))])
});
