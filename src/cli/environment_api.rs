//! Requests to one environment of a running server.

use std::time::Instant;

use http::Method;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use super::api_client::{ApiClient, ApiResponse};
use super::api_error::ApiError;
use super::output;

/// Parameters of a query; those without a value are omitted.
pub(super) type Query = Vec<(&'static str, Option<String>)>;

/// Characters of a path segment that are encoded: all but those that names and IDs have.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The API of one environment.
#[derive(Clone, Debug)]
pub(super) struct EnvironmentApi {
    pub(super) client: ApiClient,
    /// The environment, as in paths.
    pub(super) environment: String,
    /// True if the user chose it; false if it is the only one.
    pub(super) is_chosen: bool,
}

impl EnvironmentApi {
    /// Sends a GET request. The path is relative to the environment; an empty path is its status.
    ///
    /// # Errors
    /// An [`ApiError`] if the server refuses it; fails if the server cannot be reached.
    pub(super) fn get(&self, path: &[&str], query: Query) -> anyhow::Result<Value> {
        get(&self.client, &self.path(path, query))
    }

    /// Sends a POST request with a JSON body.
    ///
    /// # Errors
    /// As [`EnvironmentApi::get`].
    pub(super) fn post(&self, path: &[&str], query: Query, body: &Value) -> anyhow::Result<Value> {
        Ok(self.send(path, query, body, &[])?.value)
    }

    /// Sends a POST request with headers, and returns the response with its status.
    ///
    /// # Errors
    /// As [`EnvironmentApi::get`].
    pub(super) fn send(
        &self,
        path: &[&str],
        query: Query,
        body: &Value,
        headers: &[(&'static str, &str)],
    ) -> anyhow::Result<ApiResponse> {
        send(&self.client, Method::POST, &self.path(path, query), Some(body), headers)
    }

    /// The option that chooses this environment in another command; empty if it is the only one.
    pub(super) fn option(&self) -> String {
        if self.is_chosen { format!(" -e {}", self.environment) } else { String::new() }
    }

    fn path(&self, path: &[&str], query: Query) -> String {
        let mut text = format!("/v1/environments/{}", self.environment);
        for segment in path {
            text += &format!("/{}", utf8_percent_encode(segment, SEGMENT));
        }
        let mut pairs = url::form_urlencoded::Serializer::new(String::new());
        for (name, value) in query {
            if let Some(value) = value {
                pairs.append_pair(name, &value);
            }
        }
        let pairs = pairs.finish();
        if pairs.is_empty() { text } else { format!("{text}?{pairs}") }
    }
}

/// Sends a GET request to a server.
///
/// # Errors
/// An [`ApiError`] if the server refuses it; fails if the server cannot be reached.
pub(super) fn get(client: &ApiClient, path: &str) -> anyhow::Result<Value> {
    Ok(send(client, Method::GET, path, None, &[])?.value)
}

fn send(
    client: &ApiClient,
    method: Method,
    path: &str,
    body: Option<&Value>,
    headers: &[(&'static str, &str)],
) -> anyhow::Result<ApiResponse> {
    let started = Instant::now();
    let response = client.send(method.clone(), path, body, headers)?;
    let milliseconds = started.elapsed().as_secs_f64() * 1000.0;
    output::detail(&format!("{method} {}{path}: {} in {milliseconds:.0} ms", client.server, response.status));
    if response.status >= 400 {
        return Err(ApiError(response.problem()).into());
    }
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_paths_and_queries_are_encoded() {
        let client = ApiClient { server: "http://a".into(), token: None };
        let api = EnvironmentApi { client, environment: "integrations.live".into(), is_chosen: true };
        assert_eq!(api.path(&[], Vec::new()), "/v1/environments/integrations.live");
        let query = vec![("status", Some("Failed & more".to_owned())), ("tenant", None)];
        assert_eq!(
            api.path(&["executions", "a/../b?c", "logs"], query),
            "/v1/environments/integrations.live/executions/a%2F..%2Fb%3Fc/logs?status=Failed+%26+more"
        );
        assert_eq!(api.option(), " -e integrations.live");
        assert_eq!(EnvironmentApi { is_chosen: false, ..api }.option(), "");
    }
}
