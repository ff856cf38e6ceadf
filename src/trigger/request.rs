//! Received webhook calls: their parsed body, their verification, and the headers that workflows may see.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::route::template_context;
use crate::definition::event::Verify;
use crate::net::signature::{self, SignatureError, SignedRequest};
use crate::store::Micros;
use crate::telemetry::TRACEPARENT;
use crate::template::{Limits, Template, Tree};
use crate::text::is_known_credential;
use crate::workflow::{LiveEnvironment, OverQuota};

/// Maximum length of a deduplication or ordering key in bytes. A longer key is replaced by its digest.
const MAX_KEY_BYTES: usize = 200;
/// Headers of the connection, which are hidden from workflows.
const CONNECTION_HEADERS: [&str; 9] =
    ["connection", "content-length", "host", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "expect"];
/// Parts of the names of headers that hold credentials or signatures.
const CREDENTIAL_PARTS: [&str; 24] = [
    "authorization",
    "authentication",
    "cookie",
    "token",
    "secret",
    "password",
    "credential",
    "signature",
    "hmac",
    "api-key",
    "apikey",
    "access-key",
    "subscription-key",
    "functions-key",
    "auth-key",
    "session",
    "jwt",
    "assertion",
    "bearer",
    "passwd",
    "pwd",
    "otp",
    "dpop",
    "client-cert",
];
/// Beginnings of values that are credentials, in lower case (RFC 9110, section 11.4).
const CREDENTIAL_SCHEMES: [&str; 3] = ["basic ", "bearer ", "digest "];
/// Prefix of the headers that Evenkeel itself sets or reads.
const OWN_PREFIX: &str = "x-evenkeel-";

/// A webhook call.
#[derive(Clone, Debug, Default)]
pub struct WebhookRequest {
    /// Its method.
    pub method: String,
    /// The complete URI as the caller used it.
    pub uri: String,
    /// Headers by their names in lower case.
    pub headers: BTreeMap<String, String>,
    /// The query.
    pub query: BTreeMap<String, String>,
    /// The unparsed body.
    pub body: Bytes,
    /// The id of the request.
    pub id: String,
}

/// The reason for rejecting a call.
#[derive(Debug)]
pub enum WebhookRejection {
    /// The call does not prove its origin, or is too old.
    Unverified(SignatureError),
    /// The call cannot be interpreted; the cause.
    Malformed(String),
    /// The body exceeds its limit.
    TooLarge,
    /// The secret of the verification is not available; the cause.
    NoSecret(String),
    /// The event cannot be stored at the moment; the cause.
    Unavailable(String),
    /// A quota refuses the execution that the caller waits for.
    OverQuota(Box<OverQuota>),
}

impl WebhookRequest {
    /// Its `traceparent`; empty if it has none.
    pub fn traceparent(&self) -> String {
        self.headers.get(TRACEPARENT).cloned().unwrap_or_default()
    }

    /// Verifies the origin of the call.
    ///
    /// # Errors
    /// The reason for rejecting it.
    pub fn verify(&self, rule: &Verify, live: &LiveEnvironment, now: Micros) -> Result<(), WebhookRejection> {
        let secret = match signature::secret_of(rule) {
            Some(name) => live.actions.secret(name).map_err(WebhookRejection::NoSecret)?,
            None => String::new(),
        };
        let request = SignedRequest {
            method: &self.method,
            uri: &self.uri,
            header: &|name| self.headers.get(name).map(String::as_str),
            body: &self.body,
        };
        signature::verify(rule, &request, &secret, now / 1_000_000).map_err(WebhookRejection::Unverified)
    }

    /// The parsed body: JSON, a form as an object, or text.
    ///
    /// # Errors
    /// The reason for rejecting it, such as a JSON content type with a body that is not JSON.
    pub fn parsed_body(&self) -> Result<Value, WebhookRejection> {
        let content_type = self.headers.get("content-type").map(String::as_str).unwrap_or_default();
        let content_type = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        if self.body.is_empty() {
            return Ok(Value::Null);
        }
        // `curl -d` sends every body as a form.
        let looks_like_json = matches!(self.body.trim_ascii_start().first(), Some(b'{' | b'['));
        if content_type == "application/x-www-form-urlencoded" && !looks_like_json {
            let pairs = url::form_urlencoded::parse(&self.body).into_owned();
            return Ok(Value::Object(pairs.map(|(name, value)| (name, Value::String(value))).collect::<Map<_, _>>()));
        }
        match serde_json::from_slice(&self.body) {
            Ok(value) => Ok(value),
            Err(error) if content_type.contains("json") => {
                Err(WebhookRejection::Malformed(format!("the body is not JSON: {error}")))
            }
            Err(_) => match std::str::from_utf8(&self.body) {
                Ok(text) => Ok(Value::String(text.to_owned())),
                Err(_) => Err(WebhookRejection::Malformed("the body is neither JSON, a form nor text".to_owned())),
            },
        }
    }

    /// The headers that workflows and the record may contain: without those of the connection, those that prove the
    /// origin of the call, other credentials, and those that Evenkeel itself sets.
    pub fn visible_headers(&self, rule: &Verify) -> BTreeMap<String, String> {
        let key = rule.api_key.as_ref().and_then(|key| key.header.as_deref()).unwrap_or_default().to_lowercase();
        let signature = rule.hmac_sha256.as_ref().map(|hmac| hmac.header.to_lowercase()).unwrap_or_default();
        let is_hidden = |name: &str| {
            name == key
                || name == signature
                || name.starts_with(OWN_PREFIX)
                || CONNECTION_HEADERS.contains(&name)
                || name.ends_with("auth")
                || name.ends_with("-pass")
                || CREDENTIAL_PARTS.iter().any(|part| name.contains(part))
        };
        let has_scheme = |value: &str| {
            let start: String = value.chars().take(7).collect::<String>().to_ascii_lowercase();
            CREDENTIAL_SCHEMES.iter().any(|scheme| start.starts_with(scheme))
        };
        let is_visible =
            |(name, value): &(&String, &String)| !is_hidden(name) && !is_known_credential(value) && !has_scheme(value);
        let visible = self.headers.iter().filter(is_visible);
        visible.map(|(name, value)| (name.clone(), value.clone())).collect()
    }

    /// Renders a template over the call.
    pub(super) fn render(
        &self,
        field: &str,
        template: Option<&Template>,
        body: &Value,
        live: &LiveEnvironment,
        now: Micros,
    ) -> Result<Option<String>, WebhookRejection> {
        let render = |template: &Template| {
            self.with_context(body, live, now, |context| template.render_text(context, &Limits::default()))
                .map_err(|error| cannot_render(field, &error))
        };
        template.map(render).transpose()
    }

    /// Renders a tree of templates over the call.
    pub(super) fn render_tree(
        &self,
        field: &str,
        tree: &Tree,
        body: &Value,
        live: &LiveEnvironment,
        now: Micros,
    ) -> Result<Value, WebhookRejection> {
        self.with_context(body, live, now, |context| tree.render(context, &Limits::default()))
            .map_err(|error| cannot_render(field, &error))
    }

    fn with_context<T>(
        &self,
        body: &Value,
        live: &LiveEnvironment,
        now: Micros,
        render: impl FnOnce(&crate::template::Context) -> T,
    ) -> T {
        let (headers, query) = (json!(self.headers), json!(self.query));
        let text = Value::String(String::from_utf8_lossy(&self.body).into_owned());
        let roots = [
            ("headers", &headers),
            ("query", &query),
            ("body", body),
            ("payload", body),
            ("body_text", &text),
            ("tenant", &Value::Null),
            ("tenant_id", &Value::Null),
        ];
        render(&template_context(live, now, &roots))
    }
}

fn cannot_render(field: &str, error: &impl std::fmt::Display) -> WebhookRejection {
    WebhookRejection::Malformed(format!("cannot render `{field}` from this call: {error}"))
}

/// A key within the length that databases accept.
pub(super) fn bounded_key(key: String) -> String {
    let key = key.replace('\0', "\u{fffd}");
    match key.len() <= MAX_KEY_BYTES {
        true => key,
        false => crate::text::Digest::of(key.as_bytes()).hex(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workflows_see_the_headers_of_a_call_without_credentials() {
        let hidden = [
            "authorization",
            "proxy-authorization",
            "cookie",
            "x-api-key",
            "x-shop-key",
            "x-hub-signature-256",
            "x-shopify-hmac-sha256",
            "x-gitlab-token",
            "x-amz-security-token",
            "x-webhook-secret",
            "ocp-apim-subscription-key",
            "x-evenkeel-depth",
            "x-evenkeel-key",
            "host",
            "content-length",
        ];
        let shown = ["x-github-event", "content-type", "user-agent", "traceparent", "idempotency-key", "x-request-id"];
        let headers = hidden.iter().chain(&shown).map(|name| ((*name).to_owned(), "v".to_owned())).collect();
        let mut request = WebhookRequest { headers, ..WebhookRequest::default() };
        request.headers.insert("x-custom".to_owned(), "Bearer abcdefghijklmnopqrstuvwxyz".to_owned());
        let rule = serde_json::from_value(json!({"apiKey": {"header": "X-Shop-Key", "secretRef": "k"}})).unwrap();
        let visible = request.visible_headers(&rule);
        let mut expected = shown;
        expected.sort_unstable();
        assert_eq!(visible.keys().map(String::as_str).collect::<Vec<_>>(), expected);
        let rule = serde_json::from_value(json!({"hmacSha256": {"header": "X-Request-Id", "secretRef": "k"}})).unwrap();
        assert!(!request.visible_headers(&rule).contains_key("x-request-id"));
    }
}
