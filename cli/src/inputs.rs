//! What commands are asked about: manifests, and the policies that are asked.

use std::io::Read;

use crate::{
    arguments::Files,
    commands::Error,
    facts::Facts,
    manifests::{self, Document, STANDARD_INPUT},
    policies::{self, Written},
};

/// Manifests and what decisions about them rest on.
#[derive(Debug)]
pub(crate) struct Inputs {
    pub(crate) documents: Vec<Document>,
    pub(crate) facts: Facts,
    /// The policies as they are written.
    pub(crate) policies: Vec<Written>,
}

impl Inputs {
    /// Reads manifests and policies.
    pub(crate) fn read(files: &Files, input: &mut dyn Read) -> Result<Self, Error> {
        let sources = files.policy.iter().chain(&files.filename);
        if sources.filter(|source| *source == STANDARD_INPUT).count() > 1 {
            return Err(Error::StandardInputTwice);
        }
        let policy_documents = manifests::read(&files.policy, input)?;
        let policies = policies::compile(&policy_documents, &files.namespace)?;
        let documents = manifests::read(&files.filename, input)?;
        let facts = Facts::new(policies.set, &files.namespace, &documents);
        Ok(Self { documents, facts, policies: policies.written })
    }
}
