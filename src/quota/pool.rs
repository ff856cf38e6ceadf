//! The units of one allowance in this process, and the callers that wait for them.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::ledger::Ledger;
use super::refusal::Refusal;
use super::time::{duration, lock, micros};
use crate::store::allowance::{Allowance, Grant, Period, Reservation};
use crate::store::{Micros, StoreError};

/// Maximum number of calls of a process that wait for one limit. Further calls are refused at once.
pub const MAX_WAITERS: usize = 1_000;
/// Part of an allowance that a process reserves at most for calls that have not come yet.
const BATCH_PART: u64 = 20;
/// Maximum time for which reserved units are kept.
const MAX_VALIDITY: Duration = Duration::from_secs(1);
/// Time for which they are kept at least, if the period allows it: the store must answer within it.
const MIN_VALIDITY: Duration = Duration::from_millis(100);
/// Maximum time between two requests to the store while callers wait, and for which its last answer holds.
const RECHECK: Duration = Duration::from_secs(1);
/// Minimum time between two requests to the store while callers wait.
const MIN_RECHECK: Duration = Duration::from_millis(2);
/// Number of grants in a row that may arrive after their validity.
const MAX_LATE_GRANTS: u32 = 3;
/// Length of periods from which unused units are returned.
const LONG_PERIOD: Duration = Duration::from_secs(10);

/// The units and the waiters of one allowance.
#[derive(Default)]
pub(super) struct Pool {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    granted: GrantedUnits,
    waiters: VecDeque<Waiter>,
    /// True while a task requests units for the waiters.
    is_requesting: bool,
    /// Number of units to reserve even if fewer are wanted now.
    batch: u64,
    /// Duration of the last request to the store.
    latency: Duration,
    /// Times at which units are free again, as of the last answer of the store, and the time until which that answer holds.
    free: Option<(Vec<(Instant, u64)>, Instant)>,
}

/// The units of the last grant.
#[derive(Default)]
struct GrantedUnits {
    units: u64,
    used: u64,
    /// End of their validity; `None` before the first grant.
    valid_until: Option<Instant>,
    /// End of their use, by the store's clock.
    until: Micros,
}

/// Units that were taken, to be returned if they are not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    pub(super) units: u64,
    /// End of the use of their grant, by the store's clock.
    pub(super) until: Micros,
}

struct Waiter {
    units: u64,
    /// Time until which it waits for units that are not free.
    wait_until: Instant,
    ready: oneshot::Sender<Result<Taken, Refusal>>,
}

impl GrantedUnits {
    fn take(&mut self, units: u64, now: Instant) -> Option<Taken> {
        if self.units < units || self.valid_until.is_none_or(|until| until <= now) {
            return None;
        }
        self.units -= units;
        self.used = self.used.saturating_add(units);
        Some(Taken { units, until: self.until })
    }
}

impl Pool {
    /// Takes units of the last grant; `None` if others wait or too few are left.
    pub(super) fn take_now(&self, units: u64) -> Option<Taken> {
        let mut state = lock(&self.state);
        if state.waiters.is_empty() { state.granted.take(units, Instant::now()) } else { None }
    }

    /// Requests units from the store although its last answer said that none is free.
    pub(super) fn forget_free_times(&self) {
        lock(&self.state).free = None;
    }

    /// Takes units after those that requested them earlier. Waits until `wait_until` for units that are not free, and
    /// until `give_up_at` for the store.
    pub(super) async fn take(
        self: &Arc<Self>,
        ledger: &Arc<dyn Ledger>,
        allowance: &Allowance,
        units: u64,
        wait_until: Instant,
        give_up_at: Instant,
    ) -> Result<Taken, Refusal> {
        let end = {
            let mut state = lock(&self.state);
            let now = Instant::now();
            if state.waiters.is_empty()
                && let Some(taken) = state.granted.take(units, now)
            {
                return Ok(taken);
            }
            let wanted = state.wanted().saturating_add(units);
            let free_at = state.free_at(allowance, wanted, now);
            if state.waiters.len() >= MAX_WAITERS || free_at.is_some_and(|at| at > wait_until) {
                let retry_after = free_at.map_or(MAX_VALIDITY, |at| at.saturating_duration_since(now));
                return Err(Refusal::Exceeded { retry_after });
            }
            let (ready, end) = oneshot::channel();
            state.waiters.push_back(Waiter { units, wait_until, ready });
            if !std::mem::replace(&mut state.is_requesting, true) {
                tokio::spawn(Arc::clone(self).request(Arc::clone(ledger), allowance.clone()));
            }
            end
        };
        match tokio::time::timeout_at(give_up_at.into(), end).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(Refusal::Unavailable("the process is shutting down".to_owned())),
            Err(_) => {
                let state = lock(&self.state);
                let now = Instant::now();
                match state.free_at(allowance, state.wanted().max(units), now) {
                    Some(at) => Err(Refusal::Exceeded { retry_after: at.saturating_duration_since(now) }),
                    None => Err(Refusal::Unavailable("the store did not answer in time".to_owned())),
                }
            }
        }
    }

    /// True if it has waiters, or units that are valid.
    pub(super) fn is_in_use(&self) -> bool {
        let state = lock(&self.state);
        state.is_requesting || state.granted.valid_until.is_some_and(|until| until > Instant::now())
    }

    /// Requests units as long as callers wait for them.
    async fn request(self: Arc<Self>, ledger: Arc<dyn Ledger>, allowance: Allowance) {
        let mut late = 0;
        loop {
            let Some(reservation) = self.next_reservation(&allowance) else {
                let state = lock(&self.state);
                self.return_unused_later(&ledger, &allowance, &state.granted);
                return;
            };
            let started = Instant::now();
            let result = ledger.reserve(&allowance, &reservation).await;
            if let Some(wait) = self.settle(&allowance, result, started, &mut late) {
                tokio::time::sleep(wait).await;
            }
        }
    }

    /// Hands out what the store granted. Returns the time until units may be free for those that still wait; `None` to
    /// request again at once.
    fn settle(
        &self,
        allowance: &Allowance,
        result: Result<Grant, StoreError>,
        started: Instant,
        late: &mut u32,
    ) -> Option<Duration> {
        let mut state = lock(&self.state);
        let now = Instant::now();
        state.latency = now - started;
        let grant = match result {
            Ok(grant) => grant,
            Err(error) => {
                state.refuse_all(&Refusal::Unavailable(error.to_string()));
                return None;
            }
        };
        let valid_until = started + duration(grant.validity).min(max_validity(allowance));
        state.granted =
            GrantedUnits { units: grant.units, used: 0, valid_until: Some(valid_until), until: grant.until };
        *late = if grant.units > 0 && valid_until <= now { *late + 1 } else { 0 };
        if *late > MAX_LATE_GRANTS {
            state.refuse_all(&Refusal::Unavailable("the store answers too slowly for this limit".to_owned()));
        }
        if *late > 0 {
            return None;
        }
        state.free = free_times(&grant, now);
        state.serve(now);
        state.refuse_hopeless(allowance, now);
        if state.waiters.is_empty() {
            return None;
        }
        let next = state.free.as_ref().and_then(|(free, _)| free.first()).map(|(at, _)| *at);
        let wait = next.map_or(MIN_RECHECK, |at| at.saturating_duration_since(now));
        Some(wait.clamp(MIN_RECHECK, RECHECK))
    }

    /// The next request to the store; `None` if no caller waits any more.
    fn next_reservation(&self, allowance: &Allowance) -> Option<Reservation> {
        let mut state = lock(&self.state);
        let now = Instant::now();
        state.waiters.retain(|waiter| !waiter.ready.is_closed());
        if state.waiters.is_empty() {
            state.is_requesting = false;
            return None;
        }
        let most = (allowance.units / BATCH_PART).max(1);
        let granted = &state.granted;
        let was_short = granted.units == 0 && granted.valid_until.is_some_and(|until| until > now);
        state.batch = match was_short {
            true => granted.used.saturating_mul(2),
            false => granted.used,
        }
        .clamp(1, most);
        let wanted = state.wanted();
        let units = wanted.max(state.batch);
        let validity = base_validity(allowance).max(state.latency * 4);
        let returned = std::mem::take(&mut state.granted);
        Some(Reservation {
            units,
            all: false,
            validity: micros(validity),
            ahead: false,
            returned: (returned.units > 0).then_some((returned.until, returned.units)),
        })
    }

    /// Returns the unused units of a grant to the store at the end of their validity, if they would be missed.
    fn return_unused_later(self: &Arc<Self>, ledger: &Arc<dyn Ledger>, allowance: &Allowance, granted: &GrantedUnits) {
        let is_long = match allowance.period {
            Period::Sliding(period) => duration(period) >= LONG_PERIOD,
            Period::Day => true,
        };
        let (true, Some(valid_until)) = (is_long && granted.units > 0, granted.valid_until) else { return };
        let (pool, ledger, allowance, until) = (Arc::clone(self), Arc::clone(ledger), allowance.clone(), granted.until);
        tokio::spawn(async move {
            tokio::time::sleep_until(valid_until.into()).await;
            let unused = {
                let mut state = lock(&pool.state);
                if state.is_requesting || state.granted.until != until {
                    return;
                }
                std::mem::take(&mut state.granted.units)
            };
            if unused > 0 {
                let request = Reservation { returned: Some((until, unused)), ..Reservation::default() };
                // Units that cannot be returned are free at the end of their period.
                let _ = ledger.reserve(&allowance, &request).await;
            }
        });
    }
}

impl State {
    /// The units that all waiters want together.
    fn wanted(&self) -> u64 {
        self.waiters.iter().fold(0, |sum, waiter| sum.saturating_add(waiter.units))
    }

    /// The earliest time at which so many units can have been free, as of the last answer of the store; `None` if that
    /// answer is too old.
    fn free_at(&self, allowance: &Allowance, units: u64, now: Instant) -> Option<Instant> {
        let (free, _) = self.free.as_ref().filter(|(_, holds_until)| *holds_until > now)?;
        let period = match allowance.period {
            Period::Sliding(period) => duration(period),
            Period::Day => Duration::from_hours(24),
        };
        if allowance.units == 0 {
            return now.checked_add(period);
        }
        let periods = u32::try_from(units.saturating_sub(1) / allowance.units).unwrap_or(u32::MAX);
        let mut left = units - u64::from(periods).saturating_mul(allowance.units).min(units);
        let first = free.iter().find(|(_, free)| {
            let is_enough = left <= *free;
            left = left.saturating_sub(*free);
            is_enough
        });
        let at = first.or(free.last()).map(|(at, _)| *at)?;
        at.checked_add(period.saturating_mul(periods))
    }

    /// Hands out units in the order of the waiters.
    fn serve(&mut self, now: Instant) {
        while let Some(waiter) = self.waiters.front() {
            let units = waiter.units;
            let Some(taken) = self.granted.take(units, now) else { return };
            let Some(waiter) = self.waiters.pop_front() else { return };
            if waiter.ready.send(Ok(taken)).is_err() {
                // The caller is gone.
                (self.granted.units, self.granted.used) = (self.granted.units + units, self.granted.used - units);
            }
        }
    }

    /// Refuses the waiters that would wait for too long.
    fn refuse_hopeless(&mut self, allowance: &Allowance, now: Instant) {
        let mut before = 0_u64;
        for waiter in std::mem::take(&mut self.waiters) {
            let wanted = before.saturating_add(waiter.units);
            if let Some(at) = self.free_at(allowance, wanted, now).filter(|at| *at > waiter.wait_until) {
                let _ = waiter.ready.send(Err(Refusal::Exceeded { retry_after: at - now }));
            } else {
                before = wanted;
                self.waiters.push_back(waiter);
            }
        }
    }

    fn refuse_all(&mut self, refusal: &Refusal) {
        for waiter in self.waiters.drain(..) {
            let _ = waiter.ready.send(Err(refusal.clone()));
        }
    }
}

/// Times at which units are free again, if fewer were granted than wanted.
fn free_times(grant: &Grant, now: Instant) -> Option<(Vec<(Instant, u64)>, Instant)> {
    let free: Vec<_> = grant.free_in.iter().map(|(after, units)| (now + duration(*after), *units)).collect();
    let holds = free.first().map_or(RECHECK, |(at, _)| (*at - now).min(RECHECK));
    (!free.is_empty() || grant.units == 0).then_some((free, now + holds))
}

fn base_validity(allowance: &Allowance) -> Duration {
    match allowance.period {
        Period::Sliding(period) => {
            let period = duration(period);
            (period / 20).clamp(MIN_VALIDITY, MAX_VALIDITY).min(period)
        }
        Period::Day => MAX_VALIDITY,
    }
}

fn max_validity(allowance: &Allowance) -> Duration {
    match allowance.period {
        Period::Sliding(period) => duration(period),
        Period::Day => MAX_VALIDITY,
    }
}
