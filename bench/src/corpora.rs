//! The recorded reviews: pods as ReplicaSets made them, as a real API server sent them.

use std::fmt;

/// A recorded review.
#[derive(Clone, Copy, Debug)]
pub struct Corpus {
    /// How it is called in tables.
    pub name: &'static str,
    /// The `AdmissionReview`, byte for byte as it arrived.
    pub review: &'static str,
    /// Whether a policy of [`policies`](crate::policies) reaches its pod.
    pub matched: bool,
}

impl fmt::Display for Corpus {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name)
    }
}

/// All recorded reviews, the typical one first.
pub const CORPORA: [Corpus; 4] = [
    Corpus { name: "typical", review: include_str!("../corpora/typical.json"), matched: true },
    Corpus { name: "small", review: include_str!("../corpora/small.json"), matched: true },
    Corpus { name: "large", review: include_str!("../corpora/large.json"), matched: true },
    Corpus { name: "unmatched", review: include_str!("../corpora/unmatched.json"), matched: false },
];
