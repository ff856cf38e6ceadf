//! The routes, and the loop that serves them.

use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{any, get, post, put};
use tokio::net::TcpListener;

use super::listener::IdleTimeoutListener;
use super::state::{MAX_BODY, Server};
use super::{
    catalog, dead_letters, environment_commands, environments, execution_commands, execution_start, executions,
    gateway, git_webhook, hooks, metrics, page, response, same_site, spans, workflows,
};

/// Time that requests in flight have to finish at shutdown.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(5);

impl Server {
    /// Serves until `shutdown` completes, then for at most 5 s until the requests in flight are done.
    ///
    /// # Errors
    /// Fails if the listener fails.
    pub async fn serve(
        self,
        listener: TcpListener,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> std::io::Result<()> {
        let (sender, receiver) = tokio::sync::oneshot::channel::<()>();
        let serving =
            axum::serve(IdleTimeoutListener::new(listener), router(self)).with_graceful_shutdown(async move {
                shutdown.await;
                let _ = sender.send(());
            });
        tokio::select! {
            served = serving => served,
            () = async { let _ = receiver.await; tokio::time::sleep(SHUTDOWN_TIMEOUT).await; } => Ok(()),
        }
    }
}

fn router(server: Server) -> Router {
    let router = match &server.environments {
        None => Router::new().route("/", get(page::index)).route("/assets/{name}", get(page::asset)),
        Some(_) => environment_routes(),
    };
    router
        .merge(traced_routes())
        .route("/v1/connectors", get(catalog::connectors))
        .route("/v1/findings", get(catalog::findings))
        .route("/v1/workflows", get(workflows::workflows))
        .route("/v1/triggers", get(workflows::triggers))
        .route("/v1/executions", get(executions::list))
        .route("/v1/executions/{id}", get(executions::show))
        .route("/v1/executions/{id}/logs", get(executions::logs))
        .route("/v1/executions/{id}/events/{name}", post(execution_commands::signal))
        .route("/v1/executions/{id}/approvals/{name}", post(execution_commands::approve))
        .route("/v1/events", get(executions::events))
        .route("/v1/events/{id}", get(executions::event))
        .route("/v1/dead-letters", get(dead_letters::list))
        .route("/v1/dead-letters/{id}", get(dead_letters::show))
        .route("/healthz", get(metrics::health))
        .route("/readyz", get(metrics::ready))
        .fallback(response::not_found)
        .method_not_allowed_fallback(response::method_not_allowed)
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(axum::middleware::from_fn_with_state(server.clone(), same_site::check))
        .with_state(server)
}

/// Routes that call applications or start workflows; each request has a span.
fn traced_routes() -> Router<Server> {
    Router::new()
        .route("/v1/connectors/{connector}/actions/{action}", any(gateway::call))
        .route("/v1/workflows/{workflow}/runs", post(execution_start::start))
        .route("/v1/executions/{id}/{verb}", post(execution_commands::act))
        .route("/v1/dead-letters/{id}/replay", post(dead_letters::replay))
        .route("/hooks/{trigger}", any(hooks::hook))
        .route("/hooks/{trigger}/{address}", any(hooks::hook_with_address))
        .route("/v1/environments/{environment}/hooks/{trigger}", any(hooks::environment_hook))
        .route("/v1/environments/{environment}/hooks/{trigger}/{address}", any(hooks::environment_hook_with_address))
        .route_layer(axum::middleware::from_fn(spans::trace_request))
}

/// Routes of environments, for operators and Git hosts.
fn environment_routes() -> Router<Server> {
    let environment = "/v1/environments/{environment}";
    let at = |path: &str| format!("{environment}/{path}");
    Router::new()
        .route("/metrics", get(metrics::metrics))
        .route("/v1/environments", get(environments::list))
        .route(environment, get(environments::status))
        .route(&at("findings"), get(environments::findings))
        .route(&at("history"), get(environments::history))
        .route(&at("diff"), get(environments::diff))
        .route(&at("plan"), get(environment_commands::pending_plan).post(environment_commands::preview))
        .route(&at("definitions"), get(environments::definitions))
        .route(
            &at("definitions/{kind}/{name}"),
            put(environment_commands::put_definition).delete(environment_commands::delete_definition),
        )
        .route(&at("trace/{kind}/{name}"), get(environments::trace))
        .route(&at("webhook"), post(git_webhook::webhook))
        .route(&at("{verb}"), post(environment_commands::act))
}
