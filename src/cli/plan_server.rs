//! The server's side of `evenkeel plan`: its pending plan, or the changes of a folder.

use std::path::Path;

use anyhow::{Context as _, anyhow, bail};
use http::Method;
use serde_json::{Value, json};

use super::api_client::{ApiClient, ApiResponse};
use crate::plan::Plan;
use crate::source::{MAX_ASSET_BYTES, directory};
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
/// Fails if the folder cannot be read, the server cannot be reached, or it refuses the request.
pub(super) fn request(client: &ApiClient, environment: &str, folder: Option<&Path>) -> anyhow::Result<ServerPlan> {
    let path = format!("/v1/environments/{environment}/plan");
    let response = match folder {
        None => client.send(Method::GET, &path, None, &[])?,
        Some(folder) => client.send(Method::POST, &path, Some(&files_body(folder)?), &[])?,
    };
    if response.status >= 400 {
        return refused(&response);
    }
    let (plan, blocked) = match folder {
        None => (&response.value, &Value::Null),
        Some(_) => (&response.value["plan"], &response.value["blocked"]),
    };
    let note = |blocked: &Value| format!("would need approval: {}", blocked["message"].as_str().unwrap_or_default());
    let notes = blocked.as_array().into_iter().flatten().map(note).collect();
    Ok(ServerPlan::Planned(Box::new(client.plan(plan)?), notes))
}

fn refused(response: &ApiResponse) -> anyhow::Result<ServerPlan> {
    let value = &response.value;
    let text = [&value["detail"], &value["errors"]["detail"], &value["errors"]["message"]];
    let text = text.into_iter().find_map(Value::as_str);
    let text = text.map_or_else(|| format!("the server returned status {}", response.status), str::to_owned);
    let findings = [&value["findings"], &value["errors"]["findings"]].into_iter().find(|findings| findings.is_array());
    let findings: Vec<ReportedFinding> = match findings {
        Some(findings) => serde_json::from_value(findings.clone())
            .map_err(|_| anyhow!("{text}; the findings in the server's response are not readable"))?,
        None => Vec::new(),
    };
    if findings.is_empty() {
        bail!("{text}");
    }
    Ok(ServerPlan::Refused(findings, text))
}

/// Request body with the text files of a folder.
fn files_body(folder: &Path) -> anyhow::Result<Value> {
    let context = || format!("cannot read {}", folder.display());
    let (snapshot, unreadable) = directory::read(folder).with_context(context)?;
    if let Some(first) = unreadable.first() {
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
