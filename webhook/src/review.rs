//! An `AdmissionReview`, read in one pass and borrowed from the body.

use inject::Text;
use serde::{Deserialize, de::IgnoredAny};

use crate::review_span;

/// The only version of `AdmissionReview` that the API server is told to send.
const API_VERSION: &str = "admission.k8s.io/v1";

/// A body that is not an `AdmissionReview` with a request.
#[derive(Debug, thiserror::Error)]
pub enum ReviewError {
    /// Not UTF-8.
    #[error("the body is not UTF-8")]
    Encoding,
    /// Not JSON, or a part of the wrong type.
    #[error("the body is not an AdmissionReview: {0}")]
    Json(#[from] serde_json::Error),
    /// Another kind or version.
    #[error("the body is a {kind:?} of {api_version:?}, not an AdmissionReview of {API_VERSION:?}")]
    Kind {
        /// What the body calls itself.
        kind: String,
        /// Its version.
        api_version: String,
    },
    /// A review without a request, such as an answer.
    #[error("the AdmissionReview has no request")]
    NoRequest,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", bound(deserialize = "O: Deserialize<'de>"))]
struct Review<'a, O> {
    #[serde(borrow, default)]
    api_version: Text<'a>,
    #[serde(borrow, default)]
    kind: Text<'a>,
    #[serde(default = "Option::default")]
    request: Option<Request<'a, O>>,
}

/// The request of a review; `O` is what is read of the object.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", bound(deserialize = "O: Deserialize<'de>"))]
pub struct Request<'a, O> {
    /// Identifies the request; the answer repeats it.
    #[serde(borrow)]
    pub uid: Text<'a>,
    /// Kind of the object.
    #[serde(borrow, default)]
    pub kind: Kind<'a>,
    /// Name of the object; empty while the API server makes one up.
    #[serde(borrow, default)]
    pub name: Option<Text<'a>>,
    /// Namespace of the request.
    #[serde(borrow, default)]
    pub namespace: Option<Text<'a>>,
    /// `CREATE`, `UPDATE`, `DELETE` or `CONNECT`.
    #[serde(borrow, default)]
    pub operation: Text<'a>,
    /// Who asks.
    #[serde(borrow, default)]
    pub user_info: UserInfo<'a>,
    /// The object, absent for a deletion.
    #[serde(default = "Option::default")]
    pub object: Option<O>,
    /// The object before the change.
    #[serde(default = "Option::default")]
    pub old_object: Option<O>,
}

/// Kind of an object, without group and version.
#[derive(Debug, Default, Deserialize)]
pub struct Kind<'a> {
    /// Such as `Pod`.
    #[serde(borrow, default)]
    pub kind: Text<'a>,
}

/// Who asks.
#[derive(Debug, Default, Deserialize)]
pub struct UserInfo<'a> {
    /// Groups of the requester.
    #[serde(borrow, default)]
    pub groups: Vec<Text<'a>>,
}

impl<O> Request<'_, O> {
    /// The namespace of the request; empty for objects of the cluster.
    #[must_use]
    pub fn namespace(&self) -> &str {
        self.namespace.as_ref().map_or("", Text::as_str)
    }

    /// Whether the requester is a kubelet.
    #[must_use]
    pub fn requester_is_node(&self) -> bool {
        self.user_info.groups.iter().any(|group| group.as_str() == "system:nodes")
    }
}

/// The body as text.
pub fn text(body: &[u8]) -> Result<&str, ReviewError> {
    simdutf8::basic::from_utf8(body).map_err(|_| ReviewError::Encoding)
}

/// Reads the request of a review.
pub fn read<'a, O: Deserialize<'a>>(body: &'a str) -> Result<Request<'a, O>, ReviewError> {
    let review: Review<'a, O> = inject::read(body)?;
    if review.kind.as_str() != "AdmissionReview" || review.api_version.as_str() != API_VERSION {
        return Err(ReviewError::Kind {
            kind: review.kind.as_str().to_owned(),
            api_version: review.api_version.as_str().to_owned(),
        });
    }
    let request = review.request.ok_or(ReviewError::NoRequest)?;
    review_span::describe(&request);
    Ok(request)
}

/// Reads the request of a review whose object may be anything.
pub fn read_without_object(body: &str) -> Result<Request<'_, IgnoredAny>, ReviewError> {
    read(body)
}

#[cfg(test)]
#[path = "review_tests.rs"]
mod tests;
