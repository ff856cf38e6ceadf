//! `/v1/environments/…`: what environments say of themselves, and what operators ask of them.

use std::collections::BTreeMap;

use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, header};
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Server, response};
use crate::definition::Id;
use crate::definition::common::Duration;
use crate::plan::{self, Inventory};
use crate::reconcile::candidate;
use crate::reconcile::commands::{CommandError, Request};
use crate::reconcile::environments::{Environments, Handle};
use crate::reconcile::validate::Validator;
use crate::store::manifest::Item;
use crate::text::Digest;
use crate::text::render::{OutputFormat, Report, render};

/// Most lines of a history or record in one answer.
const MAX_LINES: u32 = 1000;
/// Longest time for which a definition may be written over.
const LONGEST_OVERRIDE: u64 = 30 * 24 * 3600;

type Answer = Result<Value, CommandError>;

pub(super) fn respond(answer: Answer) -> Response {
    match answer {
        Ok(value) => response::json(200, &value),
        Err(denied) => {
            let error = json!({"code": denied.reason, "message": denied.message, "findings": denied.findings});
            response::json(denied.status, &json!({"errors": error}))
        }
    }
}

fn environments(server: &Server) -> Result<&Environments, CommandError> {
    let missing = || {
        CommandError::new(
            404,
            "NoEnvironments",
            "this server follows a folder (`dev`); `evenkeel serve` has environments",
        )
    };
    server.environments.as_ref().ok_or_else(missing)
}

fn handle(server: &Server, name: &str) -> Result<Handle, CommandError> {
    let environments = environments(server)?;
    environments.find(Some(name)).ok_or_else(|| {
        let all = environments.all.load();
        let names: Vec<&str> = all.keys().map(String::as_str).collect();
        CommandError::new(
            404,
            "NoEnvironment",
            format!("there is no environment `{name}`; there are {}", names.join(", ")),
        )
    })
}

/// `GET /v1/environments`
pub(super) async fn list(State(server): State<Server>, headers: HeaderMap) -> Response {
    respond((|| {
        server.access.reader(&headers)?;
        let all = environments(&server)?.all.load();
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

async fn read_status(server: &Server, name: &str, headers: &HeaderMap) -> Answer {
    server.access.reader(headers)?;
    let handle = handle(server, name)?;
    let context = &environments(server)?.context;
    let status = handle.status.borrow().clone();
    let mut value = serde_json::to_value(&*status).unwrap_or_default();
    value["environment"] = json!(name);
    value["replicas"] = json!(context.store.replicas(name).await?);
    value["tombstones"] = context
        .store
        .tombstones(name)
        .await?
        .iter()
        .map(|stone| json!({"id": stone.id, "generation": stone.generation, "at": stone.at, "until": stone.at.saturating_add(stone.window)}))
        .collect();
    Ok(value)
}

/// `GET /v1/environments/{environment}/findings`: of the revision that was looked at last, as `validate -o json`.
pub(super) async fn findings(State(server): State<Server>, Path(name): Path<String>, headers: HeaderMap) -> Response {
    respond((|| {
        server.access.reader(&headers)?;
        let handle = handle(&server, &name)?;
        let view = handle.view.load();
        let Some(examined) = &view.validated else { return Ok(json!({"findings": []})) };
        let report = Report {
            findings: &examined.findings,
            sources: &examined.catalog.sources,
            definitions: examined.catalog.entries.len(),
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

async fn read_history(server: &Server, name: &str, query: &HistoryQuery, headers: &HeaderMap) -> Answer {
    server.access.reader(headers)?;
    handle(server, name)?;
    let store = &environments(server)?.context.store;
    let limit = query.limit.unwrap_or(50).min(MAX_LINES);
    let generations = store.history(name, query.below, limit).await?;
    Ok(json!({"environment": name, "generations": generations, "audit": store.audit_log(name, limit).await?}))
}

#[derive(Debug, Deserialize)]
pub(super) struct DiffQuery {
    from: Option<u64>,
    to: Option<u64>,
}

/// `GET /v1/environments/{environment}/diff?from=&to=`: the plan that leads from one generation to another.
pub(super) async fn diff(
    State(server): State<Server>,
    Path(name): Path<String>,
    Query(query): Query<DiffQuery>,
    headers: HeaderMap,
) -> Response {
    respond(read_diff(&server, &name, &query, &headers).await)
}

async fn read_diff(server: &Server, name: &str, query: &DiffQuery, headers: &HeaderMap) -> Answer {
    server.access.reader(headers)?;
    handle(server, name)?;
    let context = &environments(server)?.context;
    let active = context.store.active(name).await?.map_or(0, |active| active.number);
    let to = query.to.unwrap_or(active);
    let from = query.from.unwrap_or(to.saturating_sub(1));
    let mut sides = Vec::new();
    for number in [from, to] {
        sides.push(inventory(server, name, number).await?);
    }
    let options = plan::PlanOptions { environment: name, fingerprint: Some(&context.fingerprint) };
    let plan = plan::plan(&sides[0], &sides[1], &options);
    Ok(serde_json::to_value(&plan).unwrap_or_default())
}

/// The definitions of a generation; none of generation 0.
async fn inventory(server: &Server, name: &str, number: u64) -> Result<Inventory, CommandError> {
    if number == 0 {
        return Ok(Inventory::new());
    }
    let context = &environments(server)?.context;
    let generation = context.store.generation(name, number).await?;
    let missing = || CommandError::new(404, "NoGeneration", format!("there is no generation {number} of `{name}`"));
    let generation = generation.ok_or_else(missing)?;
    let (manifest, contents) = candidate::stored(&*context.store, generation.digest).await?;
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

/// `GET /v1/environments/{environment}/trace/{kind}/{name}`: where a live definition comes from.
pub(super) async fn trace(
    State(server): State<Server>,
    Path((environment, kind, name)): Path<(String, String, String)>,
    headers: HeaderMap,
) -> Response {
    respond((|| {
        server.access.reader(&headers)?;
        let handle = handle(&server, &environment)?;
        let id = id(&kind, &name)?;
        let view = handle.view.load();
        let item = view.manifest.as_ref().and_then(|manifest| manifest.items.get(&id));
        let item =
            item.ok_or_else(|| CommandError::new(404, "NotFound", format!("{id} is not live in `{environment}`")))?;
        Ok(traced(item, &handle, &view.shown_under))
    })())
}

fn traced(item: &Item, handle: &Handle, shown_under: &str) -> Value {
    let status = handle.status.borrow().clone();
    let shown = |path: &str| match (item.is_api_owned(), shown_under) {
        (true, _) | (_, "") => path.to_owned(),
        (_, folder) => format!("{}/{path}", folder.trim_end_matches('/')),
    };
    json!({
        "id": item.id.to_string(),
        "uid": item.uid,
        "owner": item.owner,
        "file": shown(&item.base.path),
        "line": item.line,
        "overlays": item.patches.iter().map(|patch| shown(&patch.path)).collect::<Vec<_>>(),
        "digest": item.digest,
        "generation": status.generation,
    })
}

/// `GET /v1/environments/{environment}/definitions`: everything that is live, with its owner and place.
pub(super) async fn definitions(
    State(server): State<Server>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Response {
    respond((|| {
        server.access.reader(&headers)?;
        let handle = handle(&server, &name)?;
        let view = handle.view.load();
        let items = view.manifest.iter().flat_map(|manifest| manifest.items.values());
        let list: Vec<Value> = items.map(|item| traced(item, &handle, &view.shown_under)).collect();
        Ok(json!({"environment": name, "definitions": list}))
    })())
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct PutQuery {
    #[serde(rename = "override")]
    over: Option<String>,
    reason: Option<String>,
}

/// `PUT /v1/environments/{environment}/definitions/{kind}/{name}`: writes a definition by hand.
pub(super) async fn put(
    State(server): State<Server>,
    Path((environment, kind, name)): Path<(String, String, String)>,
    Query(query): Query<PutQuery>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let request = (|| {
        let id = id(&kind, &name)?;
        let text = String::from_utf8(body.to_vec())
            .map_err(|_| CommandError::new(400, "BadRequest", "the definition is not UTF-8"))?;
        let over = query.over.as_deref().map(duration).transpose()?;
        let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let json = content_type.contains("json");
        Ok(Request::Put { id, text, json, over, reason: reason(query.reason)? })
    })();
    ask(&server, &environment, &headers, request).await
}

fn duration(text: &str) -> Result<i64, CommandError> {
    let duration: Duration = serde_json::from_value(json!(text))
        .map_err(|error| CommandError::new(400, "BadRequest", format!("override: {error}")))?;
    let seconds = duration.0.as_secs();
    if seconds == 0 || seconds > LONGEST_OVERRIDE {
        return Err(CommandError::new(400, "BadRequest", "override: between 1 second and 30 days"));
    }
    Ok(i64::try_from(seconds).unwrap_or(i64::MAX / 1_000_000) * 1_000_000)
}

fn reason(text: Option<String>) -> Result<Option<String>, CommandError> {
    match text {
        Some(text) if text.len() > 500 || text.chars().any(char::is_control) => {
            Err(CommandError::new(400, "BadRequest", "reason: one line of at most 500 bytes"))
        }
        text => Ok(text),
    }
}

/// `DELETE /v1/environments/{environment}/definitions/{kind}/{name}`
pub(super) async fn delete(
    State(server): State<Server>,
    Path((environment, kind, name)): Path<(String, String, String)>,
    headers: HeaderMap,
) -> Response {
    let request = id(&kind, &name).map(|id| Request::Delete { id });
    ask(&server, &environment, &headers, request).await
}

/// `GET /v1/environments/{environment}/plan`: the plan that waits.
pub(super) async fn pending(State(server): State<Server>, Path(name): Path<String>, headers: HeaderMap) -> Response {
    if let Err(denied) = server.access.reader(&headers) {
        return respond(Err(denied));
    }
    respond(match handle(&server, &name) {
        Ok(handle) => handle.send(Request::Plan, "reader").await,
        Err(denied) => Err(denied),
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Sent {
    files: BTreeMap<String, String>,
}

/// `POST /v1/environments/{environment}/plan` with `{"files": {"path": "content"}}`: what they would change here.
pub(super) async fn preview(
    State(server): State<Server>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let answer = async {
        server.access.reader(&headers)?;
        let sent: Sent = serde_json::from_slice(&body).map_err(|error| {
            CommandError::new(400, "BadRequest", format!("the body is not `{{\"files\": …}}`: {error}"))
        })?;
        handle(&server, &name)?.send(Request::Preview { files: sent.files }, "reader").await
    };
    respond(answer.await)
}

/// `POST /v1/environments/{environment}/{verb}` with its arguments as JSON.
pub(super) async fn act(
    State(server): State<Server>,
    Path((environment, verb)): Path<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let request = arguments(&body).and_then(|arguments| asked(&verb, &arguments));
    ask(&server, &environment, &headers, request).await
}

fn arguments(body: &[u8]) -> Result<BTreeMap<String, Value>, CommandError> {
    if body.is_empty() {
        return Ok(BTreeMap::new());
    }
    serde_json::from_slice(body)
        .map_err(|error| CommandError::new(400, "BadRequest", format!("the body is no JSON object: {error}")))
}

fn asked(verb: &str, arguments: &BTreeMap<String, Value>) -> Result<Request, CommandError> {
    let text = |name: &str| {
        let value = arguments.get(name).and_then(Value::as_str).map(str::to_owned);
        value.ok_or_else(|| CommandError::new(400, "BadRequest", format!("`{name}` is missing")))
    };
    Ok(match verb {
        "reconcile" => Request::Reconcile,
        "suspend" => Request::Suspend { reason: reason(text("reason").ok())? },
        "resume" => Request::Resume,
        "rollback" => {
            let to = arguments.get("to").and_then(Value::as_u64);
            Request::Rollback {
                to: to.ok_or_else(|| CommandError::new(400, "BadRequest", "`to` is the number of a generation"))?,
            }
        }
        "promote" => Request::Promote { from: text("from")? },
        "apply" => {
            let plan = text("plan")?.parse::<Digest>();
            Request::Approve { plan: plan.map_err(|error| CommandError::new(400, "BadRequest", error))? }
        }
        "restore" => {
            let id = text("id")?.parse::<Id>();
            Request::Restore { id: id.map_err(|error| CommandError::new(400, "BadRequest", error))? }
        }
        other => return Err(CommandError::new(404, "NotFound", format!("nobody can be asked to `{other}`"))),
    })
}

async fn ask(
    server: &Server,
    environment: &str,
    headers: &HeaderMap,
    request: Result<Request, CommandError>,
) -> Response {
    let asked = async {
        let actor = server.access.writer(headers)?;
        let handle = handle(server, environment)?;
        let mut answer = handle.send(request?, &actor).await?;
        if answer.get("status").is_none() {
            answer["status"] = serde_json::to_value(&**handle.status.borrow()).unwrap_or_default();
        }
        Ok(answer)
    };
    respond(asked.await)
}

fn id(kind: &str, name: &str) -> Result<Id, CommandError> {
    format!("{kind}/{name}").parse().map_err(|error: String| CommandError::new(400, "BadRequest", error))
}

/// Which of several environments a request to the gateway is for.
pub(super) const ENVIRONMENT: &str = "x-evenkeel-environment";
