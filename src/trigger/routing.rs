//! From an event to the executions that it starts.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::filter;
use super::{Trigger, template};
use crate::definition::trigger::{self, ScheduleRoute, Unmatched};
use crate::store::Micros;
use crate::store::queue::{
    DeadLetter, DeadLetterReason, EnqueueRequest, Event, EventOutcome, MAX_VALUE_BYTES, NewExecution, TriggeredBy,
    new_id,
};
use crate::template::{self as jinja, Context, Template, Tree};
use crate::workflow::dispatcher::priority;
use crate::workflow::{Dispatcher, LiveEnvironment};

/// A route, ready to be asked.
#[derive(Debug)]
pub struct Route {
    /// Its definition.
    pub spec: trigger::Route,
    headers: Vec<(String, Template)>,
    input: Option<Tree>,
    tenant: Option<Template>,
}

impl Route {
    /// Compiles routes.
    ///
    /// # Errors
    /// Where a template cannot be compiled.
    pub fn compile(routes: &[trigger::Route]) -> Result<Vec<Route>, String> {
        routes.iter().map(Route::of).collect()
    }

    fn of(spec: &trigger::Route) -> Result<Route, String> {
        let mut headers = Vec::new();
        for (name, source) in &spec.headers {
            headers.push((name.to_lowercase(), template(Some(source))?.ok_or("no template")?));
        }
        let input = match &spec.input {
            Some(input) => Some(
                Tree::compile(&input.value())
                    .map_err(|(pointer, problem)| format!("{pointer}: {}", problem.message))?,
            ),
            None => None,
        };
        Ok(Route { headers, input, tenant: template(spec.tenant.as_ref())?, spec: spec.clone() })
    }

    /// Does an event go this way?
    fn matches(&self, body: &Value, headers: &BTreeMap<String, String>) -> bool {
        filter::matches(&self.spec.when, body, headers)
            && (self.spec.when_any.is_empty()
                || self.spec.when_any.iter().any(|filter| filter::matches(filter, body, headers)))
    }
}

/// An event on its way.
#[derive(Debug)]
pub struct IncomingEvent<'a> {
    /// What it says, as conditions and templates see it.
    pub body: Value,
    /// Its headers, without credentials.
    pub headers: BTreeMap<String, String>,
    /// Its query.
    pub query: BTreeMap<String, String>,
    /// What a workflow gets that says nothing else.
    pub input: Value,
    /// The event of an application, as templates see it; null for others.
    pub event: Value,
    /// The tenant that it belongs to by itself; empty where none.
    pub tenant: String,
    /// What makes it the same as another, and how long that is remembered.
    pub key: Option<(String, Micros)>,
    /// Executions with one ordering key run one after the other, in the order of their acceptance; empty if unordered.
    pub ordering_key: String,
    /// The request; empty where none.
    pub request: String,
    /// The trace.
    pub trace: String,
    /// Where variables of templates come from.
    pub live: &'a LiveEnvironment,
}

/// What templates of events see.
pub(super) fn context(live: &LiveEnvironment, now: Micros, roots: &[(&'static str, &Value)]) -> Context {
    let host = EventHost { variables: Arc::clone(&live.runtime.variables), now: now / 1_000_000 };
    let mut context = Context::new(Arc::new(host));
    for (name, value) in roots {
        context.set(name, *value);
    }
    context
}

struct EventHost {
    variables: Arc<BTreeMap<String, String>>,
    now: i64,
}

impl jinja::Host for EventHost {
    fn secret(&self, name: &str) -> Result<String, String> {
        Err(format!("secret `{name}` cannot be used here"))
    }

    fn variable(&self, name: &str) -> Option<String> {
        self.variables.get(name).cloned()
    }

    fn now(&self) -> i64 {
        self.now
    }
}

/// Everything that an event starts, as one thing to store.
///
/// # Errors
/// Where the store cannot be asked.
pub async fn intake(
    desk: &Dispatcher,
    environment: &str,
    trigger: &Trigger,
    routes: &[Route],
    arriving: IncomingEvent<'_>,
) -> Result<EnqueueRequest, crate::store::StoreError> {
    let IncomingEvent { body, headers, query, input, event: app, tenant, key, ordering_key, request, trace, live } =
        arriving;
    let headers_value = json!(headers);
    let tenant_value = if tenant.is_empty() { Value::Null } else { Value::String(tenant.clone()) };
    let query_value = json!(query);
    let mut event = Event {
        id: new_id(),
        environment: environment.to_owned(),
        trigger: trigger.name.clone(),
        kind: trigger.triggered_by(),
        headers: headers_value.clone(),
        payload: body.clone(),
        outcome: EventOutcome::Started,
        request,
        trace: trace.clone(),
        ..Event::default()
    };
    let context = context(
        live,
        desk.now(),
        &[
            ("headers", &headers_value),
            ("query", &query_value),
            ("body", &body),
            ("payload", &body),
            ("event", &app),
            ("tenant", &tenant_value),
            ("tenant_id", &tenant_value),
        ],
    );
    let (mut runs, mut dead) = (Vec::new(), Vec::new());
    for (index, route) in routes.iter().enumerate() {
        if !route.matches(&body, &headers) {
            continue;
        }
        let made = run(desk, environment, trigger, route, index, &context, (&input, &tenant), live).await?;
        match made {
            Ok(new) => runs.push(NewExecution {
                triggered_by: trigger.triggered_by(),
                source: trigger.name.clone(),
                event: event.id.clone(),
                ordering_key: ordering_key.clone(),
                trace: trace.clone(),
                ..new
            }),
            Err(message) => {
                dead.push(letter(trigger, &event, &route.spec.workflow, DeadLetterReason::Unreadable, message))
            }
        }
    }
    if runs.is_empty() && dead.is_empty() {
        event.outcome = EventOutcome::Unmatched;
        if trigger.dead_letters().unmatched == Unmatched::Keep {
            dead.push(letter(
                trigger,
                &event,
                "",
                DeadLetterReason::Unmatched,
                "no route matches this event".to_owned(),
            ));
        }
    } else if runs.is_empty() {
        event.outcome = EventOutcome::Dead;
    }
    if trigger.keeps_dead().is_none() {
        dead.clear();
    }
    let key = key.map(|(key, window)| crate::store::queue::DedupKey { key, window });
    Ok(EnqueueRequest {
        event: Some(event),
        dedup_key: key,
        executions: runs,
        dead_letters: dead,
        ..EnqueueRequest::default()
    })
}

fn letter(trigger: &Trigger, event: &Event, workflow: &str, reason: DeadLetterReason, message: String) -> DeadLetter {
    let retention = trigger.keeps_dead().unwrap_or_default();
    DeadLetter {
        id: new_id(),
        environment: event.environment.clone(),
        trigger: trigger.name.clone(),
        workflow: workflow.to_owned(),
        event: event.id.clone(),
        reason,
        message,
        payload: event.payload.clone(),
        headers: event.headers.clone(),
        retention: Micros::try_from(retention.as_micros()).unwrap_or(Micros::MAX),
        ..DeadLetter::default()
    }
}

/// The execution that a route starts; or why it cannot be made of this event.
#[allow(clippy::too_many_arguments, reason = "the parts of one event")]
async fn run(
    desk: &Dispatcher,
    environment: &str,
    trigger: &Trigger,
    route: &Route,
    index: usize,
    context: &Context,
    (input, tenant): (&Value, &str),
    live: &LiveEnvironment,
) -> Result<Result<NewExecution, String>, crate::store::StoreError> {
    let limits = jinja::Limits::default();
    let spec = &route.spec;
    let rendered = (|| {
        let input = match &route.input {
            Some(tree) => tree.render(context, &limits).map_err(|error| format!("input: {error}"))?,
            None => input.clone(),
        };
        if input.to_string().len() > MAX_VALUE_BYTES {
            return Err(format!("the input is larger than {} MiB", MAX_VALUE_BYTES >> 20));
        }
        let mut headers = Map::new();
        for (name, template) in &route.headers {
            let text = template.render_text(context, &limits).map_err(|error| format!("header {name}: {error}"))?;
            headers.insert(name.clone(), Value::String(text));
        }
        let tenant = match &route.tenant {
            Some(template) => template.render_text(context, &limits).map_err(|error| format!("tenant: {error}"))?,
            None => tenant.to_owned(),
        };
        Ok((input, headers, tenant))
    })();
    let (input, headers, tenant) = match rendered {
        Ok(rendered) => rendered,
        Err(message) => return Ok(Err(message)),
    };
    let Some(program) = live.programs.get(&spec.workflow).filter(|program| program.spec.active) else {
        return Ok(Err(format!("workflow `{}` is not active", spec.workflow)));
    };
    if program.spec.requires_tenant && tenant.is_empty() {
        return Ok(Err(format!("workflow `{}` needs a tenant, and this event has none", spec.workflow)));
    }
    let new = desk.new_run(environment, live, program).await?;
    let window = spec.batch_window.map(|window| Micros::try_from(window.0.as_micros()).unwrap_or(Micros::MAX));
    Ok(Ok(NewExecution {
        concurrency_group: concurrency_group(
            &new,
            &tenant,
            program.spec.concurrency.as_ref().is_some_and(|limit| limit.per_tenant),
        ),
        priority: spec.priority.map_or(new.priority, priority),
        batch_key: window.map_or_else(String::new, |_| format!("{}/{index}/{tenant}", trigger.name)),
        delay: window.unwrap_or(0),
        tenant,
        input,
        headers: Value::Object(headers),
        ..new
    }))
}

/// The concurrency group of an execution: one for each tenant if the workflow limits each tenant by itself.
pub fn concurrency_group(run: &NewExecution, tenant: &str, per_tenant: bool) -> String {
    match run.concurrency_group.is_empty() || !per_tenant {
        true => run.concurrency_group.clone(),
        false => format!("{}/{tenant}", run.concurrency_group),
    }
}

/// The executions of one tick of a schedule.
///
/// # Errors
/// Where the store cannot be asked.
pub async fn scheduled(
    desk: &Dispatcher,
    environment: &str,
    trigger: &Trigger,
    live: &LiveEnvironment,
    due: jiff::Timestamp,
    delay: Micros,
) -> Result<Vec<NewExecution>, crate::store::StoreError> {
    let Some(schedule) = &trigger.spec.schedule else { return Ok(Vec::new()) };
    let mut runs = Vec::new();
    for route in &schedule.routes {
        let ScheduleRoute { workflow, headers, payload, tenants, priority: own } = route;
        let Some(program) = live.programs.get(workflow).filter(|program| program.spec.active) else { continue };
        let payload =
            payload.as_ref().or(schedule.payload.as_ref()).map_or_else(|| json!({}), crate::definition::Json::value);
        let mut with: Map<String, Value> =
            headers.iter().map(|(name, value)| (name.to_lowercase(), Value::String(value.clone()))).collect();
        with.insert("x-evenkeel-scheduled-at".to_owned(), Value::String(due.to_string()));
        let none = [String::new()];
        for tenant in if tenants.is_empty() { &none[..] } else { &tenants[..] } {
            let new = desk.new_run(environment, live, program).await?;
            runs.push(NewExecution {
                concurrency_group: concurrency_group(
                    &new,
                    tenant,
                    program.spec.concurrency.as_ref().is_some_and(|limit| limit.per_tenant),
                ),
                priority: own.map_or(3, priority),
                tenant: tenant.clone(),
                triggered_by: TriggeredBy::Schedule,
                source: trigger.name.clone(),
                input: payload.clone(),
                headers: Value::Object(with.clone()),
                trace: crate::telemetry::root_of_known(&new.id),
                delay,
                ..new
            });
        }
    }
    Ok(runs)
}
