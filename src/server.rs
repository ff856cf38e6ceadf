//! HTTP surfaces. In `dev`: the gateway that calls actions, the page to try them, and what it is made from.

mod answer;
mod gateway;
mod listener;
mod listing;
mod page;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{any, get};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::reconcile::active::Pointer;

/// Largest request body.
pub const MOST_BODY: usize = 8 << 20;
/// Calls at the same moment; more are told to come back.
const MOST_CALLS: usize = 1024;
/// Longest wait for calls in flight when the server ends.
const GRACE: Duration = Duration::from_secs(5);

/// Where calls go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mocking {
    /// Tests answer for hosts that exist in examples only; others are called.
    Examples,
    /// Tests answer for every host.
    All,
}

/// What the server needs.
#[derive(Clone, Debug)]
pub struct Server {
    /// What serves.
    pub pointer: Pointer,
    /// Where calls go.
    pub mocking: Mocking,
    names: Arc<[String]>,
    calls: Arc<Semaphore>,
}

impl Server {
    /// A server of what a pointer points to.
    ///
    /// `names` are those by which it may be asked, beside its addresses and `localhost`.
    pub fn new(pointer: Pointer, mocking: Mocking, names: Vec<String>) -> Server {
        Server { pointer, mocking, names: names.into(), calls: Arc::new(Semaphore::new(MOST_CALLS)) }
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
        let serving = axum::serve(listener::Patient::new(listener), router).with_graceful_shutdown(async move {
            until.await;
            let _ = ended.send(());
        });
        tokio::select! {
            served = serving => served,
            () = async { let _ = end.await; tokio::time::sleep(GRACE).await; } => Ok(()),
        }
    }

    fn router(self) -> Router {
        Router::new()
            .route("/", get(page::index))
            .route("/assets/{name}", get(page::asset))
            .route("/v1/connectors", get(listing::connectors))
            .route("/v1/findings", get(listing::findings))
            .route("/v1/connectors/{connector}/actions/{action}", any(gateway::call))
            .route("/healthz", get(async || "ok\n"))
            .route("/readyz", get(async || "ok\n"))
            .fallback(answer::not_found)
            .method_not_allowed_fallback(answer::not_allowed)
            .layer(DefaultBodyLimit::max(MOST_BODY))
            .layer(axum::middleware::from_fn_with_state(self.clone(), answer::same_site))
            .with_state(self)
    }
}
