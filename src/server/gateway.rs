//! The gateway: calls of actions over HTTP.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, PathRejection};
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::Response;
use serde_json::{Value, json};

use super::context::{ENVIRONMENT, header_text};
use super::response::{self, request_id, set};
use super::state::{MAX_BODY, Server};
use crate::connector::{self, ActionOutput, Call, CallError, Caller, ErrorCode};
use crate::telemetry::TRACEPARENT;

/// `POST /v1/connectors/{connector}/actions/{action}` with the input as JSON.
pub(super) async fn call(
    State(server): State<Server>,
    path: Result<Path<(String, String)>, PathRejection>,
    method: Method,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let id = request_id(&headers);
    if method != Method::POST {
        let detail = format!("actions are called with POST, not {method}");
        let mut response = response::error(&CallError::new(ErrorCode::MethodNotAllowed, detail), &id);
        set(&mut response, "allow", "POST");
        return response;
    }
    let Ok(Path((connector, action))) = path else {
        return response::error(&CallError::new(ErrorCode::BadRequest, "the path is not UTF-8"), &id);
    };
    let Ok(_permit) = server.call_permits.try_acquire() else {
        let mut response = response::error(&CallError::new(ErrorCode::Unavailable, "too many concurrent calls"), &id);
        set(&mut response, "retry-after", "1");
        return response;
    };
    let call = match read(&headers, query.as_deref(), body, id.clone()) {
        Ok(call) => call,
        Err(error) => return response::error(&error, &id),
    };
    // Loaded once: a call finishes on the generation on which it started.
    let active = match server.active(header_text(&headers, ENVIRONMENT)) {
        Ok(active) => active,
        Err(error) => return response::error(&error, &id),
    };
    let runtime = &active.runtime;
    let caller = Caller { runtime: Arc::clone(runtime), client: active.client.clone(), mocking: server.mocking };
    let started = std::time::Instant::now();
    let outcome = caller.call(&connector, &action, call).await;
    let mut response = match &outcome.result {
        Ok(output) => success(output, outcome.status),
        Err(error) => response::error(error, &id),
    };
    set(&mut response, "x-request-id", &id);
    set(&mut response, "x-evenkeel-generation", &runtime.generation);
    if active.number > 0 {
        set(&mut response, "x-evenkeel-environment", &runtime.environment);
        let revisions: Vec<&str> = active.revisions.values().map(String::as_str).collect();
        set(&mut response, "x-evenkeel-revision", &revisions.join(", "));
    }
    if !outcome.place.is_empty() {
        set(&mut response, "x-evenkeel-source", &outcome.place);
    }
    if let Some(mock) = &outcome.timing.mock {
        set(&mut response, "x-evenkeel-mock", mock);
    }
    set(&mut response, "server-timing", &outcome.timing.server_timing());
    tracing::info!(
        request_id = id,
        environment = runtime.environment,
        generation = active.number,
        connector,
        action,
        status = response.status().as_u16(),
        ms = started.elapsed().as_micros() as f64 / 1000.0,
        "call"
    );
    response
}

fn success(output: &ActionOutput, status: u16) -> Response {
    // 204, 205 and 304 cannot have the body that a transform produced.
    let status = if matches!(status, 204 | 205 | 304) { 200 } else { status };
    match output {
        ActionOutput::Json { value, content_type } => {
            let mut response = response::json(status, value);
            if let Some(value) = content_type.as_deref().and_then(|value| HeaderValue::from_str(value).ok()) {
                response.headers_mut().insert(header::CONTENT_TYPE, value);
            }
            response
        }
        ActionOutput::Raw { bytes, content_type } => {
            let mut response = Response::new(bytes.clone().into());
            *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
            let content_type = HeaderValue::from_str(content_type);
            let unknown = HeaderValue::from_static("application/octet-stream");
            response.headers_mut().insert(header::CONTENT_TYPE, content_type.unwrap_or(unknown));
            // A browser must not treat content of an application as a page of this server.
            set(&mut response, "x-content-type-options", "nosniff");
            set(&mut response, "content-security-policy", "default-src 'none'; sandbox");
            response
        }
    }
}

fn read(
    headers: &HeaderMap,
    query: Option<&str>,
    body: Result<Bytes, BytesRejection>,
    id: String,
) -> Result<Call, CallError> {
    let bad = |detail: String| CallError::new(ErrorCode::BadRequest, detail);
    let body = body.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => {
            CallError::new(ErrorCode::TooLarge, format!("the body is larger than {} MiB", MAX_BODY >> 20))
        }
        _ => bad(rejection.body_text()),
    })?;
    let input = if body.is_empty() {
        json!({})
    } else {
        let value = serde_json::from_slice(&body).map_err(|error| bad(format!("the body is not JSON: {error}")))?;
        if let Some(number) = connector::inexact_integer(&body) {
            return Err(bad(format!("the integer {number} would lose digits; send it as a string")));
        }
        value
    };
    let text = |name: &str| -> Result<Option<String>, CallError> {
        match headers.get(name) {
            Some(value) => value
                .to_str()
                .map(|value| Some(value.to_owned()))
                .map_err(|_| bad(format!("header `{name}` is not text"))),
            None => Ok(None),
        }
    };
    let path_params = match text("x-path-params")? {
        Some(params) if params.len() > 4096 => {
            return Err(bad("header `x-path-params` is longer than 4096 bytes".into()));
        }
        Some(params) => pairs(&params),
        None => BTreeMap::new(),
    };
    let user = match text("x-evenkeel-user")? {
        Some(user) => match serde_json::from_str::<Value>(&user) {
            Ok(user @ Value::Object(_)) => Some(user),
            _ => return Err(bad("header `x-evenkeel-user` is not a JSON object".into())),
        },
        None => None,
    };
    let texts =
        headers.iter().filter_map(|(name, value)| Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned())));
    Ok(Call {
        input,
        body,
        path_params,
        headers: texts.collect(),
        query: query.map(pairs).unwrap_or_default(),
        user,
        tenant: text("x-evenkeel-tenant")?,
        connection: text("x-evenkeel-connection")?,
        request_id: id,
        trace: text(TRACEPARENT)?.unwrap_or_default(),
        ..Call::default()
    })
}

fn pairs(text: &str) -> BTreeMap<String, String> {
    url::form_urlencoded::parse(text.as_bytes()).into_owned().collect()
}
