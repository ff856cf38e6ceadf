//! HTTP surfaces: the gateway that calls actions, the page to try them, and what operators ask of environments.

pub mod access;
pub mod admission;
mod catalog;
mod dead_letters;
mod environments;
mod executions;
mod gateway;
mod git_webhook;
mod hooks;
mod listener;
mod metrics;
mod page;
mod response;
mod spans;
mod workflows;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{any, get, post, put};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::connector::{CallError, ErrorCode, Mocking};
use crate::reconcile::active::{Active, Pointer};
use crate::reconcile::environments::Environments;
use crate::reconcile::live_environments::LiveEnvironments;
use crate::workflow::Dispatcher;
use access::Access;

/// Largest request body.
pub const MAX_BODY: usize = 8 << 20;
/// Calls at the same moment; more are told to come back.
const MAX_CALLS: usize = 1024;
/// The same for webhooks, which are small and wait for a disk at most.
const MAX_HOOKS: usize = 4096;
/// Longest wait for calls in flight when the server ends.
const GRACE: Duration = Duration::from_secs(5);

/// What the server needs.
#[derive(Clone, Debug)]
pub struct Server {
    /// What serves, where it is one folder (`dev`).
    pub pointer: Pointer,
    /// What serves, where there are environments (`serve`).
    pub environments: Option<Environments>,
    /// Who may read and change environments.
    pub access: Access,
    /// Where calls go.
    pub mocking: Mocking,
    /// What runs workflows; `None` where nothing does.
    pub working: Option<Working>,
    names: Arc<[String]>,
    calls: Arc<Semaphore>,
    hooks: Arc<Semaphore>,
}

/// What runs workflows.
#[derive(Clone, Debug)]
pub struct Working {
    /// Where work comes in.
    pub dispatcher: Arc<Dispatcher>,
    /// What is live.
    pub served: LiveEnvironments,
    /// Where others reach this server, such as `https://hooks.example.com`.
    pub public_url: String,
}

impl Server {
    /// A server of what a pointer points to.
    ///
    /// `names` are those by which it may be asked, beside its addresses and `localhost`.
    pub fn new(pointer: Pointer, mocking: Mocking, names: Vec<String>) -> Server {
        let (calls, hooks) = (Arc::new(Semaphore::new(MAX_CALLS)), Arc::new(Semaphore::new(MAX_HOOKS)));
        let access = Access::default();
        Server { pointer, environments: None, access, mocking, working: None, names: names.into(), calls, hooks }
    }

    /// A server of environments.
    pub fn of(environments: Environments, access: Access, names: Vec<String>) -> Server {
        let server = Server::new(Pointer::empty(), Mocking::None, names);
        Server { environments: Some(environments), access, ..server }
    }

    /// The same server, with what runs workflows.
    #[must_use]
    pub fn with(self, working: Working) -> Server {
        Server { working: Some(working), ..self }
    }

    /// The same server, asked by those who may.
    #[must_use]
    pub fn asked_by(self, access: Access) -> Server {
        Server { access, ..self }
    }

    /// What serves calls for an environment: the one that is named, or the only one.
    ///
    /// # Errors
    /// Why nothing does.
    fn active(&self, environment: Option<&str>) -> Result<Arc<Active>, CallError> {
        let unavailable = |detail: String| CallError::new(ErrorCode::Unavailable, detail);
        let pointer = match &self.environments {
            None => self.pointer.clone(),
            Some(environments) => {
                let handle = environments.find(environment).ok_or_else(|| match environment {
                    Some(name) => CallError::new(ErrorCode::NotFound, format!("there is no environment `{name}`")),
                    None => CallError::new(
                        ErrorCode::BadRequest,
                        "there are several environments: name one in the header `x-evenkeel-environment`",
                    ),
                })?;
                handle.pointer
            }
        };
        pointer.load().ok_or_else(|| unavailable("nothing is live yet".into()))
    }

    /// The same, with the environment's key.
    fn active_named(&self, environment: Option<&str>) -> Result<(String, Arc<Active>), CallError> {
        let active = self.active(environment)?;
        Ok((active.runtime.environment.clone(), active))
    }

    /// What runs workflows.
    fn working(&self) -> Result<&Working, CallError> {
        let none = || CallError::new(ErrorCode::Unavailable, "this server runs no workflows");
        self.working.as_ref().ok_or_else(none)
    }

    /// Serves until `until` is done, and then until calls in flight are done, for a while.
    ///
    /// # Errors
    /// Where the listener breaks.
    pub async fn serve(
        self,
        listener: TcpListener,
        until: impl Future<Output = ()> + Send + 'static,
    ) -> std::io::Result<()> {
        let (ended, end) = tokio::sync::oneshot::channel::<()>();
        let router = self.router();
        let serving =
            axum::serve(listener::IdleTimeoutListener::new(listener), router).with_graceful_shutdown(async move {
                until.await;
                let _ = ended.send(());
            });
        tokio::select! {
            served = serving => served,
            () = async { let _ = end.await; tokio::time::sleep(GRACE).await; } => Ok(()),
        }
    }

    fn router(self) -> Router {
        let router = match &self.environments {
            None => Router::new().route("/", get(page::index)).route("/assets/{name}", get(page::asset)),
            Some(_) => operators(),
        };
        router
            .merge(work())
            .route("/v1/connectors", get(catalog::connectors))
            .route("/v1/findings", get(catalog::findings))
            .route("/v1/workflows", get(workflows::workflows))
            .route("/v1/triggers", get(workflows::triggers))
            .route("/v1/executions", get(executions::list))
            .route("/v1/executions/{id}", get(executions::show))
            .route("/v1/executions/{id}/logs", get(executions::logs))
            .route("/v1/executions/{id}/events/{name}", post(executions::signal))
            .route("/v1/executions/{id}/approvals/{name}", post(executions::approve))
            .route("/v1/events", get(executions::events))
            .route("/v1/events/{id}", get(executions::event))
            .route("/v1/dead-letters", get(dead_letters::list))
            .route("/v1/dead-letters/{id}", get(dead_letters::show))
            .route("/healthz", get(metrics::health))
            .route("/readyz", get(metrics::ready))
            .fallback(response::not_found)
            .method_not_allowed_fallback(response::not_allowed)
            .layer(DefaultBodyLimit::max(MAX_BODY))
            .layer(axum::middleware::from_fn_with_state(self.clone(), response::same_site))
            .with_state(self)
    }
}

/// What calls applications and starts workflows, each request with a span.
fn work() -> Router<Server> {
    Router::new()
        .route("/v1/connectors/{connector}/actions/{action}", any(gateway::call))
        .route("/v1/workflows/{workflow}/runs", post(executions::run))
        .route("/v1/executions/{id}/{verb}", post(executions::act))
        .route("/v1/dead-letters/{id}/replay", post(dead_letters::replay))
        .route("/hooks/{trigger}", any(hooks::hook))
        .route("/hooks/{trigger}/{address}", any(hooks::addressed))
        .route("/v1/environments/{environment}/hooks/{trigger}", any(hooks::of_environment))
        .route("/v1/environments/{environment}/hooks/{trigger}/{address}", any(hooks::addressed_of_environment))
        .route_layer(axum::middleware::from_fn(spans::traced))
}

/// What operators and forges ask.
fn operators() -> Router<Server> {
    let environment = "/v1/environments/{environment}";
    let at = |path: &str| format!("{environment}/{path}");
    Router::new()
        .route("/metrics", get(metrics::metrics))
        .route("/v1/environments", get(environments::list))
        .route(environment, get(environments::status))
        .route(&at("findings"), get(environments::findings))
        .route(&at("history"), get(environments::history))
        .route(&at("diff"), get(environments::diff))
        .route(&at("plan"), get(environments::pending).post(environments::preview))
        .route(&at("definitions"), get(environments::definitions))
        .route(&at("definitions/{kind}/{name}"), put(environments::put).delete(environments::delete))
        .route(&at("trace/{kind}/{name}"), get(environments::trace))
        .route(&at("webhook"), post(git_webhook::webhook))
        .route(&at("{verb}"), post(environments::act))
}
