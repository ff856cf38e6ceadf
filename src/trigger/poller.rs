//! Polls of applications that send no events: the changes between two listings become events.
//!
//! A poll lists the records, compares them with the remembered ones, and stores its cursor, the remembered records and
//! the executions that its events start in one transaction. After a crash before that, the next poll finds the same
//! changes again.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use super::app_event::{AppEvent, PollTemplates, Report, tenant_of};
use super::compiled::Trigger;
use super::request::bounded_key;
use super::route::template_context;
use super::routing::{IncomingEvent, invalid_event, route_event};
use super::snapshot::{self, Comparison, Listing, Record, RememberedRecord};
use crate::connector::{self, CallError, are_records_mapped};
use crate::definition::event::Poll;
use crate::store::queue::{CommitResult, PollCommit, PollState, StoredRecord};
use crate::store::{Micros, StoreError};
use crate::telemetry::{Span, SpanKind};
use crate::template::{Limits, Template};
use crate::workflow::{AcceptError, Dispatcher, LiveEnvironment, OverQuota};

/// Maximum number of pages of one poll.
const MAX_PAGES: usize = 100;
/// Minimum time until the next poll after a quota refused the events of one.
const MIN_SKIP: Duration = Duration::from_secs(10);
/// Maximum time until then: a quota may be raised meanwhile.
const MAX_SKIP: Duration = Duration::from_mins(15);
/// Maximum number of records of one poll.
const MAX_RECORDS: usize = 50_000;

/// The summary of a poll.
#[derive(Debug, Default)]
pub struct PollSummary {
    /// Number of events that it found.
    pub events: usize,
    /// The cause of its failure.
    pub error: Option<String>,
}

/// Polls once and stores the result.
///
/// # Errors
/// The result cannot be stored; [`StoreError::Fenced`] if another process polled in the meantime.
pub async fn poll(
    dispatcher: &Dispatcher,
    environment: &str,
    live: &LiveEnvironment,
    trigger: &Trigger,
    app: &AppEvent,
    state: PollState,
) -> Result<PollSummary, StoreError> {
    let Some(definition) = &app.event.poll else { return Ok(PollSummary::default()) };
    let state = current_state(dispatcher, environment, definition, state).await?;
    let tenant = tenant_of(&live.runtime, &state.connection);
    if let Some(refusal) = dispatcher.over_quota(environment, &tenant).await? {
        return skip(dispatcher, environment, state, &refusal).await;
    }
    let remember_seconds = definition
        .remember
        .map_or(snapshot::REMEMBER_SECONDS, |time| i64::try_from(time.0.as_secs()).unwrap_or(i64::MAX));
    let listed = list(dispatcher, live, app, &state).await;
    let mut next = state.clone();
    let (found, mut summary) = match &listed {
        Err(failure) => {
            next.failures = state.failures.saturating_add(1);
            next.error = failure.message.clone();
            (Comparison::default(), PollSummary { events: 0, error: Some(failure.message.clone()) })
        }
        Ok(listed) => {
            let remembered = remembered(dispatcher, environment, &state).await?;
            let listing = Listing {
                complete: definition.complete && !listed.partial,
                partial: listed.partial,
                first: !state.primed,
                confirmed: state.held,
                now: dispatcher.now() / 1_000_000,
                remember_seconds,
            };
            let found = snapshot::compare(&remembered, &listed.items, &listing);
            // A partial listing is no baseline: its missing records would be reported as created by the next poll.
            (next.failures, next.primed) = (0, state.primed || !listed.partial);
            next.held = if listed.partial { state.held } else { found.held > 0 };
            next.cursor = listed.cursor.clone();
            next.error = problems(listed, &found);
            (found, PollSummary::default())
        }
    };
    let rate_limited = listed.as_ref().map_or_else(|failure| failure.rate_limited, |listed| listed.rate_limited);
    schedule_next(dispatcher.now(), definition, &state, &mut next, found.events.len(), rate_limited);
    let mut accepts = Vec::with_capacity(found.events.len());
    let is_mapped = listed.as_ref().is_ok_and(|listed| listed.is_mapped);
    let mut counted = Vec::with_capacity(found.events.len());
    for change in &found.events {
        let name = format!("{:?}", change.change);
        let fields = serde_json::to_value(&change.fields).unwrap_or_default();
        let (event, invalid) = match app.report(&live.runtime, Some(&name), change.data.clone(), is_mapped) {
            Report::NotListed => continue,
            Report::Event(mut event) => {
                (event["id"], event["fields"]) = (json!(change.id), fields);
                (event, None)
            }
            Report::Invalid(cause) => {
                let record = json!({"change": name, "id": change.id, "fields": fields, "data": change.data,
                    "isMapped": is_mapped});
                (record, Some(cause))
            }
        };
        let event = IncomingEvent {
            headers: BTreeMap::new(),
            query: BTreeMap::new(),
            input: event.clone(),
            body: event.clone(),
            app_event: event,
            tenant: tenant_of(&live.runtime, &state.connection),
            key: Some((
                bounded_key(format!("{}/{}", state.connection, change.key)),
                remember_seconds.saturating_mul(1_000_000),
            )),
            ordering_key: String::new(),
            request: String::new(),
            trace: Span::child_of("", SpanKind::Consumer, format!("event {}", trigger.name)).traceparent(),
            live,
        };
        let mut accept = match invalid {
            None => route_event(dispatcher, environment, trigger, &app.routes, event).await?,
            Some(cause) => invalid_event(environment, trigger, event, cause),
        };
        // Over quota they run on a later day; beyond the last of those, a later poll finds the same changes again.
        match dispatcher.count_executions(&mut accept).await {
            Ok(count) => counted.push(count),
            Err(error) => {
                for count in counted {
                    dispatcher.uncount_executions(count);
                }
                return match error {
                    AcceptError::OverQuota(refusal) => skip(dispatcher, environment, state, &refusal).await,
                    AcceptError::Store(error) => Err(error),
                };
            }
        }
        accepts.push(accept);
    }
    summary.events = accepts.len();
    let stored = |record: RememberedRecord| StoredRecord {
        fields: json!({"fields": record.fields, "gone": record.gone, "changes": record.changes}),
        id: record.id,
        hash: record.hash,
        seen: record.seen,
    };
    let commit = PollCommit {
        environment: environment.to_owned(),
        state: next,
        upserted: found.remember.into_iter().map(stored).collect(),
        deleted: found.forget,
    };
    let committed = dispatcher.store().commit_poll(&commit, accepts).await;
    // Without a result nothing was stored.
    let is_stored =
        |at: usize| matches!(committed.as_ref().ok().and_then(|all| all.get(at)), Some(CommitResult::Stored(_)));
    for (_, counted) in counted.into_iter().enumerate().filter(|(at, _)| !is_stored(*at)) {
        dispatcher.uncount_executions(counted);
    }
    committed?;
    dispatcher.wake();
    Ok(summary)
}

/// Skips a poll whose events a quota refuses, and records the reason. The next one continues where this one began.
async fn skip(
    dispatcher: &Dispatcher,
    environment: &str,
    state: PollState,
    refusal: &OverQuota,
) -> Result<PollSummary, StoreError> {
    let error = refusal.to_string();
    let wait = refusal.retry_after.clamp(MIN_SKIP, MAX_SKIP);
    let next_at = dispatcher.now().saturating_add(Micros::try_from(wait.as_micros()).unwrap_or(Micros::MAX));
    let state = PollState { error: error.clone(), next_at, ..state };
    let commit = PollCommit { environment: environment.to_owned(), state, ..PollCommit::default() };
    dispatcher.store().commit_poll(&commit, Vec::new()).await?;
    Ok(PollSummary { events: 0, error: Some(error) })
}

/// The state that a poll continues: empty if the definition compares records in another way than the stored state did,
/// since every record would look changed.
async fn current_state(
    dispatcher: &Dispatcher,
    environment: &str,
    definition: &Poll,
    state: PollState,
) -> Result<PollState, StoreError> {
    let shape = json!([definition.action, definition.records, definition.id, definition.version, definition.complete]);
    let shape = crate::text::Digest::of(shape.to_string().as_bytes()).short();
    if state.shape.is_empty() || state.shape == shape {
        return Ok(PollState { shape, ..state });
    }
    dispatcher.store().remove_poll(environment, &state.trigger, &state.connection).await?;
    Ok(PollState { trigger: state.trigger, connection: state.connection, shape, ..PollState::default() })
}

/// The problems of a poll that listed records, for people.
fn problems(listed: &Listed, found: &Comparison) -> String {
    let mut problems: Vec<String> = listed.problem.iter().cloned().collect();
    if found.unidentified > 0 {
        problems.push(format!("{} records have no id, so no record counts as deleted", found.unidentified));
    }
    if found.held > 0 {
        problems.push(format!(
            "{} records are missing at once; they count as deleted if the next poll confirms it",
            found.held
        ));
    }
    problems.join("; ")
}

/// Sets the interval and the time of the next poll.
fn schedule_next(
    now: Micros,
    definition: &Poll,
    state: &PollState,
    next: &mut PollState,
    changes: usize,
    rate_limited: bool,
) {
    let base = definition.interval.0;
    let adaptive = definition.adaptive.as_ref().map(|bounds| (bounds.min.0, bounds.max.0));
    let interval = u64::try_from(state.interval).ok().filter(|micros| *micros > 0).map_or(base, Duration::from_micros);
    let failures = if rate_limited { 0 } else { u32::try_from(next.failures).unwrap_or(u32::MAX) };
    let wait = snapshot::next_interval(interval, base, adaptive, changes, rate_limited, failures);
    next.interval = Micros::try_from(wait.as_micros()).unwrap_or(Micros::MAX);
    next.next_at = now.saturating_add(next.interval);
}

async fn remembered(
    dispatcher: &Dispatcher,
    environment: &str,
    state: &PollState,
) -> Result<BTreeMap<String, RememberedRecord>, StoreError> {
    let rows = dispatcher.store().records(environment, &state.trigger, &state.connection).await?;
    let remembered = |row: StoredRecord| RememberedRecord {
        fields: row.fields["fields"].clone(),
        gone: row.fields["gone"].as_bool().unwrap_or(false),
        changes: row.fields["changes"].as_u64().unwrap_or(0),
        id: row.id,
        hash: row.hash,
        seen: row.seen,
    };
    Ok(rows.into_iter().map(|row| (row.id.clone(), remembered(row))).collect())
}

/// The records that a poll listed.
#[derive(Debug)]
struct Listed {
    items: Vec<Record>,
    cursor: Value,
    /// True if a page after the first one failed.
    partial: bool,
    /// True if the action gave the records the values of their entity.
    is_mapped: bool,
    rate_limited: bool,
    problem: Option<String>,
}

/// The failure of a poll that listed nothing.
#[derive(Debug)]
struct ListFailure {
    message: String,
    rate_limited: bool,
}

/// Lists records, page by page, as long as the cursor advances.
async fn list(
    dispatcher: &Dispatcher,
    live: &LiveEnvironment,
    app: &AppEvent,
    state: &PollState,
) -> Result<Listed, ListFailure> {
    let (Some(definition), Some(templates)) = (&app.event.poll, &app.poll) else {
        return Err(failure("this event is not polled".to_owned()));
    };
    // A complete listing starts at the first page each time: records on pages that were not requested are not deleted.
    let start = if definition.complete { Value::Null } else { state.cursor.clone() };
    let mut listed = Listed {
        items: Vec::new(),
        cursor: start,
        partial: false,
        is_mapped: false,
        rate_limited: false,
        problem: None,
    };
    let stop = |listed: Listed, problem: String| Listed {
        cursor: if definition.complete { Value::Null } else { listed.cursor.clone() },
        partial: true,
        problem: Some(problem),
        ..listed
    };
    let mut span = Span::child_of("", SpanKind::Internal, format!("poll {}", state.trigger));
    span.set("evenkeel.trigger", state.trigger.clone());
    for page in 0..MAX_PAGES {
        let call = page_call(dispatcher, live, templates, state, &listed.cursor, page, &span)?;
        let output = match live.actions.call(&app.spec.connector, &definition.action, call).await {
            Ok(output) => output,
            Err(error) if page == 0 => {
                return Err(ListFailure { rate_limited: is_rate_limit(&error), message: error.detail });
            }
            Err(error) => {
                // The listed records are compared; the missing pages say nothing about deletions.
                listed.rate_limited = is_rate_limit(&error);
                return Ok(stop(listed, error.detail));
            }
        };
        let context = template_context(live, dispatcher.now(), &[("output", &output)]);
        let limits = Limits::default();
        let items = templates.records.render_value(&context, &limits);
        let Value::Array(items) = items.map_err(|error| failure(format!("records: {error}")))? else {
            let message = "`records` is not a list".to_owned();
            return if page == 0 { Err(failure(message)) } else { Ok(stop(listed, message)) };
        };
        let is_empty = items.is_empty();
        listed.is_mapped |= is_mapped(live, app, definition, &output);
        for item in items {
            listed.items.push(record(dispatcher, live, templates, item, &output)?);
        }
        let Some(cursor) = &templates.cursor else { return Ok(listed) };
        let next = cursor.render_value(&context, &limits).map_err(|error| failure(format!("cursor: {error}")))?;
        let is_end = next.is_null() || next == Value::String(String::new());
        // A complete listing ends at its last page and starts again at the first one. A listing of changes continues at
        // its last cursor, where the next poll begins.
        if is_end || next == listed.cursor {
            if definition.complete {
                listed.cursor = Value::Null;
            }
            return Ok(listed);
        }
        listed.cursor = next;
        let is_full = listed.items.len() >= MAX_RECORDS;
        if !definition.complete && (is_empty || is_full || page + 1 == MAX_PAGES) {
            // The next poll continues here.
            return Ok(listed);
        }
        if is_full {
            break;
        }
    }
    Ok(stop(listed, format!("there are more than {MAX_PAGES} pages or {MAX_RECORDS} records")))
}

/// True if the action gave the records of a page the values of their entity.
fn is_mapped(live: &LiveEnvironment, app: &AppEvent, definition: &Poll, output: &Value) -> bool {
    let connector = live.runtime.connectors.get(&app.spec.connector);
    let action = connector.and_then(|connector| connector.actions.get(&definition.action));
    match (connector, action, &app.event.entity) {
        (Some(connector), Some(action), Some(entity)) => are_records_mapped(connector, action, entity, output),
        _ => false,
    }
}

/// The call that lists one page.
fn page_call(
    dispatcher: &Dispatcher,
    live: &LiveEnvironment,
    templates: &PollTemplates,
    state: &PollState,
    cursor: &Value,
    page: usize,
    span: &Span,
) -> Result<connector::Call, ListFailure> {
    let tenant = tenant_of(&live.runtime, &state.connection);
    let tenant_value = if tenant.is_empty() { Value::Null } else { Value::String(tenant.clone()) };
    let connection = json!({"name": state.connection});
    let roots = [
        ("cursor", cursor),
        ("since", &Value::Null),
        ("state", cursor),
        ("tenant", &tenant_value),
        ("tenant_id", &tenant_value),
        ("connection", &connection),
    ];
    let input = match &templates.input {
        Some(tree) => tree
            .render(&template_context(live, dispatcher.now(), &roots), &Limits::default())
            .map_err(|error| failure(format!("input: {error}")))?,
        None => json!({}),
    };
    Ok(connector::Call {
        input,
        tenant: Some(tenant).filter(|tenant| !tenant.is_empty()),
        connection: Some(state.connection.clone()).filter(|name| !name.is_empty()),
        request_id: format!("poll-{}-{page}", state.version),
        trace: span.traceparent(),
        ..connector::Call::default()
    })
}

/// A listed record with its id and version.
fn record(
    dispatcher: &Dispatcher,
    live: &LiveEnvironment,
    templates: &PollTemplates,
    item: Value,
    output: &Value,
) -> Result<Record, ListFailure> {
    let context = template_context(live, dispatcher.now(), &[("record", &item), ("output", output)]);
    let text = |template: &Template| template.render_text(&context, &Limits::default());
    let id = text(&templates.id).map_err(|error| failure(format!("id: {error}")))?;
    let version = templates.version.as_ref().map(text).transpose();
    let version = version.map_err(|error| failure(format!("version: {error}")))?;
    Ok(Record { id: id.trim().to_owned(), version, data: item })
}

fn failure(message: String) -> ListFailure {
    ListFailure { message, rate_limited: false }
}

fn is_rate_limit(error: &CallError) -> bool {
    error.retry_after.is_some() || matches!(error.upstream_status, Some(429 | 503))
}
