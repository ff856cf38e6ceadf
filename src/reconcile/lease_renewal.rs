//! A lease that is renewed while its holder lives.

use std::sync::Arc;
use std::time::Duration;

use crate::store::{Lease, Store};

/// Lease duration in seconds; the holder renews its lease every third of it.
pub(super) const LEASE_SECONDS: u32 = 15;

/// Renews a lease until dropped, so that the same process leads from one pass to the next.
#[derive(Debug)]
pub(super) struct LeaseRenewal {
    task: tokio::task::JoinHandle<()>,
    token: i64,
}

impl LeaseRenewal {
    /// True if this lease is being renewed.
    pub(super) fn holds(&self, lease: &Lease) -> bool {
        self.token == lease.token && !self.task.is_finished()
    }

    /// Starts to renew a lease.
    pub(super) fn start(store: Arc<dyn Store>, lease: &Lease) -> LeaseRenewal {
        let (lease, token) = (lease.clone(), lease.token);
        let task = tokio::spawn(async move {
            loop {
                tokio::time::sleep(Duration::from_secs(u64::from(LEASE_SECONDS / 3))).await;
                let renewed = store.acquire_lease(&lease.name, &lease.holder, LEASE_SECONDS).await;
                // A late renewal gets a new token, under which an old activation must not continue.
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
