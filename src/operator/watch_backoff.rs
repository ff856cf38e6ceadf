//! Backoff of broken watches.

use std::time::Duration;

use kube::runtime::utils::Backoff;

/// First delay.
const MIN_DELAY: Duration = Duration::from_millis(500);
/// Longest delay. client-go uses 30 s; after an outage two can follow each other (no connection, then an expired version),
/// and a minute is too long to wait for a list that costs the API server little.
const MAX_DELAY: Duration = Duration::from_secs(8);

/// Delays that double, with jitter, until an event arrives.
#[derive(Clone, Debug, Default)]
pub(super) struct WatchBackoff {
    failures: u32,
}

impl Iterator for WatchBackoff {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let delay = MIN_DELAY.saturating_mul(1 << self.failures.min(10)).min(MAX_DELAY);
        self.failures = self.failures.saturating_add(1);
        Some(delay.mul_f64(0.5 + 0.5 * rand::random::<f64>()))
    }
}

impl Backoff for WatchBackoff {
    fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_to_a_limit_and_restart_after_an_event() {
        let mut backoff = WatchBackoff::default();
        let delays: Vec<Duration> = backoff.by_ref().take(50).collect();
        assert!(delays[0] <= MIN_DELAY && delays[0] >= MIN_DELAY / 2);
        assert!(delays.iter().all(|delay| *delay <= MAX_DELAY));
        assert!(delays[10..].iter().all(|delay| *delay >= MAX_DELAY / 2));
        backoff.reset();
        assert!(backoff.next().is_some_and(|delay| delay <= MIN_DELAY));
    }
}
