//! Repeated faults: which repetitions of a fault are worth a line in the log.
//!
//! A fault is reported when it occurs first, then at 2, 4, 8, … repetitions, and at least once per hour. A log of a static
//! mistake stays short that way, and still shows that the mistake persists.

use std::collections::BTreeMap;
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Longest time between two reports of a fault that keeps occurring.
const MAX_SILENCE: Duration = Duration::from_hours(1);
/// Maximum number of faults that are remembered. The one that was seen least recently is forgotten first.
const MAX_FAULTS: usize = 10_000;

/// Occurrences of faults, by a text that identifies each fault.
#[derive(Debug, Default)]
pub struct Repetitions {
    faults: BTreeMap<String, Fault>,
}

#[derive(Debug)]
struct Fault {
    count: u64,
    seen: Instant,
    reported: Instant,
}

impl Repetitions {
    /// Counts an occurrence. Returns the number of occurrences so far if this one is to be reported.
    pub fn occurred(&mut self, fault: &str, now: Instant) -> Option<u64> {
        let Some(known) = self.faults.get_mut(fault) else {
            if self.faults.len() >= MAX_FAULTS {
                let oldest = self.faults.iter().min_by_key(|(_, known)| known.seen).map(|(name, _)| name.clone());
                oldest.and_then(|name| self.faults.remove(&name));
            }
            self.faults.insert(fault.to_owned(), Fault { count: 1, seen: now, reported: now });
            return Some(1);
        };
        known.count = known.count.saturating_add(1);
        known.seen = now;
        let is_due = known.count.is_power_of_two() || now.saturating_duration_since(known.reported) >= MAX_SILENCE;
        is_due.then(|| {
            known.reported = now;
            known.count
        })
    }

    /// Forgets the faults whose text starts with a prefix: the next occurrence of each is a first one.
    pub fn ended(&mut self, prefix: &str) {
        let ended: Vec<String> = self
            .faults
            .range(prefix.to_owned()..)
            .map(|(name, _)| name)
            .take_while(|name| name.starts_with(prefix))
            .cloned()
            .collect();
        for name in ended {
            self.faults.remove(&name);
        }
    }
}

/// The faults of this process.
static FAULTS: LazyLock<Mutex<Repetitions>> = LazyLock::new(Mutex::default);

/// Counts an occurrence of a fault of this process. Returns the number of occurrences so far if this one is to be reported.
pub fn fault_occurred(fault: &str) -> Option<u64> {
    FAULTS.lock().unwrap_or_else(PoisonError::into_inner).occurred(fault, Instant::now())
}

/// Forgets the faults of this process whose text starts with a prefix.
pub fn faults_ended(prefix: &str) {
    FAULTS.lock().unwrap_or_else(PoisonError::into_inner).ended(prefix);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The occurrences of a fault that are reported, if it occurs `count` times with a period.
    fn reported(count: u64, period: Duration) -> Vec<u64> {
        let (mut repetitions, start) = (Repetitions::default(), Instant::now());
        (0..count).filter_map(|number| repetitions.occurred("a", start + period * number as u32)).collect()
    }

    #[test]
    fn reports_a_repeated_fault_at_a_falling_rate() {
        let (second, minute) = (Duration::from_secs(1), Duration::from_mins(1));
        let rows: [(u64, Duration, &[u64]); 6] = [
            (0, second, &[]),
            (1, second, &[1]),
            (3, second, &[1, 2]),
            (40, second, &[1, 2, 4, 8, 16, 32]),
            // After an hour without a report, the next occurrence is reported; powers of two go on.
            (150, minute, &[1, 2, 4, 8, 16, 32, 64, 124, 128]),
            (4, Duration::from_hours(2), &[1, 2, 3, 4]),
        ];
        for (count, period, expected) in rows {
            assert_eq!(reported(count, period), expected, "{count} times every {period:?}");
        }
    }

    #[test]
    fn counts_faults_separately_and_forgets_those_that_ended() {
        let (mut repetitions, now) = (Repetitions::default(), Instant::now());
        for fault in ["live/a", "live/b", "other/a"] {
            assert_eq!(repetitions.occurred(fault, now), Some(1), "{fault}");
            assert_eq!(repetitions.occurred(fault, now), Some(2), "{fault}");
            assert_eq!(repetitions.occurred(fault, now), None, "{fault}");
        }
        repetitions.ended("live/");
        assert_eq!(repetitions.occurred("live/a", now), Some(1));
        assert_eq!(repetitions.occurred("live/b", now), Some(1));
        assert_eq!(repetitions.occurred("other/a", now), Some(4));
    }

    #[test]
    fn remembers_a_bounded_number_of_faults() {
        let (mut repetitions, now) = (Repetitions::default(), Instant::now());
        for number in 0..=MAX_FAULTS as u64 {
            repetitions.occurred(&format!("{number}"), now + Duration::from_nanos(number));
        }
        assert_eq!(repetitions.faults.len(), MAX_FAULTS);
        assert!(!repetitions.faults.contains_key("0") && repetitions.faults.contains_key("1"));
    }
}
