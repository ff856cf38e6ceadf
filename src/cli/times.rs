//! Times, ages and durations for people.

use jiff::Timestamp;

use crate::api::Time;

/// Formats a time to the second, in UTC; `-` if it is absent.
pub(super) fn time(at: Option<Time>) -> String {
    at.map_or_else(|| "-".to_owned(), |at| Timestamp::from_second(at.0.as_second()).unwrap_or(at.0).to_string())
}

/// Formats the time of day to the millisecond, in UTC; `-` if the time is absent.
pub(super) fn time_of_day(at: Option<Time>) -> String {
    at.map_or_else(|| "-".to_owned(), |at| at.0.strftime("%H:%M:%S%.3f").to_string())
}

/// Formats a duration in milliseconds with two units at most: `320 ms`, `10.7 s`, `2 min 5 s`, `3 h 12 min`, `2 d 3 h`.
pub(super) fn duration(milliseconds: f64) -> String {
    let milliseconds = milliseconds.max(0.0);
    let seconds = (milliseconds / 1000.0).round() as u64;
    match milliseconds {
        ms if ms < 9.95 => format!("{ms:.1} ms"),
        ms if ms < 999.5 => format!("{ms:.0} ms"),
        ms if ms < 59_950.0 => format!("{:.1} s", ms / 1000.0),
        _ => match seconds {
            ..3600 => two(seconds, (60, "min"), (1, "s")),
            3600..86_400 => two(seconds / 60, (60, "h"), (1, "min")),
            _ => two(seconds / 3600, (24, "d"), (1, "h")),
        },
    }
}

/// Formats a number in a unit and, unless it is 0, the remainder.
fn two(number: u64, (large, large_name): (u64, &str), (small, small_name): (u64, &str)) -> String {
    match (number / large, number % large / small) {
        (whole, 0) => format!("{whole} {large_name}"),
        (whole, rest) => format!("{whole} {large_name} {rest} {small_name}"),
    }
}

/// Formats the time between two moments; 0 if the second is the earlier one.
pub(super) fn between(from: Timestamp, to: Timestamp) -> String {
    let milliseconds = to.as_millisecond().saturating_sub(from.as_millisecond()).max(0);
    match milliseconds {
        // Ages and remaining times need no fractions.
        ..60_000 => format!("{} s", milliseconds / 1000),
        _ => duration(milliseconds as f64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units_that_people_read() {
        let cases = [
            (0.25, "0.2 ms"),
            (9.96, "10 ms"),
            (320.4, "320 ms"),
            (999.7, "1.0 s"),
            (10_674.0, "10.7 s"),
            (59_960.0, "1 min"),
            (125_000.0, "2 min 5 s"),
            (900_000.0, "15 min"),
            (11_520_000.0, "3 h 12 min"),
            (183_600_000.0, "2 d 3 h"),
            (-5.0, "0.0 ms"),
        ];
        for (milliseconds, expected) in cases {
            assert_eq!(duration(milliseconds), expected, "{milliseconds}");
        }
    }

    #[test]
    fn absent_times_are_a_dash() {
        assert_eq!((time(None), time_of_day(None)), ("-".to_owned(), "-".to_owned()));
        let at = Some(Time("2026-11-29T11:58:30.5Z".parse().unwrap()));
        assert_eq!(time(at), "2026-11-29T11:58:30Z");
        assert_eq!(time_of_day(at), "11:58:30.500");
    }
}
