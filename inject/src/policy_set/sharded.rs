//! A hash table whose clones share everything, and of which a change copies one part in 256.
//!
//! A tree would copy less with each change, but finds more slowly the more there is in it; this
//! finds in the same time whatever is in it, and finding is what every pod pays for.

use std::{collections::HashMap, sync::Arc};

use foldhash::fast::RandomState;

/// How many parts there are, each a table of its own.
const SHARDS: usize = 1 << SHARD_BITS;
const SHARD_BITS: u32 = 8;

/// A table by hashes of 64 bits. Clones share everything.
#[derive(Clone, Debug)]
pub(super) struct Sharded<V>(Arc<[Arc<Shard<V>>]>);

type Shard<V> = HashMap<u64, V, RandomState>;

impl<V> Default for Sharded<V> {
    fn default() -> Self {
        let empty = Arc::new(Shard::default());
        Self((0..SHARDS).map(|_| Arc::clone(&empty)).collect())
    }
}

impl<V: Clone + Default> Sharded<V> {
    /// The value of a hash.
    pub(super) fn get(&self, hash: u64) -> Option<&V> {
        self.0.get(shard_of(hash))?.get(&hash)
    }

    /// Makes a new value of the one that a hash has, or would have by default; `None` removes it.
    pub(super) fn change(&mut self, hash: u64, change: impl FnOnce(V) -> Option<V>) {
        let Some(shard) = Arc::make_mut(&mut self.0).get_mut(shard_of(hash)) else { return };
        let shard = Arc::make_mut(shard);
        if let Some(value) = change(shard.remove(&hash).unwrap_or_default()) {
            shard.insert(hash, value);
        }
    }

    /// Whether there is nothing in it.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.0.iter().all(|shard| shard.is_empty())
    }
}

fn shard_of(hash: u64) -> usize {
    usize::try_from(hash >> (u64::BITS - SHARD_BITS)).unwrap_or_default()
}
