//! Parts of requests, with problem documents for malformed ones.

use std::collections::BTreeMap;

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Query, RawPathParams, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use serde::de::DeserializeOwned;

use super::reply::ApiError;
use super::state::{MAX_BODY, Server};
use crate::api::problem::FieldError;
use crate::api::{Problem, page, query};

/// The parameters of a path by name, decoded.
#[derive(Clone, Debug, Default)]
pub(super) struct PathParams(BTreeMap<String, String>);

impl PathParams {
    /// A parameter; empty if the path has none of that name.
    pub(super) fn get(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    /// A parameter; `None` if the path has none of that name.
    pub(super) fn find(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for PathParams {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<PathParams, ApiError> {
        let params = RawPathParams::from_request_parts(parts, state).await;
        let params = params.map_err(|_| Problem::bad_request("the path is not UTF-8"))?;
        Ok(PathParams(params.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()))
    }
}

/// Query parameters; unknown ones are an error.
#[derive(Clone, Debug)]
pub(super) struct QueryParams<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for QueryParams<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<QueryParams<T>, ApiError> {
        match Query::<T>::try_from_uri(&parts.uri) {
            Ok(Query(value)) => Ok(QueryParams(value)),
            Err(rejection) => {
                let text = rejection.body_text();
                let text = text.strip_prefix("Failed to deserialize query string: ").unwrap_or(&text);
                let mut problem = Problem::bad_request(format!("query: {text}"));
                let parameter = text.split_once(": ").map(|(name, _)| name.to_owned());
                problem.errors.push(FieldError { pointer: None, parameter, detail: text.to_owned() });
                Err(problem.into())
            }
        }
    }
}

/// A body of at most 8 MiB.
#[derive(Clone, Debug)]
pub(super) struct BodyBytes(pub(super) Bytes);

impl FromRequest<Server> for BodyBytes {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &Server) -> Result<BodyBytes, ApiError> {
        match Bytes::from_request(request, state).await {
            Ok(bytes) => Ok(BodyBytes(bytes)),
            Err(rejection) if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => {
                let detail = format!("the body is larger than {} MiB", MAX_BODY >> 20);
                Err(Problem::new(413, "REQUEST_TOO_LARGE", detail).into())
            }
            Err(rejection) => {
                Err(Problem::bad_request(format!("cannot read the body: {}", rejection.body_text())).into())
            }
        }
    }
}

/// A JSON body; an empty one counts as `{}`.
#[derive(Clone, Debug)]
pub(super) struct JsonBody<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequest<Server> for JsonBody<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &Server) -> Result<JsonBody<T>, ApiError> {
        expect_json(request.headers())?;
        let BodyBytes(bytes) = BodyBytes::from_request(request, state).await?;
        Ok(JsonBody(parse(&bytes)?))
    }
}

/// Parses JSON; an empty text counts as `{}`.
pub(super) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let bytes = if bytes.is_empty() { b"{}" } else { bytes };
    serde_json::from_slice(bytes).map_err(|error| {
        let what = if error.is_data() { "the body does not match" } else { "the body is not JSON" };
        let mut problem = Problem::bad_request(format!("{what}: {error}"));
        if error.is_data() {
            let pointer = Some(String::new());
            problem.errors.push(FieldError { pointer, parameter: None, detail: error.to_string() });
        }
        problem
    })
}

/// Checks that a body is declared as JSON, or as what clients send that declare nothing: curl sends forms by default.
///
/// # Errors
/// 415 `UNSUPPORTED_MEDIA_TYPE`
pub(super) fn expect_json(headers: &HeaderMap) -> Result<(), Problem> {
    let media_type = media_type(headers);
    let is_json = media_type.is_empty()
        || media_type == "application/json"
        || media_type.ends_with("+json")
        || media_type == "application/x-www-form-urlencoded";
    if is_json {
        return Ok(());
    }
    let detail =
        format!("`{media_type}` bodies are not accepted here; send JSON with `content-type: application/json`");
    Err(Problem::new(415, "UNSUPPORTED_MEDIA_TYPE", detail))
}

/// The media type of a body in lower case, without parameters; empty if none is declared.
pub(super) fn media_type(headers: &HeaderMap) -> String {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// Text of a header; `None` if it is absent or not ASCII.
pub(super) fn header_text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// The `limit` of a list.
///
/// # Errors
/// 400 unless it is between 1 and 1000.
pub(super) fn limit(limit: Option<u32>) -> Result<u32, Problem> {
    query::limit(limit).ok_or_else(|| Problem::bad_request("`limit` must be between 1 and 1000").of_parameter("limit"))
}

/// The position of a cursor in a list that is sorted by time.
///
/// # Errors
/// 400 if the text is no cursor.
pub(super) fn position(cursor: Option<&str>) -> Result<Option<page::Position>, Problem> {
    cursor.map(|cursor| page::Position::parse(cursor).ok_or_else(bad_cursor)).transpose()
}

/// The name or number of a cursor.
///
/// # Errors
/// 400 if the text is no cursor.
pub(super) fn after(cursor: Option<&str>) -> Result<Option<String>, Problem> {
    cursor.map(|cursor| page::decode(cursor).ok_or_else(bad_cursor)).transpose()
}

/// The error of a text that is no cursor.
pub(super) fn bad_cursor() -> Problem {
    Problem::bad_request("`cursor` is not the `next` of a page of this list").of_parameter("cursor")
}
