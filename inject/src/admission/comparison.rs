//! "Already there" in CEL: whether a part of a pod, as the API server has it, is the same as a part of a
//! policy. The rules are those of [`canonical`](crate::canonical), which the merge compares by.

use serde_json::{Map, Value};

use crate::canonical;

use super::cel;

/// What a value is that says the same as an absent one, whatever its field.
pub(super) const NOTHING: &str = "[dyn(''), dyn(0), dyn(false), dyn([]), dyn({})]";

/// The defaults of the API server, by the name of the field.
pub(super) fn defaults() -> String {
    let entries = canonical::DEFAULTS.iter();
    let texts =
        entries.map(|(name, text)| format!("{}: dyn({})", cel::text(name), cel::text(text)));
    let numbers = canonical::NUMBER_DEFAULTS.iter();
    let numbers = numbers.map(|(name, number)| format!("{}: dyn({number})", cel::text(name)));
    cel::joined('{', texts.chain(numbers), '}')
}

/// Whether the CEL value `found` is the object that the fields describe. `variables.nothing` and
/// `variables.defaults` have to be declared. `name` is the field that it stands in.
pub(super) fn object(found: &str, name: &str, fields: &Map<String, Value>) -> String {
    object_but(found, name, fields, "")
}

/// As [`object`], with another case in which a further field `key` of it changes nothing.
pub(super) fn object_but(
    found: &str,
    name: &str,
    fields: &Map<String, Value>,
    but: &str,
) -> String {
    let counts =
        |field: &str, value: &Value| !canonical::is_absent(canonical::context(name, field), value);
    let said: Vec<_> = fields.iter().filter(|(field, value)| counts(field, value)).collect();
    let mut tests: Vec<String> = Vec::new();
    for (field, value) in &said {
        tests.push(cel::has(found, field));
        tests.push(self::value(&cel::field(found, field), canonical::context(name, field), value));
    }
    let names = cel::texts(said.iter().map(|(field, _)| field.as_str()));
    // The key's own name must not be that of an object around it.
    let key = format!("key{}", found.matches(['.', '[']).count());
    let mut rest = vec![
        format!("{key} in {names}"),
        format!("{found}[{key}] in variables.nothing"),
        format!("{key} in variables.defaults && {found}[{key}] == variables.defaults[{key}]"),
    ];
    for (field, default) in canonical::defaults_in(name) {
        let test = default.map_or_else(String::new, |default| {
            format!(" && {found}[{key}] == {}", cel::text(default))
        });
        rest.push(format!("{key} == {}{test}", cel::text(field)));
    }
    if !but.is_empty() {
        rest.push(but.replace("key", &key));
    }
    tests.push(format!("{found}.all({key}, {})", rest.join(" || ")));
    tests.join(" && ")
}

/// Whether the CEL value `found` is this value, which is not one that says the same as an absent one.
fn value(found: &str, context: &str, value: &Value) -> String {
    match value {
        Value::String(_) | Value::Number(_) if canonical::is_quantity(context) => {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            format!("quantity({found}).compareTo(quantity({})) == 0", cel::text(&text))
        }
        Value::Object(map) => object(found, context, map),
        Value::Array(list) if list.iter().all(Value::is_object) => {
            let mut tests = vec![format!("{found}.size() == {}", list.len())];
            for (index, element) in list.iter().enumerate() {
                let fields = element.as_object().cloned().unwrap_or_default();
                tests.push(object(&format!("{found}[{index}]"), "", &fields));
            }
            tests.join(" && ")
        }
        other => format!("{found} == {}", cel::literal(other)),
    }
}

/// Whether a list of a container, which may be absent, has an element that is this one.
pub(super) fn element_of(container: &str, list: &str, fields: &Map<String, Value>) -> String {
    format!("has({container}.{list}) && {container}.{list}.exists(x, {})", object("x", "", fields))
}
