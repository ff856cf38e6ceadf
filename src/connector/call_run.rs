//! Runs a call: its actions, their requests and steps, and retries.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::action_call::ActionCall;
use super::call::Call;
use super::entities::map_output;
use super::error::{CallError, ErrorCode};
use super::expression::{failed, is_true};
use super::host::Secrets;
use super::lookup::{find, not_runnable};
use super::outcome::{ActionOutput, CallTiming};
use super::prepared::PreparedRequest;
use super::record_places::RecordPlaces;
use super::request::Request;
use super::response::Transform;
use super::runtime::{Action, Connector, Runtime, Step, StepCall, Transport};
use super::upstream::{Upstream, UpstreamResponse};
use super::{retry, spans};
use crate::quota::Permit;
use crate::telemetry::TRACEPARENT;
use crate::template::{Context, Limits};

/// Maximum depth of actions that call actions.
const MAX_DEPTH: usize = 8;
/// Maximum number of requests of one call, including those of its steps and retries.
const MAX_REQUESTS: usize = 100;
/// Maximum number of steps whose duration is reported.
const MAX_TIMED_STEPS: usize = 50;

/// The resources of one call, shared by all actions that it consists of.
pub(super) struct CallRun<'a> {
    runtime: &'a Runtime,
    upstream: &'a dyn Upstream,
    secrets: Arc<dyn Secrets>,
    pub(super) timing: CallTiming,
    requests: usize,
    timeout: Duration,
    deadline: Instant,
}

/// An output, its status, and the headers of the response.
type StepOutput = (ActionOutput, u16, BTreeMap<String, String>);
/// The future of an action, boxed because actions call actions.
type ActionFuture<'a> = Pin<Box<dyn Future<Output = Result<(ActionOutput, u16), CallError>> + Send + 'a>>;

impl<'a> CallRun<'a> {
    /// A call with a timeout for all of its actions together.
    pub(super) fn new(
        runtime: &'a Runtime,
        upstream: &'a dyn Upstream,
        secrets: Arc<dyn Secrets>,
        timeout: Duration,
    ) -> CallRun<'a> {
        let deadline = Instant::now() + timeout;
        CallRun { runtime, upstream, secrets, timing: CallTiming::default(), requests: 0, timeout, deadline }
    }

    /// Runs an action. `depth` is 0 for the called action, and one more for each action that calls another.
    pub(super) fn action<'r>(
        &'r mut self,
        connector: &'r Connector,
        action: &'r Action,
        call: &'r Call,
        depth: usize,
    ) -> ActionFuture<'r> {
        Box::pin(async move {
            let (open, mut context) = ActionCall::open(self.runtime, &self.secrets, connector, action, call)?;
            let (output, status) = match &action.transport {
                Transport::Http(request) => {
                    let prepared = open.request(request, &context, None)?;
                    let response = self.send(&open, &prepared, request).await?;
                    let output = finish(&action.response, &mut context, &response, action.spec.output.is_some())?;
                    (output, response.status)
                }
                Transport::Steps(steps) => self.steps(&open, steps, context, depth).await?,
                Transport::NotRunnable(name) => return Err(not_runnable(name)),
            };
            let is_mapped =
                matches!(&action.transport, Transport::Steps(steps) if self.calls_producer(connector, steps));
            let output = if is_mapped { output } else { mapped_output(connector, action, output)? };
            check_output(connector, action, output, status)
        })
    }

    /// True if one of the steps calls an action of the same connector whose output has records: they are mapped there.
    fn calls_producer(&self, own: &Connector, steps: &[Step]) -> bool {
        steps.iter().any(|step| match &step.call {
            StepCall::Action { connector, action, .. } if *connector == own.name => {
                let called = find(self.runtime, connector, action);
                called.is_ok_and(|(_, called)| !matches!(called.records(&own.spec), RecordPlaces::None))
            }
            _ => false,
        })
    }

    async fn steps(
        &mut self,
        open: &ActionCall<'_>,
        steps: &[Step],
        mut context: Context,
        depth: usize,
    ) -> Result<(ActionOutput, u16), CallError> {
        let mut results = Map::new();
        let mut last = None;
        for (index, step) in steps.iter().enumerate() {
            context.set("steps", Value::Object(results.clone()));
            if let Some(condition) = &step.condition {
                let value = condition.render_value(&context, &Limits::default());
                if !is_true(&value.map_err(|error| failed("if", &error).in_step(&step.name, index))?) {
                    continue;
                }
            }
            let started = Instant::now();
            let result = self.step(open, step, &mut context, depth).await;
            // Steps of inner actions are part of the step that called them.
            if depth == 0 && self.timing.steps.len() < MAX_TIMED_STEPS {
                self.timing.steps.push((step.name.clone(), started.elapsed()));
            }
            match result {
                Ok((output, status, headers)) => {
                    let value = output.to_value();
                    let result = json!({"body": value, "output": value, "status_code": status, "headers": headers});
                    results.insert(step.name.clone(), result);
                    last = Some((output, status, headers));
                }
                Err(error) if step.continues_on_error => {
                    let (status, code) = (error.upstream_status.unwrap_or(0), error.code.as_str());
                    let result =
                        json!({"body": null, "output": null, "status_code": status, "headers": {}, "error": code});
                    results.insert(step.name.clone(), result);
                }
                Err(error) => return Err(error.in_step(&step.name, index)),
            }
        }
        let nothing = || (ActionOutput::Json { value: Value::Null, content_type: None }, 200, BTreeMap::new());
        let (output, status, headers) = last.unwrap_or_else(nothing);
        if open.action.spec.response.is_none() {
            return Ok((output, status));
        }
        // The response transform of the action sees the last result as its response.
        let body = match &output {
            ActionOutput::Raw { bytes, .. } => bytes.clone(),
            ActionOutput::Json { value, .. } => value.to_string().into(),
        };
        context.set("steps", Value::Object(results));
        let response = UpstreamResponse { status, headers, body, mock: None };
        Ok((open.action.response.apply(&mut context, &response, open.action.spec.output.is_some())?, status))
    }

    async fn step(
        &mut self,
        open: &ActionCall<'_>,
        step: &Step,
        context: &mut Context,
        depth: usize,
    ) -> Result<StepOutput, CallError> {
        match &step.call {
            StepCall::Http(request) => {
                let prepared = open.request(request, context, step.auth.as_deref())?;
                let response = self.send(open, &prepared, request).await?;
                let output = finish(&step.response, context, &response, false)?;
                Ok((output, response.status, response.headers))
            }
            StepCall::Action { connector: name, action: called, input } => {
                if depth >= MAX_DEPTH {
                    let detail = format!("actions call each other more than {MAX_DEPTH} deep");
                    return Err(CallError::new(ErrorCode::Template, detail));
                }
                let (other, called) = find(self.runtime, name, called)?;
                let input = match input {
                    Some(input) => {
                        input.render(context, &Limits::default()).map_err(|error| failed("input", &error))?
                    }
                    None => open.input.clone().into_owned(),
                };
                // Overrides and path parameters of the caller concern the action that it called, and no other action.
                let inner = Call {
                    input,
                    body: Bytes::new(),
                    path_params: BTreeMap::new(),
                    headers: BTreeMap::new(),
                    query: BTreeMap::new(),
                    connection: open.call.connection.clone().filter(|_| other.name == open.connector.name),
                    method: step.auth.clone(),
                    ..open.call.clone()
                };
                let result = self.action(other, called, &inner, depth + 1).await;
                let (output, status) = result.map_err(CallError::of_definition)?;
                Ok((output, status, BTreeMap::new()))
            }
        }
    }

    /// Sends a request, and repeats it according to the retry policy.
    async fn send(
        &mut self,
        open: &ActionCall<'_>,
        prepared: &PreparedRequest,
        request: &Request,
    ) -> Result<UpstreamResponse, CallError> {
        self.timing.host = prepared.url.host_str().unwrap_or_default().to_owned();
        let policy = request.retry.as_ref();
        let attempts = policy.map_or(1, |retry| retry.max_attempts);
        let first = policy.and_then(|retry| retry.initial_interval);
        let mut backoff = first.map_or(Duration::from_secs(5), |interval| interval.0);
        let mut last = None;
        for attempt in 1.. {
            self.requests += 1;
            if self.requests > MAX_REQUESTS {
                let detail = format!("a call may make at most {MAX_REQUESTS} requests");
                return Err(CallError::new(ErrorCode::Template, detail));
            }
            let permit = match (self.admit(open.connector).await, last) {
                (Ok(permit), _) => permit,
                // A retry that does not fit is no failure of its own.
                (Err(_), Some(result)) => return result,
                (Err(error), None) => return Err(error),
            };
            let result = self.attempt(open, prepared, attempt).await;
            let Some(retry) = policy.filter(|_| attempt < attempts) else { return result };
            let wait = retry::wait(&result, request.method, retry, backoff);
            let Some(wait) = wait.filter(|wait| Instant::now() + *wait < self.deadline) else { return result };
            drop(permit);
            if self.upstream.takes_time() {
                tokio::time::sleep(wait).await;
            }
            last = Some(result);
            backoff = retry::next_backoff(retry, backoff);
        }
        Err(CallError::new(ErrorCode::Unreachable, "no attempt was made"))
    }

    /// Waits until the rate limit of the connector permits a request.
    async fn admit(&mut self, connector: &Connector) -> Result<Option<Permit>, CallError> {
        let Some(limit) = &connector.spec.rate_limit else { return Ok(None) };
        let started = Instant::now();
        let admitted = self.upstream.admit(&connector.name, limit, self.deadline).await;
        self.timing.waiting += started.elapsed();
        admitted
    }

    /// Sends a request once, within the remaining time of the call.
    async fn attempt(
        &mut self,
        open: &ActionCall<'_>,
        prepared: &PreparedRequest,
        attempt: u32,
    ) -> Result<UpstreamResponse, CallError> {
        let mut limited = prepared.clone();
        let left = self.deadline.saturating_duration_since(Instant::now());
        limited.limits.timeout = left.min(prepared.limits.timeout);
        let mut span = (!open.call.trace.is_empty()).then(|| {
            let mut span = spans::request(&open.call.trace, limited.method, &limited.url);
            span.set("evenkeel.connector", open.connector.name.clone());
            span.set("evenkeel.action", open.action.name.clone());
            if attempt > 1 {
                span.set("http.request.resend_count", i64::from(attempt) - 1);
            }
            span
        });
        let is_traceparent = |(name, _): &(String, String)| name.eq_ignore_ascii_case(TRACEPARENT);
        if let Some(span) = span.as_ref().filter(|_| !limited.headers.iter().any(is_traceparent)) {
            limited.headers.push((TRACEPARENT.to_owned(), span.traceparent()));
        }
        let started = Instant::now();
        let mut result = match left.is_zero() {
            true => Err(CallError::new(ErrorCode::Timeout, String::new())),
            false => self.upstream.send(&open.connector.name, &open.action.name, &limited).await,
        };
        if let Err(error) = &mut result
            && error.code == ErrorCode::Timeout
        {
            error.detail = format!("the whole call took longer than {:?}; raise the action's `timeout`", self.timeout);
        }
        self.timing.external += started.elapsed();
        if let Some(mut span) = span.take() {
            spans::end(&mut span, result.as_ref().map(|response| response.status));
        }
        self.timing.mock = result.as_ref().ok().and_then(|response| response.mock.clone());
        result
    }
}

/// An output with the records that its entity declares.
fn mapped_output(connector: &Connector, action: &Action, output: ActionOutput) -> Result<ActionOutput, CallError> {
    if let RecordPlaces::None = action.records(&connector.spec) {
        return Ok(output);
    }
    let mut value = output.to_value();
    if !(value.is_object() || value.is_array()) {
        return Ok(output);
    }
    map_output(connector, action, &mut value)
        .map_err(|error| CallError::new(ErrorCode::InvalidOutput, error.message).params(vec![error.pointer]))?;
    let content_type = match output {
        ActionOutput::Json { content_type, .. } => content_type,
        ActionOutput::Raw { content_type, .. } => Some(content_type),
    };
    Ok(ActionOutput::Json { value, content_type })
}

/// Validates an output against the action's schema.
fn check_output(
    connector: &Connector,
    action: &Action,
    output: ActionOutput,
    status: u16,
) -> Result<(ActionOutput, u16), CallError> {
    let Some(schema) = action.output.get(&connector.spec)? else { return Ok((output, status)) };
    let violations = schema.violations(&output.to_value(), 5);
    if violations.is_empty() {
        return Ok((output, status));
    }
    // The values come from the application and may be personal data, so they are not repeated.
    let mut places: Vec<String> = violations.into_iter().map(|violation| violation.pointer).collect();
    places.dedup();
    let shown: Vec<&str> =
        places.iter().map(|place| if place.is_empty() { "the whole output" } else { place }).collect();
    let detail = format!("the output does not fit the action's schema at {}", shown.join(", "));
    Err(CallError::new(ErrorCode::InvalidOutput, detail).params(places))
}

/// The output of a response; for an unsuccessful response, an error with the transformed response.
fn finish(
    transform: &Transform,
    context: &mut Context,
    response: &UpstreamResponse,
    json_wanted: bool,
) -> Result<ActionOutput, CallError> {
    let succeeded = transform.succeeds(context, response)?;
    let output = transform.apply(context, response, json_wanted && succeeded);
    if succeeded {
        return output;
    }
    // A transform that handles only successful responses must not hide an unsuccessful one.
    let body = output.map_or_else(
        |_| ActionOutput::Raw { bytes: response.body.clone(), content_type: String::new() }.to_value(),
        |output| output.to_value(),
    );
    let mut error =
        CallError::new(ErrorCode::Upstream, format!("the application answered with status {}", response.status));
    if (200..300).contains(&response.status) {
        error.detail =
            format!("the application answered with status {}, and `successWhen` does not hold", response.status);
    }
    error.upstream = Some(Box::new(body));
    error.upstream_status = Some(response.status);
    Err(error)
}
