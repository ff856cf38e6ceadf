//! The HTTP client for a running server.

use anyhow::{Context as _, anyhow, bail};
use clap::Args;
use http::{HeaderValue, Method, header};
use serde_json::Value;
use url::Url;

use super::egress::private_policy;
use super::runtime::runtime;
use crate::definition::is_name;
use crate::net::{Client, Limits, Request};
use crate::plan::Plan;

/// Heading of the options that choose a server.
pub(super) const HEADING: &str = "Server options";

/// Address of a server and the caller's token.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = HEADING)]
pub(super) struct ApiClient {
    /// Address of the server
    #[arg(long, env = "EVENKEEL_SERVER", default_value = "http://127.0.0.1:7400", value_name = "URL")]
    pub(super) server: String,
    /// Bearer token; prefer the variable: other users of a machine can read command lines
    #[arg(long, env = "EVENKEEL_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    pub(super) token: Option<String>,
}

/// Response of a server.
pub(super) struct ApiResponse {
    pub(super) status: u16,
    pub(super) value: Value,
}

impl ApiClient {
    /// Parses a plan in a response.
    pub(super) fn plan(&self, response: &Value) -> anyhow::Result<Plan> {
        Plan::from_json(&response.to_string())
            .map_err(|problem| anyhow!("the response of {} is not a plan: {problem}", self.server))
    }

    /// Sends a GET request and returns the body of a successful response.
    pub(super) fn get(&self, path: &str) -> anyhow::Result<Value> {
        success(self.send(Method::GET, path, None, &[])?)
    }

    /// Sends a POST request and returns the body of a successful response.
    pub(super) fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        success(self.send(Method::POST, path, Some(body), &[])?)
    }

    /// Sends a request and returns the response of any status.
    pub(super) fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        headers: &[(&'static str, &str)],
    ) -> anyhow::Result<ApiResponse> {
        let url = format!("{}{path}", self.server.trim_end_matches('/'));
        let url = Url::parse(&url)
            .with_context(|| format!("`{}` is not a URL; expected for example http://127.0.0.1:7400", self.server))?;
        let mut request = Request::new(method, url);
        if let Some(body) = body {
            request.body = body.to_string().into();
            request.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        for (name, value) in headers {
            let value = HeaderValue::from_str(value).with_context(|| format!("`{value}` is not a header value"))?;
            request.headers.insert(header::HeaderName::from_static(name), value);
        }
        if let Some(token) = &self.token {
            let mut value =
                HeaderValue::from_str(&format!("Bearer {token}")).context("the token is not a header value")?;
            value.set_sensitive(true);
            request.headers.insert(header::AUTHORIZATION, value);
        }
        let limits = Limits {
            timeout: std::time::Duration::from_mins(5),
            max_response_bytes: 256 << 20,
            max_redirects: 0,
            ..Limits::default()
        };
        let response = runtime()?.block_on(async {
            let client = Client::new(private_policy(true)?)?;
            client
                .send(request, &limits)
                .await
                .map_err(|error| anyhow!("cannot reach {}: {error}; `--server URL` selects another one", self.server))
        })?;
        let value = serde_json::from_slice(&response.body).unwrap_or(Value::Null);
        Ok(ApiResponse { status: response.status.as_u16(), value })
    }
}

fn success(response: ApiResponse) -> anyhow::Result<Value> {
    if response.status < 400 {
        return Ok(response.value);
    }
    let message = response.value["errors"]["message"].as_str().or(response.value["errors"]["detail"].as_str());
    let mut message = message.map_or_else(|| format!("the server returned status {}", response.status), str::to_owned);
    for finding in response.value["errors"]["findings"].as_array().into_iter().flatten() {
        message += &format!("\n  {}", one_line(finding));
    }
    bail!("{message}")
}

/// Parses the name of an environment.
///
/// # Errors
/// Fails unless it is a DNS label, or two of them with a dot between.
pub(super) fn environment_name(text: &str) -> Result<String, String> {
    if text.split('.').count() <= 2 && text.split('.').all(is_name) {
        return Ok(text.to_owned());
    }
    Err("expected lower-case letters, digits and `-`; on Kubernetes `namespace.name`".to_owned())
}

/// Formats a finding of `validate -o json` in one line.
pub(super) fn one_line(finding: &Value) -> String {
    let text = |name: &str| finding[name].as_str().unwrap_or_default();
    let location = format!("{}:{}:{}", text("file"), finding["line"], finding["column"]);
    format!("{location}: {}[{}]: {}", text("severity"), text("code"), text("message"))
}
