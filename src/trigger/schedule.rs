//! When a schedule is due: pure, and the same on every replica.
//!
//! Times of day are local. A schedule first finds the next local time that it names, as if clocks never changed, and
//! then when that is: a time that a clock change skips is at the change, and one that comes twice is the first of the
//! two. Croner never sees a time zone, for it holds to that only where an expression names one minute and one hour.

use std::collections::VecDeque;
use std::time::Duration;

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{SignedDuration, Timestamp};

use crate::definition::cron::{self, Cron};
use crate::definition::trigger::{CatchUp, ScheduleTrigger, Weekday};
use crate::text::Digest;

/// A tick that is no older is on time.
const GRACE: SignedDuration = SignedDuration::from_mins(1);
/// Ticks that run at once, at most.
const MOST: usize = 100;
/// Ticks that are walked through one by one before a walk leaps ahead.
const MAX_WALKED: usize = 100_000;
/// How far before its end a walk leaps to: with a tick each minute, about 10 000 are left.
const LEFT: SignedDuration = SignedDuration::from_hours(7 * 24);
/// The smallest step of the clock, to make a bound count.
const INSTANT: SignedDuration = SignedDuration::from_nanos(1);
/// The shortest interval.
const SHORTEST: Duration = Duration::from_secs(1);

/// A schedule, ready to be asked. It knows when it is due; whether it is paused, and whether its last run still runs,
/// is for others to heed.
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
    /// Every so often.
    Every(Duration),
    /// Every day.
    Daily(Time),
    /// On days of the week, in their order, each once.
    Weekly(Vec<Weekday>, Time),
    /// On days of the month, in their order, each once.
    Monthly(Vec<u8>, Time),
    /// As an expression says, which names hours.
    Cron(Box<Cron>),
    /// As an expression says, in every hour.
    Hourly(Box<Cron>),
}

/// What is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    /// The ticks to run, the oldest first.
    pub run: Vec<Timestamp>,
    /// Ticks that are passed over: all that are due and not run. Where there are more than 100 000 that can only be
    /// counted one by one, at least so many.
    pub missed: u64,
    /// Everything until then was looked at: the next `after`.
    pub until: Timestamp,
}

impl Schedule {
    /// Compiles a schedule.
    ///
    /// # Errors
    /// What is wrong with it, which no checked definition gives: not exactly one kind of time, an interval below one
    /// second, no days or days that no month has, and text that is no time of day, date, time zone or cron expression.
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

    /// What it is, by content: equal where the same times are due.
    pub fn shape(&self) -> &str {
        &self.shape
    }

    /// The first time after another that it is due; never before `startsAt`, never after `endsAt`, either of which may
    /// be due itself.
    ///
    /// - An interval is counted from `startsAt`, else from 1970-01-01T00:00:00Z, whatever clocks do.
    /// - A local time that a clock change skips is due at the change; one that comes twice, the first time. Times that
    ///   are due together are due once.
    /// - In a month without a day, its last one stands in for it.
    /// - A cron expression whose hour is every hour goes by elapsed time: it is due whenever clocks show what it names,
    ///   both times where that comes twice, and not at all where it is skipped. `*/15 * * * *` is due each quarter of
    ///   an hour, through every change.
    pub fn next(&self, after: Timestamp) -> Option<Timestamp> {
        let after = self.from(after);
        let next = match &self.rule {
            Rule::Every(step) => self.tick(self.ticks(after, *step)?.checked_add(1)?, *step),
            Rule::Hourly(_) => self.elapsed(after),
            _ => self.local(after),
        };
        next.filter(|next| self.ends.is_none_or(|ends| *next <= ends))
    }

    /// What is due after one time, until another: nothing where the clock went backwards.
    ///
    /// A tick that is at most a minute old is on time and runs. Older ones were missed, and `catchUp` says what of them
    /// runs: `Skip` nothing, `One` the newest for all of them, `All` each of the newest 100. The work is bounded,
    /// however long ago `after` is.
    pub fn due(&self, after: Timestamp, now: Timestamp) -> Due {
        if now <= after {
            return Due { run: Vec::new(), missed: 0, until: after };
        }
        // Exactly a minute is still on time.
        let edge = before(before(now, GRACE), INSTANT).max(after);
        let (late, mut missed) = self.newest(after, edge);
        let (on_time, over) = self.newest(edge, now);
        let most = match self.catch_up {
            CatchUp::Skip => 0,
            CatchUp::One => 1,
            CatchUp::All => MOST,
        };
        let extra = late.len().saturating_sub(most);
        missed = missed.saturating_add(over).saturating_add(u64::try_from(extra).unwrap_or(u64::MAX));
        Due { run: late.into_iter().skip(extra).chain(on_time).collect(), missed, until: now }
    }

    /// Plain language, such as `every 5 minutes` and `every day at 09:00 (Europe/Berlin)`.
    pub fn describe(&self) -> String {
        let zone = self.zone.iana_name().unwrap_or("UTC");
        let at = |time: &Time| format!("at {} ({zone})", time.strftime("%H:%M"));
        match &self.rule {
            Rule::Every(step) => format!("every {}", length(*step)),
            Rule::Daily(time) => format!("every day {}", at(time)),
            Rule::Weekly(days, time) => {
                format!("every {} {}", listed(days.iter().map(|day| format!("{day:?}"))), at(time))
            }
            Rule::Monthly(days, time) => {
                format!("on day {} of every month {}", listed(days.iter().map(u8::to_string)), at(time))
            }
            Rule::Cron(cron) | Rule::Hourly(cron) => {
                let text = lower(cron.describe().trim_end_matches('.'));
                // Croner says `At every 15 minutes`.
                let text = text.strip_prefix("at every").map_or(text.clone(), |rest| format!("every{rest}"));
                format!("{text} ({zone})")
            }
        }
    }

    /// The delay of a tick: shorter than `jitter`, none without one, and for the same salt the same on every replica.
    pub fn jitter(&self, salt: &str, due: Timestamp) -> Duration {
        // Microseconds: a tick that was stored and read again has no more.
        let Ok(most @ 1..) = u64::try_from(self.jitter.as_micros()) else { return Duration::ZERO };
        let digest = Digest::of_parts([salt.as_bytes(), &due.as_microsecond().to_be_bytes()]);
        let number = digest.bytes().first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes));
        Duration::from_micros(number % most)
    }

    /// Where the search for what is due after a time begins: `startsAt` may be due itself.
    fn from(&self, after: Timestamp) -> Timestamp {
        self.starts.map_or(after, |starts| after.max(before(starts, INSTANT)))
    }

    /// The number of an interval's last tick until a time.
    fn ticks(&self, until: Timestamp, step: Duration) -> Option<i128> {
        let passed = until.as_nanosecond().checked_sub(self.anchor())?;
        passed.checked_div_euclid(i128::try_from(step.as_nanos()).ok()?)
    }

    /// An interval's tick.
    fn tick(&self, number: i128, step: Duration) -> Option<Timestamp> {
        let passed = number.checked_mul(i128::try_from(step.as_nanos()).ok()?)?;
        Timestamp::from_nanosecond(self.anchor().checked_add(passed)?).ok()
    }

    /// What intervals are counted from, so that replicas and restarts agree.
    fn anchor(&self) -> i128 {
        self.starts.map_or(0, Timestamp::as_nanosecond)
    }

    /// The first local time that is due after a time.
    fn local(&self, after: Timestamp) -> Option<Timestamp> {
        // No earlier local time is due later: those that are skipped are due at the change, and clocks show more after
        // it. Where clocks show a time again, what follows may have been due before.
        let mut local = self.zone.to_datetime(after);
        loop {
            local = self.rule.following(local)?;
            let due = self.resolve(local)?;
            if due > after {
                return Some(due);
            }
        }
    }

    /// When a local time is: the first of two, and the change that skips it.
    fn resolve(&self, local: DateTime) -> Option<Timestamp> {
        let ambiguous = self.zone.to_ambiguous_timestamp(local);
        let offset = ambiguous.offset();
        // Of a skipped time, this lies before the change.
        let earlier = ambiguous.earlier().ok()?;
        match offset {
            AmbiguousOffset::Gap { after, .. } => {
                let change = self.zone.following(earlier).find(|change| change.offset() == after)?;
                Some(change.timestamp())
            }
            _ => Some(earlier),
        }
    }

    /// When clocks next show a time that the rule names: between two changes they are like clocks that never change.
    fn elapsed(&self, after: Timestamp) -> Option<Timestamp> {
        let mut offset = self.zone.to_offset(after);
        let mut local = offset.to_datetime(after);
        let mut changes = self.zone.following(after);
        loop {
            let due = offset.to_timestamp(self.rule.following(local)?).ok()?;
            match changes.next() {
                Some(change) if change.timestamp() <= due => {
                    offset = change.offset();
                    local = offset.to_datetime(before(change.timestamp(), INSTANT));
                }
                _ => return Some(due),
            }
        }
    }

    /// The newest ticks after a time, until another, the oldest first; and how many older ones there are at least.
    fn newest(&self, after: Timestamp, until: Timestamp) -> (VecDeque<Timestamp>, u64) {
        let (mut from, mut over) = self.leap(after, until).unwrap_or((after, 0));
        let mut newest = VecDeque::new();
        let mut walked = 0;
        while let Some(tick) = self.next(from).filter(|tick| *tick <= until) {
            if newest.len() == MOST {
                newest.pop_front();
                over = over.saturating_add(1);
            }
            newest.push_back(tick);
            walked += 1;
            from = if walked == MAX_WALKED { tick.max(before(until, LEFT)) } else { tick };
        }
        (newest, over)
    }

    /// The last of an interval's ticks before the newest ones, and how many it ends: they are counted, not walked
    /// through, for there are millions in a year.
    fn leap(&self, after: Timestamp, until: Timestamp) -> Option<(Timestamp, u64)> {
        let Rule::Every(step) = self.rule else { return None };
        let first = self.ticks(self.from(after), step)?;
        let last = self.ticks(self.ends.map_or(until, |ends| until.min(ends)), step)?;
        let over = last.checked_sub(first)?.checked_sub(i128::try_from(MOST).ok()?)?;
        Some((self.tick(first.checked_add(over)?, step)?, u64::try_from(over).ok()?))
    }
}

impl Rule {
    fn new(spec: &ScheduleTrigger) -> Result<Rule, String> {
        match (spec.interval, &spec.daily, &spec.weekly, &spec.monthly, &spec.cron) {
            (Some(interval), None, None, None, None) if interval.0 < SHORTEST => {
                Err(format!("an interval of {interval} is too short; it is at least 1s"))
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

    /// The first local time after another that it names.
    fn following(&self, local: DateTime) -> Option<DateTime> {
        match self {
            Rule::Every(_) => None,
            Rule::Daily(at) => day(local, *at, |_| true),
            Rule::Weekly(days, at) => day(local, *at, |date| days.iter().any(|day| is_on(date, *day))),
            Rule::Monthly(days, at) => day(local, *at, |date| {
                // Day 31 in April is its day 30.
                let fits = |day: &u8| i8::try_from(*day).is_ok_and(|day| day.min(date.days_in_month()) == date.day());
                days.iter().any(fits)
            }),
            Rule::Cron(cron) | Rule::Hourly(cron) => cron.find_next_occurrence(&local, false).ok(),
        }
    }
}

/// The first of the days that fit whose time comes after a local time.
fn day(after: DateTime, at: Time, fits: impl Fn(Date) -> bool) -> Option<DateTime> {
    let mut date = after.date();
    loop {
        let local = date.to_datetime(at);
        if local > after && fits(date) {
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
    if days.is_empty() { Err("a schedule needs a day".to_owned()) } else { Ok(days) }
}

fn instant(text: &str) -> Result<Timestamp, String> {
    text.parse().map_err(|error| format!("`{text}` is not a date and time: {error}"))
}

fn time(text: &str) -> Result<Time, String> {
    let time = Time::strptime("%H:%M", text).ok().filter(|_| text.len() == "HH:MM".len());
    time.ok_or_else(|| format!("`{text}` is not a time of day"))
}

/// `minute`, `5 minutes`, `1 hour and 30 minutes`.
fn length(of: Duration) -> String {
    let units =
        [("day", 86_400_000), ("hour", 3_600_000), ("minute", 60_000), ("second", 1_000), ("millisecond", 1_u128)];
    let mut rest = of.as_millis();
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
    listed(parts)
}

fn listed(names: impl IntoIterator<Item = String>) -> String {
    let names: Vec<String> = names.into_iter().collect();
    match names.split_last() {
        Some((last, names @ [_, ..])) => format!("{} and {last}", names.join(", ")),
        _ => names.concat(),
    }
}

fn lower(text: &str) -> String {
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
