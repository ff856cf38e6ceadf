//! The HTTP client for a running server.

use anyhow::{Context as _, anyhow, bail};
use clap::Args;
use http::{HeaderValue, Method, header};
use serde_json::Value;
use url::Url;

use super::egress::private_policy;
use super::runtime::runtime;
use crate::api::Problem;
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

    /// The address of a path.
    ///
    /// # Errors
    /// Fails if the server's address has no scheme or another one than http and https.
    fn url(&self, path: &str) -> anyhow::Result<Url> {
        let server = self.server.trim_end_matches('/');
        if !server.contains("://") {
            bail!("the server address `{server}` has no scheme; did you mean `http://{server}`?");
        }
        let url = Url::parse(&format!("{server}{path}"))
            .with_context(|| format!("`{server}` is not a URL; expected for example http://127.0.0.1:7400"))?;
        if !url.username().is_empty() || url.password().is_some() {
            bail!("the server address contains a user name or password; use `--token`, or EVENKEEL_TOKEN");
        }
        if !matches!(url.scheme(), "http" | "https") {
            bail!("the scheme of `{server}` is not supported; expected http or https");
        }
        Ok(url)
    }

    /// The message for a server that did not respond.
    fn unreachable(&self, error: &str) -> String {
        let server = &self.server;
        let plain = server.strip_prefix("https://");
        match plain {
            // rustls reports this if the first bytes are not TLS.
            Some(plain) if error.contains("InvalidContentType") => {
                format!("cannot reach {server}: the port does not speak TLS; did you mean `http://{plain}`?")
            }
            _ => format!("cannot reach {server}: {error}; start a server, or select one with `--server URL`"),
        }
    }

    /// Sends a request and returns the response of any status.
    pub(super) fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        headers: &[(&'static str, &str)],
    ) -> anyhow::Result<ApiResponse> {
        let url = self.url(path)?;
        let mut request = Request::new(method, url);
        if let Some(body) = body {
            request.body = body.to_string().into();
            request.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        for (name, value) in headers {
            let value = HeaderValue::from_str(value).with_context(|| format!("`{value}` is not a header value"))?;
            request.headers.insert(header::HeaderName::from_static(name), value);
        }
        if let Some(token) = self.token.as_deref().map(str::trim).filter(|token| !token.is_empty()) {
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
            client.send(request, &limits).await.map_err(|error| anyhow!("{}", self.unreachable(&error.to_string())))
        })?;
        let value = serde_json::from_slice(&response.body).unwrap_or(Value::Null);
        Ok(ApiResponse { status: response.status.as_u16(), value })
    }
}

impl ApiResponse {
    /// The problem document of an error; one that is made of the status if the server sent none.
    pub(super) fn problem(&self) -> Problem {
        let problem = serde_json::from_value::<Problem>(self.value.clone()).ok();
        problem.filter(|problem| !problem.code.is_empty()).unwrap_or_else(|| {
            let detail =
                format!("the server returned status {}; is this the address of an Evenkeel server?", self.status);
            Problem::new(self.status, "UNKNOWN", detail)
        })
    }
}

/// The text of a problem: its sentence, then its findings in one line each.
pub(super) fn describe(problem: &Problem) -> String {
    let mut text = problem.detail.clone();
    if problem.code == "AMBIGUOUS_ENVIRONMENT"
        && let Some((_, names)) = text.split_once("; there are ")
    {
        text = format!("the server has several environments; select one with `-e NAME`: {names}");
    }
    for finding in &problem.findings {
        text += &format!("\n  {}", one_line(finding));
    }
    text
}

/// Formats a finding of `validate -o json` in one line.
pub(super) fn one_line(finding: &Value) -> String {
    let text = |name: &str| finding[name].as_str().unwrap_or_default();
    let location = format!("{}:{}:{}", text("file"), finding["line"], finding["column"]);
    format!("{location}: {}[{}]: {}", text("severity"), text("code"), text("message"))
}
