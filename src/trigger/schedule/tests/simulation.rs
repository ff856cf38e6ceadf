//! Schedules against a clock that is simulated minute by minute.

use jiff::civil::DateTime;
use jiff::{SignedDuration, Timestamp, ToSpan as _};
use serde_json::json;

use super::super::{Rule, Schedule};
use super::{at, schedule, ticks};

/// True if the rule names a local minute, by its definition.
fn names(rule: &Rule, local: DateTime) -> bool {
    let date = local.date();
    match rule {
        Rule::Every(_) => false,
        Rule::Daily(time) => local.time() == *time,
        Rule::Weekly(days, time) => {
            local.time() == *time && days.iter().any(|day| format!("{day:?}") == date.strftime("%A").to_string())
        }
        Rule::Monthly(days, time) => {
            let is_last = date.tomorrow().unwrap().day() == 1;
            local.time() == *time
                && days.iter().any(|day| {
                    i32::from(*day) == i32::from(date.day()) || is_last && i32::from(*day) > i32::from(date.day())
                })
        }
        Rule::Cron(cron) | Rule::Hourly(cron) => cron.is_time_matching(&local).unwrap(),
    }
}

/// The due times in (after, until], found by simulating a clock minute by minute. A time is due when clocks first show it
/// or a later one; for rules of every hour, each time that they show it.
fn simulated(schedule: &Schedule, after: Timestamp, until: Timestamp) -> Vec<Timestamp> {
    let (mut due, mut time) = (Vec::new(), after);
    let mut latest = schedule.zone.to_datetime(after);
    while time < until {
        time += SignedDuration::from_mins(1);
        let local = schedule.zone.to_datetime(time);
        let is_due = match &schedule.rule {
            Rule::Hourly(_) => names(&schedule.rule, local),
            rule => {
                let passed = std::iter::successors(Some(latest + 1.minute()), |at| Some(*at + 1.minute()));
                passed.take_while(|at| *at <= local).filter(|at| names(rule, *at)).count() > 0
            }
        };
        latest = latest.max(local);
        if is_due {
            due.push(time);
        }
    }
    due
}

#[test]
fn agrees_with_a_simulated_clock() {
    // Both changes of each zone. Troll's are two hours; Apia skipped a day, and Kwajalein repeated one.
    let zones = [
        ("Europe/Berlin", "2026-03-28T00:00:00Z", "2026-10-24T00:00:00Z"),
        ("America/New_York", "2026-03-07T00:00:00Z", "2026-10-31T00:00:00Z"),
        ("Australia/Lord_Howe", "2026-04-04T00:00:00Z", "2026-10-03T00:00:00Z"),
        ("Antarctica/Troll", "2026-03-28T00:00:00Z", "2026-10-24T00:00:00Z"),
        ("Asia/Beirut", "2026-03-28T00:00:00Z", "2026-10-24T00:00:00Z"),
        ("Pacific/Apia", "2011-12-29T00:00:00Z", "2011-09-23T00:00:00Z"),
        ("Pacific/Kwajalein", "1969-09-29T00:00:00Z", "1993-08-20T00:00:00Z"),
        ("UTC", "2028-02-28T00:00:00Z", "2027-12-30T00:00:00Z"),
    ];
    let specs = [
        json!({"daily": {"at": "02:30"}}),
        json!({"daily": {"at": "00:00"}}),
        json!({"daily": {"at": "23:45"}}),
        json!({"daily": {"at": "01:59"}}),
        json!({"weekly": {"days": ["Sunday", "Friday"], "at": "02:00"}}),
        json!({"monthly": {"days": [29, 30, 31], "at": "01:30"}}),
        json!({"cron": "30 2 * * *"}),
        json!({"cron": "*/20 1-3 * * *"}),
        json!({"cron": "0 */2 * * *"}),
        json!({"cron": "* 0-22 * * *"}),
        json!({"cron": "15,45 0,23 * * SUN"}),
        json!({"cron": "*/15 * * * *"}),
        json!({"cron": "30 * * * *"}),
        json!({"cron": "7 0-23 * * SUN"}),
        json!({"cron": "*/40 */1 30 * *"}),
    ];
    for (zone, first, second) in zones {
        for start in [at(first), at(second)] {
            for spec in &specs {
                let mut spec = spec.clone();
                spec["timeZone"] = json!(zone);
                spec["catchUp"] = json!("All");
                check_against_simulation(&schedule(spec.clone()), start, &format!("{spec} after {start}"));
            }
        }
    }
}

/// Checks that `next` and `due` agree with the simulated clock from any start.
fn check_against_simulation(schedule: &Schedule, start: Timestamp, what: &str) {
    let end = start + 48.hours();
    let expected = simulated(schedule, start, end);
    let found: Vec<Timestamp> = ticks(schedule, start).take_while(|tick| *tick <= end).collect();
    assert_eq!(found, expected, "{what}");
    assert!(found.iter().is_sorted_by(|earlier, later| earlier < later), "{what}");
    let mut from = start;
    let mut due = Vec::new();
    while from < end {
        let next = expected.iter().find(|tick| **tick > from).copied();
        assert_eq!(schedule.next(from).filter(|tick| *tick <= end), next, "{what}: from {from}");
        // Steps that do not divide an hour, so that bounds fall anywhere.
        let to = (from + SignedDuration::new(37 * 60 + 11, 500_000_000)).min(end);
        let part = schedule.due(from, to);
        assert_eq!((part.missed, part.until), (0, to), "{what}: from {from}");
        due.extend(part.run);
        from = part.until;
    }
    assert_eq!(due, expected, "{what}");
    let whole = schedule.due(start, end);
    assert!(expected.ends_with(&whole.run), "{what}");
    assert_eq!(u64::try_from(expected.len() - whole.run.len()).unwrap(), whole.missed, "{what}");
}

#[test]
fn intervals_agree_with_a_count_of_ticks() {
    for (interval, starts) in
        [("1s", None), ("7s", Some("2026-01-01T00:00:03Z")), ("1m1s", None), ("13m", Some("2020-01-01T00:00:00.25Z"))]
    {
        let schedule = schedule(json!({"interval": interval, "startsAt": starts, "catchUp": "All"}));
        let mut from = at("2025-12-31T23:59:58.5Z");
        for step in 1..60 {
            let to = from + SignedDuration::from_millis(step * 7_919);
            let expected: Vec<Timestamp> = ticks(&schedule, from).take_while(|tick| *tick <= to).collect();
            assert!(expected.iter().is_sorted_by(|earlier, later| earlier < later));
            let due = schedule.due(from, to);
            assert!(expected.ends_with(&due.run), "{interval}: {from} to {to}");
            assert_eq!(
                due.run.len() + usize::try_from(due.missed).unwrap(),
                expected.len(),
                "{interval}: {from} to {to}"
            );
            from = to;
        }
    }
}
