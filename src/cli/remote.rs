//! Asking a running server.

use anyhow::{Context as _, anyhow, bail};
use clap::Args;
use http::{HeaderValue, Method, header};
use serde_json::Value;
use url::Url;

use super::serve_args::private_policy;
use crate::definition::is_name;
use crate::net::{Client, Limits, Request};
use crate::plan::Plan;

/// Which server is asked, and as whom.
#[derive(Clone, Debug, Args)]
pub(super) struct Remote {
    /// The server that is asked.
    #[arg(long, env = "EVENKEEL_SERVER", default_value = "http://127.0.0.1:7400", value_name = "URL")]
    pub(super) server: String,
    /// The token that says who asks. Better given as EVENKEEL_TOKEN: command lines are seen by others.
    #[arg(long, env = "EVENKEEL_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    pub(super) token: Option<String>,
}

/// What a server answered.
pub(super) struct Answered {
    pub(super) status: u16,
    pub(super) value: Value,
}

impl Remote {
    /// A plan that the server answered with.
    pub(super) fn plan(&self, answer: &Value) -> anyhow::Result<Plan> {
        Plan::from_json(&answer.to_string())
            .map_err(|problem| anyhow!("{} answers with no plan: {problem}", self.server))
    }

    /// Reads something.
    pub(super) fn get(&self, path: &str) -> anyhow::Result<Value> {
        good(self.send(Method::GET, path, None)?)
    }

    /// Asks for something.
    pub(super) fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        good(self.send(Method::POST, path, Some(body))?)
    }

    /// Sends a request, whatever is answered.
    pub(super) fn send(&self, method: Method, path: &str, body: Option<&Value>) -> anyhow::Result<Answered> {
        self.send_with(method, path, body, &[])
    }

    /// Sends a request with headers, whatever is answered.
    pub(super) fn send_with(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        headers: &[(&'static str, &str)],
    ) -> anyhow::Result<Answered> {
        let url = format!("{}{path}", self.server.trim_end_matches('/'));
        let url =
            Url::parse(&url).with_context(|| format!("`{}` is no URL such as http://127.0.0.1:7400", self.server))?;
        let mut request = Request::new(method, url);
        if let Some(body) = body {
            request.body = body.to_string().into();
            request.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        for (name, value) in headers {
            let value = HeaderValue::from_str(value).with_context(|| format!("`{value}` is no value of a header"))?;
            request.headers.insert(header::HeaderName::from_static(name), value);
        }
        if let Some(token) = &self.token {
            let mut value =
                HeaderValue::from_str(&format!("Bearer {token}")).context("the token is no header value")?;
            value.set_sensitive(true);
            request.headers.insert(header::AUTHORIZATION, value);
        }
        let limits = Limits {
            timeout: std::time::Duration::from_mins(5),
            max_response_bytes: 256 << 20,
            max_redirects: 0,
            ..Limits::default()
        };
        let response = super::executor()?.block_on(async {
            let client = Client::new(private_policy(true)?)?;
            client
                .send(request, &limits)
                .await
                .map_err(|error| anyhow!("{} cannot be asked: {error}; `--server URL` names another", self.server))
        })?;
        let value = serde_json::from_slice(&response.body).unwrap_or(Value::Null);
        Ok(Answered { status: response.status.as_u16(), value })
    }
}

fn good(answered: Answered) -> anyhow::Result<Value> {
    if answered.status < 400 {
        return Ok(answered.value);
    }
    let message = answered.value["errors"]["message"].as_str().or(answered.value["errors"]["detail"].as_str());
    let mut message = message.map_or_else(|| format!("the server answers {}", answered.status), str::to_owned);
    for finding in answered.value["errors"]["findings"].as_array().into_iter().flatten() {
        message += &format!("\n  {}", one_line(finding));
    }
    bail!("{message}")
}

/// The name of an environment, as an argument.
pub(super) fn name(text: &str) -> Result<String, String> {
    if text.split('.').count() <= 2 && text.split('.').all(is_name) {
        return Ok(text.to_owned());
    }
    Err("a name has small letters, digits and `-`; on Kubernetes it is `namespace.name`".to_owned())
}

/// A finding of `validate -o json` in one line.
pub(super) fn one_line(finding: &Value) -> String {
    let text = |name: &str| finding[name].as_str().unwrap_or_default();
    let place = format!("{}:{}:{}", text("file"), finding["line"], finding["column"]);
    format!("{place}: {}[{}]: {}", text("severity"), text("code"), text("message"))
}
