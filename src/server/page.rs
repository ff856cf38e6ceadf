//! The page of `evenkeel dev`: static files, built in.

use axum::extract::Path;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};

use super::response::set;

/// Content security policy. Trusted Types make the browser reject every use of text as markup or script.
const CSP: &str = "default-src 'self'; img-src 'self' data: https:; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

/// `GET /`
pub(super) async fn index() -> Response {
    file(include_str!("assets/index.html"), "text/html; charset=utf-8")
}

/// `GET /assets/{name}`
pub(super) async fn asset(Path(name): Path<String>) -> Response {
    match name.as_str() {
        "app.js" => file(include_str!("assets/app.js"), "text/javascript; charset=utf-8"),
        "style.css" => file(include_str!("assets/style.css"), "text/css; charset=utf-8"),
        _ => StatusCode::NOT_FOUND.into_response(),
    }
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
