//! News of other processes.

use std::time::Duration;

use sqlx::postgres::{PgListener, PgPool};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::store::common::bump;

/// What is notified, with the name of the environment.
pub(super) const CHANNEL: &str = "evenkeel_changes";

/// How often to look without having been told: a notification can be lost (a proxy between us and the server that
/// shares connections, a connection that went silent), news must not.
const LOOK: Duration = Duration::from_secs(3);
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// What tells whether anything happened: both numbers only grow.
const VERSION: &str = "SELECT (SELECT coalesce(sum(active), 0)::bigint FROM environments), \
                              (SELECT coalesce(sum(version), 0)::bigint FROM states)";

/// A task that listens until this is dropped.
pub(super) struct Listener(JoinHandle<()>);

impl Listener {
    /// Wakes those who wait for changes on every notification, and whenever one may have been missed.
    pub(super) fn start(pool: PgPool, changes: watch::Sender<u64>) -> Listener {
        Listener(tokio::spawn(async move {
            let mut wait = FIRST_WAIT;
            loop {
                let mut connected = false;
                if let Err(error) = listen(&pool, &changes, &mut connected).await {
                    let error = super::StoreError::from(error);
                    tracing::warn!(%error, "waiting for news of other processes was interrupted; trying again");
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

/// Listens until the connection fails, or proves to be deaf.
async fn listen(pool: &PgPool, changes: &watch::Sender<u64>, connected: &mut bool) -> Result<(), sqlx::Error> {
    let mut listener = PgListener::connect_with(pool).await?;
    listener.ignore_pool_close_event(true);
    // A lost connection is made again by our caller: here, the timeout below could interrupt it halfway.
    listener.eager_reconnect(false);
    listener.listen(CHANNEL).await?;
    // What happened before we listened was told to nobody.
    let mut seen = version(pool).await?;
    let mut told = false;
    bump(changes);
    *connected = true;
    loop {
        if let Ok(message) = tokio::time::timeout(LOOK, listener.try_recv()).await {
            if message?.is_none() {
                return Ok(());
            }
            told = true;
            bump(changes);
        } else {
            let now = version(pool).await?;
            if now != seen {
                bump(changes);
                if !told {
                    return Ok(());
                }
            }
            (seen, told) = (now, false);
        }
    }
}

async fn version(pool: &PgPool) -> Result<(i64, i64), sqlx::Error> {
    sqlx::query_as(VERSION).fetch_one(pool).await
}
