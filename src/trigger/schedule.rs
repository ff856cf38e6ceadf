//! When a schedule is due: pure, and the same on every replica.

use std::str::FromStr as _;
use std::time::Duration;

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::civil::{Date, Time};
use jiff::tz::{Disambiguation, TimeZone};
use jiff::{Timestamp, ToSpan as _};

use crate::definition::trigger::{CatchUp, ScheduleTrigger, Weekday};
use crate::text::Digest;

/// A tick that is no older is on time.
const GRACE: Duration = Duration::from_mins(1);
/// Ticks that are run at once, at most.
const MOST: usize = 100;
/// Ticks that are walked through one by one; what lies between is counted as at least that many.
const MOST_WALKED: usize = 10_000;
/// Days that are looked through for the next one: a leap day comes within nine years.
const MOST_DAYS: usize = 9 * 366;

/// A schedule, ready to be asked.
#[derive(Clone, Debug)]
pub struct Schedule {
    rule: Rule,
    zone: TimeZone,
    zone_name: String,
    starts: Option<Timestamp>,
    ends: Option<Timestamp>,
    jitter: Duration,
    catch_up: CatchUp,
}

#[derive(Clone, Debug)]
enum Rule {
    /// Every so many microseconds.
    Every(i64, String),
    Daily(Time),
    Weekly(Vec<Weekday>, Time),
    Monthly(Vec<u8>, Time),
    Cron(Box<Cron>),
}

/// What is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    /// The ticks to run, the oldest first.
    pub run: Vec<Timestamp>,
    /// Ticks that are passed over: at least so many.
    pub missed: u64,
    /// Everything until then was looked at.
    pub until: Timestamp,
}

impl Schedule {
    /// Compiles a schedule.
    ///
    /// # Errors
    /// What is wrong with it, which no checked definition gives.
    pub fn new(spec: &ScheduleTrigger) -> Result<Schedule, String> {
        let zone_name = spec.time_zone.clone().unwrap_or_else(|| "UTC".to_owned());
        let zone = TimeZone::get(&zone_name).map_err(|_| format!("there is no time zone `{zone_name}`"))?;
        let instant = |text: &Option<String>| {
            let parsed =
                text.as_deref().map(|text| Timestamp::from_str(text).map_err(|error| format!("`{text}`: {error}")));
            parsed.transpose()
        };
        let rule = if let Some(interval) = spec.interval {
            let micros = i64::try_from(interval.0.as_micros()).map_err(|error| error.to_string())?;
            Rule::Every(micros.max(1_000_000), interval.to_string())
        } else if let Some(daily) = &spec.daily {
            Rule::Daily(time(&daily.at)?)
        } else if let Some(weekly) = &spec.weekly {
            let mut days = weekly.days.clone();
            days.sort();
            days.dedup();
            Rule::Weekly(days, time(&weekly.at)?)
        } else if let Some(monthly) = &spec.monthly {
            let mut days = monthly.days.clone();
            days.sort_unstable();
            days.dedup();
            Rule::Monthly(days, time(&monthly.at)?)
        } else if let Some(cron) = &spec.cron {
            let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
            Rule::Cron(Box::new(parser.parse(cron).map_err(|error| error.to_string())?))
        } else {
            return Err("it has no time".to_owned());
        };
        Ok(Schedule {
            rule,
            zone,
            zone_name,
            starts: instant(&spec.starts_at)?,
            ends: instant(&spec.ends_at)?,
            jitter: spec.jitter.map_or(Duration::ZERO, |jitter| jitter.0),
            catch_up: spec.catch_up,
        })
    }

    /// The first time strictly after another that is due; never before `startsAt` nor after `endsAt`.
    ///
    /// A local time that a clock change skips is due at the change; one that comes twice is due the first time.
    pub fn next(&self, after: Timestamp) -> Option<Timestamp> {
        // `startsAt` itself may be due.
        let before_start = self.starts.and_then(|starts| starts.checked_sub(1.microsecond()).ok());
        let after = before_start.map_or(after, |start| after.max(start));
        let next = match &self.rule {
            Rule::Every(micros, _) => {
                let anchor = self.starts.map_or(0, Timestamp::as_microsecond);
                let steps = after.as_microsecond().checked_sub(anchor)?.div_euclid(*micros).checked_add(1)?;
                Timestamp::from_microsecond(anchor.checked_add(steps.checked_mul(*micros)?)?).ok()
            }
            Rule::Daily(at) => self.day(after, *at, |_| true),
            Rule::Weekly(days, at) => self
                .day(after, *at, |date| days.iter().any(|day| *day as i8 + 1 == date.weekday().to_monday_one_offset())),
            Rule::Monthly(days, at) => self.day(after, *at, |date| {
                let last = date.days_in_month();
                days.iter().any(|day| i8::try_from(*day).unwrap_or(31).min(last) == date.day())
            }),
            Rule::Cron(cron) => {
                let from = after.to_zoned(self.zone.clone());
                cron.find_next_occurrence(&from, false)
                    .ok()
                    .map(|found| found.timestamp())
                    .filter(|found| *found > after)
            }
        };
        next.filter(|next| self.ends.is_none_or(|ends| *next <= ends))
    }

    /// The next day that fits, at a time of day.
    fn day(&self, after: Timestamp, at: Time, fits: impl Fn(Date) -> bool) -> Option<Timestamp> {
        // The day before, too: at its time a clock change may have moved it past midnight.
        let mut date = after.to_zoned(self.zone.clone()).date().yesterday().ok()?;
        for _ in 0..MOST_DAYS {
            if fits(date) {
                let due = self.instant(date.to_datetime(at))?;
                if due > after {
                    return Some(due);
                }
            }
            date = date.tomorrow().ok()?;
        }
        None
    }

    /// When a local time is: the first of two, and the end of a gap.
    fn instant(&self, local: jiff::civil::DateTime) -> Option<Timestamp> {
        let ambiguous = self.zone.to_ambiguous_timestamp(local);
        match ambiguous.offset() {
            jiff::tz::AmbiguousOffset::Gap { after, .. } => {
                // With the later offset, a time in the gap lies before the change; with the earlier one, after it. The
                // change itself is the first instant that has the new offset.
                let early = ambiguous.disambiguate(Disambiguation::Earlier).ok()?;
                let changes = self.zone.following(early.checked_sub(1.second()).ok()?).next();
                let _ = after;
                changes.map(|change| change.timestamp())
            }
            _ => ambiguous.disambiguate(Disambiguation::Earlier).ok(),
        }
    }

    /// What is due after one time, until another. On time is what is no older than a minute: it always runs. What is
    /// older was missed, and `catchUp` says what of it runs: nothing, once for all of it, or each, at most 100.
    pub fn due(&self, after: Timestamp, now: Timestamp) -> Due {
        let mut due = Due { run: Vec::new(), missed: 0, until: after };
        if now <= after {
            return due;
        }
        due.until = now;
        let oldest_on_time = now.checked_sub(jiff::SignedDuration::try_from(GRACE).unwrap_or_default()).unwrap_or(now);
        let (mut late, skipped) = self.between(after, oldest_on_time);
        let (on_time, _) = self.between(oldest_on_time.max(after), now);
        due.missed = skipped;
        match self.catch_up {
            CatchUp::Skip => due.missed += late.len() as u64,
            CatchUp::One => {
                let last = late.pop();
                due.missed += late.len() as u64;
                due.run.extend(last);
            }
            CatchUp::All => {
                let extra = late.len().saturating_sub(MOST);
                due.missed += extra as u64;
                due.run.extend(late.split_off(extra));
            }
        }
        let extra = on_time.len().saturating_sub(MOST);
        due.missed += extra as u64;
        due.run.extend(on_time.into_iter().skip(extra));
        due
    }

    /// Ticks in (after, until]: the newest of them, and how many older ones there are at least.
    fn between(&self, after: Timestamp, until: Timestamp) -> (Vec<Timestamp>, u64) {
        let (mut from, mut skipped) = (after, 0);
        if let Rule::Every(micros, _) = &self.rule {
            // Counted, not walked through.
            let span = until.as_microsecond().saturating_sub(after.as_microsecond());
            let ticks = span / micros;
            if let Ok(most) = i64::try_from(MOST_WALKED)
                && ticks > most
                && let Ok(later) =
                    Timestamp::from_microsecond(until.as_microsecond().saturating_sub(most.saturating_mul(*micros)))
                && self.starts.is_none_or(|starts| later > starts)
            {
                skipped = u64::try_from(ticks.saturating_sub(most)).unwrap_or(0);
                from = later;
            }
        }
        let mut ticks = std::collections::VecDeque::new();
        while let Some(next) = self.next(from).filter(|next| *next <= until) {
            if ticks.len() >= MOST_WALKED {
                ticks.pop_front();
                skipped += 1;
                if skipped >= 10 * MOST_WALKED as u64 {
                    break;
                }
            }
            ticks.push_back(next);
            from = next;
        }
        (ticks.into(), skipped)
    }

    /// Plain language, such as `every day at 09:00 (Europe/Berlin)`.
    pub fn describe(&self) -> String {
        let at = |time: &Time| format!("{:02}:{:02} ({})", time.hour(), time.minute(), self.zone_name);
        match &self.rule {
            Rule::Every(_, text) => format!("every {text}"),
            Rule::Daily(time) => format!("every day at {}", at(time)),
            Rule::Weekly(days, time) => {
                let names: Vec<String> = days.iter().map(|day| format!("{day:?}")).collect();
                format!("every {} at {}", listed(&names), at(time))
            }
            Rule::Monthly(days, time) => {
                let names: Vec<String> = days.iter().map(ToString::to_string).collect();
                let word = if names.len() == 1 { "day" } else { "days" };
                format!("on {word} {} of every month at {}", listed(&names), at(time))
            }
            Rule::Cron(cron) => format!("{} ({})", lower(cron.describe().trim_end_matches('.')), self.zone_name),
        }
    }

    /// The delay of a tick, shorter than `jitter`, and the same on every replica.
    pub fn jitter(&self, salt: &str, due: Timestamp) -> Duration {
        if self.jitter.is_zero() {
            return Duration::ZERO;
        }
        let digest = Digest::of(format!("{salt}/{due}").as_bytes());
        let number = digest.bytes().first_chunk::<8>().map_or(0, |bytes| u64::from_be_bytes(*bytes));
        let most = u64::try_from(self.jitter.as_micros()).unwrap_or(u64::MAX).max(1);
        Duration::from_micros(number % most)
    }
}

fn listed(names: &[String]) -> String {
    match names {
        [all @ .., last] if !all.is_empty() => format!("{} and {last}", all.join(", ")),
        names => names.concat(),
    }
}

fn lower(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}

fn time(text: &str) -> Result<Time, String> {
    let parts = text.split_once(':').and_then(|(hour, minute)| Some((hour.parse().ok()?, minute.parse().ok()?)));
    parts
        .and_then(|(hour, minute)| Time::new(hour, minute, 0, 0).ok())
        .ok_or_else(|| format!("`{text}` is no time of day"))
}
