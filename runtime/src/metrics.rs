//! The metrics registry and its text form, as Prometheus scrapes it.

use std::{fmt, sync::Arc};

use prometheus_client::{encoding::text, registry::Registry};

/// Prefix of every metric of the product.
pub const PREFIX: &str = "sidecar_policy";
/// Content type of the text form.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// A registry with the product's prefix.
#[must_use]
pub fn registry() -> Registry {
    Registry::with_prefix(PREFIX)
}

/// A complete registry, to be shown.
#[derive(Clone, Debug)]
pub struct Exposition(Arc<Registry>);

impl Exposition {
    /// Freezes a registry in which everything is registered.
    #[must_use]
    pub fn new(registry: Registry) -> Self {
        Self(Arc::new(registry))
    }

    /// All metrics as text.
    pub fn encode(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        text::encode(&mut text, &self.0)?;
        Ok(text)
    }
}
