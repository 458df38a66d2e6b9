//! Conditions as the API server evaluates them itself, in the policies that it runs: the same language,
//! where the facts have other names and what is absent is asked about in other words.

use super::{
    SyntaxError,
    syntax::{self, Kind, Syntax},
};
use crate::{
    admission::text,
    facts::{Fact, FactKind, Member, Object, SpecField},
};

/// Matches the keys of labels and annotations that are the product's.
const OURS: &str = "'^([^/]*\\\\.)?sidecarpolicy\\\\.dev/'";

/// A condition in the words of the API server.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Translated {
    pub(crate) expression: String,
    /// Whether it reads the namespace or the workload, which match conditions of the API server cannot.
    pub(crate) needs_variables: bool,
}

/// Keys that the policy itself sets on a pod: an expression does not see them, and in the words of the
/// API server it would.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Added<'a> {
    pub(crate) labels: &'a [String],
    pub(crate) annotations: &'a [String],
}

/// Translates a condition that compiles. The error says what cannot be said.
pub(crate) fn translate(condition: &str, added: Added<'_>) -> Result<Translated, String> {
    let syntax = syntax::parse(condition).map_err(|error| error.describe(condition))?;
    let mut translator = Translator { added, element: None, needs_variables: false };
    let expression = translator.value(&syntax).map_err(|error| error.describe(condition))?;
    Ok(Translated { expression, needs_variables: translator.needs_variables })
}

type Text = Result<String, SyntaxError>;

struct Translator<'a> {
    added: Added<'a>,
    /// Name of the element inside an iteration, and the map whose keys it goes through.
    element: Option<(String, Option<Fact>)>,
    needs_variables: bool,
}

enum Found {
    Value(String),
    Object(Object),
    Fact(Fact, FactKind),
}

impl Translator<'_> {
    fn value(&mut self, syntax: &Syntax) -> Text {
        match self.resolve(syntax)? {
            Found::Value(text) => Ok(text),
            Found::Fact(fact, FactKind::Entries) => {
                let message = format!("{} as a whole cannot be compared", name(fact));
                Err(SyntaxError::new(syntax.at, message))
            }
            Found::Fact(fact, _) => Ok(self.fact(fact)),
            Found::Object(_) => Err(SyntaxError::new(syntax.at, "an object is no value")),
        }
    }

    fn resolve(&mut self, syntax: &Syntax) -> Result<Found, SyntaxError> {
        let at = syntax.at;
        Ok(Found::Value(match &syntax.kind {
            Kind::Null => "null".to_owned(),
            Kind::Boolean(boolean) => boolean.to_string(),
            Kind::Integer(integer) => integer.to_string(),
            Kind::Double(_) => {
                return Err(SyntaxError::new(
                    at,
                    "numbers with a fraction are written differently",
                ));
            }
            Kind::Text(string) => text(string),
            Kind::Name(name) => return self.name(name, at),
            Kind::Select(operand, field) => return self.select(operand, field, at),
            Kind::Index(operand, index) => return self.index(operand, index, at),
            Kind::Call { target, function, arguments } => {
                self.call(target.as_deref(), function, arguments, at)?
            }
            Kind::List(elements) => {
                let one = elements.iter().all(|element| matches!(element.kind, Kind::Text(_)))
                    || elements.iter().all(|element| matches!(element.kind, Kind::Integer(_)));
                let elements = self.all(elements, |text| wrapped(text, one))?;
                format!("[{}]", elements.join(", "))
            }
            Kind::Map(entries) => {
                let one = entries.iter().all(|(_, value)| matches!(value.kind, Kind::Text(_)));
                let entries = entries.iter().map(|(key, value)| {
                    Ok(format!("{}: {}", self.value(key)?, wrapped(self.value(value)?, one)))
                });
                format!("{{{}}}", entries.collect::<Result<Vec<_>, _>>()?.join(", "))
            }
            Kind::Not(operand) => format!("!{}", self.value(operand)?),
            Kind::Negate(operand) => format!("(-{})", self.value(operand)?),
            Kind::Binary(syntax::Operator::In, key, map) => self.key_in(key, map)?,
            Kind::Binary(operator, left, right) => {
                format!("({} {} {})", self.value(left)?, operator.symbol(), self.value(right)?)
            }
            Kind::All(operands) => {
                format!("({})", self.all(operands, |text| text)?.join(" && "))
            }
            Kind::Any(operands) => {
                format!("({})", self.all(operands, |text| text)?.join(" || "))
            }
            Kind::Conditional(parts) => {
                let [condition, yes, no] = parts.as_ref();
                let [condition, yes, no] =
                    [self.value(condition)?, self.value(yes)?, self.value(no)?];
                format!("({condition} ? {yes} : {no})")
            }
        }))
    }

    fn all(
        &mut self,
        syntaxes: &[Syntax],
        finish: impl Fn(String) -> String,
    ) -> Result<Vec<String>, SyntaxError> {
        syntaxes.iter().map(|syntax| self.value(syntax).map(&finish)).collect()
    }

    fn name(&self, name: &str, at: usize) -> Result<Found, SyntaxError> {
        if self.element.as_ref().is_some_and(|(element, _)| element == name) {
            return Ok(Found::Value(name.to_owned()));
        }
        if name == "params" {
            let message = "params are values of annotations, which the API server cannot check";
            return Err(SyntaxError::new(at, message));
        }
        let object = Object::VARIABLES.iter().find(|(known, _)| *known == name);
        object
            .map(|(_, object)| Found::Object(*object))
            .ok_or_else(|| SyntaxError::new(at, format!("{name} is not known")))
    }

    fn select(&mut self, operand: &Syntax, field: &str, at: usize) -> Result<Found, SyntaxError> {
        match self.resolve(operand)? {
            Found::Object(object) => {
                let members = object.members().iter();
                let member = members.into_iter().find(|(name, _)| *name == field);
                match member.map(|(_, member)| *member) {
                    Some(Member::Object(object)) => Ok(Found::Object(object)),
                    Some(Member::Fact(fact, kind)) => Ok(Found::Fact(fact, kind)),
                    None => Err(SyntaxError::new(at, format!("{field} is not known"))),
                }
            }
            Found::Fact(fact, FactKind::Entries) => {
                let map = self.entries(fact, Some(field), at)?;
                Ok(Found::Value(format!("{map}[{}]", text(field))))
            }
            Found::Fact(..) => Err(SyntaxError::new(at, "a text has no fields")),
            Found::Value(value) => Ok(Found::Value(format!("{value}.{field}"))),
        }
    }

    fn index(&mut self, operand: &Syntax, index: &Syntax, at: usize) -> Result<Found, SyntaxError> {
        match (self.resolve(operand)?, &index.kind) {
            (Found::Object(_), Kind::Text(field)) => self.select(operand, field, at),
            (Found::Fact(fact, FactKind::Entries), _) => {
                let map = self.entries(fact, self.key(fact, index)?, at)?;
                Ok(Found::Value(format!("{map}[{}]", self.value(index)?)))
            }
            (Found::Value(value), _) => {
                Ok(Found::Value(format!("{value}[{}]", self.value(index)?)))
            }
            _ => Err(SyntaxError::new(at, "this cannot be indexed")),
        }
    }

    fn key_in(&mut self, key: &Syntax, map: &Syntax) -> Text {
        match self.resolve(map)? {
            Found::Fact(fact, FactKind::Entries) => {
                let map = self.entries(fact, self.key(fact, key)?, key.at)?;
                Ok(format!("({} in {map})", self.value(key)?))
            }
            Found::Value(list) => Ok(format!("({} in {list})", self.value(key)?)),
            _ => Err(SyntaxError::new(map.at, "in takes a list or a map")),
        }
    }

    /// The key by which a map is read: a constant, or none for the element of an iteration over it, which
    /// is never one of the keys that are hidden.
    fn key<'s>(&self, fact: Fact, key: &'s Syntax) -> Result<Option<&'s str>, SyntaxError> {
        match &key.kind {
            Kind::Text(text) => Ok(Some(text)),
            Kind::Name(name) if self.element == Some((name.clone(), Some(fact))) => Ok(None),
            _ => {
                let message = format!(
                    "a key of {} has to be a constant, or the element of an iteration over it",
                    self::name(fact)
                );
                Err(SyntaxError::new(key.at, message))
            }
        }
    }

    fn call(
        &mut self,
        target: Option<&Syntax>,
        function: &str,
        arguments: &[Syntax],
        at: usize,
    ) -> Text {
        if function == "has" {
            return self.has(arguments, at);
        }
        if function == "double" {
            return Err(SyntaxError::new(at, "numbers with a fraction are written differently"));
        }
        let Some(target) = target else {
            if let [argument] = arguments
                && let Found::Fact(fact, FactKind::Entries) = self.resolve(argument)?
            {
                return Ok(format!("{function}({})", self.keys(fact, at)?));
            }
            return Ok(format!("{function}({})", self.all(arguments, |text| text)?.join(", ")));
        };
        let iterates =
            matches!(function, "all" | "exists" | "exists_one" | "existsOne" | "filter" | "map");
        let (range, of) = match self.resolve(target)? {
            Found::Fact(fact, FactKind::Entries) => (self.keys(fact, at)?, Some(fact)),
            Found::Fact(fact, _) => (self.fact(fact), None),
            Found::Value(value) => (value, None),
            Found::Object(_) => return Err(SyntaxError::new(at, "an object is no value")),
        };
        let function = if function == "existsOne" { "exists_one" } else { function };
        let [Syntax { kind: Kind::Name(element), .. }, bodies @ ..] = arguments else {
            let arguments = self.all(arguments, |text| text)?;
            return Ok(format!("{range}.{function}({})", arguments.join(", ")));
        };
        if !iterates {
            let arguments = self.all(arguments, |text| text)?;
            return Ok(format!("{range}.{function}({})", arguments.join(", ")));
        }
        self.element = Some((element.clone(), of));
        let bodies = self.all(bodies, |text| text)?;
        self.element = None;
        Ok(format!("{range}.{function}({element}, {})", bodies.join(", ")))
    }

    fn has(&mut self, arguments: &[Syntax], at: usize) -> Text {
        let [Syntax { kind: Kind::Select(operand, field), .. }] = arguments else {
            return Err(SyntaxError::new(at, "has takes a field"));
        };
        match self.resolve(operand)? {
            Found::Fact(fact, FactKind::Entries) => {
                let map = self.entries(fact, Some(field), at)?;
                Ok(format!("({} in {map})", text(field)))
            }
            Found::Value(value) => Ok(format!("has({value}.{field})")),
            _ => match self.select(operand, field, at)? {
                Found::Fact(fact, FactKind::OptionalText) => {
                    let path = path(fact);
                    Ok(format!("(has({path}) && {path} != '')"))
                }
                _ => Ok("true".to_owned()),
            },
        }
    }

    /// The keys of a map, without those that expressions do not see.
    fn keys(&mut self, fact: Fact, at: usize) -> Text {
        let map = self.entries(fact, None, at)?;
        if let Some(key) = self.added_to(fact).first() {
            let message = format!(
                "goes through all keys of {}, and the policy itself adds {key:?}",
                name(fact)
            );
            return Err(SyntaxError::new(at, message));
        }
        Ok(format!("{map}.filter(ours, !ours.matches({OURS}))"))
    }

    /// A map of labels or annotations, of which this key is to be read.
    fn entries(&mut self, fact: Fact, key: Option<&str>, at: usize) -> Text {
        if let Some(key) = key
            && (crate::facts::is_ours(key) || self.added_to(fact).iter().any(|added| added == key))
        {
            let message = format!("{} does not show {key:?}, and here it would", name(fact));
            return Err(SyntaxError::new(at, message));
        }
        let of = match fact {
            Fact::NamespaceLabels | Fact::NamespaceAnnotations => {
                self.needs_variables = true;
                "namespaceObject"
            }
            _ => "object",
        };
        let map = match fact {
            Fact::PodLabels | Fact::NamespaceLabels => "labels",
            _ => "annotations",
        };
        Ok(format!("(has({of}.metadata.{map}) ? {of}.metadata.{map} : {{}})"))
    }

    fn added_to(&self, fact: Fact) -> &[String] {
        match fact {
            Fact::PodLabels => self.added.labels,
            Fact::PodAnnotations => self.added.annotations,
            _ => &[],
        }
    }

    fn fact(&mut self, fact: Fact) -> String {
        let path = path(fact);
        let default = match fact {
            Fact::WorkloadKind | Fact::WorkloadName => {
                self.needs_variables = true;
                None
            }
            Fact::Spec(SpecField::DnsPolicy) => Some("'ClusterFirst'"),
            Fact::Spec(SpecField::RestartPolicy) => Some("'Always'"),
            Fact::Spec(SpecField::SchedulerName) => Some("'default-scheduler'"),
            Fact::Spec(SpecField::ServiceAccountName) => Some("'default'"),
            Fact::Spec(SpecField::HostIpc | SpecField::HostNetwork | SpecField::HostPid) => {
                Some("false")
            }
            _ => None,
        };
        default.map_or_else(
            || path.to_owned(),
            |default| format!("(has({path}) ? {path} : {default})"),
        )
    }
}

fn wrapped(text: String, one_type: bool) -> String {
    if one_type { text } else { format!("dyn({text})") }
}

/// What a fact is called in an expression of a policy.
fn name(fact: Fact) -> &'static str {
    match fact {
        Fact::PodLabels => "pod.metadata.labels",
        Fact::PodAnnotations => "pod.metadata.annotations",
        Fact::NamespaceLabels => "namespace.labels",
        Fact::NamespaceAnnotations => "namespace.annotations",
        _ => "this",
    }
}

fn path(fact: Fact) -> &'static str {
    match fact {
        Fact::PodName => "object.metadata.name",
        Fact::PodGenerateName => "object.metadata.generateName",
        Fact::PodLabels => "object.metadata.labels",
        Fact::PodAnnotations => "object.metadata.annotations",
        Fact::NamespaceName => "request.namespace",
        Fact::NamespaceLabels => "namespaceObject.metadata.labels",
        Fact::NamespaceAnnotations => "namespaceObject.metadata.annotations",
        Fact::WorkloadKind => "variables.workload.kind",
        Fact::WorkloadName => "variables.workload.name",
        Fact::PolicyName => "policy.name",
        Fact::PolicyRevision => "policy.revision",
        Fact::Spec(field) => match field {
            SpecField::DnsPolicy => "object.spec.dnsPolicy",
            SpecField::HostIpc => "object.spec.hostIPC",
            SpecField::HostNetwork => "object.spec.hostNetwork",
            SpecField::HostPid => "object.spec.hostPID",
            SpecField::Hostname => "object.spec.hostname",
            SpecField::NodeName => "object.spec.nodeName",
            SpecField::PriorityClassName => "object.spec.priorityClassName",
            SpecField::RestartPolicy => "object.spec.restartPolicy",
            SpecField::RuntimeClassName => "object.spec.runtimeClassName",
            SpecField::SchedulerName => "object.spec.schedulerName",
            SpecField::ServiceAccountName => "object.spec.serviceAccountName",
            SpecField::Subdomain => "object.spec.subdomain",
        },
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("namespace.name.startsWith('prod-')", "request.namespace.startsWith('prod-')", false)]
    #[case(
        "pod.spec.hostNetwork || pod.spec.hostname == 'a'",
        "((has(object.spec.hostNetwork) ? object.spec.hostNetwork : false) || (object.spec.hostname == 'a'))",
        false
    )]
    #[case(
        "has(pod.metadata.labels.app) && pod.metadata.labels.app in ['a', 'b']",
        "(('app' in (has(object.metadata.labels) ? object.metadata.labels : {})) && ((has(object.metadata.labels) ? object.metadata.labels : {})['app'] in ['a', 'b']))",
        false
    )]
    #[case("!(workload.kind in ['Job'])", "!(variables.workload.kind in ['Job'])", true)]
    #[case(
        "namespace.labels.all(k, namespace.labels[k] != '')",
        "(has(namespaceObject.metadata.labels) ? namespaceObject.metadata.labels : {}).filter(ours, !ours.matches('^([^/]*\\\\.)?sidecarpolicy\\\\.dev/')).all(k, ((has(namespaceObject.metadata.labels) ? namespaceObject.metadata.labels : {})[k] != ''))",
        true
    )]
    #[case(
        "has(pod.spec.nodeName)",
        "(has(object.spec.nodeName) && object.spec.nodeName != '')",
        false
    )]
    fn translated(#[case] condition: &str, #[case] expected: &str, #[case] needs_variables: bool) {
        let expected = Translated { expression: expected.to_owned(), needs_variables };
        assert_eq!(translate(condition, Added::default()), Ok(expected));
    }

    #[rstest]
    #[case("params.level == 'debug'", "params are values of annotations")]
    #[case("pod.metadata.labels['team'] == 'a'", "does not show \"team\"")]
    #[case("pod.metadata.labels.exists(k, k == 'a')", "the policy itself adds \"team\"")]
    #[case("pod.metadata.annotations['sidecarpolicy.dev/inject'] == 'a'", "does not show")]
    #[case("namespace.labels[pod.spec.dnsPolicy] == 'a'", "has to be a constant")]
    #[case("namespace.labels == {}", "as a whole cannot be compared")]
    #[case("double('1') == 1.0", "numbers with a fraction")]
    fn refused(#[case] condition: &str, #[case] why: &str) {
        let added = Added { labels: &["team".to_owned()], annotations: &[] };
        let message = translate(condition, added).unwrap_err();
        assert!(message.contains(why), "{message}");
    }
}
