//! The count of the units of allowances: in the store, or in memory for a process without one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;

use super::time::{lock, micros};
use crate::store::allowance::{Allowance, Grant, Reservation, Usage};
use crate::store::{Micros, Store, StoreError};

/// Maximum number of allowances in memory; those that are not in use are dropped beyond it.
const MAX_USAGES: usize = 10_000;

/// Counts the units of allowances.
#[async_trait]
pub(super) trait Ledger: Send + Sync {
    /// Reserves units.
    async fn reserve(&self, allowance: &Allowance, request: &Reservation) -> Result<Grant, StoreError>;
}

/// Counts in the store, for all of its processes.
pub(super) struct StoreLedger(pub(super) Arc<dyn Store>);

#[async_trait]
impl Ledger for StoreLedger {
    async fn reserve(&self, allowance: &Allowance, request: &Reservation) -> Result<Grant, StoreError> {
        self.0.reserve(allowance, request).await
    }
}

/// Counts in memory.
pub(super) struct MemoryLedger {
    started: Instant,
    /// The time of the start, in microseconds since 1970.
    started_at: Micros,
    usages: Mutex<HashMap<(String, String), Usage>>,
}

impl Default for MemoryLedger {
    fn default() -> MemoryLedger {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        MemoryLedger { started: Instant::now(), started_at: micros(since), usages: Mutex::default() }
    }
}

#[async_trait]
impl Ledger for MemoryLedger {
    async fn reserve(&self, allowance: &Allowance, request: &Reservation) -> Result<Grant, StoreError> {
        let now = self.started_at.saturating_add(micros(self.started.elapsed()));
        let mut usages = lock(&self.usages);
        if usages.len() >= MAX_USAGES {
            usages.retain(|_, usage| usage.until() > now);
        }
        let usage = usages.entry((allowance.environment.clone(), allowance.name.clone())).or_default();
        Ok(usage.reserve(allowance, request, now).0)
    }
}
