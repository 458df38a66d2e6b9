//! Waiting for what a cluster does in its own time: for a condition, with a deadline.

use std::thread::sleep;
use std::time::{Duration, Instant};

const POLL_INTERVAL: Duration = Duration::from_millis(400);

/// Waits until `condition` is `Ok`, and gives its value; panics after `deadline` with the last `Err`,
/// which says what was seen instead.
#[track_caller]
pub fn eventually<T>(
    what: &str,
    deadline: Duration,
    mut condition: impl FnMut() -> Result<T, String>,
) -> T {
    let started = Instant::now();
    loop {
        match condition() {
            Ok(value) => return value,
            Err(seen) if started.elapsed() >= deadline => {
                panic!("not within {} s: {what}; last seen: {seen}", deadline.as_secs())
            }
            Err(_) => sleep(POLL_INTERVAL),
        }
    }
}

/// Watches for `period` that `condition` stays `Ok`; panics at once with the first `Err`.
#[track_caller]
pub fn stays(what: &str, period: Duration, mut condition: impl FnMut() -> Result<(), String>) {
    let started = Instant::now();
    while started.elapsed() < period {
        if let Err(seen) = condition() {
            panic!("did not stay so: {what}; seen after {:?}: {seen}", started.elapsed());
        }
        sleep(POLL_INTERVAL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eventually_gives_the_value_of_the_first_success() {
        let mut tries = 0;
        let value = eventually("the second try", Duration::from_secs(5), || {
            tries += 1;
            if tries == 2 { Ok(tries) } else { Err("the first".to_owned()) }
        });
        assert_eq!(value, 2);
    }

    #[test]
    #[should_panic(expected = "not within 0 s: never; last seen: nothing")]
    fn eventually_gives_up_with_what_was_seen() {
        eventually::<()>("never", Duration::ZERO, || Err("nothing".to_owned()));
    }

    #[test]
    #[should_panic(expected = "did not stay so: whole")]
    fn stays_fails_at_the_first_change() {
        stays("whole", Duration::from_secs(5), || Err("broken".to_owned()));
    }
}
