//! Tests of the usage of allowances, with a clock that they move.

use super::*;

const SECOND: Micros = 1_000_000;

fn sliding(units: u64, period: Micros) -> Allowance {
    Allowance { environment: "live".into(), name: "rate/crm".into(), units, period: Period::Sliding(period) }
}

fn daily(units: u64) -> Allowance {
    Allowance { period: Period::Day, ..sliding(units, 1) }
}

fn want(units: u64) -> Reservation {
    Reservation { units, validity: SECOND / 10, ..Reservation::default() }
}

#[test]
fn no_time_as_long_as_the_period_has_more_units_than_allowed() {
    // Every unit is used as late as its grant permits, or at once: the worst cases together.
    let allowance = sliding(7, SECOND);
    let (mut usage, mut now, mut uses) = (Usage::default(), 0, Vec::new());
    let mut random: u64 = 42;
    for _ in 0..5_000 {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        now += i64::try_from(random >> 48).unwrap();
        let (grant, _) = usage.reserve(&allowance, &want((random >> 20) % 4), now);
        for unit in 0..grant.units {
            uses.push(if unit % 2 == 0 { now } else { now + grant.validity });
        }
    }
    uses.sort_unstable();
    assert!(uses.len() > 700, "{}", uses.len());
    for window in uses.windows(8) {
        assert!(window[7] - window[0] >= SECOND, "8 uses within {} µs", window[7] - window[0]);
    }
}

#[test]
fn a_full_allowance_says_when_units_are_free_again() {
    let allowance = sliding(3, SECOND);
    let mut usage = Usage::default();
    assert_eq!(usage.reserve(&allowance, &want(2), 0).0.units, 2);
    let (grant, changed) = usage.reserve(&allowance, &want(5), 200_000);
    assert!(changed);
    assert_eq!((grant.units, grant.free_in), (1, vec![(900_000, 2), (1_100_000, 1)]));
    let (grant, changed) = usage.reserve(&allowance, &want(1), 1_099_999);
    assert!(!changed);
    assert_eq!((grant.units, grant.free_in), (0, vec![(1, 2), (200_001, 1)]));
    assert_eq!(usage.reserve(&allowance, &want(9), 1_100_000).0.units, 2);
}

#[test]
fn returned_units_are_free_again_unless_their_grant_has_ended() {
    let allowance = sliding(10, SECOND);
    let mut usage = Usage::default();
    let first = usage.reserve(&allowance, &want(10), 0).0;
    let returning = |returned| Reservation { returned: Some(returned), ..want(10) };
    assert_eq!(usage.reserve(&allowance, &returning((first.until, 4)), 1_000).0.units, 4);
    // Both grants have ended by then: there is nothing to return.
    assert_eq!(usage.reserve(&allowance, &returning((first.until, 6)), 2 * SECOND).0.units, 10);
    assert_eq!(usage.used(), 10);
}

#[test]
fn the_usage_stays_small_for_many_uses() {
    let allowance = sliding(1_000_000, 3_600 * SECOND);
    let mut usage = Usage::default();
    for second in 0..4_000 {
        assert_eq!(usage.reserve(&allowance, &want(3), second * SECOND).0.units, 3);
    }
    assert!(usage.0.len() < 3 * MAX_EXACT_USES, "{}", usage.0.len());
    assert!(usage.used() >= 3 * 3_600);
}

#[test]
fn a_clock_that_is_set_back_delays_by_two_periods_at_most() {
    let allowance = sliding(1, SECOND);
    let mut usage = Usage::default();
    usage.reserve(&allowance, &want(1), 1_000 * SECOND);
    let grant = usage.reserve(&allowance, &want(1), 10 * SECOND).0;
    assert_eq!((grant.units, grant.free_in), (0, vec![(2 * SECOND, 1)]));
    assert_eq!(usage.reserve(&allowance, &want(1), 12 * SECOND).0.units, 1);
}

#[test]
fn a_lower_allowance_counts_the_units_that_are_in_use() {
    let mut usage = Usage::default();
    usage.reserve(&sliding(4, SECOND), &want(2), 0);
    usage.reserve(&sliding(4, SECOND), &want(2), 100_000);
    let grant = usage.reserve(&sliding(1, SECOND), &want(1), 200_000).0;
    assert_eq!((grant.units, grant.free_in), (0, vec![(1_000_000, 1)]));
}

#[test]
fn a_day_ends_at_midnight() {
    let allowance = daily(2);
    let noon = 5 * DAY + DAY / 2;
    let mut usage = Usage::default();
    assert_eq!(usage.reserve(&allowance, &want(2), noon).0.units, 2);
    let refused = usage.reserve(&allowance, &want(1), noon + SECOND).0;
    assert_eq!((refused.units, refused.free_in), (0, vec![(DAY / 2 - SECOND, 2)]));
    assert_eq!(usage.reserve(&allowance, &want(1), 6 * DAY).0.units, 1);
}

#[test]
fn the_units_of_a_later_day_are_reserved_and_counted_there() {
    let allowance = daily(2);
    let noon = 5 * DAY + DAY / 2;
    let mut usage = Usage::default();
    let all_of = |units| Reservation { all: true, ahead: true, ..want(units) };
    let starts: Vec<_> = (0..5).map(|_| usage.reserve(&allowance, &all_of(1), noon).0.starts_in).collect();
    assert_eq!(starts, [0, 0, DAY / 2, DAY / 2, DAY / 2 + DAY]);
    // Those of the next day are in use before it begins.
    assert_eq!(usage.reserve(&allowance, &want(2), 6 * DAY).0.units, 0);
    assert_eq!(usage.reserve(&allowance, &want(2), 7 * DAY).0.units, 1);
    // A request that fits into no day is refused, and so is one beyond the last day.
    assert_eq!(usage.reserve(&allowance, &all_of(3), 7 * DAY).0.units, 0);
    for _ in 0..100 {
        usage.reserve(&allowance, &all_of(1), noon);
    }
    assert_eq!(usage.reserve(&allowance, &all_of(1), noon).0.units, 0);
}
