//! Running an action: its request, its steps, and trying again.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::pipeline::{ActionOutput, CallTiming, find, not_runnable};
use super::request::{PreparedRequest, Request, failed};
use super::response::{Transform, is_true};
use super::session::Session;
use super::spans;
use super::{
    Action, Call, CallError, Connector, ErrorCode, Runtime, Secrets, Step, StepCall, Transport, Upstream,
    UpstreamResponse,
};
use crate::definition::action::Method as HttpMethod;
use crate::definition::common::Retry;
use crate::telemetry::TRACEPARENT;
use crate::template::{Context, Limits};

/// Actions that call actions, at most this deep.
const DEEPEST: usize = 8;
/// Requests of one call, with those of its steps and those that are tried again.
const MAX_REQUESTS: usize = 100;

/// One call: what it runs on, and what it may still use up.
pub(super) struct Run<'a> {
    pub(super) runtime: &'a Runtime,
    pub(super) upstream: &'a dyn Upstream,
    pub(super) secrets: Arc<dyn Secrets>,
    pub(super) timing: CallTiming,
    requests: usize,
    timeout: Duration,
    deadline: Instant,
}

/// One action of a call.
struct Frame<'a> {
    session: Session,
    connector: &'a Connector,
    action: &'a Action,
    call: &'a Call,
    depth: usize,
}

/// An output, its status, and the headers that came with it.
type Answered = (ActionOutput, u16, BTreeMap<String, String>);
type Ran<'a> = Pin<Box<dyn Future<Output = Result<(ActionOutput, u16), CallError>> + Send + 'a>>;

impl<'a> Run<'a> {
    /// A call that must be done in `timeout`, whatever it is made of.
    pub(super) fn new(
        runtime: &'a Runtime,
        upstream: &'a dyn Upstream,
        secrets: Arc<dyn Secrets>,
        timeout: Duration,
    ) -> Run<'a> {
        let deadline = Instant::now() + timeout;
        Run { runtime, upstream, secrets, timing: CallTiming::default(), requests: 0, timeout, deadline }
    }

    pub(super) fn action<'r>(
        &'r mut self,
        connector: &'r Connector,
        action: &'r Action,
        call: &'r Call,
        depth: usize,
    ) -> Ran<'r> {
        Box::pin(async move {
            let (session, mut context) = Session::open(self.runtime, &self.secrets, connector, action, call)?;
            let frame = Frame { session, connector, action, call, depth };
            let (output, status) = match &action.transport {
                Transport::Http(request) => {
                    let prepared = frame.session.request(request, connector, call, &context, None)?;
                    let answer = self.send(&frame, &prepared, request).await?;
                    let output = finish(&action.response, &mut context, &answer, action.spec.output.is_some())?;
                    (output, answer.status)
                }
                Transport::Steps(steps) => self.steps(&frame, steps, context).await?,
                Transport::NotRunnable(name) => return Err(not_runnable(name)),
            };
            check_output(connector, action, output, status)
        })
    }

    async fn steps(
        &mut self,
        frame: &Frame<'_>,
        steps: &[Step],
        mut context: Context,
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
            let ran = self.step(frame, step, &mut context).await;
            // Steps of inner actions are part of the step that called them.
            if frame.depth == 0 && self.timing.steps.len() < 50 {
                self.timing.steps.push((step.name.clone(), started.elapsed()));
            }
            match ran {
                Ok((output, status, headers)) => {
                    let value = output.to_value();
                    let result = json!({"body": value, "output": value, "status_code": status, "headers": headers});
                    results.insert(step.name.clone(), result);
                    last = Some((output, status, headers));
                }
                Err(error) if step.goes_on => {
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
        if frame.action.spec.response.is_none() {
            return Ok((output, status));
        }
        // The action's own transform sees the last result as its response.
        let body = match &output {
            ActionOutput::Raw { bytes, .. } => bytes.clone(),
            ActionOutput::Json { value, .. } => value.to_string().into(),
        };
        context.set("steps", Value::Object(results));
        let answer = UpstreamResponse { status, headers, body, mock: None };
        Ok((frame.action.response.apply(&mut context, &answer, frame.action.spec.output.is_some())?, status))
    }

    async fn step(&mut self, frame: &Frame<'_>, step: &Step, context: &mut Context) -> Result<Answered, CallError> {
        match &step.call {
            StepCall::Http(request) => {
                let method = step.auth.as_deref();
                let prepared = frame.session.request(request, frame.connector, frame.call, context, method)?;
                let answer = self.send(frame, &prepared, request).await?;
                let output = finish(&step.response, context, &answer, false)?;
                Ok((output, answer.status, answer.headers))
            }
            StepCall::Action { connector: name, action: called, input } => {
                if frame.depth >= DEEPEST {
                    let detail = format!("actions call each other more than {DEEPEST} deep");
                    return Err(CallError::new(ErrorCode::Template, detail));
                }
                let (other, called) = find(self.runtime, name, called)?;
                let input = match input {
                    Some(input) => {
                        input.render(context, &Limits::default()).map_err(|error| failed("input", &error))?
                    }
                    None => frame.call.input.clone(),
                };
                // Overrides and path parameters are the caller's word to the action that it called, not to others.
                let inner = Call {
                    input,
                    body: Bytes::new(),
                    path_params: BTreeMap::new(),
                    headers: BTreeMap::new(),
                    query: BTreeMap::new(),
                    connection: frame.call.connection.clone().filter(|_| other.name == frame.connector.name),
                    method: step.auth.clone(),
                    ..frame.call.clone()
                };
                let ran = self.action(other, called, &inner, frame.depth + 1).await;
                let (output, status) = ran.map_err(CallError::of_definition)?;
                Ok((output, status, BTreeMap::new()))
            }
        }
    }

    /// Sends a request, again where the policy says so and nothing can have been done twice.
    async fn send(
        &mut self,
        frame: &Frame<'_>,
        prepared: &PreparedRequest,
        request: &Request,
    ) -> Result<UpstreamResponse, CallError> {
        self.timing.host = prepared.url.host_str().unwrap_or_default().to_owned();
        let attempts = request.retry.as_ref().map_or(1, |retry| retry.max_attempts);
        let first = request.retry.as_ref().and_then(|retry| retry.initial_interval);
        let mut wait = first.map_or(Duration::from_secs(5), |wait| wait.0);
        for attempt in 1.. {
            self.requests += 1;
            if self.requests > MAX_REQUESTS {
                let detail = format!("this call made {MAX_REQUESTS} requests, and wants more");
                return Err(CallError::new(ErrorCode::Template, detail));
            }
            let mut limited = prepared.clone();
            let left = self.deadline.saturating_duration_since(Instant::now());
            limited.limits.timeout = left.min(prepared.limits.timeout);
            let mut span = (!frame.call.trace.is_empty()).then(|| {
                let mut span = spans::request(&frame.call.trace, limited.method, &limited.url);
                span.set("evenkeel.connector", frame.connector.name.clone());
                span.set("evenkeel.action", frame.action.name.clone());
                if attempt > 1 {
                    span.set("http.request.resend_count", i64::from(attempt) - 1);
                }
                span
            });
            let is_own = |(name, _): &(String, String)| name.eq_ignore_ascii_case(TRACEPARENT);
            if let Some(span) = span.as_ref().filter(|_| !limited.headers.iter().any(is_own)) {
                limited.headers.push((TRACEPARENT.to_owned(), span.trace()));
            }
            let started = Instant::now();
            let mut sent = match left.is_zero() {
                true => Err(CallError::new(ErrorCode::Timeout, String::new())),
                false => self.upstream.send(&frame.connector.name, &frame.action.name, &limited).await,
            };
            if let Err(error) = &mut sent
                && error.code == ErrorCode::Timeout
            {
                error.detail =
                    format!("the whole call took longer than {:?}; raise the action's `timeout`", self.timeout);
            }
            self.timing.external += started.elapsed();
            if let Some(mut span) = span.take() {
                spans::answered(&mut span, sent.as_ref().map(|answer| answer.status));
            }
            self.timing.mock = sent.as_ref().ok().and_then(|answer| answer.mock.clone());
            let Some(retry) = request.retry.as_ref().filter(|_| attempt < attempts) else { return sent };
            let pause = match &sent {
                Ok(answer) => pause(answer, request.method, retry, wait),
                Err(error) => (error.code == ErrorCode::Unreachable && is_idempotent(request.method)).then_some(wait),
            };
            let Some(pause) = pause.filter(|pause| Instant::now() + *pause < self.deadline) else { return sent };
            if self.upstream.takes_time() {
                tokio::time::sleep(pause).await;
            }
            let factor = retry.backoff_coefficient.unwrap_or(2.0).clamp(1.0, 10.0);
            wait = wait.mul_f64(factor).min(longest(retry));
        }
        Err(CallError::new(ErrorCode::Unreachable, "no attempt was made"))
    }
}

/// An output against the action's schema.
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
    // What does not fit came from the application: its values may be anybody's data and are not repeated.
    let mut places: Vec<String> = violations.into_iter().map(|violation| violation.pointer).collect();
    places.dedup();
    let shown: Vec<&str> =
        places.iter().map(|place| if place.is_empty() { "the whole output" } else { place }).collect();
    let detail = format!("the output does not fit the action's schema at {}", shown.join(", "));
    Err(CallError::new(ErrorCode::InvalidOutput, detail).params(places))
}

/// The output of an answer; an error with the transformed answer in it where the status is none of success.
fn finish(
    transform: &Transform,
    context: &mut Context,
    answer: &UpstreamResponse,
    json_wanted: bool,
) -> Result<ActionOutput, CallError> {
    let succeeded = transform.succeeds(context, answer)?;
    let output = transform.apply(context, answer, json_wanted && succeeded);
    if succeeded {
        return output;
    }
    // A transform that only knows good answers must not hide the bad one.
    let body = output.map_or_else(
        |_| ActionOutput::Raw { bytes: answer.body.clone(), content_type: String::new() }.to_value(),
        |output| output.to_value(),
    );
    let mut error =
        CallError::new(ErrorCode::Upstream, format!("the application answered with status {}", answer.status));
    if (200..300).contains(&answer.status) {
        error.detail =
            format!("the application answered with status {}, and `successWhen` does not hold", answer.status);
    }
    error.upstream = Some(Box::new(body));
    error.upstream_status = Some(answer.status);
    Err(error)
}

/// RFC 9110, 9.2.2.
fn is_idempotent(method: HttpMethod) -> bool {
    !matches!(method, HttpMethod::Post | HttpMethod::Patch)
}

/// How long to wait before the next attempt; `None` where this answer stands.
fn pause(answer: &UpstreamResponse, method: HttpMethod, retry: &Retry, wait: Duration) -> Option<Duration> {
    let asked =
        answer.headers.get("retry-after").and_then(|seconds| seconds.trim().parse().ok()).map(Duration::from_secs);
    let again = match answer.status {
        // Nothing was done (RFC 6585, 4).
        429 => true,
        // A proxy in between may say so after the deed; the application itself says when to come back.
        503 => is_idempotent(method) || asked.is_some(),
        500 | 502 | 504 => is_idempotent(method),
        _ => false,
    };
    // Coming back earlier than asked would only be refused again.
    let too_long = asked.is_some_and(|asked| asked > longest(retry));
    (again && !too_long).then(|| asked.unwrap_or(wait))
}

fn longest(retry: &Retry) -> Duration {
    retry.max_interval.map_or(Duration::from_mins(1), |most| most.0)
}
