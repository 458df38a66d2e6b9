//! Reads manifests: files, folders and standard input; YAML of several documents, and JSON.
//!
//! A document keeps the very text it came from, so that what is not changed is written as it was.

use std::{
    fmt, fs,
    io::{self, Read},
    path::{Path, PathBuf},
    rc::Rc,
};

use serde_json::value::RawValue;

use crate::document::Node;

/// Names standard input among files.
pub(crate) const STANDARD_INPUT: &str = "-";

const EXTENSIONS: [&str; 3] = ["yaml", "yml", "json"];

/// Why manifests could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("{file}: it cannot be read: {source}")]
    Unreadable { file: String, source: io::Error },
    #[error("{folder}: no file ends in .yaml, .yml or .json (sub-folders are not read)")]
    EmptyFolder { folder: String },
    #[error("{file}:{line}: the text is not UTF-8; save the file as UTF-8")]
    NotUnicode { file: String, line: usize },
    #[error("{}:{}:{column}: document {}: {message}", location.file, location.line, location.document)]
    Syntax { location: Location, column: usize, message: String },
}

/// Where a document or a part of it stands.
#[derive(Clone, Debug)]
pub(crate) struct Location {
    pub(crate) file: Rc<str>,
    /// Number of the document in its file, from 1; documents without content do not count.
    pub(crate) document: usize,
    /// Line of the file, from 1.
    pub(crate) line: usize,
}

impl fmt::Display for Location {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}: document {}", self.file, self.line, self.document)
    }
}

/// A document of a manifest.
#[derive(Debug)]
pub(crate) struct Document {
    /// Where it starts.
    pub(crate) location: Location,
    /// Its text, from its line `---`, if it has one, to the next one's.
    pub(crate) text: String,
    /// Length in bytes of what stands before its content: the line `---`, comments, blank lines.
    pub(crate) header: usize,
    /// Whether the text starts with a line `---`, comments and blank lines aside.
    pub(crate) separated: bool,
    /// Its content; `None` if it has nothing but comments.
    pub(crate) root: Option<Node>,
}

/// Reads the documents of files, of the files of folders, and of standard input (`-`), in order.
pub(crate) fn read(sources: &[String], input: &mut dyn Read) -> Result<Vec<Document>, Error> {
    let mut documents = Vec::new();
    for source in sources {
        if source == STANDARD_INPUT {
            let mut bytes = Vec::new();
            input.read_to_end(&mut bytes).map_err(|error| unreadable("standard input", error))?;
            documents.extend(parse("standard input", bytes)?);
            continue;
        }
        for path in files(Path::new(source))? {
            let file = path.display().to_string();
            let bytes = fs::read(&path).map_err(|error| unreadable(&file, error))?;
            documents.extend(parse(&file, bytes)?);
        }
    }
    Ok(documents)
}

fn unreadable(file: &str, source: io::Error) -> Error {
    Error::Unreadable { file: file.to_owned(), source }
}

/// The file itself, or the manifests in a folder, by name.
fn files(path: &Path) -> Result<Vec<PathBuf>, Error> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let folder = path.display().to_string();
    let mut files = Vec::new();
    for entry in fs::read_dir(path).map_err(|error| unreadable(&folder, error))? {
        let path = entry.map_err(|error| unreadable(&folder, error))?.path();
        let extension = path.extension().and_then(|extension| extension.to_str());
        if extension.is_some_and(|extension| EXTENSIONS.contains(&extension)) && !path.is_dir() {
            files.push(path);
        }
    }
    if files.is_empty() {
        return Err(Error::EmptyFolder { folder });
    }
    files.sort_unstable();
    Ok(files)
}

/// The document of a value.
#[cfg(test)]
pub(crate) fn of_value(value: &serde_json::Value) -> Document {
    let documents = parse("test.json", value.to_string().into_bytes());
    documents.expect("it is JSON").remove(0)
}

/// The documents in the content of a file.
fn parse(file: &str, bytes: Vec<u8>) -> Result<Vec<Document>, Error> {
    let text = String::from_utf8(bytes).map_err(|error| {
        let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = 1 + String::from_utf8_lossy(valid).matches('\n').count();
        Error::NotUnicode { file: file.to_owned(), line }
    })?;
    let file = Rc::from(file);
    if !text.trim_start().starts_with(['{', '[']) {
        return parse_yaml(&file, &text);
    }
    // YAML may start with a brace too.
    parse_json(&file, &text).or_else(|json_error| {
        parse_yaml(&file, &text).map_err(|yaml_error| {
            let is_json = Path::new(file.as_ref()).extension().is_some_and(|name| name == "json");
            if is_json { json_error } else { yaml_error }
        })
    })
}

/// JSON values one after another.
fn parse_json(file: &Rc<str>, text: &str) -> Result<Vec<Document>, Error> {
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<&RawValue>();
    let mut documents: Vec<Document> = Vec::new();
    let mut start = 0;
    while let Some(value) = values.next() {
        let end = values.byte_offset();
        let header = text[start..end].len() - text[start..end].trim_start().len();
        let line = 1 + text[..start + header].matches('\n').count();
        let location = Location { file: Rc::clone(file), document: documents.len() + 1, line };
        let error_at = |line, column, error: &serde_json::Error| Error::Syntax {
            location: Location { line, ..location.clone() },
            column,
            message: without_position(error),
        };
        let value = value.map_err(|error| error_at(error.line(), error.column().max(1), &error))?;
        let root = Node::from_json(value.get(), line).map_err(|error| error_at(line, 1, &error))?;
        let text = text[start..end].to_owned();
        documents.push(Document { location, text, header, separated: false, root: Some(root) });
        start = end;
    }
    if let Some(last) = documents.last_mut() {
        last.text.push_str(&text[start..]);
    }
    Ok(documents)
}

/// The words of a JSON error, less the place, which is told in the way of this program.
pub(crate) fn without_position(error: &serde_json::Error) -> String {
    let words = error.to_string();
    let position = format!(" at line {} column {}", error.line(), error.column());
    words.strip_suffix(&position).unwrap_or(&words).to_owned()
}

fn parse_yaml(file: &Rc<str>, text: &str) -> Result<Vec<Document>, Error> {
    let mut documents: Vec<Document> = Vec::new();
    let mut number = 1;
    for Part { first_line, text } in split(text) {
        let header = header_length(text);
        let line = first_line + text[..header].matches('\n').count();
        let location = Location { file: Rc::clone(file), document: number, line };
        let readable = text.strip_prefix('\u{feff}').unwrap_or(text);
        let root = Node::from_yaml(readable, first_line - 1).map_err(|error| Error::Syntax {
            location: Location { line: error.line, ..location.clone() },
            column: error.column,
            message: error.message,
        })?;
        number += usize::from(root.is_some());
        let separated = text[..header].lines().any(is_separator) || is_separator(&text[header..]);
        documents.push(Document { location, text: text.to_owned(), header, separated, root });
    }
    Ok(documents)
}

/// The text of one YAML document.
struct Part<'t> {
    /// Line of the file it starts at, from 1.
    first_line: usize,
    text: &'t str,
}

/// Splits YAML at its lines `---`. By the grammar of YAML such a line always starts a document,
/// even inside of quotes or a block.
fn split(text: &str) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    let mut part = Part { first_line: 1, text: "" };
    let (mut start, mut end) = (0, 0);
    // Comments and directives before the first line `---` belong to its document.
    let mut complete = false;
    for (index, line) in text.split_inclusive('\n').enumerate() {
        if is_separator(line) && complete {
            parts.push(Part { text: &text[start..end], ..part });
            part.first_line = index + 1;
            start = end;
        }
        complete |= is_separator(line) || !is_blank(line);
        end += line.len();
    }
    parts.push(Part { text: &text[start..], ..part });
    parts
}

fn is_separator(line: &str) -> bool {
    line.strip_prefix("---")
        .is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']))
}

/// Whether a line has nothing but a comment or a directive.
fn is_blank(line: &str) -> bool {
    let content = line.trim();
    content.is_empty() || content.starts_with('#') || line.starts_with('%')
}

fn header_length(text: &str) -> usize {
    let lines = text.split_inclusive('\n');
    let header = lines.take_while(|line| {
        is_blank(line)
            || line.strip_prefix("---").is_some_and(|rest| is_separator(line) && is_blank(rest))
    });
    header.map(str::len).sum()
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    fn documents(text: &str) -> Vec<Document> {
        parse("test.yaml", text.as_bytes().to_vec()).expect("the manifest can be read")
    }

    #[test]
    fn documents_are_split_and_nothing_of_the_text_is_lost() {
        let text = "# first\n%YAML 1.2\n---\na: 1\n---\n# nothing\n--- # second\n\n# about b\nb: |\n  --- no\n---\tc\n...\n";
        let documents = documents(text);
        let parts: Vec<_> = documents
            .iter()
            .map(|document| (document.location.line, document.header, document.root.is_some()))
            .collect();
        assert_eq!(parts, [(4, 22, true), (7, 14, false), (10, 24, true), (12, 0, true)]);
        let again: String = documents.iter().map(|document| document.text.as_str()).collect();
        assert_eq!(again, text);
    }

    #[test]
    fn json_values_follow_one_another() {
        let documents = documents("\n{\"a\": 18446744073709551617}\n{\"b\": \"\\ud83d\\ude00\"} ");
        let json: Vec<_> = documents
            .iter()
            .map(|document| document.root.as_ref().expect("content").to_json())
            .collect();
        assert_eq!(json, [r#"{"a":18446744073709551617}"#, r#"{"b":"😀"}"#]);
        assert_eq!(documents[1].location.line, 3);
    }

    #[test]
    fn syntax_errors_name_file_document_line_and_column() {
        for (text, message) in [
            ("a: 1\n---\nb: [1\n", "test.yaml:3:4: document 2: unclosed bracket '['"),
            (
                "a: 1\nb: 2\na: 3\n",
                "test.yaml:3:1: document 1: the key \"a\" stands twice in one map",
            ),
            (
                "a: .nan\n",
                "test.yaml:1:4: document 1: .nan has no form in JSON, so Kubernetes cannot take it",
            ),
            (
                "a: &x [*x]\n",
                "test.yaml:1:8: document 1: the alias stands inside of what it stands for",
            ),
            ("a: *x\n", "test.yaml:1:4: document 1:"),
            ("? [a]\n: 1\n", "test.yaml:1:3: document 1: a key of a map has to be text"),
            (
                "a: b\n\tc: d\n",
                "test.yaml:1:4: document 1: while scanning a plain scalar, found a tab",
            ),
            (
                "a\n...\nb\n",
                "test.yaml:3:1: document 1: another document starts here; put a line --- before it",
            ),
            ("<<: 1\n", "test.yaml:1:1: document 1: << takes a map or a list of maps"),
        ] {
            let error = parse("test.yaml", text.as_bytes().to_vec()).expect_err(text).to_string();
            assert!(error.starts_with(message), "{error}");
        }
    }

    #[test]
    fn aliases_cannot_fill_the_memory() {
        let mut text = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n".to_owned();
        for level in 1..9 {
            let aliases = vec![format!("*a{}", level - 1); 10].join(",");
            writeln!(text, "a{level}: &a{level} [{aliases}]").expect("text can be appended to");
        }
        let error = parse("test.yaml", text.into_bytes()).expect_err("too many values").to_string();
        assert!(error.ends_with("the document has more than 1000000 values"), "{error}");
    }

    #[test]
    fn text_that_is_not_utf_8_is_refused_with_its_line() {
        let error = parse("test.yaml", b"a: 1\nb: \xff\n".to_vec()).expect_err("not UTF-8");
        assert_eq!(error.to_string(), "test.yaml:2: the text is not UTF-8; save the file as UTF-8");
    }

    #[test]
    fn anchors_merges_and_tags_are_read_as_kubectl_does() {
        let text = "base: &base {a: 1, b: yes}\nall: {<<: *base, a: 0x10}\ntext: !!str 5\nbytes: !!binary aGk=\n1: on\n";
        let documents = documents(text);
        let json = documents[0].root.as_ref().expect("content").to_json();
        assert_eq!(
            json,
            r#"{"base":{"a":1,"b":true},"all":{"a":16,"b":true},"text":"5","bytes":"hi","1":true}"#
        );
    }
}
