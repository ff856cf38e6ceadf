//! The asynchronous runtime and the signals that end a process.

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};

/// Starts a multi-threaded runtime for network calls and servers.
///
/// # Errors
/// Fails if the operating system refuses threads.
pub(super) fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start the worker threads")
}

/// Completes on Ctrl+C (SIGINT) or SIGTERM, and reports it in the log.
pub(super) async fn logged_shutdown_signal() {
    shutdown_signal().await;
    tracing::info!("shutdown begins");
}

/// Completes on Ctrl+C (SIGINT), SIGTERM, or SIGHUP, which a terminal sends when it closes.
pub(super) async fn shutdown_signal() {
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        () = received(SignalKind::terminate()) => {}
        () = received(SignalKind::hangup()) => {}
    }
}

/// Completes on a signal; never if it cannot be watched.
async fn received(kind: SignalKind) {
    match signal(kind) {
        Ok(mut signal) => {
            signal.recv().await;
        }
        Err(_) => std::future::pending().await,
    }
}
