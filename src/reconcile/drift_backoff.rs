//! Somebody else who keeps changing what we keep healing: noticed, counted, and answered ever more slowly.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Heals within [`WINDOW`] that are still taken for accidents.
const PATIENCE: usize = 3;
/// Time over which heals are counted: longer than the longest wait, or a long fight would look like a new one.
const WINDOW: Duration = Duration::from_hours(1);
/// The longest wait before the next heal.
const LONGEST: Duration = Duration::from_mins(30);

/// The heals of the last minutes.
#[derive(Debug, Default)]
pub struct DriftBackoff {
    heals: VecDeque<Instant>,
    until: Option<Instant>,
    rounds: u32,
}

impl DriftBackoff {
    /// A heal was done now. Gives whether it is one of a fight.
    pub fn healed(&mut self, now: Instant) -> bool {
        self.heals.retain(|heal| now.duration_since(*heal) < WINDOW);
        if self.heals.is_empty() {
            self.rounds = 0;
        }
        self.heals.push_back(now);
        if self.heals.len() <= PATIENCE {
            return false;
        }
        let wait = Duration::from_secs(30).saturating_mul(1 << self.rounds.min(6)).min(LONGEST);
        self.rounds += 1;
        self.until = Some(now + wait);
        true
    }

    /// Must the next heal wait?
    pub fn waits(&self, now: Instant) -> Option<Duration> {
        self.until.and_then(|until| until.checked_duration_since(now)).filter(|wait| !wait.is_zero())
    }

    /// An operator stepped in: no wait any more.
    pub fn settle(&mut self) {
        *self = DriftBackoff::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fight_is_answered_ever_more_slowly() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut fights = DriftBackoff::default();
        for second in 0..3 {
            assert!(!fights.healed(at(second)));
        }
        assert!(fights.waits(at(3)).is_none());
        assert!(fights.healed(at(3)));
        assert_eq!(fights.waits(at(3)), Some(Duration::from_secs(30)));
        assert!(fights.waits(at(33)).is_none());
        assert!(fights.healed(at(34)));
        assert_eq!(fights.waits(at(34)), Some(Duration::from_mins(1)));
        // Peace for a while, and all is forgotten.
        assert!(!fights.healed(at(34 + 3700)));
    }
}
