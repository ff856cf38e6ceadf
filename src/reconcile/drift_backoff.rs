//! Backoff of heals that another writer keeps undoing (a conflict loop).

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Heals within [`WINDOW`] that do not count as a conflict loop.
const MAX_HEALS: usize = 3;
/// Period over which heals are counted. It exceeds [`MAX_WAIT`], or a long conflict loop would look like a new one.
const WINDOW: Duration = Duration::from_hours(1);
/// First wait before the next heal; doubles with each further heal.
const FIRST_WAIT: Duration = Duration::from_secs(30);
/// Longest wait before the next heal.
const MAX_WAIT: Duration = Duration::from_mins(30);

/// The heals of the last [`WINDOW`].
#[derive(Debug, Default)]
pub struct DriftBackoff {
    heals: VecDeque<Instant>,
    until: Option<Instant>,
    rounds: u32,
}

impl DriftBackoff {
    /// Counts a heal; returns `true` if it is part of a conflict loop.
    pub fn healed(&mut self, now: Instant) -> bool {
        self.heals.retain(|heal| now.duration_since(*heal) < WINDOW);
        if self.heals.is_empty() {
            self.rounds = 0;
        }
        self.heals.push_back(now);
        if self.heals.len() <= MAX_HEALS {
            return false;
        }
        let wait = FIRST_WAIT.saturating_mul(1 << self.rounds.min(6)).min(MAX_WAIT);
        self.rounds += 1;
        self.until = Some(now + wait);
        true
    }

    /// Remaining wait before the next heal.
    pub fn waits(&self, now: Instant) -> Option<Duration> {
        self.until.and_then(|until| until.checked_duration_since(now)).filter(|wait| !wait.is_zero())
    }

    /// Ends the wait, as an operator intervened.
    pub fn reset(&mut self) {
        *self = DriftBackoff::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_twice_as_long_after_each_heal_of_a_conflict_loop() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut backoff = DriftBackoff::default();
        for second in 0..3 {
            assert!(!backoff.healed(at(second)));
        }
        assert!(backoff.waits(at(3)).is_none());
        assert!(backoff.healed(at(3)));
        assert_eq!(backoff.waits(at(3)), Some(Duration::from_secs(30)));
        assert!(backoff.waits(at(33)).is_none());
        assert!(backoff.healed(at(34)));
        assert_eq!(backoff.waits(at(34)), Some(Duration::from_mins(1)));
        // After an hour without heals the count starts again.
        assert!(!backoff.healed(at(34 + 3700)));
    }

    #[test]
    fn waits_half_an_hour_at_most_and_not_after_a_reset() {
        let start = Instant::now();
        let mut backoff = DriftBackoff::default();
        for _ in 0..20 {
            backoff.healed(start);
        }
        assert_eq!(backoff.waits(start), Some(MAX_WAIT));
        backoff.reset();
        assert_eq!(backoff.waits(start), None);
    }
}
