//! The gateway: calls of actions over HTTP.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};

use super::context::{RequestContext, TENANT, USER};
use super::extract::{BodyBytes, PathParams, expect_json, header_text};
use super::reply::{self, ApiError, ApiResult, Reported, set};
use super::state::Server;
use crate::api::Problem;
use crate::connector::{self, ActionOutput, Call, Caller};
use crate::reconcile::active::Active;
use crate::telemetry::TRACEPARENT;

/// `POST …/connectors/{connector}/actions/{action}` with the input as JSON.
pub(super) async fn call(
    State(server): State<Server>,
    context: RequestContext,
    params: PathParams,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    BodyBytes(body): BodyBytes,
) -> ApiResult<Response> {
    let busy = || Problem::new(503, "UNAVAILABLE", "too many concurrent calls; try again");
    let _permit = server.call_permits.try_acquire().map_err(|_| busy())?;
    let call = read(&context, &headers, query.as_deref(), body)?;
    let (connector, action) = (params.get("connector"), params.get("action"));
    // Loaded once: a call finishes on the generation on which it started.
    let active = context.target()?.active()?;
    let runtime = &active.runtime;
    let caller = Caller {
        runtime: Arc::clone(runtime),
        client: active.client.clone(),
        mocking: server.mocking,
        limiter: Arc::clone(&active.limiter),
    };
    let started = std::time::Instant::now();
    let outcome = caller.call(connector, action, call).await;
    let code = outcome.result.as_ref().err().map_or("", |error| error.code.as_str());
    let detail = outcome.result.as_ref().err().map_or("", |error| error.detail.as_str()).to_owned();
    let mut response = match outcome.result {
        Ok(output) => success(output, outcome.status),
        Err(error) => ApiError::from(error).into_response(),
    };
    set_origin(&mut response, &active);
    if !outcome.place.is_empty() {
        set(&mut response, "x-evenkeel-source", &outcome.place);
    }
    if let Some(mock) = &outcome.timing.mock {
        set(&mut response, "x-evenkeel-mock", mock);
    }
    set(&mut response, "server-timing", &outcome.timing.server_timing());
    tracing::info!(
        request_id = context.request_id,
        environment = runtime.environment,
        generation = active.number,
        principal = context.principal.name,
        connector,
        action,
        status = response.status().as_u16(),
        code,
        detail,
        source = outcome.place,
        mock = outcome.timing.mock.as_deref().unwrap_or_default(),
        ms = started.elapsed().as_micros() as f64 / 1000.0,
        "call"
    );
    response.extensions_mut().insert(Reported);
    Ok(response)
}

/// Adds the environment, generation and revision that a response comes from.
pub(super) fn set_origin(response: &mut Response, active: &Active) {
    let runtime = &active.runtime;
    set(response, "x-evenkeel-digest", &runtime.generation);
    if active.number > 0 {
        set(response, "x-evenkeel-generation", &active.number.to_string());
        set(response, "x-evenkeel-environment", &runtime.environment);
        let revisions: Vec<&str> = active.revisions.values().map(String::as_str).collect();
        set(response, "x-evenkeel-revision", &revisions.join(", "));
    }
}

fn success(output: ActionOutput, status: u16) -> Response {
    // 204, 205 and 304 cannot have the body that a transform produced.
    let status = if matches!(status, 204 | 205 | 304) { 200 } else { status };
    match output {
        ActionOutput::Json { value, content_type } => {
            let mut response = reply::json(status, &value);
            if let Some(value) = content_type.as_deref().and_then(|value| HeaderValue::from_str(value).ok()) {
                response.headers_mut().insert(header::CONTENT_TYPE, value);
            }
            response
        }
        ActionOutput::Raw { bytes, content_type } => {
            let mut response = Response::new(bytes.into());
            *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
            let content_type = HeaderValue::from_str(&content_type);
            let unknown = HeaderValue::from_static("application/octet-stream");
            response.headers_mut().insert(header::CONTENT_TYPE, content_type.unwrap_or(unknown));
            // A browser must not treat content of an application as a page of this server.
            set(&mut response, "x-content-type-options", "nosniff");
            set(&mut response, "content-security-policy", "default-src 'none'; sandbox");
            response
        }
    }
}

/// The call that a request makes.
///
/// # Errors
/// 400 for malformed input, headers and parameters; 403 if the caller may not act for the tenant or user.
pub(super) fn read(
    context: &RequestContext,
    headers: &HeaderMap,
    query: Option<&str>,
    body: axum::body::Bytes,
) -> Result<Call, Problem> {
    expect_json(headers)?;
    let input = if body.is_empty() {
        json!({})
    } else {
        let value = serde_json::from_slice(&body)
            .map_err(|error| Problem::bad_request(format!("the body is not JSON: {error}")))?;
        if let Some(number) = connector::inexact_integer(&body) {
            let detail = format!("the integer {number} would lose digits; send it as a string");
            return Err(Problem::bad_request(detail));
        }
        value
    };
    let path_params = match text(headers, "x-path-params")? {
        Some(params) if params.len() > 4096 => {
            return Err(Problem::bad_request("header `x-path-params` is longer than 4096 bytes"));
        }
        Some(params) => pairs(params),
        None => BTreeMap::new(),
    };
    context.check_user(headers)?;
    let user = match text(headers, USER)? {
        Some(user) => {
            let Ok(user @ Value::Object(_)) = serde_json::from_str::<Value>(user) else {
                let detail = format!("header `{USER}` is not a JSON object");
                return Err(Problem::bad_request(detail).of_parameter(USER));
            };
            Some(user)
        }
        None => None,
    };
    text(headers, TENANT)?;
    let texts =
        headers.iter().filter_map(|(name, value)| Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned())));
    Ok(Call {
        input,
        body,
        path_params,
        headers: texts.filter(|(name, _)| name != header::AUTHORIZATION.as_str()).collect(),
        query: query.map(pairs).unwrap_or_default(),
        user,
        tenant: context.tenant(headers)?,
        connection: text(headers, "x-evenkeel-connection")?.map(str::to_owned),
        request_id: context.request_id.clone(),
        trace: text(headers, TRACEPARENT)?.unwrap_or_default().to_owned(),
        ..Call::default()
    })
}

/// Text of a header.
///
/// # Errors
/// 400 if it is not ASCII.
fn text<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, Problem> {
    let not_text = || Problem::bad_request(format!("header `{name}` is not text")).of_parameter(name);
    match headers.contains_key(name) {
        true => header_text(headers, name).map(Some).ok_or_else(not_text),
        false => Ok(None),
    }
}

fn pairs(text: &str) -> BTreeMap<String, String> {
    url::form_urlencoded::parse(text.as_bytes()).into_owned().collect()
}
