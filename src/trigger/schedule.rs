//! The due times of schedules: a pure computation with the same result on every replica.
//!
//! Times of day are local. A schedule first finds the next local time that it names, as if clocks never changed, and then
//! converts it: a local time that a clock change skips is due at the change, and a local time that occurs twice is due at
//! its first occurrence. Croner never sees a time zone, since it follows this rule only for expressions with one minute
//! and one hour.

use std::collections::VecDeque;
use std::time::Duration;

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{SignedDuration, Timestamp};

use crate::definition::cron::{self, Cron};
use crate::definition::trigger::{CatchUp, ScheduleTrigger, Weekday};
use crate::text::Digest;

/// The age up to which a tick is on time.
const GRACE: SignedDuration = SignedDuration::from_mins(1);
/// Maximum number of ticks that fire at once.
const MAX_DUE: usize = 100;
/// Number of ticks that a search steps through before it skips ahead.
const MAX_STEPS: usize = 100_000;
/// Length of the period at the end of a search to which it skips: about 10,000 ticks at one per minute.
const STEPPED_TAIL: SignedDuration = SignedDuration::from_hours(7 * 24);
/// The smallest difference of two times, which turns an exclusive bound into an inclusive one.
const MIN_STEP: SignedDuration = SignedDuration::from_nanos(1);
/// The minimum interval.
const MIN_INTERVAL: Duration = Duration::from_secs(1);

#[cfg(test)]
thread_local! {
    /// Number of calls of [`Schedule::next`] on this thread.
    static SEARCHED_TICKS: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

/// A compiled schedule. It knows its due times only; pausing and overlapping executions are the caller's concern.
#[derive(Clone, Debug)]
pub struct Schedule {
    rule: Rule,
    zone: TimeZone,
    starts: Option<Timestamp>,
    ends: Option<Timestamp>,
    jitter: Duration,
    catch_up: CatchUp,
    shape: String,
}

#[derive(Clone, Debug)]
enum Rule {
    /// At a fixed interval.
    Every(Duration),
    /// Every day.
    Daily(Time),
    /// On days of the week, sorted, without duplicates.
    Weekly(Vec<Weekday>, Time),
    /// On days of the month, sorted, without duplicates.
    Monthly(Vec<u8>, Time),
    /// By a cron expression that names hours.
    Cron(Box<Cron>),
    /// By a cron expression of every hour.
    Hourly(Box<Cron>),
}

/// The due ticks of a period.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    /// The ticks to fire, the oldest first.
    pub run: Vec<Timestamp>,
    /// Number of ticks that are due but not fired. If more than 100,000 of them can be counted only one by one, a lower
    /// bound.
    pub missed: u64,
    /// The end of the period: the next `after`.
    pub until: Timestamp,
}

impl Schedule {
    /// Compiles a schedule.
    ///
    /// # Errors
    /// The mistake, which checked definitions do not have: not exactly one kind of time, an interval below one second, no
    /// days or days that no month has, or text that is not a time of day, date, time zone or cron expression.
    pub fn new(spec: &ScheduleTrigger) -> Result<Schedule, String> {
        let name = spec.time_zone.as_deref().unwrap_or("UTC");
        Ok(Schedule {
            rule: Rule::new(spec)?,
            zone: TimeZone::get(name).map_err(|_| format!("there is no time zone `{name}`"))?,
            starts: spec.starts_at.as_deref().map(instant).transpose()?,
            ends: spec.ends_at.as_deref().map(instant).transpose()?,
            jitter: spec.jitter.map_or(Duration::ZERO, |jitter| jitter.0),
            catch_up: spec.catch_up,
            shape: shape(spec),
        })
    }

    /// A digest of its times: equal schedules are due at the same times.
    pub fn shape(&self) -> &str {
        &self.shape
    }

    /// The first due time after another; not before `startsAt` and not after `endsAt`, which are inclusive.
    ///
    /// - Intervals count from `startsAt`, or from 1970-01-01T00:00:00Z if it is omitted, regardless of clock changes.
    /// - A local time that a clock change skips is due at the change; a local time that occurs twice is due the first
    ///   time. Several local times that are due at the same time are due once.
    /// - A day that a month does not have is replaced by the month's last day.
    /// - A cron expression of every hour goes by elapsed time: it is due whenever clocks show a time that it names, twice
    ///   if the time occurs twice, and not at all if it is skipped. `*/15 * * * *` is due every quarter of an hour,
    ///   through every change.
    pub fn next(&self, after: Timestamp) -> Option<Timestamp> {
        #[cfg(test)]
        SEARCHED_TICKS.set(SEARCHED_TICKS.get() + 1);
        let after = self.from(after);
        let next = match &self.rule {
            Rule::Every(step) => self.tick(self.ticks(after, *step)?.checked_add(1)?, *step),
            Rule::Hourly(_) => self.elapsed(after),
            _ => self.local(after),
        };
        next.filter(|next| self.ends.is_none_or(|ends| *next <= ends))
    }

    /// The due ticks after one time, up to another; none if the clock went backwards.
    ///
    /// A tick that is at most one minute old is on time and fires. Older ticks were missed, and `catchUp` decides which of
    /// them fire: `Skip` none, `One` the newest, `All` the newest 100. The cost is bounded, however long ago `after` is.
    pub fn due(&self, after: Timestamp, now: Timestamp) -> Due {
        if now <= after {
            return Due { run: Vec::new(), missed: 0, until: after };
        }
        // A tick of exactly one minute ago is on time.
        let edge = before(before(now, GRACE), MIN_STEP).max(after);
        let (late, mut missed) = self.newest(after, edge);
        let (on_time, over) = self.newest(edge, now);
        let max_late = match self.catch_up {
            CatchUp::Skip => 0,
            CatchUp::One => 1,
            CatchUp::All => MAX_DUE,
        };
        let extra = late.len().saturating_sub(max_late);
        missed = missed.saturating_add(over).saturating_add(u64::try_from(extra).unwrap_or(u64::MAX));
        Due { run: late.into_iter().skip(extra).chain(on_time).collect(), missed, until: now }
    }

    /// A description for people, such as `every 5 minutes` and `every day at 09:00 (Europe/Berlin)`.
    pub fn describe(&self) -> String {
        let zone = self.zone.iana_name().unwrap_or("UTC");
        let at = |time: &Time| format!("at {} ({zone})", time.strftime("%H:%M"));
        match &self.rule {
            Rule::Every(step) => format!("every {}", format_length(*step)),
            Rule::Daily(time) => format!("every day {}", at(time)),
            Rule::Weekly(days, time) => {
                format!("every {} {}", join_names(days.iter().map(|day| format!("{day:?}"))), at(time))
            }
            Rule::Monthly(days, time) => {
                format!("on day {} of every month {}", join_names(days.iter().map(u8::to_string)), at(time))
            }
            Rule::Cron(cron) | Rule::Hourly(cron) => {
                let text = lower_first(cron.describe().trim_end_matches('.'));
                // Croner renders `At every 15 minutes`.
                let text = text.strip_prefix("at every").map_or(text.clone(), |rest| format!("every{rest}"));
                format!("{text} ({zone})")
            }
        }
    }

    /// The delay of a tick: shorter than the declared jitter, and the same on every replica for the same salt.
    pub fn jitter(&self, salt: &str, due: Timestamp) -> Duration {
        // In microseconds, the precision of stored ticks.
        let Ok(limit @ 1..) = u64::try_from(self.jitter.as_micros()) else { return Duration::ZERO };
        let digest = Digest::of_parts([salt.as_bytes(), &due.as_microsecond().to_be_bytes()]);
        let number = digest.bytes().first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes));
        Duration::from_micros(number % limit)
    }

    /// The start of a search for due times after a time. `startsAt` is inclusive.
    fn from(&self, after: Timestamp) -> Timestamp {
        self.starts.map_or(after, |starts| after.max(before(starts, MIN_STEP)))
    }

    /// The number of an interval's last tick up to a time.
    fn ticks(&self, until: Timestamp, step: Duration) -> Option<i128> {
        let passed = until.as_nanosecond().checked_sub(self.anchor())?;
        passed.checked_div_euclid(i128::try_from(step.as_nanos()).ok()?)
    }

    /// The time of an interval's tick.
    fn tick(&self, number: i128, step: Duration) -> Option<Timestamp> {
        let passed = number.checked_mul(i128::try_from(step.as_nanos()).ok()?)?;
        Timestamp::from_nanosecond(self.anchor().checked_add(passed)?).ok()
    }

    /// The origin of intervals, which is the same for replicas and across restarts.
    fn anchor(&self) -> i128 {
        self.starts.map_or(0, Timestamp::as_nanosecond)
    }

    /// The first due time after a time, by local times.
    fn local(&self, after: Timestamp) -> Option<Timestamp> {
        // No earlier local time is due later: skipped times are due at the change, after which clocks show later times.
        // If a local time is repeated, the following local times may already have been due.
        let mut local = self.zone.to_datetime(after);
        loop {
            local = self.rule.following(local)?;
            let due = self.resolve(local)?;
            if due > after {
                return Some(due);
            }
        }
    }

    /// The time of a local time: its first occurrence, or the change that skips it.
    fn resolve(&self, local: DateTime) -> Option<Timestamp> {
        let ambiguous = self.zone.to_ambiguous_timestamp(local);
        let offset = ambiguous.offset();
        // For a skipped time, this lies before the change.
        let earlier = ambiguous.earlier().ok()?;
        match offset {
            AmbiguousOffset::Gap { after, .. } => {
                let change = self.zone.following(earlier).find(|change| change.offset() == after)?;
                Some(change.timestamp())
            }
            _ => Some(earlier),
        }
    }

    /// The next time when clocks show a time that the rule names. Between two changes, the offset is constant.
    fn elapsed(&self, after: Timestamp) -> Option<Timestamp> {
        let mut offset = self.zone.to_offset(after);
        let mut local = offset.to_datetime(after);
        let mut changes = self.zone.following(after);
        loop {
            let due = offset.to_timestamp(self.rule.following(local)?).ok()?;
            match changes.next() {
                Some(change) if change.timestamp() <= due => {
                    offset = change.offset();
                    local = offset.to_datetime(before(change.timestamp(), MIN_STEP));
                }
                _ => return Some(due),
            }
        }
    }

    /// The newest ticks after a time, up to another, the oldest first; and the minimum number of older ones.
    fn newest(&self, after: Timestamp, until: Timestamp) -> (VecDeque<Timestamp>, u64) {
        let (mut from, mut over) = self.leap(after, until).unwrap_or((after, 0));
        let mut newest = VecDeque::new();
        let mut walked = 0;
        while let Some(tick) = self.next(from).filter(|tick| *tick <= until) {
            if newest.len() == MAX_DUE {
                newest.pop_front();
                over = over.saturating_add(1);
            }
            newest.push_back(tick);
            walked += 1;
            from = if walked == MAX_STEPS { tick.max(before(until, STEPPED_TAIL)) } else { tick };
        }
        (newest, over)
    }

    /// The last of an interval's ticks before the newest ones, and the number of ticks up to it. They are computed, since a
    /// year may have millions of them.
    fn leap(&self, after: Timestamp, until: Timestamp) -> Option<(Timestamp, u64)> {
        let Rule::Every(step) = self.rule else { return None };
        let first = self.ticks(self.from(after), step)?;
        let last = self.ticks(self.ends.map_or(until, |ends| until.min(ends)), step)?;
        let over = last.checked_sub(first)?.checked_sub(i128::try_from(MAX_DUE).ok()?)?;
        Some((self.tick(first.checked_add(over)?, step)?, u64::try_from(over).ok()?))
    }
}

impl Rule {
    fn new(spec: &ScheduleTrigger) -> Result<Rule, String> {
        match (spec.interval, &spec.daily, &spec.weekly, &spec.monthly, &spec.cron) {
            (Some(interval), None, None, None, None) if interval.0 < MIN_INTERVAL => {
                Err(format!("an interval of {interval} is too short; the minimum is 1s"))
            }
            (Some(interval), None, None, None, None) => Ok(Rule::Every(interval.0)),
            (None, Some(daily), None, None, None) => Ok(Rule::Daily(time(&daily.at)?)),
            (None, None, Some(weekly), None, None) => Ok(Rule::Weekly(days(&weekly.days)?, time(&weekly.at)?)),
            (None, None, None, Some(monthly), None) => match monthly.days.iter().find(|day| !(1..=31).contains(*day)) {
                Some(day) => Err(format!("no month has a day {day}")),
                None => Ok(Rule::Monthly(days(&monthly.days)?, time(&monthly.at)?)),
            },
            (None, None, None, None, Some(text)) => cron(text),
            _ => Err("a schedule has exactly one of `interval`, `daily`, `weekly`, `monthly`, `cron`".to_owned()),
        }
    }

    /// The first local time after another that the rule names.
    fn following(&self, local: DateTime) -> Option<DateTime> {
        match self {
            Rule::Every(_) => None,
            Rule::Daily(at) => day(local, *at, |_| true),
            Rule::Weekly(days, at) => day(local, *at, |date| days.iter().any(|day| is_on(date, *day))),
            Rule::Monthly(days, at) => day(local, *at, |date| {
                // Day 31 stands for day 30 in April.
                let matches =
                    |day: &u8| i8::try_from(*day).is_ok_and(|day| day.min(date.days_in_month()) == date.day());
                days.iter().any(matches)
            }),
            Rule::Cron(cron) | Rule::Hourly(cron) => cron.find_next_occurrence(&local, false).ok(),
        }
    }
}

/// The first matching day whose time is after a local time.
fn day(after: DateTime, at: Time, matches: impl Fn(Date) -> bool) -> Option<DateTime> {
    let mut date = after.date();
    loop {
        let local = date.to_datetime(at);
        if local > after && matches(date) {
            return Some(local);
        }
        date = date.tomorrow().ok()?;
    }
}

fn is_on(date: Date, day: Weekday) -> bool {
    let same = match day {
        Weekday::Monday => jiff::civil::Weekday::Monday,
        Weekday::Tuesday => jiff::civil::Weekday::Tuesday,
        Weekday::Wednesday => jiff::civil::Weekday::Wednesday,
        Weekday::Thursday => jiff::civil::Weekday::Thursday,
        Weekday::Friday => jiff::civil::Weekday::Friday,
        Weekday::Saturday => jiff::civil::Weekday::Saturday,
        Weekday::Sunday => jiff::civil::Weekday::Sunday,
    };
    date.weekday() == same
}

fn before(time: Timestamp, length: SignedDuration) -> Timestamp {
    time.checked_sub(length).unwrap_or(Timestamp::MIN)
}

fn cron(text: &str) -> Result<Rule, String> {
    let cron = cron::parse(text).map_err(|error| format!("`{text}` is not a cron expression: {error}"))?;
    let is_every_hour = cron.pattern.hours.values().len() == 24;
    Ok(if is_every_hour { Rule::Hourly(Box::new(cron)) } else { Rule::Cron(Box::new(cron)) })
}

fn days<T: Copy + Ord>(days: &[T]) -> Result<Vec<T>, String> {
    let mut days = days.to_vec();
    days.sort_unstable();
    days.dedup();
    if days.is_empty() { Err("a schedule needs at least one day".to_owned()) } else { Ok(days) }
}

fn instant(text: &str) -> Result<Timestamp, String> {
    text.parse().map_err(|error| format!("`{text}` is not a date and time: {error}"))
}

fn time(text: &str) -> Result<Time, String> {
    let time = Time::strptime("%H:%M", text).ok().filter(|_| text.len() == "HH:MM".len());
    time.ok_or_else(|| format!("`{text}` is not a time of day"))
}

/// `minute`, `5 minutes`, `1 hour and 30 minutes`.
fn format_length(length: Duration) -> String {
    let units =
        [("day", 86_400_000), ("hour", 3_600_000), ("minute", 60_000), ("second", 1_000), ("millisecond", 1_u128)];
    let mut rest = length.as_millis();
    let mut parts = Vec::new();
    for (unit, milliseconds) in units {
        match rest / milliseconds {
            0 => {}
            1 if parts.is_empty() && rest == milliseconds => parts.push(unit.to_owned()),
            1 => parts.push(format!("1 {unit}")),
            count => parts.push(format!("{count} {unit}s")),
        }
        rest %= milliseconds;
    }
    join_names(parts)
}

fn join_names(names: impl IntoIterator<Item = String>) -> String {
    let names: Vec<String> = names.into_iter().collect();
    match names.split_last() {
        Some((last, names @ [_, ..])) => format!("{} and {last}", names.join(", ")),
        _ => names.concat(),
    }
}

fn lower_first(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}

fn shape(spec: &ScheduleTrigger) -> String {
    let times = serde_json::json!([
        spec.interval,
        spec.daily,
        spec.weekly,
        spec.monthly,
        spec.cron,
        spec.time_zone,
        spec.starts_at,
        spec.ends_at
    ]);
    Digest::of(times.to_string().as_bytes()).short()
}

#[cfg(test)]
mod tests;
