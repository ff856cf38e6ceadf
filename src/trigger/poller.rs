//! Applications that tell nothing are asked again and again, and what changed becomes events.
//!
//! A poll is one thing: it lists, compares with what is remembered, and stores where it stands together with everything
//! that its events start. A crash anywhere before that finds the same changes again.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use super::app::{AppEvent, tenant_of};
use super::routing::{self, IncomingEvent, context};
use super::snapshot::{self, Polled as Listed, Record, Remembered};
use super::{Trigger, webhook};
use crate::connector::{self, CallError};
use crate::store::queue::{PollCommit, PollState, StoredRecord};
use crate::store::{Micros, StoreError};
use crate::telemetry::{Kind, Span};
use crate::template::Limits;
use crate::workflow::{Dispatcher, LiveEnvironment};

/// Pages of one poll.
const MAX_PAGES: usize = 100;
/// Records of one poll.
const MAX_RECORDS: usize = 50_000;

/// What a poll brought.
#[derive(Debug, Default)]
pub struct PollSummary {
    /// Events that were made.
    pub events: usize,
    /// Why it failed.
    pub error: Option<String>,
}

/// Polls once, and stores what came of it.
///
/// # Errors
/// Where it cannot be stored; [`StoreError::Fenced`] where another process polled meanwhile.
pub async fn poll(
    desk: &Dispatcher,
    environment: &str,
    live: &LiveEnvironment,
    trigger: &Trigger,
    app: &AppEvent,
    state: PollState,
) -> Result<PollSummary, StoreError> {
    let Some(definition) = &app.event.poll else { return Ok(PollSummary::default()) };
    let shape = json!([definition.action, definition.records, definition.id, definition.version, definition.complete]);
    let shape = crate::text::Digest::of(shape.to_string().as_bytes()).short();
    let state = if state.shape.is_empty() || state.shape == shape {
        PollState { shape, ..state }
    } else {
        // What is remembered was told apart in another way, and everything would look changed.
        desk.store().remove_poll(environment, &state.trigger, &state.connection).await?;
        PollState { trigger: state.trigger, connection: state.connection, shape, ..PollState::default() }
    };
    let remember = definition
        .remember
        .map_or(snapshot::REMEMBER_SECONDS, |time| i64::try_from(time.0.as_secs()).unwrap_or(i64::MAX));
    let listed = list(desk, live, app, &state).await;
    let base = definition.interval.0;
    let adaptive = definition.adaptive.as_ref().map(|bounds| (bounds.min.0, bounds.max.0));
    let interval = u64::try_from(state.interval).ok().filter(|micros| *micros > 0).map_or(base, Duration::from_micros);
    let mut next = PollState { version: state.version, ..state.clone() };
    let (found, mut brought) = match &listed {
        Err(failed) => {
            next.failures = state.failures.saturating_add(1);
            next.error = failed.message.clone();
            (snapshot::Outcome::default(), PollSummary { events: 0, error: Some(failed.message.clone()) })
        }
        Ok(listed) => {
            let known = known(desk, environment, &state).await?;
            let kind = Listed {
                complete: definition.complete && !listed.partial,
                partial: listed.partial,
                first: !state.primed,
                confirmed: state.held,
                now: desk.now() / 1_000_000,
                remember_seconds: remember,
            };
            let outcome = snapshot::compare(&known, &listed.items, &kind);
            // Half a baseline is none: what it lacks would come as created.
            (next.failures, next.primed) = (0, state.primed || !listed.partial);
            next.held = if listed.partial { state.held } else { outcome.held > 0 };
            next.cursor = listed.cursor.clone();
            let mut problems: Vec<String> = listed.problem.iter().cloned().collect();
            if outcome.unidentified > 0 {
                problems.push(format!("{} records have no id, so nothing counts as deleted", outcome.unidentified));
            }
            if outcome.held > 0 {
                problems.push(format!(
                    "{} records are missing at once: the next poll tells whether they are gone",
                    outcome.held
                ));
            }
            next.error = problems.join("; ");
            (outcome, PollSummary::default())
        }
    };
    let limited = listed.as_ref().map_or_else(|failed| failed.rate_limited, |listed| listed.rate_limited);
    let failures = u32::try_from(next.failures).unwrap_or(u32::MAX);
    let wait = snapshot::next_interval(
        interval,
        base,
        adaptive,
        found.events.len(),
        limited,
        if limited { 0 } else { failures },
    );
    next.interval = Micros::try_from(wait.as_micros()).unwrap_or(Micros::MAX);
    next.next_at = desk.now().saturating_add(next.interval);
    let mut intakes = Vec::with_capacity(found.events.len());
    for event in &found.events {
        let change = format!("{:?}", event.change);
        let mut normal = app.normal(&change, event.data.clone());
        normal["id"] = Value::String(event.id.clone());
        normal["fields"] = serde_json::to_value(&event.fields).unwrap_or_default();
        let arriving = IncomingEvent {
            headers: BTreeMap::new(),
            query: BTreeMap::new(),
            input: normal.clone(),
            body: normal.clone(),
            event: normal,
            tenant: tenant_of(&live.runtime, &state.connection),
            key: Some((
                webhook::bounded(format!("{}/{}", state.connection, event.key)),
                remember.saturating_mul(1_000_000),
            )),
            ordering_key: String::new(),
            request: String::new(),
            trace: Span::below("", Kind::Consumer, format!("event {}", trigger.name)).trace(),
            live,
        };
        intakes.push(routing::intake(desk, environment, trigger, &app.routes, arriving).await?);
    }
    brought.events = intakes.len();
    let stored = |record: Remembered| StoredRecord {
        fields: json!({"fields": record.fields, "gone": record.gone, "changes": record.changes}),
        id: record.id,
        hash: record.hash,
        seen: record.seen,
    };
    let polled = PollCommit {
        environment: environment.to_owned(),
        state: next,
        upserted: found.remember.into_iter().map(stored).collect(),
        deleted: found.forget,
    };
    desk.store().commit_poll(&polled, intakes).await?;
    desk.wake();
    Ok(brought)
}

async fn known(
    desk: &Dispatcher,
    environment: &str,
    state: &PollState,
) -> Result<BTreeMap<String, Remembered>, StoreError> {
    let rows = desk.store().records(environment, &state.trigger, &state.connection).await?;
    let remembered = |row: StoredRecord| Remembered {
        fields: row.fields["fields"].clone(),
        gone: row.fields["gone"].as_bool().unwrap_or(false),
        changes: row.fields["changes"].as_u64().unwrap_or(0),
        id: row.id,
        hash: row.hash,
        seen: row.seen,
    };
    Ok(rows.into_iter().map(|row| (row.id.clone(), remembered(row))).collect())
}

/// Records of one poll.
#[derive(Debug)]
struct Records {
    items: Vec<Record>,
    cursor: Value,
    /// Did pages fail after the first?
    partial: bool,
    rate_limited: bool,
    problem: Option<String>,
}

/// Why nothing was listed.
#[derive(Debug)]
struct Failed {
    message: String,
    rate_limited: bool,
}

/// Lists records, page after page as long as the cursor moves on and the action says that it has more.
async fn list(desk: &Dispatcher, live: &LiveEnvironment, app: &AppEvent, state: &PollState) -> Result<Records, Failed> {
    let failed = |message: String| Failed { message, rate_limited: false };
    let (Some(definition), Some(poll)) = (&app.event.poll, &app.poll) else {
        return Err(failed("this event is not polled".to_owned()));
    };
    let limits = Limits::default();
    let tenant = tenant_of(&live.runtime, &state.connection);
    let tenant_value = if tenant.is_empty() { Value::Null } else { Value::String(tenant.clone()) };
    let since = Value::Null;
    let connection = json!({"name": state.connection});
    // A listing of everything starts at the front each time: what is on pages that were not asked for is not gone.
    let start = if definition.complete { Value::Null } else { state.cursor.clone() };
    let mut found =
        Records { items: Vec::new(), cursor: start.clone(), partial: false, rate_limited: false, problem: None };
    let stop = |found: Records, problem: String| Records {
        cursor: if definition.complete { Value::Null } else { found.cursor.clone() },
        partial: true,
        problem: Some(problem),
        ..found
    };
    let mut span = Span::below("", Kind::Internal, format!("poll {}", state.trigger));
    span.set("evenkeel.trigger", state.trigger.clone());
    for page in 0..MAX_PAGES {
        let roots = [
            ("cursor", &found.cursor),
            ("since", &since),
            ("state", &found.cursor),
            ("tenant", &tenant_value),
            ("tenant_id", &tenant_value),
            ("connection", &connection),
        ];
        let input = match &poll.input {
            Some(tree) => tree
                .render(&context(live, desk.now(), &roots), &limits)
                .map_err(|error| failed(format!("input: {error}")))?,
            None => json!({}),
        };
        let call = connector::Call {
            input,
            tenant: Some(tenant.clone()).filter(|tenant| !tenant.is_empty()),
            connection: Some(state.connection.clone()).filter(|name| !name.is_empty()),
            request_id: format!("poll-{}-{page}", state.version),
            trace: span.trace(),
            ..connector::Call::default()
        };
        let output = match live.actions.call(&app.spec.connector, &definition.action, call).await {
            Ok(output) => output,
            Err(error) if page == 0 => {
                return Err(Failed { rate_limited: is_rate_limit(&error), message: error.detail });
            }
            Err(error) => {
                // What came so far counts; what did not come says nothing about what is gone.
                found.rate_limited = is_rate_limit(&error);
                return Ok(stop(found, error.detail));
            }
        };
        let context = context(live, desk.now(), &[("output", &output)]);
        let list = poll.records.render_value(&context, &limits).map_err(|error| failed(format!("records: {error}")))?;
        let Value::Array(items) = list else {
            let message = "`records` is no list".to_owned();
            return if page == 0 { Err(failed(message)) } else { Ok(stop(found, message)) };
        };
        let none = items.is_empty();
        for item in items {
            let context = routing::context(live, desk.now(), &[("record", &item), ("output", &output)]);
            let text = |template: &crate::template::Template| template.render_text(&context, &limits);
            let id = text(&poll.id).map_err(|error| failed(format!("id: {error}")))?;
            let version =
                poll.version.as_ref().map(text).transpose().map_err(|error| failed(format!("version: {error}")))?;
            found.items.push(Record { id: id.trim().to_owned(), version, data: item });
        }
        let Some(cursor) = &poll.cursor else { return Ok(found) };
        let next = cursor.render_value(&context, &limits).map_err(|error| failed(format!("cursor: {error}")))?;
        let is_end = next.is_null() || next == Value::String(String::new());
        // A listing of everything goes through its pages and starts at the front again; one of changes goes on from where
        // it is, and its last cursor is where the next poll begins.
        if is_end || next == found.cursor {
            if definition.complete {
                found.cursor = Value::Null;
            }
            return Ok(found);
        }
        found.cursor = next;
        if !definition.complete && (none || found.items.len() >= MAX_RECORDS || page + 1 == MAX_PAGES) {
            // The next poll goes on from here.
            return Ok(found);
        }
        if found.items.len() >= MAX_RECORDS {
            break;
        }
    }
    Ok(stop(found, format!("there are more than {MAX_PAGES} pages or {MAX_RECORDS} records")))
}

fn is_rate_limit(error: &CallError) -> bool {
    matches!(error.upstream_status, Some(429 | 503))
}
