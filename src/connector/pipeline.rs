//! One call from its input to its output.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::auth::Given;
use super::host::CallHost;
use super::request::{Prepared, Request, failed};
use super::response::{Transform, is_true};
use super::{Action, Call, CallError, Connector, ErrorCode, Runtime, Secrets, Step, StepCall, Transport, Upstream, UpstreamResponse};
use crate::definition::action::Method as HttpMethod;
use crate::definition::common::Retry;
use crate::definition::connection::{ConnectionScope, ConnectionSpec};
use crate::definition::tenant::TenantStatus;
use crate::template::{Context, Limits};

/// Actions that call actions, at most this deep.
const DEEPEST: usize = 8;

/// What became of a call.
#[derive(Debug)]
pub struct Outcome {
    /// The output, or why there is none.
    pub result: Result<Output, CallError>,
    /// HTTP status of the answer: the application's on success, the error's otherwise.
    pub status: u16,
    /// How long it took, and where.
    pub timing: Timing,
    /// `file:line` of the action that served; empty where none was found.
    pub place: String,
}

/// An output.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// JSON, with a content type where the definition sets one.
    Json {
        /// The value.
        value: Value,
        /// `Content-Type`, `application/json` where left out.
        content_type: Option<String>,
    },
    /// Bytes as the application sent them.
    Raw {
        /// The bytes.
        bytes: Bytes,
        /// Their `Content-Type`.
        content_type: String,
    },
}

impl Output {
    /// The output as a value: JSON where it is JSON, text otherwise.
    pub fn to_value(&self) -> Value {
        match self {
            Output::Json { value, .. } => value.clone(),
            Output::Raw { bytes, .. } if bytes.is_empty() => Value::Null,
            Output::Raw { bytes, .. } => serde_json::from_slice(bytes)
                .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(bytes).into_owned())),
        }
    }
}

/// How long a call took, and where.
#[derive(Clone, Debug, Default)]
pub struct Timing {
    /// Checks and templates before and after the application.
    pub transform: Duration,
    /// Waiting for the application.
    pub external: Duration,
    /// All of it.
    pub total: Duration,
    /// Steps of a composite action, by name.
    pub steps: Vec<(String, Duration)>,
    /// The application's host.
    pub host: String,
    /// The test that answered in the application's place.
    pub mock: Option<String>,
}

impl Timing {
    /// The value of the `Server-Timing` header.
    pub fn server_timing(&self) -> String {
        let milliseconds = |duration: Duration| duration.as_secs_f64() * 1000.0;
        let mut parts = vec![format!("transform;dur={:.3}", milliseconds(self.transform))];
        parts.push(format!("external;dur={:.3};desc=\"{}\"", milliseconds(self.external), self.host.replace('"', "")));
        parts.extend(self.steps.iter().map(|(name, duration)| format!("step.{name};dur={:.3}", milliseconds(*duration))));
        parts.push(format!("total;dur={:.3}", milliseconds(self.total)));
        parts.join(", ")
    }
}

/// Calls an action.
pub async fn call(
    runtime: &Runtime,
    upstream: &dyn Upstream,
    secrets: Arc<dyn Secrets>,
    connector: &str,
    action: &str,
    call: Call,
) -> Outcome {
    let started = Instant::now();
    let mut timing = Timing::default();
    let mut place = String::new();
    let result = match find(runtime, connector, action) {
        Ok((connector, action)) => {
            place.clone_from(&action.place);
            let run = Run { runtime, upstream, secrets };
            run.action(connector, action, &call, &mut timing, 0).await
        }
        Err(error) => Err(error),
    };
    timing.total = started.elapsed();
    timing.transform = timing.total.saturating_sub(timing.external);
    let (result, status) = match result {
        Ok((output, status)) => (Ok(output), status),
        Err(error) => {
            let status = error.code.status();
            (Err(error), status)
        }
    };
    Outcome { result, status, timing, place }
}

/// The request that a call would send, for actions that send one: no network, secrets as `secrets` gives them.
///
/// # Errors
/// As for the call itself.
pub fn prepare(
    runtime: &Runtime,
    secrets: Arc<dyn Secrets>,
    connector: &str,
    action: &str,
    call: &Call,
) -> Result<Prepared, CallError> {
    let (connector, action) = find(runtime, connector, action)?;
    let (session, context) = Session::open(runtime, &secrets, connector, action, call)?;
    match &action.transport {
        Transport::Http(request) => session.request(request, connector, call, &context, None),
        Transport::Steps(steps) => match steps.first().map(|step| &step.call) {
            Some(StepCall::Http(request)) => {
                session.request(request, connector, call, &context, steps.first().and_then(|step| step.auth.as_deref()))
            }
            _ => Err(CallError::new(ErrorCode::NotRunnable, "the first step of this action calls another action; render that one")),
        },
        Transport::NotRunnable(name) => Err(not_runnable(name)),
    }
}

fn find<'a>(runtime: &'a Runtime, connector: &str, action: &str) -> Result<(&'a Connector, &'a Action), CallError> {
    let near = |text: &str, names: Vec<&str>| {
        crate::definition::shape::nearest(text, names.into_iter()).map_or_else(String::new, |near| format!("; did you mean `{near}`?"))
    };
    let Some(found) = runtime.connectors.get(connector) else {
        let near = near(connector, runtime.connectors.keys().map(String::as_str).collect());
        return Err(CallError::new(ErrorCode::UnknownConnector, format!("there is no connector `{connector}`{near}")));
    };
    match found.actions.get(action) {
        Some(action) => Ok((found, action)),
        None => {
            let near = near(action, found.actions.keys().map(String::as_str).collect());
            let detail = format!("connector `{connector}` has no action `{action}`{near}");
            Err(CallError::new(ErrorCode::UnknownAction, detail))
        }
    }
}

fn not_runnable(name: &str) -> CallError {
    CallError::new(ErrorCode::NotRunnable, format!("this version checks actions by `{name}` and does not run them"))
}

/// What a call works with: everything that is decided before its first template.
struct Session {
    secrets: Arc<dyn Secrets>,
    credentials: Given,
    method: Option<String>,
}

impl Session {
    /// Checks the call and builds what its templates see.
    fn open(
        runtime: &Runtime,
        secrets: &Arc<dyn Secrets>,
        connector: &Connector,
        action: &Action,
        call: &Call,
    ) -> Result<(Session, Context), CallError> {
        if action.spec.requires_user && call.user.is_none() {
            return Err(CallError::new(ErrorCode::UserRequired, "only signed-in users may call this action"));
        }
        if let Some(schema) = action.input.get(&connector.entities) {
            let violations = schema.violations(&call.input, 20);
            if !violations.is_empty() {
                let shown: Vec<String> = violations
                    .iter()
                    .map(|violation| match violation.pointer.as_str() {
                        "" => violation.message.clone(),
                        pointer => format!("{pointer}: {}", violation.message),
                    })
                    .collect();
                let params = violations.into_iter().map(|violation| violation.pointer).collect();
                return Err(CallError::new(ErrorCode::InvalidInput, shown.join("; ")).params(params));
            }
        }
        let tenant = match &call.tenant {
            Some(name) => match runtime.tenants.get(name) {
                Some(tenant) if tenant.status == TenantStatus::Active => Some(Arc::clone(tenant)),
                Some(_) => return Err(CallError::new(ErrorCode::UnknownTenant, format!("tenant `{name}` is not active"))),
                // Without any Tenant declared, tenants are whatever the embedding product says.
                None if runtime.tenants.is_empty() || secrets.masked() => None,
                None => return Err(CallError::new(ErrorCode::UnknownTenant, format!("there is no tenant `{name}`"))),
            },
            None => None,
        };
        let connection = choose(runtime, connector, call)?;
        let mut variables: Vec<Arc<BTreeMap<String, String>>> = vec![Arc::new(call.variables.clone())];
        variables.extend(connection.as_ref().map(|(_, connection)| Arc::new(connection.variables.clone())));
        variables.extend(tenant.as_ref().map(|tenant| Arc::new(tenant.variables.clone())));
        variables.push(Arc::new(runtime.variables.clone()));
        let now = call.now.unwrap_or_else(|| {
            let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
        });
        let mut context = Context::new(Arc::new(CallHost { variables, secrets: Arc::clone(secrets), now }));
        context.set("input", &call.input);
        let body_text = match call.body.is_empty() {
            true => call.input.to_string(),
            false => String::from_utf8_lossy(&call.body).into_owned(),
        };
        context.set(
            "request",
            json!({
                "id": call.request_id,
                "method": "POST",
                "headers": call.headers.iter().filter(|(name, _)| *name == "content-type").collect::<BTreeMap<_, _>>(),
                "query_parameters": call.query,
                "body_text": body_text,
                "body_raw": body_text,
            }),
        );
        context.set_bytes("body_raw", if call.body.is_empty() { body_text.clone().into() } else { call.body.clone() });
        context.set("body_text", body_text);
        context.set("user", call.user.clone().unwrap_or_else(anonymous));
        let tenant_value = tenant.map_or_else(
            || json!({"name": call.tenant}),
            |tenant| {
                json!({
                    "name": call.tenant, "display_name": tenant.display_name, "external_id": tenant.external_id,
                    "region": tenant.region, "plan": tenant.plan,
                })
            },
        );
        context.set("tenant", tenant_value);
        context.set("tenant_id", call.tenant.clone().map_or(Value::Null, Value::String));
        let settings = call.settings.clone().or_else(|| {
            let (_, connection) = connection.as_ref()?;
            Some(Value::Object(connection.settings.clone().into_iter().collect()))
        });
        context.set(
            "connection",
            json!({
                "name": connection.as_ref().map(|(name, _)| name),
                "settings": settings.unwrap_or_else(|| json!({})),
            }),
        );
        context.set("steps", json!({}));
        let session = Session {
            secrets: Arc::clone(secrets),
            credentials: connection.as_ref().map(|(_, connection)| connection.credentials.clone()).unwrap_or_default(),
            method: method_name(connector, action, call, connection.as_ref().map(|(_, connection)| &**connection))?,
        };
        Ok((session, context))
    }

    /// The request of an action or step, authenticated.
    fn request(
        &self,
        request: &Request,
        connector: &Connector,
        call: &Call,
        context: &Context,
        method: Option<&str>,
    ) -> Result<Prepared, CallError> {
        let path_params = request.path_params(call, context)?;
        let mut context = context.clone();
        context.set("pathParams", Value::Object(path_params));
        let mut prepared = request.render(call, &context)?;
        if let Some(name) = method.or(self.method.as_deref())
            && let Some(method) = connector.methods.get(name)
        {
            context.set("method", name);
            method.apply(&mut prepared, &self.credentials, &context, &*self.secrets)?;
        }
        Ok(prepared)
    }
}

/// Nobody: templates that name the user get empty text, and `requiresUser` refuses the call before that.
fn anonymous() -> Value {
    json!({"id": "", "email": "", "username": "", "first_name": "", "last_name": ""})
}

type Chosen = Option<(String, Arc<ConnectionSpec>)>;

/// The connection of a call: the one that is named, else the user's, the tenant's, the organization's.
fn choose(runtime: &Runtime, connector: &Connector, call: &Call) -> Result<Chosen, CallError> {
    let error = |detail: String| CallError::new(ErrorCode::ConnectionRequired, detail);
    let visible = |connection: &ConnectionSpec| {
        let user = call.user.as_ref().and_then(|user| user["id"].as_str());
        match connection.scope {
            ConnectionScope::Organization => true,
            ConnectionScope::Tenant => connection.tenant.is_some() && connection.tenant == call.tenant,
            ConnectionScope::User => connection.tenant == call.tenant && user.is_some() && connection.user.as_deref() == user,
        }
    };
    if let Some(name) = &call.connection {
        // Another tenant's connection looks exactly like one that does not exist.
        let found = runtime.connections.get(name).filter(|connection| visible(connection));
        let found = found.ok_or_else(|| error(format!("there is no connection `{name}`")))?;
        if found.connector != connector.name {
            return Err(error(format!("connection `{name}` is not one of connector `{}`", connector.name)));
        }
        if !found.active {
            return Err(error(format!("connection `{name}` is not active")));
        }
        return Ok(Some((name.clone(), Arc::clone(found))));
    }
    for scope in [ConnectionScope::User, ConnectionScope::Tenant, ConnectionScope::Organization] {
        let fits = |connection: &ConnectionSpec| {
            connection.scope == scope && connection.active && connection.connector == connector.name && visible(connection)
        };
        let mut found = runtime.connections.iter().filter(|(_, connection)| fits(connection));
        match (found.next(), found.next()) {
            (Some((name, connection)), None) => return Ok(Some((name.clone(), Arc::clone(connection)))),
            (Some((first, _)), Some((second, _))) => {
                let detail = format!("there are several connections, such as `{first}` and `{second}`; name one");
                return Err(error(detail));
            }
            (None, _) => {}
        }
    }
    Ok(None)
}

fn method_name(
    connector: &Connector,
    action: &Action,
    call: &Call,
    connection: Option<&ConnectionSpec>,
) -> Result<Option<String>, CallError> {
    let Some(auth) = &connector.spec.auth else { return Ok(None) };
    let only = || auth.methods.keys().next().filter(|_| auth.methods.len() == 1);
    let chosen = call.method.as_ref().or(connection.and_then(|connection| connection.method.as_ref()));
    let name = chosen.or(auth.default.as_ref()).or_else(only);
    match name {
        Some(name) if !action.spec.auth.is_empty() && !action.spec.auth.contains(name) => {
            let detail = format!("this action cannot be called with the method `{name}`; it takes {}", action.spec.auth.join(", "));
            Err(CallError::new(ErrorCode::ConnectionRequired, detail))
        }
        Some(name) if !connector.methods.contains_key(name) => {
            Err(CallError::new(ErrorCode::ConnectionRequired, format!("the connector has no authentication method `{name}`")))
        }
        name => Ok(name.cloned()),
    }
}

struct Run<'a> {
    runtime: &'a Runtime,
    upstream: &'a dyn Upstream,
    secrets: Arc<dyn Secrets>,
}

type Ran<'a> = Pin<Box<dyn Future<Output = Result<(Output, u16), CallError>> + Send + 'a>>;

impl Run<'_> {
    fn action<'a>(&'a self, connector: &'a Connector, action: &'a Action, call: &'a Call, timing: &'a mut Timing, depth: usize) -> Ran<'a> {
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
                Transport::Steps(steps) => self.steps(&session, connector, action, steps, call, context, timing, depth).await?,
                Transport::NotRunnable(name) => return Err(not_runnable(name)),
            };
            self.check_output(connector, action, output, status)
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
                let value = condition.render_value(&context, &Limits::default()).map_err(|error| failed("if", &error).in_step(&step.name, index))?;
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
                    results.insert(step.name.clone(), json!({"body": value, "output": value, "status_code": status, "headers": headers}));
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
            Output::Json { value, .. } => UpstreamResponse { status, headers, body: value.to_string().into(), mock: None },
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
                    return Err(CallError::new(ErrorCode::Template, format!("actions call each other more than {DEEPEST} deep")));
                }
                let (other, called) = find(self.runtime, name, called)?;
                let input = match input {
                    Some(input) => input.render(context, &Limits::default()).map_err(|error| failed("input", &error))?,
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
        let mut wait = request.retry.as_ref().and_then(|retry| retry.initial_interval).map_or(Duration::from_secs(5), |wait| wait.0);
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
                (Err(error), Some(_)) if error.code == ErrorCode::Unreachable && is_idempotent(request.method) => Some(wait),
                (Err(_), Some(_)) => None,
            };
            match pause {
                Some(pause) if attempt < attempts && Instant::now() + pause < deadline => tokio::time::sleep(pause).await,
                _ => return sent,
            }
            attempt += 1;
            if let Some(retry) = &request.retry {
                let factor = retry.backoff_coefficient.unwrap_or(2.0).clamp(1.0, 10.0);
                wait = wait.mul_f64(factor).min(retry.max_interval.map_or(Duration::from_secs(60), |most| most.0));
            }
        }
    }

    fn check_output(&self, connector: &Connector, action: &Action, output: Output, status: u16) -> Result<(Output, u16), CallError> {
        let Some(schema) = action.output.get(&connector.entities) else { return Ok((output, status)) };
        let violations = schema.violations(&output.to_value(), 5);
        if violations.is_empty() {
            return Ok((output, status));
        }
        // What does not fit came from the application: its values may be anybody's data and are not repeated.
        let places: Vec<String> = violations.into_iter().map(|violation| violation.pointer).collect();
        let shown: Vec<&str> = places.iter().map(|place| if place.is_empty() { "the whole output" } else { place }).collect();
        let detail = format!("the output does not fit the action's schema at {}", shown.join(", "));
        Err(CallError::new(ErrorCode::InvalidOutput, detail).params(places))
    }
}

/// The output of an answer; an error with the transformed answer in it where the status is none of success.
fn finish(transform: &Transform, context: &mut Context, answer: &UpstreamResponse, json_wanted: bool) -> Result<Output, CallError> {
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
    let mut error = CallError::new(ErrorCode::Upstream, format!("the application answered with status {}", answer.status));
    if (200..300).contains(&answer.status) {
        error.detail = format!("the application answered with status {}, and `successWhen` does not hold", answer.status);
    }
    error.upstream = Some(body);
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
    let asked = answer.headers.get("retry-after").and_then(|seconds| seconds.trim().parse().ok()).map(Duration::from_secs);
    let most = retry.max_interval.map_or(Duration::from_secs(60), |most| most.0);
    Some(asked.unwrap_or(wait).min(most))
}
