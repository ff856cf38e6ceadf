//! The wait between the passes of an environment.

use std::time::Duration;

use super::lease_renewal::LEASE_SECONDS;

/// First wait after a failed pass; it doubles up to the interval.
const FIRST_RETRY: Duration = Duration::from_secs(2);
/// Number of passes after which the stored generation is verified.
const VERIFY_EVERY: u64 = 10;

/// Outcome of a pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PassOutcome {
    /// A generation was activated.
    Applied,
    /// Everything that is declared is live.
    Unchanged,
    /// The pass waits: suspended, held back, for approval or for the drift backoff.
    Waiting,
    /// The pass failed.
    Failed,
    /// Another process leads.
    Following,
}

impl PassOutcome {
    /// The word in metrics.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            PassOutcome::Applied => "applied",
            PassOutcome::Unchanged => "unchanged",
            PassOutcome::Waiting => "waiting",
            PassOutcome::Failed => "failed",
            PassOutcome::Following => "following",
        }
    }
}

/// Counters of the passes of one environment.
#[derive(Debug, Default)]
pub(super) struct Schedule {
    passes: u64,
    failures: u32,
}

/// Inputs of the next wait.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timing {
    /// `spec.interval` of the environment.
    pub(super) interval: Duration,
    /// Remaining wait of the drift backoff.
    pub(super) backoff: Option<Duration>,
    /// True while some processes do not serve the generation yet.
    pub(super) rolling_out: bool,
    /// Time until the next override expires, which a pass then ends. An override that has expired already does not shorten
    /// the wait, as another pass cannot undo it any better.
    pub(super) override_expires_in: Option<Duration>,
}

impl Schedule {
    /// Counts a pass.
    pub(super) fn start_pass(&mut self) {
        self.passes += 1;
    }

    /// True in the first pass of this process.
    pub(super) fn is_first(&self) -> bool {
        self.passes == 1
    }

    /// True in the passes that verify the stored generation.
    pub(super) fn verifies(&self) -> bool {
        self.passes.is_multiple_of(VERIFY_EVERY)
    }

    /// Wait before the next pass, with up to a tenth of jitter so that many environments do not fetch at once. `random`
    /// is from 0 to 1.
    pub(super) fn next_wait(&mut self, outcome: PassOutcome, timing: &Timing, random: f64) -> Duration {
        self.failures = if outcome == PassOutcome::Failed { self.failures.saturating_add(1) } else { 0 };
        let interval = timing.interval;
        let wait = match outcome {
            PassOutcome::Failed => {
                FIRST_RETRY.saturating_mul(1 << self.failures.min(10).saturating_sub(1)).min(interval)
            }
            // A leader that stops does not announce it.
            PassOutcome::Following => interval.min(Duration::from_secs(u64::from(LEASE_SECONDS))),
            _ => timing.backoff.map_or(interval, |wait| wait.min(interval)),
        };
        let wait = if timing.rolling_out { wait.min(Duration::from_secs(1)) } else { wait };
        let wait = jittered(wait, random);
        match timing.override_expires_in {
            Some(left) => wait.min(left + Duration::from_millis(50)),
            None => wait,
        }
    }
}

/// A wait that is up to a tenth longer or shorter.
pub(super) fn jittered(wait: Duration, random: f64) -> Duration {
    wait.mul_f64(0.9 + 0.2 * random)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_hours(1);
    const CALM: Timing = Timing { interval: HOUR, backoff: None, rolling_out: false, override_expires_in: None };

    #[test]
    fn each_outcome_has_its_wait() {
        let seconds = Duration::from_secs;
        let rows = [
            (PassOutcome::Unchanged, CALM, HOUR),
            (PassOutcome::Following, CALM, seconds(15)),
            (PassOutcome::Following, Timing { interval: seconds(5), ..CALM }, seconds(5)),
            (PassOutcome::Waiting, Timing { backoff: Some(seconds(30)), ..CALM }, seconds(30)),
            (PassOutcome::Waiting, Timing { backoff: Some(HOUR * 2), ..CALM }, HOUR),
            (PassOutcome::Applied, Timing { rolling_out: true, ..CALM }, seconds(1)),
            (
                PassOutcome::Applied,
                Timing { override_expires_in: Some(seconds(7)), ..CALM },
                Duration::from_millis(7050),
            ),
            // Neither a failure nor a conflict loop lets an override serve for longer.
            (
                PassOutcome::Failed,
                Timing { override_expires_in: Some(seconds(1)), ..CALM },
                Duration::from_millis(1050),
            ),
            (
                PassOutcome::Waiting,
                Timing { override_expires_in: Some(seconds(7)), backoff: Some(seconds(30)), ..CALM },
                Duration::from_millis(7050),
            ),
        ];
        for (outcome, timing, wait) in rows {
            assert_eq!(Schedule::default().next_wait(outcome, &timing, 0.5), wait, "{outcome:?} {timing:?}");
        }
    }

    #[test]
    fn failures_double_the_wait_up_to_the_interval() {
        let mut schedule = Schedule::default();
        let timing = Timing { interval: Duration::from_secs(10), ..CALM };
        let mut fail = || schedule.next_wait(PassOutcome::Failed, &timing, 0.5).as_secs();
        assert_eq!([fail(), fail(), fail(), fail(), fail()], [2, 4, 8, 10, 10]);
        schedule.next_wait(PassOutcome::Unchanged, &timing, 0.5);
        assert_eq!(schedule.next_wait(PassOutcome::Failed, &timing, 0.5).as_secs(), 2);
    }

    #[test]
    fn verifies_the_store_in_every_tenth_pass() {
        let mut schedule = Schedule::default();
        let verified: Vec<u64> = (1..=30)
            .filter(|_| {
                schedule.start_pass();
                schedule.verifies()
            })
            .collect();
        assert_eq!(verified, [10, 20, 30]);
    }
}
