//! Static responses: the page of `evenkeel dev`, built in, and the OpenAPI document.

use std::sync::LazyLock;

use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use serde_json::Value;

use super::extract::PathParams;
use super::reply::{ApiResult, Reply, set};
use crate::api::Problem;

/// Content security policy. Trusted Types make the browser reject every use of text as markup or script.
const CSP: &str = "default-src 'self'; img-src 'self' data: https:; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

/// `GET /`
pub(super) async fn index() -> Response {
    file(include_str!("assets/index.html"), "text/html; charset=utf-8")
}

/// `GET /assets/{name}`
pub(super) async fn asset(params: PathParams) -> ApiResult<Response> {
    match params.get("name") {
        "app.js" => Ok(file(include_str!("assets/app.js"), "text/javascript; charset=utf-8")),
        "style.css" => Ok(file(include_str!("assets/style.css"), "text/css; charset=utf-8")),
        name => Err(Problem::unknown("file", name).into()),
    }
}

/// `GET /openapi.json`
pub(super) async fn openapi() -> Reply<&'static Value> {
    static DOCUMENT: LazyLock<Value> = LazyLock::new(super::router::openapi);
    Reply(&DOCUMENT)
}

fn file(text: &'static str, content_type: &'static str) -> Response {
    let mut response = text.into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    set(&mut response, "content-security-policy", CSP);
    set(&mut response, "x-content-type-options", "nosniff");
    set(&mut response, "referrer-policy", "no-referrer");
    set(&mut response, "cache-control", "no-cache");
    response
}
