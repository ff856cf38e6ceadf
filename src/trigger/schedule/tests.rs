//! Each rule of schedules by a table of times.

mod simulation;

use std::time::Duration;

use jiff::{Timestamp, ToSpan as _};
use serde_json::{Value, json};

use super::{Due, Schedule};
use crate::definition::trigger::ScheduleTrigger;

fn compile(mut spec: Value) -> Result<Schedule, String> {
    spec["routes"] = json!([]);
    let spec: ScheduleTrigger = serde_json::from_value(spec).unwrap();
    Schedule::new(&spec)
}

fn schedule(spec: Value) -> Schedule {
    compile(spec.clone()).unwrap_or_else(|error| panic!("{spec}: {error}"))
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// A time in the local notation of the zone. The offset distinguishes the two occurrences of a repeated hour.
fn shown(schedule: &Schedule, time: Timestamp) -> String {
    time.to_zoned(schedule.zone.clone()).strftime("%Y-%m-%dT%H:%M:%S%:z").to_string()
}

/// The due times after a time.
fn ticks(schedule: &Schedule, after: Timestamp) -> impl Iterator<Item = Timestamp> {
    std::iter::successors(schedule.next(after), |tick| schedule.next(*tick))
}

/// Runs a computation and counts the ticks that it searched.
fn counting_steps<T>(compute: impl FnOnce() -> T) -> (T, u64) {
    let before = super::SEARCHED_TICKS.get();
    let result = compute();
    (result, super::SEARCHED_TICKS.get() - before)
}

#[track_caller]
fn check(spec: Value, after: &str, expected: &[&str]) {
    let schedule = schedule(spec.clone());
    let found: Vec<String> =
        ticks(&schedule, at(after)).take(expected.len()).map(|tick| shown(&schedule, tick)).collect();
    assert_eq!(found, expected, "{spec} after {after}");
}

/// Checks that these are all due times.
#[track_caller]
fn check_all(spec: Value, after: &str, expected: &[&str]) {
    check(spec.clone(), after, expected);
    assert_eq!(ticks(&schedule(spec), at(after)).take(expected.len() + 1).count(), expected.len());
}

#[test]
fn a_skipped_local_time_is_due_at_the_change() {
    // 02:00 to 03:00 on 29 March.
    let berlin = |mut spec: Value| {
        spec["timeZone"] = json!("Europe/Berlin");
        spec
    };
    let days = &["2026-03-28T02:30:00+01:00", "2026-03-29T03:00:00+02:00", "2026-03-30T02:30:00+02:00"];
    let after = "2026-03-27T12:00:00Z";
    check(berlin(json!({"daily": {"at": "02:30"}})), after, days);
    check(berlin(json!({"cron": "30 2 * * *"})), after, days);
    check(
        berlin(json!({"weekly": {"days": ["Sunday"], "at": "02:00"}})),
        after,
        &["2026-03-29T03:00:00+02:00", "2026-04-05T02:00:00+02:00"],
    );
    check(
        berlin(json!({"monthly": {"days": [29], "at": "02:59"}})),
        after,
        &["2026-03-29T03:00:00+02:00", "2026-04-29T02:59:00+02:00"],
    );
    // The end of the gap is not a skipped time.
    check(
        berlin(json!({"daily": {"at": "03:00"}})),
        after,
        &["2026-03-28T03:00:00+01:00", "2026-03-29T03:00:00+02:00"],
    );
    // Several skipped times, and the time of the change itself, are due once.
    check(
        berlin(json!({"cron": "*/20 2,3 * * *"})),
        "2026-03-29T00:00:00Z",
        &[
            "2026-03-29T03:00:00+02:00",
            "2026-03-29T03:20:00+02:00",
            "2026-03-29T03:40:00+02:00",
            "2026-03-30T02:00:00+02:00",
        ],
    );
    // Croner alone skips these, since they name more than one time.
    check(
        berlin(json!({"cron": "30 2,14 * * *"})),
        "2026-03-29T00:00:00Z",
        &["2026-03-29T03:00:00+02:00", "2026-03-29T14:30:00+02:00", "2026-03-30T02:30:00+02:00"],
    );
    check(
        berlin(json!({"cron": "0 */2 * * *"})),
        "2026-03-29T00:00:00Z",
        &["2026-03-29T03:00:00+02:00", "2026-03-29T04:00:00+02:00"],
    );
    check(
        json!({"daily": {"at": "02:15"}, "timeZone": "America/New_York"}),
        "2026-03-07T12:00:00Z",
        &["2026-03-08T03:00:00-04:00", "2026-03-09T02:15:00-04:00"],
    );
    // Half an hour: 02:00 to 02:30 on 4 October.
    check(
        json!({"daily": {"at": "02:10"}, "timeZone": "Australia/Lord_Howe"}),
        "2026-10-02T18:00:00Z",
        &["2026-10-04T02:30:00+11:00", "2026-10-05T02:10:00+11:00"],
    );
    // Samoa had no 30 December: it moved across the date line.
    check(
        json!({"cron": "0 9 30 * *", "timeZone": "Pacific/Apia"}),
        "2011-12-01T00:00:00Z",
        &["2011-12-31T00:00:00+14:00", "2012-01-30T09:00:00+14:00"],
    );
    // Midnight itself is skipped.
    check(
        json!({"daily": {"at": "00:00"}, "timeZone": "Asia/Beirut"}),
        "2026-03-28T00:00:00Z",
        &["2026-03-29T01:00:00+03:00", "2026-03-30T00:00:00+03:00"],
    );
}

#[test]
fn a_repeated_local_time_is_due_once() {
    // 03:00 to 02:00 on 25 October.
    let berlin = |mut spec: Value| {
        spec["timeZone"] = json!("Europe/Berlin");
        spec
    };
    let days = &["2026-10-24T02:30:00+02:00", "2026-10-25T02:30:00+02:00", "2026-10-26T02:30:00+01:00"];
    let after = "2026-10-23T12:00:00Z";
    check(berlin(json!({"daily": {"at": "02:30"}})), after, days);
    check(berlin(json!({"cron": "30 2 * * *"})), after, days);
    // Searches that start within the second occurrence.
    for after in ["2026-10-25T00:30:00Z", "2026-10-25T01:00:00Z", "2026-10-25T01:15:00Z", "2026-10-25T01:30:00.5Z"] {
        check(berlin(json!({"daily": {"at": "02:30"}})), after, &["2026-10-26T02:30:00+01:00"]);
        check(berlin(json!({"cron": "30 2 * * *"})), after, &["2026-10-26T02:30:00+01:00"]);
    }
    check(
        berlin(json!({"daily": {"at": "03:00"}})),
        after,
        &["2026-10-24T03:00:00+02:00", "2026-10-25T03:00:00+01:00"],
    );
    // Croner alone fires these twice.
    check(
        berlin(json!({"cron": "0,30 2,14 * * *"})),
        "2026-10-24T23:00:00Z",
        &["2026-10-25T02:00:00+02:00", "2026-10-25T02:30:00+02:00", "2026-10-25T14:00:00+01:00"],
    );
    check(
        json!({"weekly": {"days": ["Sunday"], "at": "01:30"}, "timeZone": "America/New_York"}),
        "2026-10-26T00:00:00Z",
        &["2026-11-01T01:30:00-04:00", "2026-11-08T01:30:00-05:00"],
    );
    // Half an hour: 02:00 to 01:30 on 5 April.
    check(
        json!({"daily": {"at": "01:45"}, "timeZone": "Australia/Lord_Howe"}),
        "2026-04-03T18:00:00Z",
        &["2026-04-05T01:45:00+11:00", "2026-04-06T01:45:00+10:30"],
    );
    // 23:00 to midnight occurs twice.
    check(
        json!({"daily": {"at": "23:30"}, "timeZone": "Asia/Beirut"}),
        "2026-10-23T22:00:00Z",
        &["2026-10-24T23:30:00+03:00", "2026-10-25T23:30:00+02:00"],
    );
}

#[test]
fn cron_expressions_of_every_hour_go_by_elapsed_time() {
    let quarters = |zone: &str| schedule(json!({"cron": "*/15 * * * *", "timeZone": zone}));
    for (zone, after) in [
        ("Europe/Berlin", "2026-03-28T12:00:00Z"),
        ("Europe/Berlin", "2026-10-24T12:00:00Z"),
        ("America/New_York", "2026-03-07T12:00:00Z"),
        ("America/New_York", "2026-10-31T12:00:00Z"),
        ("Australia/Lord_Howe", "2026-04-04T00:00:00Z"),
        ("Australia/Lord_Howe", "2026-10-03T00:00:00Z"),
    ] {
        let found: Vec<Timestamp> = ticks(&quarters(zone), at(after)).take(150).collect();
        let expected: Vec<Timestamp> = (1..=150).map(|number| at(after) + (15 * number).minutes()).collect();
        assert_eq!(found, expected, "{zone}");
    }
    let half = json!({"cron": "30 * * * *", "timeZone": "Europe/Berlin"});
    check(half.clone(), "2026-03-29T00:00:00Z", &["2026-03-29T01:30:00+01:00", "2026-03-29T03:30:00+02:00"]);
    check(
        half,
        "2026-10-25T00:00:00Z",
        &["2026-10-25T02:30:00+02:00", "2026-10-25T02:30:00+01:00", "2026-10-25T03:30:00+01:00"],
    );
    // Across many clock changes.
    check(
        json!({"cron": "0 * 29 2 *", "timeZone": "Europe/Berlin"}),
        "2024-03-01T00:00:00Z",
        &["2028-02-29T00:00:00+01:00", "2028-02-29T01:00:00+01:00"],
    );
}

#[test]
fn follows_the_calendar() {
    let noon = "2027-12-30T12:00:00Z";
    check(
        json!({"daily": {"at": "09:00"}}),
        noon,
        &["2027-12-31T09:00:00+00:00", "2028-01-01T09:00:00+00:00", "2028-01-02T09:00:00+00:00"],
    );
    // A repeated day is due once.
    check(
        json!({"weekly": {"days": ["Friday", "Monday", "Friday"], "at": "18:30"}}),
        noon,
        &["2027-12-31T18:30:00+00:00", "2028-01-03T18:30:00+00:00", "2028-01-07T18:30:00+00:00"],
    );
    check(
        json!({"monthly": {"days": [31, 30], "at": "06:00"}}),
        "2028-01-29T12:00:00Z",
        &[
            "2028-01-30T06:00:00+00:00",
            "2028-01-31T06:00:00+00:00",
            "2028-02-29T06:00:00+00:00",
            "2028-03-30T06:00:00+00:00",
            "2028-03-31T06:00:00+00:00",
            "2028-04-30T06:00:00+00:00",
            "2028-05-30T06:00:00+00:00",
        ],
    );
    check(
        json!({"monthly": {"days": [29], "at": "06:00"}}),
        "2027-02-01T00:00:00Z",
        &["2027-02-28T06:00:00+00:00", "2027-03-29T06:00:00+00:00"],
    );
    check(
        json!({"monthly": {"days": [1], "at": "00:00"}, "timeZone": "Pacific/Auckland"}),
        noon,
        &["2028-01-01T00:00:00+13:00", "2028-02-01T00:00:00+13:00"],
    );
    check(
        json!({"cron": "0 0 29 2 *"}),
        "2026-01-01T00:00:00Z",
        &["2028-02-29T00:00:00+00:00", "2032-02-29T00:00:00+00:00"],
    );
    check(
        json!({"cron": "0 9 L * *"}),
        "2028-02-01T00:00:00Z",
        &["2028-02-29T09:00:00+00:00", "2028-03-31T09:00:00+00:00"],
    );
    check(json!({"cron": "59 23 31 12 *"}), noon, &["2027-12-31T23:59:00+00:00", "2028-12-31T23:59:00+00:00"]);
    check_all(json!({"cron": "0 0 30 2 *"}), noon, &[]);
    // Strictly after, to the nanosecond.
    for spec in [json!({"daily": {"at": "09:00"}}), json!({"cron": "0 9 * * *"}), json!({"cron": "0 * * * *"})] {
        let due = "2028-01-01T09:00:00+00:00";
        check(spec.clone(), "2028-01-01T08:59:59.999999999Z", &[due]);
        assert!(schedule(spec.clone()).next(at("2028-01-01T09:00:00Z")).unwrap() > at(due));
        assert!(schedule(spec).next(at("2028-01-01T09:00:00.000000001Z")).unwrap() > at(due));
    }
}

#[test]
fn intervals_count_from_a_fixed_origin() {
    check(
        json!({"interval": "7m"}),
        "1970-01-01T00:00:00Z",
        &["1970-01-01T00:07:00+00:00", "1970-01-01T00:14:00+00:00"],
    );
    check(json!({"interval": "7m"}), "1969-12-31T23:59:59Z", &["1970-01-01T00:00:00+00:00"]);
    check(
        json!({"interval": "1h"}),
        "2026-03-29T00:20:00Z",
        &["2026-03-29T01:00:00+00:00", "2026-03-29T02:00:00+00:00"],
    );
    check(
        json!({"interval": "1h", "startsAt": "2026-03-29T00:10:00Z"}),
        "2026-03-29T00:20:00Z",
        &["2026-03-29T01:10:00+00:00", "2026-03-29T02:10:00+00:00"],
    );
    // Intervals ignore clock changes.
    check(
        json!({"interval": "1h", "timeZone": "Europe/Berlin"}),
        "2026-03-29T00:00:00Z",
        &["2026-03-29T03:00:00+02:00", "2026-03-29T04:00:00+02:00"],
    );
}

#[test]
fn respects_starts_at_and_ends_at() {
    let span = |mut spec: Value| {
        spec["startsAt"] = json!("2026-06-01T09:00:00Z");
        spec["endsAt"] = json!("2026-06-03T11:00:00+02:00");
        spec
    };
    let days = &["2026-06-01T09:00:00+00:00", "2026-06-02T09:00:00+00:00", "2026-06-03T09:00:00+00:00"];
    for spec in [
        json!({"daily": {"at": "09:00"}}),
        json!({"cron": "0 9 * * *"}),
        json!({"interval": "1d"}),
        json!({"interval": "24h", "timeZone": "UTC"}),
    ] {
        check_all(span(spec.clone()), "2020-01-01T00:00:00Z", days);
        check_all(span(spec.clone()), "2026-06-01T08:59:59Z", days);
        check_all(span(spec.clone()), "2026-06-01T09:00:00Z", &days[1..]);
        check_all(span(spec), "2026-06-03T09:00:00Z", &[]);
    }
    check_all(
        span(json!({"daily": {"at": "08:59"}})),
        "2020-01-01T00:00:00Z",
        &["2026-06-02T08:59:00+00:00", "2026-06-03T08:59:00+00:00"],
    );
    let mut spec = span(json!({"interval": "1s", "catchUp": "All"}));
    let late = schedule(spec.clone()).due(at("2020-01-01T00:00:00Z"), at("2027-01-01T00:00:00Z"));
    assert_eq!(late.run.first(), Some(&at("2026-06-03T08:58:21Z")));
    assert_eq!(late.run.last(), Some(&at("2026-06-03T09:00:00Z")));
    assert_eq!((late.run.len(), late.missed), (100, 2 * 86_400 + 1 - 100));
    spec["endsAt"] = json!("2026-05-01T00:00:00Z");
    check_all(spec, "2020-01-01T00:00:00Z", &[]);
}

#[test]
fn finds_nothing_beyond_the_range_of_timestamps() {
    for spec in [
        json!({"interval": "365d"}),
        json!({"daily": {"at": "00:00"}, "timeZone": "Pacific/Apia"}),
        json!({"monthly": {"days": [31], "at": "23:59"}, "timeZone": "America/New_York"}),
        json!({"cron": "* * * * *", "timeZone": "Europe/Berlin"}),
        json!({"cron": "0 0 * * *", "timeZone": "Europe/Berlin"}),
        json!({"interval": "1s", "startsAt": "-009999-01-02T01:59:59Z"}),
    ] {
        let schedule = schedule(spec);
        assert_eq!(schedule.next(Timestamp::MAX), None);
        assert!(schedule.next(Timestamp::MIN).is_none_or(|tick| tick > Timestamp::MIN));
        assert_eq!(schedule.due(Timestamp::MAX, Timestamp::MIN).until, Timestamp::MAX);
    }
}

#[test]
fn handles_clock_jumps() {
    let schedule = schedule(json!({"interval": "10s"}));
    let now = at("2026-06-01T12:00:00Z");
    let nothing = |until| Due { run: Vec::new(), missed: 0, until };
    // Backwards, and no time passed.
    assert_eq!(schedule.due(now, now - 1.hour()), nothing(now));
    assert_eq!(schedule.due(now, now), nothing(now));
    // Before the first tick.
    assert_eq!(schedule.due(now, now + 9.seconds()), nothing(now + 9.seconds()));
    // On time.
    let on_time = schedule.due(now, now + 20.seconds());
    assert_eq!(
        on_time,
        Due { run: vec![now + 10.seconds(), now + 20.seconds()], missed: 0, until: now + 20.seconds() }
    );
    // Forward by one hour: the ticks of the last minute, bounds included, and one for the 353 earlier ones.
    let forward = schedule.due(now, now + 1.hour());
    let run: Vec<Timestamp> = (353..=360).map(|number| now + (10 * number).seconds()).collect();
    assert_eq!(forward, Due { run, missed: 352, until: now + 1.hour() });
}

#[test]
fn catches_up_after_a_year_at_a_bounded_cost() {
    let (after, now) = (at("2026-01-01T00:00:00Z"), at("2027-01-01T00:00:00Z"));
    let year = 365 * 86_400;
    let late: Vec<Timestamp> = (61..=160).rev().map(|age| now - age.seconds()).collect();
    let on_time: Vec<Timestamp> = (0..=60).rev().map(|age| now - age.seconds()).collect();
    for (catch_up, late) in [("Skip", &[][..]), ("One", &late[99..]), ("All", &late[..])] {
        let schedule = schedule(json!({"interval": "1s", "catchUp": catch_up}));
        let (due, steps) = counting_steps(|| schedule.due(after, now));
        assert!(steps < 500, "{steps}");
        assert_eq!(due.run, [late, &on_time].concat(), "{catch_up}");
        assert_eq!(due.missed + u64::try_from(due.run.len()).unwrap(), year, "{catch_up}");
        assert_eq!(due.until, now);
    }
    // The default is `One`.
    let due = |spec| schedule(spec).due(after, now + 5.seconds());
    let newest = due(json!({"daily": {"at": "00:00"}}));
    assert_eq!(newest, Due { run: vec![now - 24.hours(), now], missed: 363, until: now + 5.seconds() });
    let skip = due(json!({"daily": {"at": "00:00"}, "catchUp": "Skip"}));
    assert_eq!((skip.run, skip.missed), (vec![now], 364));
    let all = due(json!({"cron": "0 0 1 * *", "catchUp": "All"}));
    assert_eq!((all.run.len(), all.missed), (12, 0));
    assert!(all.run.is_sorted());
}

#[test]
fn bounds_the_steps_of_a_search() {
    let (after, now) = (at("1990-01-01T00:00:00Z"), at("2027-01-01T00:00:00Z"));
    for cron in ["* * * * *", "* 0-22 * * *"] {
        let schedule = schedule(json!({"cron": cron, "timeZone": "Europe/Berlin", "catchUp": "All"}));
        let (due, steps) = counting_steps(|| schedule.due(after, now));
        assert!(steps < 120_000, "{steps}");
        // The newest ticks fire; the skipped ones are not all counted.
        let late: Vec<Timestamp> = ticks(&schedule, now - 3.hours()).take_while(|tick| *tick <= now).collect();
        assert!(due.run.ends_with(&late[late.len() - 100..]), "{cron}");
        assert!((100_000..120_000).contains(&due.missed), "{cron}: {}", due.missed);
    }
}

#[test]
fn describes_schedules_for_people() {
    for (spec, expected) in [
        (json!({"interval": "5m"}), "every 5 minutes"),
        (json!({"interval": "1m"}), "every minute"),
        (json!({"interval": "60m"}), "every hour"),
        (json!({"interval": "1s"}), "every second"),
        (json!({"interval": "90m"}), "every 1 hour and 30 minutes"),
        (json!({"interval": "1d1h1s500ms"}), "every 1 day, 1 hour, 1 second and 500 milliseconds"),
        (json!({"interval": "7d"}), "every 7 days"),
        (json!({"daily": {"at": "09:00"}, "timeZone": "europe/berlin"}), "every day at 09:00 (Europe/Berlin)"),
        (json!({"daily": {"at": "00:05"}}), "every day at 00:05 (UTC)"),
        (json!({"weekly": {"days": ["Friday", "Monday"], "at": "18:30"}}), "every Monday and Friday at 18:30 (UTC)"),
        (json!({"weekly": {"days": ["Sunday"], "at": "18:30"}}), "every Sunday at 18:30 (UTC)"),
        (
            json!({"weekly": {"days": ["Monday", "Wednesday", "Friday"], "at": "18:30"}}),
            "every Monday, Wednesday and Friday at 18:30 (UTC)",
        ),
        (json!({"monthly": {"days": [15, 1], "at": "06:00"}}), "on day 1 and 15 of every month at 06:00 (UTC)"),
        (json!({"monthly": {"days": [31], "at": "06:00"}}), "on day 31 of every month at 06:00 (UTC)"),
        (json!({"cron": "* * * * *"}), "every minute (UTC)"),
        (json!({"cron": "*/15 * * * *"}), "every 15 minutes (UTC)"),
        (json!({"cron": "0 */2 * * *"}), "at minute 0, of every 2 hours (UTC)"),
        (
            json!({"cron": "30 9 * * MON,FRI", "timeZone": "Europe/Berlin"}),
            "at 09:30, on Monday and Friday (Europe/Berlin)",
        ),
        (json!({"cron": "0 9 L * *"}), "at 09:00, on the last day of the month (UTC)"),
    ] {
        assert_eq!(schedule(spec.clone()).describe(), expected, "{spec}");
    }
}

#[test]
fn jitter_is_stable_and_below_its_limit() {
    let jittered = schedule(json!({"interval": "1m", "jitter": "10s"}));
    let replica = schedule(json!({"interval": "1m", "jitter": "10s"}));
    let delays: Vec<Duration> =
        ticks(&jittered, at("2026-01-01T00:00:00Z")).take(200).map(|due| jittered.jitter("sync", due)).collect();
    let again = ticks(&replica, at("2026-01-01T00:00:00Z")).take(200).map(|due| replica.jitter("sync", due));
    assert!(again.eq(delays.iter().copied()));
    assert!(delays.iter().all(|delay| *delay < Duration::from_secs(10)));
    // The delays are spread over the whole range.
    for fifth in 0..5 {
        let within = Duration::from_secs(2 * fifth)..Duration::from_secs(2 * fifth + 2);
        assert!(delays.iter().filter(|delay| within.contains(*delay)).count() > 15, "{fifth}");
    }
    let due = at("2026-01-01T00:00:00Z");
    assert_ne!(jittered.jitter("sync", due), jittered.jitter("other", due));
    // A fixed value, so that later versions keep it.
    assert_eq!(jittered.jitter("sync", due), Duration::from_micros(4_436_338));
    for without in [json!({"interval": "1m"}), json!({"interval": "1m", "jitter": "0s"})] {
        assert_eq!(schedule(without).jitter("sync", due), Duration::ZERO);
    }
}

#[test]
fn reports_mistakes_of_definitions() {
    let exactly_one = "a schedule has exactly one of `interval`, `daily`, `weekly`, `monthly`, `cron`";
    for (spec, expected) in [
        (json!({}), exactly_one),
        (json!({"interval": "1m", "cron": "* * * * *"}), exactly_one),
        (json!({"interval": "999ms"}), "an interval of 999ms is too short; the minimum is 1s"),
        (json!({"interval": "0s"}), "an interval of 0s is too short; the minimum is 1s"),
        (json!({"daily": {"at": "24:00"}}), "`24:00` is not a time of day"),
        (json!({"daily": {"at": "9:00"}}), "`9:00` is not a time of day"),
        (json!({"daily": {"at": "+9:00"}}), "`+9:00` is not a time of day"),
        (json!({"daily": {"at": ""}}), "`` is not a time of day"),
        (json!({"weekly": {"days": [], "at": "09:00"}}), "a schedule needs at least one day"),
        (json!({"monthly": {"days": [1, 32], "at": "09:00"}}), "no month has a day 32"),
        (json!({"monthly": {"days": [0], "at": "09:00"}}), "no month has a day 0"),
        (json!({"daily": {"at": "09:00"}, "timeZone": "Europe/Berlyn"}), "there is no time zone `Europe/Berlyn`"),
    ] {
        assert_eq!(compile(spec.clone()).err().as_deref(), Some(expected), "{spec}");
    }
    for (spec, start) in [
        (json!({"cron": "* * * *"}), "`* * * *` is not a cron expression: "),
        (json!({"cron": "0 0 9 * * *"}), "`0 0 9 * * *` is not a cron expression: "),
        (json!({"interval": "1m", "startsAt": "tomorrow"}), "`tomorrow` is not a date and time: "),
        (json!({"interval": "1m", "endsAt": "2026-01-01"}), "`2026-01-01` is not a date and time: "),
    ] {
        let error = compile(spec.clone()).err().unwrap_or_default();
        assert!(error.starts_with(start), "{spec}: {error}");
    }
}
