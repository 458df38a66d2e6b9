//! What requests are decided on: a snapshot of compiled policies and facts about namespaces.
//!
//! Readers load the newest snapshot without waiting; the one writer, [`watch`](crate::watch),
//! publishes a new one after each change.

use std::{sync::Arc, time::Duration};

use arc_swap::{ArcSwap, Guard};
use inject::{Namespace, PolicyId, PolicySet};
use rpds::HashTrieMapSync;
use tokio::{sync::watch, time::timeout};

/// Compiled policies and namespaces at one moment. A clone is made in no time and shares everything
/// that does not change.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// Whether everything was listed once. Until then nothing is decided.
    pub synced: bool,
    /// Policies that compile.
    pub policies: PolicySet,
    /// Generations of the policies that do not compile.
    pub rejected: HashTrieMapSync<PolicyId, i64>,
    /// Policies whose partition keeps no pod at the previous revision, since its content is of no use.
    pub unusable: HashTrieMapSync<PolicyId, Unusable>,
    /// Namespaces by name.
    pub namespaces: HashTrieMapSync<String, Arc<Namespace>>,
}

/// A previous revision that no pod can be kept at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unusable {
    /// The revision.
    pub revision: String,
    /// What is wrong with its content.
    pub why: String,
}

/// The newest snapshot, shared between the writer and the requests.
#[derive(Debug)]
pub struct Cache {
    snapshot: ArcSwap<Snapshot>,
    published: watch::Sender<()>,
}

impl Default for Cache {
    fn default() -> Self {
        Self { snapshot: ArcSwap::default(), published: watch::Sender::new(()) }
    }
}

impl Cache {
    /// The newest snapshot.
    #[must_use]
    pub fn load(&self) -> Guard<Arc<Snapshot>> {
        self.snapshot.load()
    }

    /// Makes a snapshot the newest.
    pub fn publish(&self, snapshot: Snapshot) {
        self.snapshot.store(Arc::new(snapshot));
        self.published.send_replace(());
    }

    /// Waits until a namespace is known, for at most `limit`. False if it is not by then.
    pub async fn wait_for_namespace(&self, name: &str, limit: Duration) -> bool {
        let mut published = self.published.subscribe();
        let known = async {
            while !self.load().namespaces.contains_key(name) {
                if published.changed().await.is_err() {
                    return false;
                }
            }
            true
        };
        timeout(limit, known).await.unwrap_or(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_namespace(name: &str) -> Snapshot {
        let namespace = Namespace { name: name.to_owned(), ..Namespace::default() };
        Snapshot {
            namespaces: [(name.to_owned(), Arc::new(namespace))].into_iter().collect(),
            ..Snapshot::default()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_namespace_is_waited_for() {
        let cache = Arc::new(Cache::default());
        let waiting = tokio::spawn({
            let cache = Arc::clone(&cache);
            async move { cache.wait_for_namespace("shop", Duration::from_secs(1)).await }
        });
        tokio::task::yield_now().await;
        cache.publish(with_namespace("other"));
        tokio::task::yield_now().await;
        cache.publish(with_namespace("shop"));
        assert!(waiting.await.unwrap());
    }

    #[tokio::test(start_paused = true)]
    async fn not_for_ever() {
        let cache = Cache::default();
        assert!(!cache.wait_for_namespace("shop", Duration::from_secs(1)).await);
    }
}
