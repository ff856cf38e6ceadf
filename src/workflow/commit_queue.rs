//! The commit queue: one writer for all changes of a process, so that concurrent changes share a transaction and a flush.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use crate::store::queue::{Change, CommitResult};
use crate::store::{Store, StoreError};

/// Maximum number of queued changes. Further senders wait.
const MAX_QUEUED: usize = 4096;
/// Maximum number of changes per transaction.
const MAX_BATCH: usize = 512;
/// Duration for which a write is retried while the store is unavailable: shorter than the lease of an execution.
const RETRY_PERIOD: Duration = Duration::from_secs(12);

type QueuedChange = (Change, oneshot::Sender<Result<CommitResult, StoreError>>);

/// The queue of changes to commit.
pub(super) struct CommitQueue(mpsc::Sender<QueuedChange>);

impl CommitQueue {
    /// Starts the writer. It ends when the queue is dropped.
    pub(super) fn start(store: Arc<dyn Store>) -> CommitQueue {
        let (sender, receiver) = mpsc::channel(MAX_QUEUED);
        tokio::spawn(write(store, receiver));
        CommitQueue(sender)
    }

    /// Commits a change. The change is durable when this returns.
    pub(super) async fn commit(&self, change: Change) -> Result<CommitResult, StoreError> {
        let closed = || StoreError::Unavailable("the process is shutting down".to_owned());
        let (sender, result) = oneshot::channel();
        self.0.send((change, sender)).await.map_err(|_| closed())?;
        result.await.map_err(|_| closed())?
    }
}

/// Writes queued changes until the queue is closed.
async fn write(store: Arc<dyn Store>, mut queue: mpsc::Receiver<QueuedChange>) {
    let mut batch = Vec::with_capacity(MAX_BATCH);
    while queue.recv_many(&mut batch, MAX_BATCH).await > 0 {
        let (changes, senders): (Vec<Change>, Vec<_>) = batch.drain(..).unzip();
        match commit_with_retry(&*store, &changes).await {
            Ok(results) => {
                for (sender, result) in senders.into_iter().zip(results) {
                    let _ = sender.send(Ok(result));
                }
            }
            Err(error) => {
                tracing::error!(changes = changes.len(), error = error.to_string(), "committing changes failed");
                for sender in senders {
                    let _ = sender.send(Err(StoreError::Unavailable(error.to_string())));
                }
            }
        }
    }
}

async fn commit_with_retry(store: &dyn Store, changes: &[Change]) -> Result<Vec<CommitResult>, StoreError> {
    let deadline = tokio::time::Instant::now() + RETRY_PERIOD;
    let mut delay = Duration::from_millis(20);
    loop {
        match store.commit(changes).await {
            Err(StoreError::Unavailable(_)) if tokio::time::Instant::now() < deadline => {
                tokio::time::sleep(delay).await;
            }
            result => return result,
        }
        delay = (delay * 2).min(Duration::from_secs(1));
    }
}
