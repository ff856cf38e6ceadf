//! The environment that a request names, and the caller's right to it.

use axum::http::HeaderMap;
use serde::Deserialize;

use super::response::command_error;
use super::state::{Server, WorkflowService};
use crate::reconcile::commands::CommandError;
use crate::reconcile::environments::{Environments, Handle};

/// Header that selects one of several environments.
pub(super) const ENVIRONMENT: &str = "x-evenkeel-environment";

/// Query parameters of lists.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct ListQuery {
    pub(super) environment: Option<String>,
    pub(super) workflow: Option<String>,
    pub(super) status: Option<String>,
    pub(super) tenant: Option<String>,
    pub(super) trigger: Option<String>,
    pub(super) event: Option<String>,
    pub(super) since: Option<String>,
    pub(super) before: Option<String>,
    pub(super) text: Option<String>,
    limit: Option<u32>,
}

impl ListQuery {
    /// Maximum number of rows: 1 to 1000 (default: 50).
    pub(super) fn limit(&self) -> u32 {
        self.limit.unwrap_or(50).clamp(1, 1000)
    }
}

/// Text of a header; `None` if it is absent or not ASCII.
pub(super) fn header_text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// Checks the right to read, and returns the environment's name and its workflow service.
///
/// The environment is the one of the query or the header, or the only one.
///
/// # Errors
/// Fails if the caller may not read, the environment is unknown, or this server runs no workflows.
pub(super) fn workflow_context<'a>(
    server: &'a Server,
    headers: &HeaderMap,
    environment: Option<&str>,
) -> Result<(String, &'a WorkflowService), CommandError> {
    server.access.reader(headers)?;
    let environment = environment.or(header_text(headers, ENVIRONMENT));
    let (environment, _) = server.active_with_name(environment).map_err(command_error)?;
    let service = server.workflow_service().map_err(command_error)?;
    Ok((environment, service))
}

/// The environments of this server.
///
/// # Errors
/// Fails if this is a server of one folder.
pub(super) fn environments(server: &Server) -> Result<&Environments, CommandError> {
    server.environments.as_ref().ok_or_else(|| {
        CommandError::new(
            404,
            "NoEnvironments",
            "this server serves one folder (`evenkeel dev`); `evenkeel serve` has environments",
        )
    })
}

/// The named environment.
///
/// # Errors
/// Fails if there is no environment of that name.
pub(super) fn environment(server: &Server, name: &str) -> Result<Handle, CommandError> {
    let environments = environments(server)?;
    environments.find(Some(name)).ok_or_else(|| {
        let all = environments.all.load();
        let names: Vec<&str> = all.keys().map(String::as_str).collect();
        let message = format!("unknown environment `{name}`; expected one of {}", names.join(", "));
        CommandError::new(404, "NoEnvironment", message)
    })
}

/// The error for an object that does not exist.
pub(super) fn not_found(noun: &str, id: &str) -> CommandError {
    CommandError::new(404, "NotFound", format!("unknown {noun} `{id}`"))
}

/// The error for a malformed request.
pub(super) fn bad_request(message: impl Into<String>) -> CommandError {
    CommandError::new(400, "BadRequest", message)
}
