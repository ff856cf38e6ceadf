//! How long a watch that broke waits before its next attempt.

use std::time::Duration;

use kube::runtime::utils::Backoff;

/// The first wait.
const FIRST: Duration = Duration::from_millis(500);
/// The longest one. client-go's is 30 s, and after an outage two may follow each other (no connection, then an expired
/// version): people who wait for their change would wait a minute, for a list that costs the API server little.
const LONGEST: Duration = Duration::from_secs(8);

/// Waits that double, with jitter, until something arrives.
#[derive(Clone, Debug, Default)]
pub(super) struct WatchBackoff {
    failures: u32,
}

impl Iterator for WatchBackoff {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let wait = FIRST.saturating_mul(1 << self.failures.min(10)).min(LONGEST);
        self.failures = self.failures.saturating_add(1);
        Some(wait.mul_f64(0.5 + 0.5 * rand::random::<f64>()))
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
    fn waits_grow_to_a_limit_and_start_anew() {
        let mut patience = WatchBackoff::default();
        let waits: Vec<Duration> = patience.by_ref().take(50).collect();
        assert!(waits[0] <= FIRST && waits[0] >= FIRST / 2);
        assert!(waits.iter().all(|wait| *wait <= LONGEST));
        assert!(waits[10..].iter().all(|wait| *wait >= LONGEST / 2));
        patience.reset();
        assert!(patience.next().is_some_and(|wait| wait <= FIRST));
    }
}
