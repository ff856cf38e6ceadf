//! Notifications of other processes' changes.

use std::time::Duration;

use sqlx::postgres::{PgListener, PgPool};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::super::StoreError;
use super::super::backend::bump;

/// The channel; a notification's payload is the name of the environment.
pub(super) const CHANNEL: &str = "evenkeel_changes";

/// Interval of polling without a notification: a notification can be lost (a proxy that shares connections, a connection
/// that no longer responds), a change must not be.
const POLL: Duration = Duration::from_secs(3);
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// Two numbers that grow with every change.
const VERSION: &str = "SELECT (SELECT coalesce(sum(active), 0)::bigint FROM environments), \
                              (SELECT coalesce(sum(version), 0)::bigint FROM states)";

/// A task that listens until this value is dropped.
pub(super) struct Listener(JoinHandle<()>);

impl Listener {
    /// Wakes the waiters for changes on every notification, and whenever one may have been missed.
    pub(super) fn start(pool: PgPool, changes: watch::Sender<u64>) -> Listener {
        Listener(tokio::spawn(async move {
            let mut wait = FIRST_WAIT;
            loop {
                let mut connected = false;
                if let Err(error) = listen(&pool, &changes, &mut connected).await {
                    let error = StoreError::from(error);
                    tracing::warn!(%error, "listening for changes of other processes failed; retrying");
                }
                wait = if connected { FIRST_WAIT } else { (wait * 2).min(LONGEST_WAIT) };
                tokio::time::sleep(wait).await;
            }
        }))
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Listens until the connection fails, or delivers no notification of a change that happened.
async fn listen(pool: &PgPool, changes: &watch::Sender<u64>, connected: &mut bool) -> Result<(), sqlx::Error> {
    let mut listener = PgListener::connect_with(pool).await?;
    listener.ignore_pool_close_event(true);
    // The caller reconnects: here, the timeout below could interrupt that halfway.
    listener.eager_reconnect(false);
    listener.listen(CHANNEL).await?;
    // Changes from before the connection were not notified.
    let mut seen = version(pool).await?;
    let mut notified = false;
    bump(changes);
    *connected = true;
    loop {
        if let Ok(message) = tokio::time::timeout(POLL, listener.try_recv()).await {
            if message?.is_none() {
                return Ok(());
            }
            notified = true;
            bump(changes);
        } else {
            let now = version(pool).await?;
            if now != seen {
                bump(changes);
                if !notified {
                    return Ok(());
                }
            }
            (seen, notified) = (now, false);
        }
    }
}

async fn version(pool: &PgPool) -> Result<(i64, i64), sqlx::Error> {
    sqlx::query_as(VERSION).fetch_one(pool).await
}
