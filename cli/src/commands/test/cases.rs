//! Finds the tests in a folder and below it.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

const INPUT: &str = "input.yaml";
const EXPECTED: &str = "expected.yaml";
/// A file or a folder.
const POLICIES: [&str; 2] = ["policy.yaml", "policies"];

/// Why tests could not be run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("{}: it cannot be read: {source}", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("{}: it cannot be written: {source}", path.display())]
    Unwritable { path: PathBuf, source: io::Error },
    #[error("{}: there are no tests, which are folders with an {INPUT}", folder.display())]
    NoTests { folder: PathBuf },
    #[error(
        "{}: the test has no policies; add a {} or a folder {} to it or to a folder above it, up to {}",
        folder.display(), POLICIES[0], POLICIES[1], top.display()
    )]
    NoPolicies { folder: PathBuf, top: PathBuf },
}

/// A test.
#[derive(Debug)]
pub(super) struct Case {
    /// Its folder, from the folder named.
    pub(super) name: String,
    /// A file or a folder.
    pub(super) policies: PathBuf,
    pub(super) input: PathBuf,
    pub(super) expected: PathBuf,
}

/// The tests in a folder and below it, by name.
pub(super) fn find(folder: &Path) -> Result<Vec<Case>, Error> {
    let mut cases = Vec::new();
    search(folder, None, folder, &mut cases)?;
    if cases.is_empty() {
        return Err(Error::NoTests { folder: folder.to_owned() });
    }
    Ok(cases)
}

fn search(
    folder: &Path,
    inherited: Option<&Path>,
    top: &Path,
    cases: &mut Vec<Case>,
) -> Result<(), Error> {
    let unreadable = |source| Error::Unreadable { path: folder.to_owned(), source };
    let own = POLICIES.iter().map(|name| folder.join(name)).find(|path| path.exists());
    let policies = own.as_deref().or(inherited);
    let input = folder.join(INPUT);
    if input.exists() {
        let no_policies = || Error::NoPolicies { folder: folder.to_owned(), top: top.to_owned() };
        let name = folder.strip_prefix(top).unwrap_or(folder).display().to_string();
        cases.push(Case {
            name: if name.is_empty() { folder.display().to_string() } else { name },
            policies: policies.ok_or_else(no_policies)?.to_owned(),
            input,
            expected: folder.join(EXPECTED),
        });
    }
    let mut folders = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        // A link could lead in a circle.
        if entry.file_type().map_err(unreadable)?.is_dir() {
            folders.push(entry.path());
        }
    }
    folders.sort_unstable();
    folders.iter().try_for_each(|folder| search(folder, policies, top, cases))
}
