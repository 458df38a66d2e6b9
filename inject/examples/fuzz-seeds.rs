//! Writes what the fuzzing target `texts` begins with: every object of the test corpus with one of its
//! policies. Takes the folder to write into.

#![allow(clippy::expect_used, reason = "a tool of the developers says what is missing and ends")]

use std::{fs, path::Path};

use serde_json::{Value, json};

fn main() {
    let folder = std::env::args().nth(1).expect("a folder to write into");
    fs::create_dir_all(&folder).expect("the folder can be made");
    let policies = read("policies");
    let objects = ["pods", "workloads", "refused"].map(read).concat();
    for (number, (name, object)) in objects.iter().enumerate() {
        let policy: Value =
            serde_json::from_str(&policies[number % policies.len()].1).expect("JSON");
        let mut spec = policy["spec"].clone();
        // Every object is to be reached.
        spec["podSelector"] = json!({});
        let annotations =
            json!({"sidecarpolicy.dev/inject": "one", "sidecarpolicy.dev/skip": "two"});
        let text = format!("{object}\0{spec}\0{annotations}");
        fs::write(Path::new(&folder).join(name), text).expect("the folder can be written into");
    }
}

/// Name and JSON of each file of a folder.
fn read(folder: &str) -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(folder);
    let mut files: Vec<(String, String)> = fs::read_dir(folder)
        .expect("the corpus can be read")
        .map(|entry| {
            let path = entry.expect("an entry of the corpus").path();
            let text = fs::read_to_string(&path).expect("a file of the corpus can be read");
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            if path.extension().is_some_and(|extension| extension == "json") {
                return (name, text);
            }
            let value: Value = serde_saphyr::from_str(&text).expect("YAML");
            (name, value.to_string())
        })
        .collect();
    files.sort_unstable();
    files
}
