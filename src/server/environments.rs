//! `/v1/environments/…`: status, history and definitions of environments. `environment_commands` changes them.

use axum::extract::{Path, Query, State};
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Value, json};

use super::context;
use super::parse_command::parse_id;
use super::response::{JsonResult, respond};
use super::state::Server;
use crate::plan::{self, Inventory};
use crate::reconcile::candidate;
use crate::reconcile::commands::CommandError;
use crate::reconcile::environments::Handle;
use crate::reconcile::validate::Validator;
use crate::store::manifest::Item;
use crate::text::render::{OutputFormat, Report, render};

/// Maximum number of generations and audit records in one response.
const MAX_HISTORY: u32 = 1000;

/// `GET /v1/environments`
pub(super) async fn list(State(server): State<Server>, headers: HeaderMap) -> Response {
    respond((|| {
        server.access.reader(&headers)?;
        let all = context::environments(&server)?.all.load();
        let list: Vec<Value> = all.values().map(summary).collect();
        Ok(json!({"environments": list}))
    })())
}

fn summary(handle: &Handle) -> Value {
    let status = handle.status.borrow().clone();
    json!({
        "name": handle.name,
        "ready": status.is_ready(),
        "generation": status.generation,
        "digest": status.digest,
        "lastApplied": status.last_applied,
        "lastAttempted": status.last_attempted,
        "conditions": status.conditions,
    })
}

/// `GET /v1/environments/{environment}`
pub(super) async fn status(State(server): State<Server>, Path(name): Path<String>, headers: HeaderMap) -> Response {
    respond(read_status(&server, &name, &headers).await)
}

async fn read_status(server: &Server, name: &str, headers: &HeaderMap) -> JsonResult {
    server.access.reader(headers)?;
    let handle = context::environment(server, name)?;
    let shared = &context::environments(server)?.context;
    let status = handle.status.borrow().clone();
    let mut value = serde_json::to_value(&*status).unwrap_or_default();
    value["environment"] = json!(name);
    value["replicas"] = json!(shared.store.replicas(name).await?);
    value["tombstones"] = shared
        .store
        .tombstones(name)
        .await?
        .iter()
        .map(|tombstone| {
            let until = tombstone.at.saturating_add(tombstone.window);
            json!({"id": tombstone.id, "generation": tombstone.generation, "at": tombstone.at, "until": until})
        })
        .collect();
    Ok(value)
}

/// `GET /v1/environments/{environment}/findings`: findings of the latest revision, as `validate -o json`.
pub(super) async fn findings(State(server): State<Server>, Path(name): Path<String>, headers: HeaderMap) -> Response {
    respond((|| {
        server.access.reader(&headers)?;
        let handle = context::environment(&server, &name)?;
        let view = handle.view.load();
        let Some(validated) = &view.validated else { return Ok(json!({"findings": []})) };
        let report = Report {
            findings: &validated.findings,
            sources: &validated.catalog.sources,
            definitions: validated.catalog.entries.len(),
        };
        Ok(serde_json::from_str(&render(&report, OutputFormat::Json, false, 0)).unwrap_or_default())
    })())
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct HistoryQuery {
    below: Option<u64>,
    limit: Option<u32>,
}

/// `GET /v1/environments/{environment}/history`
pub(super) async fn history(
    State(server): State<Server>,
    Path(name): Path<String>,
    Query(query): Query<HistoryQuery>,
    headers: HeaderMap,
) -> Response {
    respond(read_history(&server, &name, &query, &headers).await)
}

async fn read_history(server: &Server, name: &str, query: &HistoryQuery, headers: &HeaderMap) -> JsonResult {
    server.access.reader(headers)?;
    context::environment(server, name)?;
    let store = &context::environments(server)?.context.store;
    let limit = query.limit.unwrap_or(50).min(MAX_HISTORY);
    let generations = store.history(name, query.below, limit).await?;
    Ok(json!({"environment": name, "generations": generations, "audit": store.audit_log(name, limit).await?}))
}

#[derive(Debug, Deserialize)]
pub(super) struct DiffQuery {
    from: Option<u64>,
    to: Option<u64>,
}

/// `GET /v1/environments/{environment}/diff?from=&to=`: the plan from one generation to another.
pub(super) async fn diff(
    State(server): State<Server>,
    Path(name): Path<String>,
    Query(query): Query<DiffQuery>,
    headers: HeaderMap,
) -> Response {
    respond(read_diff(&server, &name, &query, &headers).await)
}

async fn read_diff(server: &Server, name: &str, query: &DiffQuery, headers: &HeaderMap) -> JsonResult {
    server.access.reader(headers)?;
    context::environment(server, name)?;
    let shared = &context::environments(server)?.context;
    let active = shared.store.active(name).await?.map_or(0, |active| active.number);
    let to = query.to.unwrap_or(active);
    let from = query.from.unwrap_or(to.saturating_sub(1));
    let mut sides = Vec::new();
    for number in [from, to] {
        sides.push(inventory(server, name, number).await?);
    }
    let options = plan::PlanOptions { environment: name, fingerprint: Some(&shared.fingerprint) };
    let plan = plan::plan(&sides[0], &sides[1], &options);
    Ok(serde_json::to_value(&plan).unwrap_or_default())
}

/// The definitions of a generation; generation 0 has none.
async fn inventory(server: &Server, name: &str, number: u64) -> Result<Inventory, CommandError> {
    if number == 0 {
        return Ok(Inventory::new());
    }
    let shared = &context::environments(server)?.context;
    let generation = shared.store.generation(name, number).await?;
    let missing = || CommandError::new(404, "NoGeneration", format!("unknown generation {number} of `{name}`"));
    let generation = generation.ok_or_else(missing)?;
    let (manifest, contents) = candidate::stored(&*shared.store, generation.digest).await?;
    let name = name.to_owned();
    let restored = tokio::task::block_in_place(|| {
        candidate::restore(
            &name,
            &manifest,
            &contents,
            "",
            &mut Validator::new(),
            &mut candidate::CandidateCache::default(),
        )
    })?;
    Ok(restored.inventory)
}

/// `GET /v1/environments/{environment}/trace/{kind}/{name}`: the origin of a live definition.
pub(super) async fn trace(
    State(server): State<Server>,
    Path((environment, kind, name)): Path<(String, String, String)>,
    headers: HeaderMap,
) -> Response {
    respond((|| {
        server.access.reader(&headers)?;
        let handle = context::environment(&server, &environment)?;
        let id = parse_id(&kind, &name)?;
        let view = handle.view.load();
        let item = view.manifest.as_ref().and_then(|manifest| manifest.items.get(&id));
        let item =
            item.ok_or_else(|| CommandError::new(404, "NotFound", format!("{id} is not live in `{environment}`")))?;
        Ok(origin(item, &handle, &view.shown_under))
    })())
}

/// Source, file, line and generation of a definition.
fn origin(item: &Item, handle: &Handle, display_root: &str) -> Value {
    let status = handle.status.borrow().clone();
    let displayed = |path: &str| match (item.is_api_owned(), display_root) {
        (true, _) | (_, "") => path.to_owned(),
        (_, folder) => format!("{}/{path}", folder.trim_end_matches('/')),
    };
    json!({
        "id": item.id.to_string(),
        "uid": item.uid,
        "owner": item.owner,
        "file": displayed(&item.base.path),
        "line": item.line,
        "overlays": item.patches.iter().map(|patch| displayed(&patch.path)).collect::<Vec<_>>(),
        "digest": item.digest,
        "generation": status.generation,
    })
}

/// `GET /v1/environments/{environment}/definitions`: all live definitions with their owners and locations.
pub(super) async fn definitions(
    State(server): State<Server>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Response {
    respond((|| {
        server.access.reader(&headers)?;
        let handle = context::environment(&server, &name)?;
        let view = handle.view.load();
        let items = view.manifest.iter().flat_map(|manifest| manifest.items.values());
        let list: Vec<Value> = items.map(|item| origin(item, &handle, &view.shown_under)).collect();
        Ok(json!({"environment": name, "definitions": list}))
    })())
}
