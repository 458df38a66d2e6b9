//! Why a request is not answered with a review. The API server then applies the failure policy of
//! the entry it called.

use axum::{
    http::StatusCode,
    response::{IntoResponse, Response},
};

use crate::{body::BODY_LIMIT, review::ReviewError};

/// Why a request is not answered with a review.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// Policies and namespaces were not listed yet.
    #[error("the policies are not known yet; try again in a few seconds")]
    NotSynced,
    /// The body is over the limit.
    #[error("the body is larger than {} MiB", BODY_LIMIT >> 20)]
    TooLarge,
    /// Other bodies take all the memory there is for them.
    #[error("too many large requests at once; try again")]
    NoMemory,
    /// The body did not arrive in time.
    #[error("the body did not arrive in time")]
    TooSlow,
    /// The connection failed.
    #[error("the body cannot be read: {0}")]
    Broken(Box<dyn std::error::Error + Send + Sync>),
    /// The body is something else.
    #[error(transparent)]
    NotAReview(#[from] ReviewError),
}

impl RequestError {
    /// A short word for metrics.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::NotSynced => "not-synced",
            Self::TooLarge => "too-large",
            Self::NoMemory => "no-memory",
            Self::TooSlow => "too-slow",
            Self::Broken(_) => "broken",
            Self::NotAReview(_) => "not-a-review",
        }
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::NotSynced | Self::NoMemory => StatusCode::SERVICE_UNAVAILABLE,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::Broken(_) | Self::NotAReview(_) => StatusCode::BAD_REQUEST,
        }
    }
}

impl IntoResponse for RequestError {
    fn into_response(self) -> Response {
        (self.status(), format!("{self}\n")).into_response()
    }
}
