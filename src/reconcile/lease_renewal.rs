//! A lease that is kept while its holder lives.

use std::sync::Arc;
use std::time::Duration;

use crate::store::{Lease, Store};

/// Lease duration in seconds; a leader renews its lease every third of it.
pub(super) const LEASE_SECONDS: u32 = 15;

/// Renews a lease until dropped, so that the same process leads from one look to the next.
#[derive(Debug)]
pub(super) struct LeaseRenewal {
    task: tokio::task::JoinHandle<()>,
    token: i64,
}

impl LeaseRenewal {
    pub(super) fn holds(&self, lease: &Lease) -> bool {
        self.token == lease.token && !self.task.is_finished()
    }

    pub(super) fn start(store: Arc<dyn Store>, lease: &Lease) -> LeaseRenewal {
        let (lease, token) = (lease.clone(), lease.token);
        let task = tokio::spawn(async move {
            loop {
                tokio::time::sleep(Duration::from_secs(u64::from(LEASE_SECONDS / 3))).await;
                let renewed = store.acquire_lease(&lease.name, &lease.holder, LEASE_SECONDS).await;
                // Whoever was late must not take up an old errand under a new token.
                if !matches!(renewed, Ok(Some(ref renewed)) if renewed.token == lease.token) {
                    return;
                }
            }
        });
        LeaseRenewal { task, token }
    }
}

impl Drop for LeaseRenewal {
    fn drop(&mut self) {
        self.task.abort();
    }
}
