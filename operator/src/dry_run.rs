//! Asks the API server by a dry-run create of a `PodTemplate`, which stores nothing. Never of a pod:
//! quotas, limit ranges and the webhooks of others would answer too.

use std::time::Duration;

use http_body_util::{BodyExt, Limited};
use hyper::{
    Request, Response,
    body::Bytes,
    header::{CONTENT_TYPE, WARNING},
};
use kube::{Client, client::Body};
use tokio::time;

use crate::context::FIELD_MANAGER;

/// How long the API server may take to answer.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Largest answer that is read, in bytes: it repeats the question.
const ANSWER_BYTES: usize = 4 * 1024 * 1024;

/// What the API server answered.
#[derive(Debug)]
pub(crate) struct Answer {
    /// HTTP status code.
    pub(crate) status: u16,
    /// Texts of its warnings, also when it refuses.
    pub(crate) warnings: Vec<String>,
    /// The object as it would be, or a `Status`.
    pub(crate) body: Bytes,
}

/// The API server could not be asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DryRunError {
    /// A fault of ours.
    #[error("the question cannot be written: {0}")]
    Request(#[from] hyper::http::Error),
    /// There is no connection, or none that is secure.
    #[error("{0}")]
    Client(#[from] kube::Error),
    /// It broke off.
    #[error("its answer cannot be read: {0}")]
    Body(Box<dyn std::error::Error + Send + Sync>),
    /// It took too long.
    #[error("no answer within {} seconds", TIMEOUT.as_secs())]
    Timeout(#[from] time::error::Elapsed),
}

/// Creates a `PodTemplate`, given as JSON, by a dry run with strict validation of its fields.
pub(crate) async fn create(
    client: &Client,
    namespace: &str,
    pod_template: String,
) -> Result<Answer, DryRunError> {
    time::timeout(TIMEOUT, ask(client, namespace, pod_template)).await?
}

async fn ask(
    client: &Client,
    namespace: &str,
    pod_template: String,
) -> Result<Answer, DryRunError> {
    let request = Request::post(format!(
        "/api/v1/namespaces/{namespace}/podtemplates?dryRun=All&fieldValidation=Strict&fieldManager={FIELD_MANAGER}"
    ))
    .header(CONTENT_TYPE, "application/json")
    .body(Body::from(pod_template.into_bytes()))?;
    let response = client.send(request).await?;
    let (status, warnings) = (response.status().as_u16(), warnings(&response));
    let body = Limited::new(response.into_body(), ANSWER_BYTES);
    let body = body.collect().await.map_err(DryRunError::Body)?.to_bytes();
    Ok(Answer { status, warnings, body })
}

fn warnings(response: &Response<Body>) -> Vec<String> {
    let headers = response.headers().get_all(WARNING).into_iter();
    headers.filter_map(|header| warning(header.to_str().ok()?)).collect()
}

/// The text of a `Warning` header: `299 - "text"`, where a backslash stands before quotes.
fn warning(header: &str) -> Option<String> {
    let (_, quoted) = header.split_once('"')?;
    let mut text = String::new();
    let mut characters = quoted.chars();
    loop {
        match characters.next()? {
            '"' => return Some(text),
            '\\' => text.push(characters.next()?),
            character => text.push(character),
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("299 - \"plain\"", Some("plain"))]
    #[case(r#"299 - "a \"b\" \\ c" "date""#, Some(r#"a "b" \ c"#))]
    #[case("299 - nothing", None)]
    #[case("299 - \"open", None)]
    fn warnings_are_read(#[case] header: &str, #[case] expected: Option<&str>) {
        assert_eq!(warning(header).as_deref(), expected);
    }
}
