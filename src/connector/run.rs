//! Running an action: its request, its steps, and trying again.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::pipeline::{Output, Timing, find, not_runnable};
use super::request::{Prepared, Request, failed};
use super::response::{Transform, is_true};
use super::session::Session;
use super::{
    Action, Call, CallError, Connector, ErrorCode, Runtime, Secrets, Step, StepCall, Transport, Upstream,
    UpstreamResponse,
};
use crate::definition::action::Method as HttpMethod;
use crate::definition::common::Retry;
use crate::template::{Context, Limits};

/// Actions that call actions, at most this deep.
const DEEPEST: usize = 8;

pub(super) struct Run<'a> {
    pub(super) runtime: &'a Runtime,
    pub(super) upstream: &'a dyn Upstream,
    pub(super) secrets: Arc<dyn Secrets>,
}

type Ran<'a> = Pin<Box<dyn Future<Output = Result<(Output, u16), CallError>> + Send + 'a>>;

impl Run<'_> {
    pub(super) fn action<'a>(
        &'a self,
        connector: &'a Connector,
        action: &'a Action,
        call: &'a Call,
        timing: &'a mut Timing,
        depth: usize,
    ) -> Ran<'a> {
        Box::pin(async move {
            let (session, mut context) = Session::open(self.runtime, &self.secrets, connector, action, call)?;
            let json_wanted = action.spec.output.is_some();
            let (output, status) = match &action.transport {
                Transport::Http(request) => {
                    let prepared = session.request(request, connector, call, &context, None)?;
                    let answer = self.send(connector, action, &prepared, request, timing).await?;
                    let output = finish(&action.response, &mut context, &answer, json_wanted)?;
                    (output, answer.status)
                }
                Transport::Steps(steps) => {
                    self.steps(&session, connector, action, steps, call, context, timing, depth).await?
                }
                Transport::NotRunnable(name) => return Err(not_runnable(name)),
            };
            check_output(connector, action, output, status)
        })
    }

    #[allow(clippy::too_many_arguments, reason = "the parts of one call, used in this file only")]
    async fn steps(
        &self,
        session: &Session,
        connector: &Connector,
        action: &Action,
        steps: &[Step],
        call: &Call,
        mut context: Context,
        timing: &mut Timing,
        depth: usize,
    ) -> Result<(Output, u16), CallError> {
        let mut results = Map::new();
        let mut last = None;
        for (index, step) in steps.iter().enumerate() {
            context.set("steps", Value::Object(results.clone()));
            if let Some(condition) = &step.condition {
                let value = condition
                    .render_value(&context, &Limits::default())
                    .map_err(|error| failed("if", &error).in_step(&step.name, index))?;
                if !is_true(&value) {
                    continue;
                }
            }
            let started = Instant::now();
            let ran = self.step(session, connector, action, step, call, &mut context, timing, depth).await;
            timing.steps.push((step.name.clone(), started.elapsed()));
            match ran {
                Ok((output, status, headers)) => {
                    let value = output.to_value();
                    results.insert(
                        step.name.clone(),
                        json!({"body": value, "output": value, "status_code": status, "headers": headers}),
                    );
                    last = Some((output, status, headers));
                }
                Err(error) if step.goes_on => {
                    let status = error.upstream_status.unwrap_or(0);
                    results.insert(step.name.clone(), json!({"body": null, "output": null, "status_code": status, "headers": {}, "error": error.code.as_str()}));
                }
                Err(error) => return Err(error.in_step(&step.name, index)),
            }
        }
        let (output, status, headers) = last.ok_or_else(|| CallError::new(ErrorCode::Template, "no step was run"))?;
        // The action's own transform sees the last result as its response.
        let answer = match &output {
            Output::Raw { bytes, .. } => UpstreamResponse { status, headers, body: bytes.clone(), mock: None },
            Output::Json { value, .. } => {
                UpstreamResponse { status, headers, body: value.to_string().into(), mock: None }
            }
        };
        context.set("steps", Value::Object(results));
        let transformed = action.response.apply(&mut context, &answer, action.spec.output.is_some())?;
        let output = if action.spec.response.is_some() { transformed } else { output };
        Ok((output, status))
    }

    #[allow(clippy::too_many_arguments, reason = "the parts of one call, used in this file only")]
    async fn step(
        &self,
        session: &Session,
        connector: &Connector,
        action: &Action,
        step: &Step,
        call: &Call,
        context: &mut Context,
        timing: &mut Timing,
        depth: usize,
    ) -> Result<(Output, u16, BTreeMap<String, String>), CallError> {
        match &step.call {
            StepCall::Http(request) => {
                let prepared = session.request(request, connector, call, context, step.auth.as_deref())?;
                let answer = self.send(connector, action, &prepared, request, timing).await?;
                let output = finish(&step.response, context, &answer, false)?;
                Ok((output, answer.status, answer.headers))
            }
            StepCall::Action { connector: name, action: called, input } => {
                if depth >= DEEPEST {
                    return Err(CallError::new(
                        ErrorCode::Template,
                        format!("actions call each other more than {DEEPEST} deep"),
                    ));
                }
                let (other, called) = find(self.runtime, name, called)?;
                let input = match input {
                    Some(input) => {
                        input.render(context, &Limits::default()).map_err(|error| failed("input", &error))?
                    }
                    None => call.input.clone(),
                };
                // Overrides and path parameters are the caller's word to the action that it called, not to others.
                let inner = Call {
                    input,
                    body: Bytes::new(),
                    path_params: BTreeMap::new(),
                    headers: BTreeMap::new(),
                    query: BTreeMap::new(),
                    connection: call.connection.clone().filter(|_| other.name == connector.name),
                    method: step.auth.clone(),
                    ..call.clone()
                };
                let (output, status) = self.action(other, called, &inner, timing, depth + 1).await?;
                Ok((output, status, BTreeMap::new()))
            }
        }
    }

    /// Sends a request, again where the policy says so and nothing can have been done twice.
    async fn send(
        &self,
        connector: &Connector,
        action: &Action,
        prepared: &Prepared,
        request: &Request,
        timing: &mut Timing,
    ) -> Result<UpstreamResponse, CallError> {
        timing.host = prepared.url.host_str().unwrap_or_default().to_owned();
        let deadline = Instant::now() + action.timeout;
        let attempts = request.retry.as_ref().map_or(1, |retry| retry.max_attempts);
        let mut wait = request
            .retry
            .as_ref()
            .and_then(|retry| retry.initial_interval)
            .map_or(Duration::from_secs(5), |wait| wait.0);
        let mut attempt = 1;
        loop {
            let mut limited = prepared.clone();
            limited.limits.timeout = deadline.saturating_duration_since(Instant::now()).min(prepared.limits.timeout);
            let started = Instant::now();
            let sent = self.upstream.send(&connector.name, &action.name, &limited).await;
            timing.external += started.elapsed();
            timing.mock = sent.as_ref().ok().and_then(|answer| answer.mock.clone());
            let pause = match (&sent, &request.retry) {
                (_, None) => None,
                (Ok(answer), Some(retry)) => retry_after(answer, request.method, retry, wait),
                (Err(error), Some(_)) if error.code == ErrorCode::Unreachable && is_idempotent(request.method) => {
                    Some(wait)
                }
                (Err(_), Some(_)) => None,
            };
            match pause {
                Some(pause) if attempt < attempts && Instant::now() + pause < deadline => {
                    tokio::time::sleep(pause).await;
                }
                _ => return sent,
            }
            attempt += 1;
            if let Some(retry) = &request.retry {
                let factor = retry.backoff_coefficient.unwrap_or(2.0).clamp(1.0, 10.0);
                wait = wait.mul_f64(factor).min(retry.max_interval.map_or(Duration::from_mins(1), |most| most.0));
            }
        }
    }
}

/// An output against the action's schema.
fn check_output(
    connector: &Connector,
    action: &Action,
    output: Output,
    status: u16,
) -> Result<(Output, u16), CallError> {
    let Some(schema) = action.output.get(&connector.entities) else { return Ok((output, status)) };
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
) -> Result<Output, CallError> {
    let succeeded = transform.succeeds(context, answer)?;
    let output = transform.apply(context, answer, json_wanted && succeeded);
    if succeeded {
        return output;
    }
    // A transform that only knows good answers must not hide the bad one.
    let body = output.map_or_else(
        |_| Output::Raw { bytes: answer.body.clone(), content_type: String::new() }.to_value(),
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
fn retry_after(answer: &UpstreamResponse, method: HttpMethod, retry: &Retry, wait: Duration) -> Option<Duration> {
    // 429 and 503 say that nothing was done; other failures may come after the deed.
    let refused = matches!(answer.status, 429 | 503);
    let failed = matches!(answer.status, 500 | 502 | 504) && is_idempotent(method);
    if !refused && !failed {
        return None;
    }
    let asked =
        answer.headers.get("retry-after").and_then(|seconds| seconds.trim().parse().ok()).map(Duration::from_secs);
    let most = retry.max_interval.map_or(Duration::from_mins(1), |most| most.0);
    Some(asked.unwrap_or(wait).min(most))
}
