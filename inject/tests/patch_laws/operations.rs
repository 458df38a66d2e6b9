//! RFC 6902 to the letter, and what our patches promise beyond it: an index is used only where the
//! patch has made sure what stands there, nothing of the app's is replaced or removed, and every
//! element and every parent is added once.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    document::{Content, Document, decode},
    kept::may_change,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Operation<'a> {
    op: String,
    path: String,
    #[serde(borrow, default)]
    value: Option<&'a RawValue>,
}

/// Applies a patch. The error says which operation breaks which rule.
pub(crate) fn apply(document: &mut Document, patch: &str) -> Result<(), String> {
    let operations: Vec<Operation<'_>> =
        serde_json::from_str(patch).map_err(|error| format!("not a JSON patch: {error}"))?;
    for (number, operation) in operations.iter().enumerate() {
        apply_one(document, operation).map_err(|broken| {
            format!("operation {number}, {} {}: {broken}", operation.op, operation.path)
        })?;
    }
    Ok(())
}

fn apply_one(document: &mut Document, operation: &Operation<'_>) -> Result<(), String> {
    let tokens = tokens(&operation.path)?;
    let value = operation.value.map(|raw| Document::parse(raw.get())).transpose()?;
    match (operation.op.as_str(), value) {
        ("test", Some(value)) => test(document, &tokens, &value),
        ("add", Some(value)) => add(document, &tokens, value),
        ("replace", Some(value)) => {
            may_be_changed(&tokens)?;
            let target = walk(document, &tokens)?;
            if target.is_new {
                return Err("what was just put in is replaced".to_owned());
            }
            *target = value;
            target.mark_new();
            Ok(())
        }
        ("remove", None) => {
            may_be_changed(&tokens)?;
            let (last, parents) = tokens.split_last().ok_or("removes the whole pod")?;
            let Content::Map(members) = &mut walk(document, parents)?.content else {
                return Err("only members of maps are removed".to_owned());
            };
            let found = members.iter().position(|(key, _)| decode(key) == *last);
            members.remove(found.ok_or("there is nothing to remove")?);
            Ok(())
        }
        _ => Err("is none of test, add and replace with a value, or remove without".to_owned()),
    }
}

fn tokens(path: &str) -> Result<Vec<String>, String> {
    if path.is_empty() {
        return Ok(Vec::new());
    }
    let rest = path.strip_prefix('/').ok_or("the path does not begin with /")?;
    rest.split('/')
        .map(|token| {
            let bare = token.replace("~0", "").replace("~1", "");
            if bare.contains('~') {
                return Err(format!("{token:?} has a ~ that is not escaped"));
            }
            Ok(token.replace("~1", "/").replace("~0", "~"))
        })
        .collect()
}

fn may_be_changed(tokens: &[String]) -> Result<(), String> {
    let names: Vec<&str> = tokens
        .iter()
        .map(|token| if token.bytes().all(|byte| byte.is_ascii_digit()) { "*" } else { token })
        .collect();
    if may_change(&names) { Ok(()) } else { Err("changes what is not ours".to_owned()) }
}

/// The value at a path, each index on the way known to the patch.
fn walk<'d>(document: &'d mut Document, tokens: &[String]) -> Result<&'d mut Document, String> {
    tokens.iter().try_fold(document, |parent, token| {
        let child = step(parent, token)?;
        if is_index(token) && !child.is_known {
            return Err(format!("uses the index {token}, which no test guards"));
        }
        Ok(child)
    })
}

fn is_index(token: &str) -> bool {
    token.bytes().all(|byte| byte.is_ascii_digit())
}

fn step<'d>(parent: &'d mut Document, token: &str) -> Result<&'d mut Document, String> {
    match &mut parent.content {
        Content::Map(members) => members
            .iter_mut()
            .find_map(|(key, value)| (decode(key) == token).then_some(value))
            .ok_or_else(|| format!("there is no {token:?}")),
        Content::List(items) => {
            let index = index(token)?;
            items.get_mut(index).ok_or_else(|| format!("the list has no element {index}"))
        }
        Content::Literal(literal) => Err(format!("{token:?} cannot be in {literal}")),
    }
}

fn index(token: &str) -> Result<usize, String> {
    if !is_index(token) || (token.len() > 1 && token.starts_with('0')) {
        return Err(format!("{token:?} is no index"));
    }
    token.parse().map_err(|_| format!("{token:?} is no index"))
}

/// Afterwards the elements on the way are known.
fn test(document: &mut Document, tokens: &[String], value: &Document) -> Result<(), String> {
    let mut target = document;
    for token in tokens {
        target = step(target, token)?;
        target.is_known = true;
    }
    let read =
        |document: &Document| serde_json::from_str::<serde_json::Value>(&document.to_string());
    match (read(target), read(value)) {
        (Ok(found), Ok(expected)) if found == expected => Ok(()),
        _ => Err(format!("the test fails: found {target}")),
    }
}

fn add(document: &mut Document, tokens: &[String], mut value: Document) -> Result<(), String> {
    let (last, parents) = tokens.split_last().ok_or("replaces the whole pod")?;
    let parent = walk(document, parents)?;
    if parent.is_new {
        return Err("the parent was put in just before, without this".to_owned());
    }
    value.mark_new();
    if let Content::List(items) = &value.content {
        for (position, item) in items.iter().enumerate() {
            is_the_only_one(last, item, &items[..position])?;
        }
    }
    match &mut parent.content {
        Content::Map(members) => match members.iter_mut().find(|(key, _)| decode(key) == *last) {
            None => {
                let key = serde_json::to_string(last).map_err(|error| error.to_string())?;
                members.push((key, value));
            }
            Some((_, found)) if found.is_null() => *found = value,
            Some((_, found)) => return Err(format!("writes over {found}")),
        },
        Content::List(items) => {
            let name = parents.last().map_or("", String::as_str);
            is_the_only_one(name, &value, items)?;
            let at = if last == "-" { items.len() } else { index(last)? };
            let is_known = |index: usize| items.get(index).is_some_and(|item| item.is_known);
            if at > items.len() {
                return Err(format!("the list ends at {}", items.len()));
            }
            let is_guarded = last == "-" || at == 0 || is_known(at) || is_known(at - 1);
            if !is_guarded {
                return Err("no test says what stands at that index".to_owned());
            }
            items.insert(at, value);
        }
        Content::Literal(literal) => return Err(format!("the parent is {literal}")),
    }
    Ok(())
}

/// Elements are told apart by name, mounts by path, and what has neither by all of it.
fn is_the_only_one(list: &str, element: &Document, others: &[Document]) -> Result<(), String> {
    let identity = |element: &Document| {
        let key = if list == "volumeMounts" { "mountPath" } else { "name" };
        let text = match &element.content {
            Content::Map(_) => element.member(key).and_then(Document::text),
            _ => None,
        };
        let trimmed = text.map(|text| text.trim_end_matches('/').to_owned());
        trimmed.unwrap_or_else(|| element.to_string())
    };
    if others.iter().any(|other| identity(other) == identity(element)) {
        return Err(format!("{} is in the list already", identity(element)));
    }
    Ok(())
}
