//! The router, made of the table of endpoints, and the loop that serves it.

use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn_with_state;
use serde_json::Value;
use tokio::net::TcpListener;

use super::endpoint::Endpoint;
use super::listener::IdleTimeoutListener;
use super::state::{MAX_BODY, Server};
use super::{reply, routes, same_site};
use crate::api::openapi;

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

/// The OpenAPI document of a server of environments.
pub fn openapi() -> Value {
    let operations: Vec<_> = routes::endpoints(false, false).iter().flat_map(Endpoint::operations).collect();
    openapi::document(&operations)
}

/// Methods, paths and required rights of a server of environments, as its router has them.
pub fn route_table() -> Vec<(&'static str, String, Option<&'static str>)> {
    let operations = routes::endpoints(false, false).into_iter().flat_map(|endpoint| endpoint.operations());
    operations.map(|operation| (operation.method, operation.path, operation.right)).collect()
}

/// Routes come from the table only, so none can lack a permission.
fn router(server: Server) -> Router {
    let mut router = Router::new();
    for endpoint in routes::endpoints(server.environments.is_none(), server.public_metrics) {
        for operation in endpoint.operations() {
            router = router.route(&operation.path, endpoint.guarded(&server));
        }
    }
    router
        .fallback(reply::not_found)
        .method_not_allowed_fallback(reply::method_not_allowed)
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(from_fn_with_state(server.clone(), same_site::check))
        .layer(from_fn_with_state(server.clone(), reply::finish))
        .with_state(server)
}
