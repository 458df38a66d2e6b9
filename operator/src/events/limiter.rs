//! How many events are written: few of one kind about one owner, and a bounded number in all. Pure.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
};

/// How long the same is not told again, in seconds.
const REPEAT_SECONDS: i64 = 30 * 60;
/// Events that may come at once; one more a second.
const BURST: i64 = 50;
/// Most subjects that are remembered.
const SUBJECTS: usize = 4096;

/// Decides which events are written.
#[derive(Debug, Default)]
pub(super) struct Limiter {
    /// Hash of a subject -> when it was last told.
    told: HashMap<u64, i64>,
    /// Events of the current burst.
    used: i64,
    used_at: i64,
}

impl Limiter {
    /// Whether the subject may be told now; then it counts as told.
    pub(super) fn allows(&mut self, subject: &impl Hash, now: i64) -> bool {
        let mut hasher = DefaultHasher::new();
        subject.hash(&mut hasher);
        let subject = hasher.finish();
        let is_recent = |told: &i64| now - told < REPEAT_SECONDS;
        if self.told.get(&subject).is_some_and(is_recent) {
            return false;
        }
        self.used = (self.used - (now - self.used_at).max(0)).max(0);
        self.used_at = now;
        if self.told.len() >= SUBJECTS {
            self.told.retain(|_, told| is_recent(told));
        }
        if self.used >= BURST || self.told.len() >= SUBJECTS {
            return false;
        }
        self.used += 1;
        self.told.insert(subject, now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_is_told_again_after_a_while() {
        let mut limiter = Limiter::default();
        assert!(limiter.allows(&"a", 0));
        assert!(!limiter.allows(&"a", REPEAT_SECONDS - 1));
        assert!(limiter.allows(&"a", REPEAT_SECONDS));
    }

    #[test]
    fn a_burst_is_cut_and_recovers() {
        let mut limiter = Limiter::default();
        let allowed = (0..1000).filter(|subject| limiter.allows(subject, 0)).count();
        assert_eq!(allowed, 50);
        let later = (1000..2000).filter(|subject| limiter.allows(subject, 10)).count();
        assert_eq!(later, 10);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut limiter = Limiter::default();
        for second in 0..10_000 {
            limiter.allows(&second, second);
        }
        assert!(limiter.told.len() <= SUBJECTS);
    }
}
