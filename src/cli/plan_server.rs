//! The server's side of `evenkeel plan`: its pending plan, or the changes of a folder.

use std::path::Path;

use anyhow::{Context as _, bail};
use serde_json::{Value, json};

use super::api_error::ApiError;
use super::environment_api::EnvironmentApi;
use crate::plan::Plan;
use crate::source::{MAX_ASSET_BYTES, directory};
use crate::text::Severity;
use crate::text::render::ReportedFinding;

/// The plan that a server made, or its reason for making none.
pub(super) enum ServerPlan {
    /// The plan, with remarks.
    Planned(Box<Plan>, Vec<String>),
    /// The findings that prevent a plan, with the server's sentence about them.
    Refused(Vec<ReportedFinding>, String),
}

/// Requests the plan of an environment: for a folder the one that its files would make.
///
/// # Errors
/// Fails if the folder cannot be read, the server cannot be reached, or it refuses the request for another reason than
/// findings.
pub(super) fn request(api: &EnvironmentApi, folder: Option<&Path>) -> anyhow::Result<ServerPlan> {
    let response = match folder {
        None => api.get(&["plan"], Vec::new()),
        Some(folder) => api.post(&["plan"], Vec::new(), &files_body(folder)?),
    };
    let response = match response {
        Ok(response) => response,
        Err(error) => return refused(error),
    };
    let (plan, blocked) = match folder {
        None => (&response, &Value::Null),
        Some(_) => (&response["plan"], &response["blocked"]),
    };
    let note = |blocked: &Value| format!("would need approval: {}", blocked["message"].as_str().unwrap_or_default());
    let notes = blocked.as_array().into_iter().flatten().map(note).collect();
    Ok(ServerPlan::Planned(Box::new(api.client.plan(plan)?), notes))
}

fn refused(error: anyhow::Error) -> anyhow::Result<ServerPlan> {
    let refused = error.downcast_ref::<ApiError>().and_then(|ApiError(problem)| {
        // Findings in another form are part of the error's text.
        let findings = serde_json::from_value::<Vec<ReportedFinding>>(Value::Array(problem.findings.clone())).ok()?;
        (!findings.is_empty()).then(|| ServerPlan::Refused(findings, problem.detail.clone()))
    });
    refused.ok_or(error)
}

/// Request body with the text files of a folder.
fn files_body(folder: &Path) -> anyhow::Result<Value> {
    let context = || format!("cannot read {}", folder.display());
    let (snapshot, unreadable) = directory::read(folder).with_context(context)?;
    if let Some(first) = unreadable.iter().find(|one| one.finding.severity == Severity::Error) {
        bail!("{}: {}", first.path, first.finding.message);
    }
    let mut files = serde_json::Map::new();
    for name in &*snapshot.names {
        let bytes =
            directory::read_inside(folder, name, MAX_ASSET_BYTES).with_context(|| format!("cannot read {name}"))?;
        if let Ok(text) = String::from_utf8(bytes) {
            files.insert(name.clone(), Value::String(text));
        }
    }
    Ok(json!({"files": files}))
}
