//! Plans, overrides and operations of environments.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use serde_json::Value;

use super::context::{RequestContext, environments, target};
use super::environments::describe;
use super::extract::{BodyBytes, JsonBody, PathParams, QueryParams, media_type};
use super::parse_command::{parse_id, parse_override, parse_precondition, parse_reason};
use super::reply::{ApiResult, Reply, set};
use super::state::Server;
use crate::api::Problem;
use crate::api::command::{Apply, NoArguments, Preview, Promote, Restore, Rollback, Suspend};
use crate::api::environment::{CommandResult, Generation};
use crate::api::query::{NoQuery, PutQuery};
use crate::definition::Id;
use crate::reconcile::commands::Request;
use crate::store;

/// `PUT …/definitions/{kind}/{name}`: writes a definition or an override.
pub(super) async fn put_definition(
    State(server): State<Server>,
    context: RequestContext,
    params: PathParams,
    QueryParams(query): QueryParams<PutQuery>,
    headers: HeaderMap,
    BodyBytes(body): BodyBytes,
) -> ApiResult<Response> {
    let id = parse_id(params.get("kind"), params.get("name"))?;
    let media_type = media_type(&headers);
    let json = media_type.ends_with("json");
    let known = ["", "application/yaml", "text/yaml", "application/x-yaml", "text/x-yaml", "text/plain"];
    // curl declares a form if nothing else is said.
    if !json && !known.contains(&media_type.as_str()) && media_type != "application/x-www-form-urlencoded" {
        let detail = format!("`{media_type}` bodies are not accepted here; send YAML or JSON");
        return Err(Problem::new(415, "UNSUPPORTED_MEDIA_TYPE", detail).into());
    }
    let text = String::from_utf8(body.to_vec()).map_err(|_| Problem::bad_request("the definition is not UTF-8"))?;
    let over = query.over.as_deref().map(parse_override).transpose()?;
    let precondition = parse_precondition(&headers)?;
    let created = digest_of(&context, &id)?.is_none();
    let request = Request::Put { id: id.clone(), text, json, over, reason: parse_reason(query.reason)?, precondition };
    let mut response = send(&server, &context, request).await?.into_response();
    if created {
        *response.status_mut() = StatusCode::CREATED;
        let path = format!("/definitions/{}/{}", id.kind.as_str(), id.name);
        set(&mut response, "location", &context.target()?.path(&path));
    }
    if let Some(digest) = digest_of(&context, &id)? {
        set(&mut response, "etag", &format!("\"{digest}\""));
    }
    Ok(response)
}

/// `DELETE …/definitions/{kind}/{name}`
pub(super) async fn delete_definition(
    State(server): State<Server>,
    context: RequestContext,
    params: PathParams,
    QueryParams(NoQuery {}): QueryParams<NoQuery>,
    headers: HeaderMap,
) -> ApiResult<Reply<CommandResult>> {
    let id = parse_id(params.get("kind"), params.get("name"))?;
    let precondition = parse_precondition(&headers)?;
    send(&server, &context, Request::Delete { id, precondition }).await
}

/// Digest of a live definition.
fn digest_of(context: &RequestContext, id: &Id) -> ApiResult<Option<crate::text::Digest>> {
    let view = context.target()?.handle()?.view.load();
    Ok(view.manifest.as_ref().and_then(|manifest| manifest.items.get(id)).map(|item| item.digest))
}

/// `GET …/plan`: the pending plan.
pub(super) async fn pending_plan(
    context: RequestContext,
    QueryParams(NoQuery {}): QueryParams<NoQuery>,
) -> ApiResult<Reply<Value>> {
    let handle = context.target()?.handle()?;
    Ok(Reply(handle.send(Request::Plan, &context.principal.name).await?))
}

/// `POST …/plan` with `{"files": {"path": "content"}}`: the plan that the files would cause.
pub(super) async fn preview(
    context: RequestContext,
    QueryParams(NoQuery {}): QueryParams<NoQuery>,
    JsonBody(body): JsonBody<Preview>,
) -> ApiResult<Reply<Value>> {
    let handle = context.target()?.handle()?;
    Ok(Reply(handle.send(Request::Preview { files: body.files }, &context.principal.name).await?))
}

/// `POST …/reconcile`
pub(super) async fn reconcile(
    State(server): State<Server>,
    context: RequestContext,
    JsonBody(NoArguments {}): JsonBody<NoArguments>,
) -> ApiResult<Reply<CommandResult>> {
    send(&server, &context, Request::Reconcile).await
}

/// `POST …/suspend`
pub(super) async fn suspend(
    State(server): State<Server>,
    context: RequestContext,
    JsonBody(body): JsonBody<Suspend>,
) -> ApiResult<Reply<CommandResult>> {
    send(&server, &context, Request::Suspend { reason: parse_reason(body.reason)? }).await
}

/// `POST …/resume`
pub(super) async fn resume(
    State(server): State<Server>,
    context: RequestContext,
    JsonBody(NoArguments {}): JsonBody<NoArguments>,
) -> ApiResult<Reply<CommandResult>> {
    send(&server, &context, Request::Resume).await
}

/// `POST …/rollback`
pub(super) async fn rollback(
    State(server): State<Server>,
    context: RequestContext,
    JsonBody(body): JsonBody<Rollback>,
) -> ApiResult<Reply<CommandResult>> {
    send(&server, &context, Request::Rollback { to: body.to }).await
}

/// `POST …/promote`: the caller needs rights in both environments.
pub(super) async fn promote(
    State(server): State<Server>,
    context: RequestContext,
    JsonBody(body): JsonBody<Promote>,
) -> ApiResult<Reply<CommandResult>> {
    let from = body.from.replace('/', ".");
    if !context.principal.reaches_environment(&from) {
        return Err(context.forbidden(&format!("has no rights in environment `{from}`")).into());
    }
    let from = target(&server, Some(&from), Some(&context.principal))?.key;
    send(&server, &context, Request::Promote { from }).await
}

/// `POST …/apply`
pub(super) async fn apply(
    State(server): State<Server>,
    context: RequestContext,
    JsonBody(body): JsonBody<Apply>,
) -> ApiResult<Reply<CommandResult>> {
    send(&server, &context, Request::Approve { plan: body.plan }).await
}

/// `POST …/restore`
pub(super) async fn restore(
    State(server): State<Server>,
    context: RequestContext,
    JsonBody(body): JsonBody<Restore>,
) -> ApiResult<Reply<CommandResult>> {
    let id: Id = body.id.parse().map_err(|error: String| Problem::bad_request(error))?;
    send(&server, &context, Request::Restore { id }).await
}

/// Sends the request to the environment, and adds its status to the response.
async fn send(server: &Server, context: &RequestContext, request: Request) -> ApiResult<Reply<CommandResult>> {
    let target = context.target()?;
    let value = target.handle()?.send(request, &context.principal.name).await?;
    // A request answers with the generation that it activated, or with the number of requests so far.
    let generation = serde_json::from_value::<store::Generation>(value.clone()).ok();
    let active = environments(server)?.context.store.active(&target.key).await?.map_or(0, |active| active.number);
    let warnings = value["warnings"].as_array().into_iter().flatten();
    Ok(Reply(CommandResult {
        generation: generation.map(|generation| Generation::new(generation, active)),
        warnings: warnings.filter_map(|warning| warning.as_str().map(str::to_owned)).collect(),
        requested: value["requested"].as_u64(),
        status: describe(server, target).await?,
    }))
}
