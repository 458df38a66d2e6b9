//! Bodies of requests, read within limits of size, memory and time.

use std::time::Duration;

use axum::{
    BoxError,
    body::Body,
    http::{Request, header},
};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::timeout,
};

use crate::request_error::RequestError;

/// Largest body that is read, in bytes. The API server's objects end well below it.
pub const BODY_LIMIT: usize = 7 << 20;
/// Memory for bodies, in KiB, well below the memory limit that the chart sets.
const MEMORY_KIB: usize = 128 << 10;
/// How long a request waits for memory.
const MEMORY_DEADLINE: Duration = Duration::from_secs(1);
/// How long a body may take to arrive.
const ARRIVAL_DEADLINE: Duration = Duration::from_secs(5);

/// The memory that bodies may take, all together.
#[derive(Debug)]
pub(crate) struct BodyMemory(Semaphore);

impl Default for BodyMemory {
    fn default() -> Self {
        Self(Semaphore::new(MEMORY_KIB))
    }
}

/// A body, and its share of the memory for bodies.
#[derive(Debug)]
pub(crate) struct HeldBody<'a> {
    pub(crate) bytes: Vec<u8>,
    _share: SemaphorePermit<'a>,
}

impl BodyMemory {
    /// Reads the body of a request.
    pub(crate) async fn read(&self, request: Request<Body>) -> Result<HeldBody<'_>, RequestError> {
        let length = announced_length(&request).unwrap_or(BODY_LIMIT);
        if length > BODY_LIMIT {
            return Err(RequestError::TooLarge);
        }
        let share = u32::try_from(length.div_ceil(1024)).unwrap_or(u32::MAX);
        let Ok(Ok(share)) = timeout(MEMORY_DEADLINE, self.0.acquire_many(share)).await else {
            return Err(RequestError::NoMemory);
        };
        let arrival = collect(Limited::new(request.into_body(), BODY_LIMIT), length);
        match timeout(ARRIVAL_DEADLINE, arrival).await {
            Ok(Ok(bytes)) => Ok(HeldBody { bytes, _share: share }),
            Ok(Err(error)) if error.is::<LengthLimitError>() => Err(RequestError::TooLarge),
            Ok(Err(error)) => Err(RequestError::Broken(error)),
            Err(_) => Err(RequestError::TooSlow),
        }
    }
}

/// Copies what arrives, so that the connection's own buffer is free again at once: keeping its parts
/// would make the server allocate a new one for each request.
async fn collect(mut body: Limited<Body>, length: usize) -> Result<Vec<u8>, BoxError> {
    let mut bytes = Vec::with_capacity(length);
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame?.into_data() {
            bytes.extend_from_slice(&data);
        }
    }
    Ok(bytes)
}

fn announced_length(request: &Request<Body>) -> Option<usize> {
    request.headers().get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}
