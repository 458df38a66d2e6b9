//! Runs the controllers side by side, and the facts that they hand to each other.

use std::sync::Arc;

use tokio::sync::watch;

use crate::{certificates, context::Context, policy, webhook_config};

/// Runs all controllers; ends if one of them does.
pub(crate) async fn run(context: Arc<Context>) {
    let (trusted_sender, trusted) = watch::channel(None);
    let (published_sender, published) = watch::channel(None);
    let (fail_scopes_sender, fail_scopes) = watch::channel(None);
    let certificates = certificates::run(Arc::clone(&context), published.clone(), trusted_sender);
    let webhook_config =
        webhook_config::run(Arc::clone(&context), trusted.clone(), fail_scopes, published_sender);
    let policies = policy::run(context, trusted, published, fail_scopes_sender);
    tokio::select! {
        () = certificates => {}
        () = webhook_config => {}
        () = policies => {}
    }
}
