//! Static responses: the page of `evenkeel dev`, built in, the answer of other servers at `/`, and the OpenAPI document.

use std::sync::LazyLock;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};

use super::extract::PathParams;
use super::reply::{self, ApiResult, Reply, set};
use super::state::Server;
use crate::api::Problem;

/// Content security policy. Trusted Types make the browser reject every use of text as markup or script.
const CSP: &str = "default-src 'self'; img-src 'self' data: https:; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

/// `GET /`
pub(super) async fn index() -> Response {
    file(include_str!("assets/index.html"), "text/html; charset=utf-8")
}

/// The files of the page by name.
const FILES: [(&str, &str); 11] = [
    ("action.js", include_str!("assets/action.js")),
    ("api.js", include_str!("assets/api.js")),
    ("app.js", include_str!("assets/app.js")),
    ("dom.js", include_str!("assets/dom.js")),
    ("executions.js", include_str!("assets/executions.js")),
    ("form.js", include_str!("assets/form.js")),
    ("lists.js", include_str!("assets/lists.js")),
    ("schema.js", include_str!("assets/schema.js")),
    ("style.css", include_str!("assets/style.css")),
    ("text.js", include_str!("assets/text.js")),
    ("workflow.js", include_str!("assets/workflow.js")),
];

/// `GET /assets/{name}`: a file of the page, or as `context.json` the data that only the page needs.
pub(super) async fn asset(State(server): State<Server>, params: PathParams) -> ApiResult<Response> {
    let name = params.get("name");
    if name == "context.json" {
        return Ok(reply::json(200, &context(&server)));
    }
    let content_type = match name.rsplit_once('.') {
        Some((_, "css")) => "text/css; charset=utf-8",
        _ => "text/javascript; charset=utf-8",
    };
    match FILES.iter().find(|(known, _)| *known == name) {
        Some((_, text)) => Ok(file(text, content_type)),
        None => Err(Problem::unknown("file", name).into()),
    }
}

/// The environment, the folder before paths of definitions as findings show them, and the tenants to choose from.
fn context(server: &Server) -> Value {
    let Some(active) = server.pointer.load() else {
        return json!({"environment": null, "folder": "", "tenants": []});
    };
    let environment = Some(&active.runtime.environment).filter(|name| !name.is_empty());
    let tenants: Vec<Value> = active
        .runtime
        .tenants
        .iter()
        .map(|(name, tenant)| json!({"name": name, "displayName": tenant.display_name}))
        .collect();
    json!({
        "environment": environment,
        "folder": active.validated.catalog.sources.path_prefix(),
        "tenants": tenants,
    })
}

/// The addresses of a server of environments, for people and programs that open `/`.
const ADDRESSES: [(&str, &str, &str); 5] = [
    ("environments", "/v1/environments", "environments with their status"),
    ("api", "/openapi.json", "description of the API (OpenAPI 3.1)"),
    ("health", "/healthz", "liveness"),
    ("readiness", "/readyz", "readiness"),
    ("metrics", "/metrics", "metrics (Prometheus)"),
];

/// `GET /` of a server of environments: its name and version, and where its API is. Text, or JSON if the caller accepts it.
pub(super) async fn service(headers: HeaderMap) -> Response {
    let version = env!("CARGO_PKG_VERSION");
    let accepts = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if accepts.contains("json") {
        let addresses = ADDRESSES.iter().map(|(name, path, _)| ((*name).to_owned(), Value::from(*path)));
        let mut value = json!({"name": "evenkeel", "version": version});
        if let Some(fields) = value.as_object_mut() {
            fields.extend(addresses);
        }
        return reply::json(200, &value);
    }
    let mut text = format!("Evenkeel {version}\n\n");
    for (_, path, description) in ADDRESSES {
        text += &format!("{path:<18} {description}\n");
    }
    text += "\nThe documentation is the folder `docs` of the repository. The page to try definitions is part of `evenkeel dev`.\n";
    let mut response = text.into_response();
    set(&mut response, "x-content-type-options", "nosniff");
    set(&mut response, "cache-control", "no-store");
    response
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
