//! Allowances: at most a number of units per period, counted once for all processes of a store.
//!
//! A process reserves units and uses each at most once, within the validity of its grant, counted from before the request.
//! A unit of a sliding period stays in use until its grant has ended and one period more has passed. So the units that all
//! processes use in any time as long as the period are never more than the allowance, also if their clocks differ: only the
//! store's clock and durations count. The price is that a unit is free again up to one validity later than it could be.

use serde::{Deserialize, Serialize};

use super::Micros;

/// A day, in microseconds.
const DAY: Micros = 24 * 3600 * 1_000_000;
/// Maximum number of days after the current one whose units can be reserved.
const MAX_DAYS_AHEAD: i64 = 30;
/// Number of uses from which neighbouring ones are merged.
const MAX_EXACT_USES: usize = 64;
/// Number of parts of a period within which uses are merged.
const PARTS: i64 = 64;

/// An allowance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// The environment that it belongs to.
    pub environment: String,
    /// Its name, unique in the environment.
    pub name: String,
    /// Maximum number of units per period.
    pub units: u64,
    /// The period.
    pub period: Period,
}

/// The period of an allowance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Period {
    /// Any time of this length, in microseconds.
    Sliding(Micros),
    /// A day from midnight to midnight, UTC.
    Day,
}

/// A request for units of an allowance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reservation {
    /// Number of units that are wanted.
    pub units: u64,
    /// True if a part of them is useless.
    pub all: bool,
    /// Time for which a grant of a sliding period is used, in microseconds.
    pub validity: Micros,
    /// True to reserve the units of a later day if those of the current one are in use.
    pub ahead: bool,
    /// Units of an earlier grant that were not used and are returned: the end of their use and their number.
    pub returned: Option<(Micros, u64)>,
}

/// Granted units.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grant {
    /// Number of units; 0 if none is free.
    pub units: u64,
    /// Time for which they can be used, counted from before the request, in microseconds.
    pub validity: Micros,
    /// Time until the period of the units begins, in microseconds; 0 unless they are of a later day.
    pub starts_in: Micros,
    /// End of their use, by the store's clock. It names the grant if units of it are returned.
    pub until: Micros,
    /// Times after which units are free again, in microseconds from now, and their numbers; in order.
    pub free_in: Vec<(Micros, u64)>,
}

/// The units of an allowance that are in use: the end of their use and their number, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage(Vec<(Micros, u64)>);

impl Usage {
    /// Reserves units at a time. Returns the grant, and true if the usage changed.
    pub fn reserve(&mut self, allowance: &Allowance, request: &Reservation, now: Micros) -> (Grant, bool) {
        let before = self.0.clone();
        if let Some((until, units)) = request.returned.filter(|(until, _)| *until > now) {
            self.release(until, units);
        }
        self.0.retain(|(until, units)| *until > now && *units > 0);
        let grant = match allowance.period {
            Period::Sliding(period) => self.reserve_sliding(allowance.units, period.max(1), request, now),
            Period::Day => self.reserve_day(allowance.units, request, now),
        };
        let changed = self.0 != before;
        (grant, changed)
    }

    /// The last end of a use; 0 if no unit is in use.
    pub fn until(&self) -> Micros {
        self.0.last().map_or(0, |(until, _)| *until)
    }

    fn reserve_sliding(&mut self, units: u64, period: Micros, request: &Reservation, now: Micros) -> Grant {
        let validity = request.validity.clamp(0, period);
        // After the clock was set back, or for a period that became shorter: no use lasts longer than a new one could.
        let latest = now.saturating_add(period).saturating_add(period);
        for (until, _) in &mut self.0 {
            *until = (*until).min(latest);
        }
        let granted = granted(units.saturating_sub(self.used()), request);
        let until = now.saturating_add(validity).saturating_add(period);
        if granted > 0 {
            self.add(until, granted, period / PARTS + 1);
        }
        let free_in = match granted < request.units {
            true => self.free_in(units, now),
            false => Vec::new(),
        };
        Grant { units: granted, validity, starts_in: 0, until, free_in }
    }

    fn reserve_day(&mut self, units: u64, request: &Reservation, now: Micros) -> Grant {
        let today_ends = (now.div_euclid(DAY) + 1) * DAY;
        let last = if request.ahead { MAX_DAYS_AHEAD } else { 0 };
        for day in 0..=last {
            let until = today_ends + day * DAY;
            let used = self.0.iter().filter(|(end, _)| *end == until).map(|(_, units)| *units).sum();
            let granted = granted(units.saturating_sub(used), request);
            if granted > 0 {
                self.add(until, granted, 1);
                let starts_in = if day == 0 { 0 } else { until - DAY - now };
                let free_in = if granted < request.units { vec![(until - now, units)] } else { Vec::new() };
                return Grant { units: granted, validity: until - now, starts_in, until, free_in };
            }
        }
        let next = today_ends + last * DAY;
        Grant { free_in: vec![(next - now, units)], ..Grant::default() }
    }

    fn used(&self) -> u64 {
        self.0.iter().fold(0, |sum, (_, units)| sum.saturating_add(*units))
    }

    /// Times after which units are free again. If fewer are allowed than are in use, the first ones to end free nothing.
    fn free_in(&self, units: u64, now: Micros) -> Vec<(Micros, u64)> {
        let mut excess = self.used().saturating_sub(units);
        let mut free = Vec::with_capacity(self.0.len());
        for (until, units) in &self.0 {
            let absorbed = excess.min(*units);
            excess -= absorbed;
            if *units > absorbed {
                free.push((until.saturating_sub(now), units - absorbed));
            }
        }
        free
    }

    /// Adds units in use. Among many uses, those that end within `merge` of each other count until the later end.
    fn add(&mut self, until: Micros, units: u64, merge: Micros) {
        let place = self.0.partition_point(|(end, _)| *end <= until);
        let is_long = self.0.len() >= MAX_EXACT_USES;
        match self.0[..place].last_mut() {
            Some((end, known)) if *end == until => *known = known.saturating_add(units),
            Some((end, known)) if is_long && end.div_euclid(merge) == until.div_euclid(merge) => {
                (*end, *known) = (until, known.saturating_add(units));
            }
            _ => self.0.insert(place, (until, units)),
        }
    }

    /// Returns units of a grant: they are counted at its end, or at the later one that it was merged with.
    fn release(&mut self, until: Micros, units: u64) {
        if let Some((_, known)) = self.0.iter_mut().find(|(end, _)| *end >= until) {
            *known = known.saturating_sub(units);
        }
    }
}

fn granted(free: u64, request: &Reservation) -> u64 {
    if request.all && free < request.units { 0 } else { free.min(request.units) }
}

#[cfg(test)]
mod tests;
