//! Triggers: cron expressions, time zones, dates, filters, and routes to inactive workflows.

use std::str::FromStr;

use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

use crate::catalog::{CatalogView, Entry};
use crate::definition::event::{Condition, Filter, Operators};
use crate::definition::schema_validator::ValueFormat;
use crate::definition::trigger::TriggerSpec;
use crate::definition::{Kind, Spec, cron};
use crate::text::{Finding, codes, escaped};

pub(super) fn check(catalog: CatalogView<'_>, entry: &Entry, findings: &mut Vec<Finding>) {
    for marked in &entry.facts.formatted {
        let Some(text) = entry.node(&marked.pointer).and_then(|node| node.as_str()) else { continue };
        let span = entry.value_span(&marked.pointer);
        match marked.format {
            ValueFormat::Cron => {
                findings.extend(
                    cron_problem(text).map(|(code, message, help)| Finding::new(code, span, message).help(help)),
                );
            }
            ValueFormat::TimeZone if TimeZone::get(text).is_err() => {
                let known = jiff::tz::db().available();
                let names: Vec<String> = known.map(|name| name.to_string()).collect();
                let help = match crate::definition::schema_validator::nearest(text, names.iter().map(String::as_str)) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => "use an IANA name such as `Europe/Berlin` or `UTC`".into(),
                };
                findings
                    .push(Finding::new(&codes::TIMEZONE, span, format!("there is no time zone `{text}`")).help(help));
            }
            ValueFormat::DateTime if Timestamp::from_str(text).is_err() => {
                let message = format!("`{text}` is not a date and time");
                let help = "write it like `2026-03-01T09:00:00Z` (RFC 3339), with the offset from UTC";
                findings.push(Finding::new(&codes::BAD_FORMAT, span, message).help(help));
            }
            _ => {}
        }
    }
    if let Some(Spec::Trigger(spec)) = entry.spec() {
        schedule(entry, spec, findings);
        routes(catalog, entry, spec, findings);
        open(entry, spec, findings);
    }
}

/// The error of a cron expression (five fields, as in crontab(5)), with code, message and remedy.
fn cron_problem(text: &str) -> Option<(&'static crate::text::Code, String, String)> {
    let parsed = match cron::parse(text) {
        Ok(parsed) => parsed,
        Err(error) => {
            let fields = text.split_whitespace().count();
            let help = match fields {
                5 => "minute (0-59), hour (0-23), day of month (1-31), month (1-12), day of week (0-7)".to_owned(),
                6 => "remove the first field if it is for seconds; there are five".to_owned(),
                _ if text.starts_with('@') => "write it with five fields".to_owned(),
                _ => format!("a cron expression has five fields, and this has {fields}"),
            };
            let reason = error.trim_end_matches('.');
            return Some((&codes::CRON, format!("`{text}` is not a cron expression: {}", lower(reason)), help));
        }
    };
    // 2028 is a leap year, so `29 2` is found within four years of any start.
    let start: Zoned = Timestamp::UNIX_EPOCH.to_zoned(TimeZone::UTC);
    parsed.find_next_occurrence(&start, true).err().map(|_| {
        let help = "no month has such a day; check day and month".to_owned();
        (&codes::SCHEDULE, format!("`{text}` never comes"), help)
    })
}

fn lower(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}

fn schedule(entry: &Entry, spec: &TriggerSpec, findings: &mut Vec<Finding>) {
    let Some(schedule) = &spec.schedule else { return };
    let time = |text: &Option<String>| text.as_deref().and_then(|text| Timestamp::from_str(text).ok());
    if let (Some(start), Some(end)) = (time(&schedule.starts_at), time(&schedule.ends_at))
        && end <= start
    {
        findings.push(
            Finding::new(
                &codes::SCHEDULE,
                entry.value_span("/spec/schedule/endsAt"),
                "this schedule ends before it starts",
            )
            .also(entry.value_span("/spec/schedule/startsAt"), "its start")
            .help("correct one of the two"),
        );
    }
}

fn routes(catalog: CatalogView<'_>, entry: &Entry, spec: &TriggerSpec, findings: &mut Vec<Finding>) {
    let groups = [
        ("/spec/webhook/routes", spec.webhook.as_ref().map(|webhook| &webhook.routes)),
        ("/spec/appEvent/routes", spec.app_event.as_ref().map(|event| &event.routes)),
    ];
    for (base, routes) in groups {
        for (at, route) in routes.into_iter().flatten().enumerate() {
            filter(entry, &route.when, &format!("{base}/{at}/when"), findings);
            for (group, conditions) in route.when_any.iter().enumerate() {
                filter(entry, conditions, &format!("{base}/{at}/whenAny/{group}"), findings);
            }
            active(catalog, entry, spec, &route.workflow, &format!("{base}/{at}/workflow"), findings);
        }
    }
    for (at, route) in spec.schedule.iter().flat_map(|schedule| &schedule.routes).enumerate() {
        active(catalog, entry, spec, &route.workflow, &format!("/spec/schedule/routes/{at}/workflow"), findings);
    }
}

fn active(
    catalog: CatalogView<'_>,
    entry: &Entry,
    spec: &TriggerSpec,
    name: &str,
    pointer: &str,
    findings: &mut Vec<Finding>,
) {
    let Some(found) = catalog.find(Kind::Workflow, name) else { return };
    if let Some(Spec::Workflow(workflow)) = found.spec()
        && !workflow.active
        && spec.active
    {
        findings.push(
            Finding::new(&codes::INACTIVE, entry.value_span(pointer), format!("workflow `{name}` is not active"))
                .also(found.key_span("/spec/active"), "not active")
                .help("activate it, or remove the route"),
        );
    }
}

/// Reports conditions that never hold.
pub(super) fn filter(entry: &Entry, filter: &Filter, pointer: &str, findings: &mut Vec<Finding>) {
    for (path, condition) in filter {
        let at = format!("{pointer}/{}", escaped(path));
        if path.is_empty() || path.split('.').any(str::is_empty) {
            let message = format!("`{path}` is not the path of a field");
            findings.push(
                Finding::new(&codes::FILTER, entry.key_span(&at), message)
                    .help("write names with dots between them: `order.total`"),
            );
        }
        if let Condition::Operators(operators) = condition
            && let Some(why) = contradiction(operators)
        {
            findings.push(
                Finding::new(&codes::FILTER, entry.key_span(&at), format!("this condition never holds: {why}"))
                    .help("all operators of a condition must hold; remove one"),
            );
        }
    }
}

fn contradiction(operators: &Operators) -> Option<&'static str> {
    let number = |number: &Option<serde_json::Number>| number.as_ref().and_then(serde_json::Number::as_f64);
    // Compares each lower bound with each upper bound; true for bounds that include their number.
    let low = [(number(&operators.gt), false), (number(&operators.gte), true)];
    let high = [(number(&operators.lt), false), (number(&operators.lte), true)];
    for (low, from) in low.iter().filter_map(|(low, from)| Some(((*low)?, *from))) {
        for (high, to) in high.iter().filter_map(|(high, to)| Some(((*high)?, *to))) {
            if low > high || (low == high && !(from && to)) {
                return Some("no number is in its range");
            }
        }
    }
    let others = [
        operators.eq.is_some(),
        operators.gt.is_some() || operators.gte.is_some() || operators.lt.is_some() || operators.lte.is_some(),
        operators.one_of.is_some(),
        operators.contains.is_some(),
        operators.starts_with.is_some(),
        operators.ends_with.is_some(),
    ];
    if operators.exists == Some(false) && others.contains(&true) {
        return Some("a field that is not there has no value");
    }
    if operators.eq.is_some() && operators.eq == operators.neq {
        return Some("no value is equal and not equal");
    }
    None
}

/// Reports webhook triggers that anyone can call.
fn open(entry: &Entry, spec: &TriggerSpec, findings: &mut Vec<Finding>) {
    if let Some(webhook) = &spec.webhook
        && webhook.verify.none.is_some()
        && webhook.webhook_id.is_none()
    {
        findings.push(
            Finding::new(&codes::OPEN_WEBHOOK, entry.key_span("/spec/webhook/verify"), "anyone can call this webhook")
                .help("sign calls (`hmacSha256`, `preset`), ask for a key (`apiKey`), or give it a `webhookId`"),
        );
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    #[test]
    fn a_range_is_empty_if_no_number_meets_all_its_bounds() {
        for (range, is_empty) in [
            (json!({"gt": 3, "gte": 5, "lte": 5}), false),
            (json!({"gte": 5, "lte": 5}), false),
            (json!({"gt": 5, "lte": 5}), true),
            (json!({"gte": 5, "lt": 5}), true),
            (json!({"gt": 3, "lt": 9, "lte": 2}), true),
            (json!({"gt": 3, "lt": 4}), false),
            (json!({"gt": 3}), false),
        ] {
            let found = super::contradiction(&serde_json::from_value(range.clone()).unwrap());
            assert_eq!(found.is_some(), is_empty, "{range}");
        }
    }
}
