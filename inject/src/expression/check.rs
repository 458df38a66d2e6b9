//! From a tree to a program: resolves names and functions, and checks types.
//!
//! All variables have known types, so nearly every mistake is found when the policy is written.

use super::{
    SyntaxError,
    functions::Function,
    program::{Iteration, Node, Type},
    syntax::{Kind, Operator, Syntax},
};
use crate::{
    facts::{FactKind, Member, Object},
    parameters::Parameters,
    pattern::Pattern,
};
use crds::ParameterType;

type Checked = Result<(Node, Type), SyntaxError>;

/// What a part of an expression stands for.
enum Found {
    Value(Node, Type),
    Object(Object),
    Parameters,
}

/// Checks one expression.
pub(super) struct Checker<'c> {
    variables: &'c [(&'static str, Object)],
    parameters: &'c Parameters,
    /// Parameters that the expression asks `has()` about.
    guarded: Vec<&'c str>,
    /// Name and type of the element, inside an iteration.
    element: Option<(&'c str, Type)>,
}

impl<'c> Checker<'c> {
    pub(super) fn check(
        syntax: &'c Syntax,
        variables: &'c [(&'static str, Object)],
        parameters: &'c Parameters,
    ) -> Checked {
        let mut guarded = Vec::new();
        syntax.for_each(&mut |part| guarded.extend(guard(part)));
        Self { variables, parameters, guarded, element: None }.value(syntax)
    }

    /// Checks what has to be a value.
    fn value(&mut self, syntax: &'c Syntax) -> Checked {
        match self.resolve(syntax)? {
            Found::Value(node, kind) => Ok((node, kind)),
            Found::Object(object) => {
                let message =
                    format!("this is an object; name one of its fields: {}", fields(object));
                Err(SyntaxError::new(syntax.at, message))
            }
            Found::Parameters => {
                let message = format!("name a parameter: {}", self.parameter_names());
                Err(SyntaxError::new(syntax.at, message))
            }
        }
    }

    fn resolve(&mut self, syntax: &'c Syntax) -> Result<Found, SyntaxError> {
        let (node, kind) = match &syntax.kind {
            Kind::Null => (Node::Null, Type::Null),
            Kind::Boolean(boolean) => (Node::Boolean(*boolean), Type::Boolean),
            Kind::Integer(integer) => (Node::Integer(*integer), Type::Integer),
            Kind::Double(double) => (Node::Double(*double), Type::Double),
            Kind::Text(text) => (Node::Text(text.clone()), Type::Text),
            Kind::Name(name) => return self.name(name, syntax.at),
            Kind::Select(operand, field) => return self.select(operand, field, syntax.at),
            Kind::Index(operand, index) => return self.index(operand, index, syntax.at),
            Kind::Call { target, function, arguments } => {
                self.call(target.as_deref(), function, arguments, syntax.at)?
            }
            Kind::List(elements) => {
                let (nodes, element) = self.elements(elements)?;
                (Node::List(nodes), Type::list(element))
            }
            Kind::Map(entries) => self.map_literal(entries)?,
            Kind::Not(operand) => {
                (Node::Not(Box::new(self.of_type(operand, &Type::Boolean, "!")?)), Type::Boolean)
            }
            Kind::Negate(operand) => {
                let (node, kind) = self.value(operand)?;
                if !kind.is_number() && kind != Type::Any {
                    let message = format!("- takes a number, not {kind}");
                    return Err(SyntaxError::new(syntax.at, message));
                }
                (Node::Negate(Box::new(node)), kind)
            }
            Kind::Binary(operator, left, right) => {
                self.binary(*operator, left, right, syntax.at)?
            }
            Kind::All(operands) => (Node::All(self.booleans(operands, "&&")?), Type::Boolean),
            Kind::Any(operands) => (Node::Any(self.booleans(operands, "||")?), Type::Boolean),
            Kind::Conditional(parts) => {
                let [condition, yes, no] = parts.as_ref();
                let condition = self.of_type(condition, &Type::Boolean, "?")?;
                let ((yes, yes_kind), (no, no_kind)) = (self.value(yes)?, self.value(no)?);
                (Node::Conditional(Box::new([condition, yes, no])), yes_kind.or(no_kind))
            }
        };
        Ok(Found::Value(node, kind))
    }

    fn name(&self, name: &str, at: usize) -> Result<Found, SyntaxError> {
        if let Some((element, kind)) = &self.element
            && *element == name
        {
            return Ok(Found::Value(Node::Element, kind.clone()));
        }
        if name == "params" {
            return Ok(Found::Parameters);
        }
        let object = self.variables.iter().find(|(known, _)| *known == name);
        object.map(|(_, object)| Found::Object(*object)).ok_or_else(|| {
            let known: Vec<_> = self.variables.iter().map(|(known, _)| *known).collect();
            let message = format!("{name} is not known; there are params, {}", known.join(", "));
            SyntaxError::new(at, message)
        })
    }

    fn select(
        &mut self,
        operand: &'c Syntax,
        field: &str,
        at: usize,
    ) -> Result<Found, SyntaxError> {
        match self.resolve(operand)? {
            Found::Parameters => self.parameter(field, at),
            Found::Object(object) => member(object, field, at),
            Found::Value(node, Type::Map(value)) => Ok(Found::Value(at_key(node, field), *value)),
            Found::Value(node, Type::Any) => Ok(Found::Value(at_key(node, field), Type::Any)),
            Found::Value(_, kind) => {
                Err(SyntaxError::new(at, format!("{kind} has no field {field}")))
            }
        }
    }

    fn index(
        &mut self,
        operand: &'c Syntax,
        index: &'c Syntax,
        at: usize,
    ) -> Result<Found, SyntaxError> {
        let found = self.resolve(operand)?;
        if let (Found::Object(_) | Found::Parameters, Kind::Text(field)) = (&found, &index.kind) {
            return self.select(operand, field, at);
        }
        let Found::Value(node, kind) = found else {
            return Err(SyntaxError::new(
                at,
                "only a constant field can be named here, as in pod.spec",
            ));
        };
        let (wanted, result) = match kind {
            Type::List(element) => (Type::Integer, *element),
            Type::Map(value) => (Type::Text, *value),
            Type::Any => (Type::Any, Type::Any),
            other => return Err(SyntaxError::new(at, format!("{other} cannot be indexed"))),
        };
        let index = self.of_type(index, &wanted, "[]")?;
        Ok(Found::Value(Node::Index(Box::new(node), Box::new(index)), result))
    }

    fn parameter(&self, name: &str, at: usize) -> Result<Found, SyntaxError> {
        let Some((position, kind, always)) = self.parameters.find(name) else {
            let message = format!("there is no parameter {name}; {}", self.declared());
            return Err(SyntaxError::new(at, message));
        };
        if !always && !self.guarded.contains(&name) {
            let message = format!(
                "params.{name} may be absent: give it a default, make it required, or write has(params.{name}) ? params.{name} : …"
            );
            return Err(SyntaxError::new(at, message));
        }
        let kind = match kind {
            ParameterType::String | ParameterType::Quantity | ParameterType::Duration => Type::Text,
            ParameterType::Integer => Type::Integer,
            ParameterType::Number => Type::Double,
            ParameterType::Boolean => Type::Boolean,
            ParameterType::StringList => Type::list(Type::Text),
        };
        Ok(Found::Value(Node::Parameter(position, name.to_owned()), kind))
    }

    fn call(
        &mut self,
        target: Option<&'c Syntax>,
        name: &str,
        arguments: &'c [Syntax],
        at: usize,
    ) -> Checked {
        let Some(target) = target else {
            return if name == "has" {
                self.has(arguments, at)
            } else {
                let function =
                    Function::find(name, false).map_err(|message| SyntaxError::new(at, message))?;
                self.function(function, name, arguments.iter(), at)
            };
        };
        let iteration = match name {
            "all" => Iteration::All,
            "exists" => Iteration::Exists,
            "exists_one" | "existsOne" => Iteration::ExistsOne,
            "filter" => Iteration::Filter,
            "map" => Iteration::Map,
            "matches" => return self.matches(target, arguments, at),
            _ => {
                let function =
                    Function::find(name, true).map_err(|message| SyntaxError::new(at, message))?;
                return self.function(function, name, std::iter::once(target).chain(arguments), at);
            }
        };
        self.iterate(iteration, target, arguments, at)
    }

    fn function(
        &mut self,
        function: Function,
        name: &str,
        arguments: impl Iterator<Item = &'c Syntax>,
        at: usize,
    ) -> Checked {
        let checked: Vec<_> =
            arguments.map(|argument| self.value(argument)).collect::<Result<_, _>>()?;
        let (nodes, types): (Vec<_>, Vec<_>) = checked.into_iter().unzip();
        let result = function.result(&types).map_err(|takes| {
            let types: Vec<_> = types.iter().map(ToString::to_string).collect();
            let message = format!("{name} takes {takes}, not {}", types.join(" and "));
            SyntaxError::new(at, message)
        })?;
        Ok((Node::Call(function, nodes), result))
    }

    fn has(&mut self, arguments: &'c [Syntax], at: usize) -> Checked {
        let [Syntax { kind: Kind::Select(operand, field), at: field_at, .. }] = arguments else {
            let message =
                "has takes a field, as in has(params.level) or has(pod.metadata.labels.app)";
            return Err(SyntaxError::new(at, message));
        };
        let node = match self.resolve(operand)? {
            Found::Parameters => {
                let Some((position, ..)) = self.parameters.find(field) else {
                    let message = format!("there is no parameter {field}; {}", self.declared());
                    return Err(SyntaxError::new(*field_at, message));
                };
                Node::HasParameter(position)
            }
            Found::Object(object) => match member(object, field, *field_at)? {
                Found::Value(Node::Fact(fact, _), Type::Text) => Node::HasFact(fact),
                _ => Node::Boolean(true),
            },
            Found::Value(node, Type::Map(_) | Type::Any) => {
                Node::HasKey(Box::new(node), field.clone())
            }
            Found::Value(_, kind) => {
                return Err(SyntaxError::new(*field_at, format!("{kind} has no fields")));
            }
        };
        Ok((node, Type::Boolean))
    }

    fn matches(&mut self, target: &'c Syntax, arguments: &'c [Syntax], at: usize) -> Checked {
        let text = self.of_type(target, &Type::Text, "matches")?;
        let [Syntax { kind: Kind::Text(pattern), at: pattern_at, .. }] = arguments else {
            let message =
                "matches takes one pattern, written as a string: it is compiled with the policy";
            return Err(SyntaxError::new(at, message));
        };
        let pattern = Pattern::compile(pattern)
            .map_err(|wrong| SyntaxError::new(*pattern_at, format!("this pattern {wrong}")))?;
        Ok((Node::Matches(Box::new(text), Box::new(pattern)), Type::Boolean))
    }

    fn iterate(
        &mut self,
        iteration: Iteration,
        range: &'c Syntax,
        arguments: &'c [Syntax],
        at: usize,
    ) -> Checked {
        if self.element.is_some() {
            let message =
                "iterations do not nest; one of all, exists, exists_one, filter and map at a time";
            return Err(SyntaxError::new(at, message));
        }
        let (range_node, kind) = self.value(range)?;
        let element = match kind {
            Type::List(element) => *element,
            Type::Map(_) => Type::Text,
            Type::Any => Type::Any,
            other => {
                let message =
                    format!("only a list or the keys of a map can be gone through, not {other}");
                return Err(SyntaxError::new(at, message));
            }
        };
        let [Syntax { kind: Kind::Name(name), at: name_at, .. }, bodies @ ..] = arguments else {
            let message = "the first argument has to be a name for the element, as in list.exists(e, e == 'a')";
            return Err(SyntaxError::new(at, message));
        };
        if name == "params" || Object::VARIABLES.iter().any(|(known, _)| known == name) {
            let message = format!("{name} is a variable already; choose another name");
            return Err(SyntaxError::new(*name_at, message));
        }
        self.element = Some((name, element.clone()));
        let checked = match (iteration, bodies) {
            (Iteration::Map, [result]) => {
                let (node, kind) = self.value(result)?;
                (Node::Iterate(iteration, Box::new(range_node), Box::new(node)), Type::list(kind))
            }
            (Iteration::Map, [condition, result]) => {
                let condition = self.of_type(condition, &Type::Boolean, "map")?;
                let (node, kind) = self.value(result)?;
                (Node::MapWhere(Box::new([range_node, condition, node])), Type::list(kind))
            }
            (_, [condition]) if iteration != Iteration::Map => {
                let condition = self.of_type(condition, &Type::Boolean, "a condition")?;
                let result = if iteration == Iteration::Filter {
                    Type::list(element)
                } else {
                    Type::Boolean
                };
                (Node::Iterate(iteration, Box::new(range_node), Box::new(condition)), result)
            }
            _ => {
                let message = "takes a name for the element and one expression, as in list.exists(e, e == 'a')";
                return Err(SyntaxError::new(at, message));
            }
        };
        self.element = None;
        Ok(checked)
    }

    fn binary(
        &mut self,
        operator: Operator,
        left: &'c Syntax,
        right: &'c Syntax,
        at: usize,
    ) -> Checked {
        let ((left, left_kind), (right, right_kind)) = (self.value(left)?, self.value(right)?);
        let result = binary_type(operator, &left_kind, &right_kind).ok_or_else(|| {
            let hint = match (&left_kind, &right_kind) {
                (Type::Text, other) | (other, Type::Text) if other.is_number() => {
                    "; convert one with string(…), int(…) or double(…)"
                }
                (Type::Integer, Type::Double) | (Type::Double, Type::Integer) => {
                    "; convert one with int(…) or double(…)"
                }
                _ => "",
            };
            let symbol = operator.symbol();
            SyntaxError::new(
                at,
                format!("{symbol} does not take {left_kind} and {right_kind}{hint}"),
            )
        })?;
        Ok((Node::Binary(operator, Box::new(left), Box::new(right)), result))
    }

    fn map_literal(&mut self, entries: &'c [(Syntax, Syntax)]) -> Checked {
        let mut nodes = Vec::with_capacity(entries.len());
        let mut all: Option<Type> = None;
        for (key, value) in entries {
            let key = self.of_type(key, &Type::Text, "the key of a map")?;
            let (value, kind) = self.value(value)?;
            nodes.push((key, value));
            all = Some(all.map_or(kind.clone(), |all| all.or(kind)));
        }
        Ok((Node::Map(nodes), Type::map(all.unwrap_or(Type::Any))))
    }

    fn elements(&mut self, elements: &'c [Syntax]) -> Result<(Vec<Node>, Type), SyntaxError> {
        let mut nodes = Vec::with_capacity(elements.len());
        let mut all: Option<Type> = None;
        for element in elements {
            let (node, kind) = self.value(element)?;
            nodes.push(node);
            all = Some(all.map_or(kind.clone(), |all| all.or(kind)));
        }
        Ok((nodes, all.unwrap_or(Type::Any)))
    }

    fn booleans(&mut self, operands: &'c [Syntax], by: &str) -> Result<Vec<Node>, SyntaxError> {
        operands.iter().map(|operand| self.of_type(operand, &Type::Boolean, by)).collect()
    }

    fn of_type(
        &mut self,
        syntax: &'c Syntax,
        wanted: &Type,
        by: &str,
    ) -> Result<Node, SyntaxError> {
        let (node, kind) = self.value(syntax)?;
        if kind.fits(wanted) {
            return Ok(node);
        }
        Err(SyntaxError::new(syntax.at, format!("{by} takes {wanted}, not {kind}")))
    }

    fn declared(&self) -> String {
        if self.parameters.is_empty() {
            "the policy declares none in spec.parameters".to_owned()
        } else {
            format!("declared are {}", self.parameter_names())
        }
    }

    fn parameter_names(&self) -> String {
        self.parameters.names().collect::<Vec<_>>().join(", ")
    }
}

/// The type of a binary operation; `None` if it does not take these types.
fn binary_type(operator: Operator, left: &Type, right: &Type) -> Option<Type> {
    let any = *left == Type::Any || *right == Type::Any;
    let same = left.fits(right) || right.fits(left);
    let numbers = left.is_number() && right.is_number();
    let known = || if *left == Type::Any { right.clone() } else { left.clone() };
    match operator {
        Operator::Add => {
            let joins = same && matches!(known(), Type::Text | Type::List(_) | Type::Any);
            (joins || same && known().is_number()).then(|| left.clone().or(right.clone()))
        }
        Operator::Subtract | Operator::Multiply | Operator::Divide => {
            (same && (known().is_number() || known() == Type::Any)).then(known)
        }
        Operator::Remainder => {
            (same && matches!(known(), Type::Integer | Type::Any)).then_some(Type::Integer)
        }
        Operator::Equal | Operator::NotEqual => {
            let is_map = matches!(left, Type::Map(_)) || matches!(right, Type::Map(_));
            let null = *left == Type::Null || *right == Type::Null;
            (!is_map && (same || numbers || null)).then_some(Type::Boolean)
        }
        Operator::Less | Operator::LessOrEqual | Operator::Greater | Operator::GreaterOrEqual => {
            let ordered = matches!(
                known(),
                Type::Integer | Type::Double | Type::Text | Type::Boolean | Type::Any
            );
            (numbers || same && ordered).then_some(Type::Boolean)
        }
        Operator::In => match right {
            Type::List(element) => {
                binary_type(Operator::Equal, left, element).map(|_| Type::Boolean)
            }
            Type::Map(_) => left.fits(&Type::Text).then_some(Type::Boolean),
            _ => any.then_some(Type::Boolean),
        },
    }
}

fn member(object: Object, field: &str, at: usize) -> Result<Found, SyntaxError> {
    let found = object.members().iter().find(|(name, _)| *name == field);
    let Some((_, member)) = found else {
        let hint = match object {
            Object::Pod if Object::PodMetadata.members().iter().any(|(name, _)| *name == field) => {
                format!("; write pod.metadata.{field}")
            }
            Object::Namespace if field == "metadata" => "; write namespace.labels".to_owned(),
            _ => String::new(),
        };
        let message = format!("there is no field {field} here; there are {}{hint}", fields(object));
        return Err(SyntaxError::new(at, message));
    };
    Ok(match member {
        Member::Object(object) => Found::Object(*object),
        Member::Fact(fact, kind) => {
            let kind = match kind {
                FactKind::Text | FactKind::OptionalText => Type::Text,
                FactKind::Boolean => Type::Boolean,
                FactKind::Entries => Type::map(Type::Text),
            };
            Found::Value(Node::Fact(*fact, format!("{}.{field}", path(object))), kind)
        }
    })
}

fn path(object: Object) -> &'static str {
    match object {
        Object::Pod => "pod",
        Object::PodMetadata => "pod.metadata",
        Object::PodSpec => "pod.spec",
        Object::Namespace => "namespace",
        Object::Workload => "workload",
        Object::Policy => "policy",
    }
}

fn fields(object: Object) -> String {
    object.members().iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
}

fn at_key(map: Node, key: &str) -> Node {
    Node::Index(Box::new(map), Box::new(Node::Text(key.to_owned())))
}

/// The name in `has(params.NAME)`.
fn guard(syntax: &Syntax) -> Option<&str> {
    let Kind::Call { target: None, function, arguments } = &syntax.kind else { return None };
    match arguments.as_slice() {
        [Syntax { kind: Kind::Select(operand, field), .. }] if function == "has" => {
            matches!(&operand.kind, Kind::Name(name) if name == "params").then_some(field)
        }
        _ => None,
    }
}
