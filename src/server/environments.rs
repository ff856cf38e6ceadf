//! Environments: their status, history and definitions. `environment_commands` changes them.

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use serde_json::Value;

use super::context::{RequestContext, Target, environments, target};
use super::extract::{PathParams, QueryParams, after, bad_cursor, limit};
use super::parse_command::parse_id;
use super::reply::{ApiResult, Reply, set};
use super::state::Server;
use crate::api::definition::{Definition, Owner};
use crate::api::environment::{AuditLine, Condition, Environment, Generation, Replica, Serving, Tombstone};
use crate::api::page::cursor_after;
use crate::api::query::{DiffQuery, NoQuery, PageQuery};
use crate::api::{Page, Problem, Time};
use crate::plan::{self, Inventory};
use crate::reconcile::candidate;
use crate::reconcile::environments::Handle;
use crate::reconcile::reason::Reason;
use crate::reconcile::status::Status;
use crate::reconcile::validate::Validator;
use crate::reconcile::view::EnvironmentView;
use crate::store::manifest::Item;

/// `GET /v1/environments`: those that the caller's rights extend to.
pub(super) async fn list(
    State(server): State<Server>,
    context: RequestContext,
    QueryParams(query): QueryParams<PageQuery>,
) -> ApiResult<Reply<Page<Environment>>> {
    let (limit, after) = (limit(query.limit)?, after(query.cursor.as_deref())?);
    let names: Vec<String> = match &server.environments {
        Some(environments) => environments.all.load().keys().cloned().collect(),
        None => vec![target(&server, None, None)?.name],
    };
    let visible = names.into_iter().filter(|name| context.principal.reaches_environment(name)).collect();
    let page = Page::of(visible, Clone::clone, after.as_deref(), limit);
    let mut items = Vec::new();
    for name in &page.items {
        // An environment may have been removed meanwhile.
        if let Ok(target) = target(&server, Some(name), None) {
            items.push(describe(&server, &target).await?);
        }
    }
    Ok(Reply(Page { environment: None, items, next: page.next }))
}

/// `GET /v1/environments/{environment}`
pub(super) async fn status(
    State(server): State<Server>,
    context: RequestContext,
    QueryParams(NoQuery {}): QueryParams<NoQuery>,
) -> ApiResult<Reply<Environment>> {
    let target = context.target()?;
    let mut environment = describe(&server, target).await?;
    if target.handle.is_some() {
        let store = &environments(&server)?.context.store;
        environment.replicas = store.replicas(&target.key).await?.into_iter().map(Replica::from).collect();
        environment.tombstones = store.tombstones(&target.key).await?.into_iter().map(Tombstone::from).collect();
    }
    Ok(Reply(environment))
}

/// The status of an environment, with its active generation, which may be newer than the status.
pub(super) async fn describe(server: &Server, target: &Target) -> ApiResult<Environment> {
    let active = target.pointer.load();
    let Some(handle) = &target.handle else { return Ok(describe_folder(server, target)) };
    let status = handle.status.borrow().clone();
    let stored = environments(server)?.context.store.active(&target.key).await?;
    let definitions = handle.view.load().manifest.as_ref().map_or(status.definitions, |manifest| manifest.items.len());
    let serving = match (stored, active) {
        (Some(stored), Some(active)) if stored.number == active.number => Serving {
            generation: Some(stored.number),
            digest: Some(stored.digest),
            since: Time::of(stored.at),
            definitions,
        },
        // This process serves another generation than the store's, for a moment.
        (_, Some(active)) => Serving {
            generation: Some(active.number).filter(|number| *number > 0),
            digest: active.runtime.generation.parse().ok(),
            since: Time::of(status.applied_at).filter(|_| status.generation == active.number),
            definitions,
        },
        (_, None) => Serving::default(),
    };
    let (serving_number, reported) = (serving.generation.unwrap_or(0), status.generation);
    let mut environment = Environment::new(&target.name, &status, serving);
    environment.folder = handle.view.load().shown_under.trim_matches('/').to_owned();
    if environment.ready && serving_number != reported {
        // The status is about an earlier generation, so it cannot call this one ready.
        environment.ready = false;
        for condition in environment.conditions.iter_mut().filter(|condition| condition.kind == "Ready") {
            condition.status = "False".into();
            condition.reason = Reason::Progressing.to_string();
            condition.message = format!("generation {serving_number} was activated just now");
        }
    }
    Ok(environment)
}

/// The status of the folder that `evenkeel dev` serves.
fn describe_folder(server: &Server, target: &Target) -> Environment {
    let active = server.pointer.load();
    let (mut status, mut serving) = (Status::default(), Serving::default());
    let mut ready = true;
    if let Some(active) = active {
        let catalog = &active.validated.catalog;
        serving.digest = active.runtime.generation.parse().ok();
        serving.definitions = catalog.entries.len();
        let errors = |severity| active.validated.findings.iter().filter(move |finding| finding.severity == severity);
        status.errors = errors(crate::text::Severity::Error).count();
        status.warnings = errors(crate::text::Severity::Warning).count();
        ready = active.current;
    }
    let (state, reason, message) = match ready {
        true => ("True", "Applied", "the folder's definitions are live".to_owned()),
        false => ("False", "InvalidDefinitions", format!("{} errors; an earlier generation serves", status.errors)),
    };
    let condition = Condition {
        kind: "Ready".into(),
        status: state.into(),
        reason: reason.into(),
        message,
        last_transition_time: None,
    };
    Environment { ready, conditions: vec![condition], ..Environment::new(&target.name, &status, serving) }
}

/// `GET /v1/environments/{environment}/history`
pub(super) async fn history(
    State(server): State<Server>,
    context: RequestContext,
    QueryParams(query): QueryParams<PageQuery>,
) -> ApiResult<Reply<Page<Generation>>> {
    let target = context.target()?;
    target.handle()?;
    let limit = limit(query.limit)?;
    let below =
        after(query.cursor.as_deref())?.map(|below| below.parse::<u64>().map_err(|_| bad_cursor())).transpose()?;
    let store = &environments(&server)?.context.store;
    let active = store.active(&target.key).await?.map_or(0, |active| active.number);
    let rows = store.history(&target.key, below, limit + 1).await?;
    let page = Page::of_rows(rows, limit, |row| cursor_after(&row.number.to_string()));
    Ok(Reply(page.map(|row| Generation::new(row, active)).of_environment(&target.name)))
}

/// `GET /v1/environments/{environment}/audit`: the newest lines of the audit log.
pub(super) async fn audit(
    State(server): State<Server>,
    context: RequestContext,
    QueryParams(query): QueryParams<PageQuery>,
) -> ApiResult<Reply<Page<AuditLine>>> {
    let target = context.target()?;
    target.handle()?;
    let limit = limit(query.limit)?;
    let start: u32 = match after(query.cursor.as_deref())? {
        Some(start) => start.parse().map_err(|_| bad_cursor())?,
        None => 0,
    };
    let store = &environments(&server)?.context.store;
    // The store keeps at most 10,000 lines of an environment.
    let lines = store.audit_log(&target.key, start.saturating_add(limit).saturating_add(1).min(10_001)).await?;
    let end = start.saturating_add(limit);
    let next = (lines.len() > end as usize).then(|| cursor_after(&end.to_string()));
    let items = lines.into_iter().skip(start as usize).take(limit as usize).map(AuditLine::from).collect();
    Ok(Reply(Page { environment: Some(target.name.clone()), items, next }))
}

/// `GET /v1/environments/{environment}/diff?from=&to=`: the plan from one generation to another.
pub(super) async fn diff(
    State(server): State<Server>,
    context: RequestContext,
    QueryParams(query): QueryParams<DiffQuery>,
) -> ApiResult<Reply<Value>> {
    let target = context.target()?;
    target.handle()?;
    let shared = &environments(&server)?.context;
    let active = shared.store.active(&target.key).await?.map_or(0, |active| active.number);
    let to = query.to.unwrap_or(active);
    let from = query.from.unwrap_or(to.saturating_sub(1));
    let mut sides = Vec::new();
    for number in [from, to] {
        sides.push(inventory(&server, target, number).await?);
    }
    let options = plan::PlanOptions { environment: &target.key };
    let plan = plan::plan(&sides[0], &sides[1], &options);
    Ok(Reply(serde_json::to_value(&plan).unwrap_or_default()))
}

/// The definitions of a generation; generation 0 has none.
async fn inventory(server: &Server, target: &Target, number: u64) -> ApiResult<Inventory> {
    if number == 0 {
        return Ok(Inventory::new());
    }
    let shared = &environments(server)?.context;
    let key = &target.key;
    let generation = shared.store.generation(key, number).await?;
    let unknown = || Problem::new(404, "NOT_FOUND", format!("unknown generation {number} of `{key}`"));
    let generation = generation.ok_or_else(unknown)?;
    let (manifest, contents) = candidate::stored(&*shared.store, generation.digest).await?;
    // On Kubernetes the key has the namespace too.
    let name = target.handle()?.document.load().name.clone();
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

/// `GET /v1/environments/{environment}/definitions`: all live definitions with their owners and locations.
pub(super) async fn definitions(
    context: RequestContext,
    QueryParams(query): QueryParams<PageQuery>,
) -> ApiResult<Reply<Page<Definition>>> {
    let target = context.target()?;
    let handle = target.handle()?;
    let (limit, after) = (limit(query.limit)?, after(query.cursor.as_deref())?);
    let view = handle.view.load();
    let mut items: Vec<&Item> =
        view.manifest.iter().flat_map(|manifest| manifest.items.values()).map(|item| &**item).collect();
    items.sort_by_cached_key(|item| item.id.to_string());
    let page = Page::of(items, |item| item.id.to_string(), after.as_deref(), limit);
    Ok(Reply(page.map(|item| origin(item, handle, &view)).of_environment(&target.name)))
}

/// `GET /v1/environments/{environment}/definitions/{kind}/{name}`: a live definition with its document.
pub(super) async fn definition(
    context: RequestContext,
    params: PathParams,
    QueryParams(NoQuery {}): QueryParams<NoQuery>,
) -> ApiResult<Response> {
    let target = context.target()?;
    let handle = target.handle()?;
    let id = parse_id(params.get("kind"), params.get("name"))?;
    let view = handle.view.load();
    let item = view.manifest.as_ref().and_then(|manifest| manifest.items.get(&id));
    let unknown = || Problem::new(404, "NOT_FOUND", format!("{id} is not live in `{}`", target.name));
    let item = item.ok_or_else(unknown)?;
    let active = target.active()?;
    let entry = active.validated.catalog.find(id.kind, &id.name).filter(|_| active.current);
    let document = entry.map(|entry| entry.document.root.to_json());
    let mut response = Reply(Definition { document, ..origin(item, handle, &view) }).into_response();
    set(&mut response, "etag", &format!("\"{}\"", item.digest));
    Ok(response)
}

/// Source, file, line and generation of a definition.
pub(super) fn origin(item: &Item, handle: &Handle, view: &EnvironmentView) -> Definition {
    let displayed = |path: &str| match (item.is_api_owned(), view.shown_under.as_str()) {
        (true, _) | (_, "") => path.to_owned(),
        (_, folder) => format!("{}/{path}", folder.trim_end_matches('/')),
    };
    let generation = handle.pointer.load().map(|active| active.number).filter(|number| *number > 0);
    Definition {
        id: item.id.to_string(),
        uid: item.uid.clone(),
        owner: Owner::from(&item.owner),
        file: displayed(&item.base.path),
        line: item.line,
        overlays: item.patches.iter().map(|patch| displayed(&patch.path)).collect(),
        digest: item.digest,
        generation,
        document: None,
    }
}
