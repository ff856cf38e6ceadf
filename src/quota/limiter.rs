//! The limiter of a process.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::ledger::{Ledger, MemoryLedger, StoreLedger};
use super::permits::{Permit, Permits};
use super::pool::{MAX_WAITERS, Pool, Taken};
use super::refusal::Refusal;
use super::time::{duration, lock};
use crate::store::Store;
use crate::store::allowance::{Allowance, Reservation};
use crate::telemetry::metrics::Metrics;

/// Maximum number of pools; idle ones are dropped beyond it.
const MAX_POOLS: usize = 10_000;
/// Time for the store to grant units to a caller that does not wait for free ones.
const STORE_TIMEOUT: Duration = Duration::from_secs(5);

/// Takes units of allowances for this process.
pub struct Limiter {
    ledger: Arc<dyn Ledger>,
    metrics: Option<Metrics>,
    pools: Mutex<HashMap<(String, String), Arc<Pool>>>,
    permits: Mutex<HashMap<(String, String), Arc<Permits>>>,
}

impl std::fmt::Debug for Limiter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Limiter").finish_non_exhaustive()
    }
}

impl Limiter {
    /// A limiter that shares its allowances with all processes of a store.
    pub fn of_store(store: Arc<dyn Store>, metrics: Option<Metrics>) -> Arc<Limiter> {
        Limiter::new(Arc::new(StoreLedger(store)), metrics)
    }

    /// A limiter of a process without a store.
    pub fn in_memory() -> Arc<Limiter> {
        Limiter::new(Arc::new(MemoryLedger::default()), None)
    }

    pub(super) fn new(ledger: Arc<dyn Ledger>, metrics: Option<Metrics>) -> Arc<Limiter> {
        Arc::new(Limiter { ledger, metrics, pools: Mutex::default(), permits: Mutex::default() })
    }

    /// Takes one unit, and waits for it until a deadline. Fails at once if the wait would end later.
    ///
    /// # Errors
    /// No unit is free in time, too many others wait, or the store does not answer.
    pub async fn wait(&self, allowance: &Allowance, deadline: Instant) -> Result<(), Refusal> {
        let pool = self.pool(allowance);
        if pool.take_now(1).is_some() {
            return Ok(());
        }
        let _waiting = self.metrics.as_ref().map(|metrics| metrics.waiting_for_limit(&allowance.environment));
        let taken = pool.take(&self.ledger, allowance, 1, deadline, deadline).await;
        self.count_refusal(allowance, taken.as_ref().err());
        taken.map(|_| ())
    }

    /// Takes units without waiting for free ones.
    ///
    /// # Errors
    /// Fewer units are free, or the store does not answer.
    pub async fn take(&self, allowance: &Allowance, units: u64) -> Result<Taken, Refusal> {
        let pool = self.pool(allowance);
        if let Some(taken) = pool.take_now(units) {
            return Ok(taken);
        }
        let now = Instant::now();
        let taken = pool.take(&self.ledger, allowance, units, now, now + STORE_TIMEOUT).await;
        self.count_refusal(allowance, taken.as_ref().err());
        taken
    }

    /// Takes units of the first of the next days that has enough. Returns the time until that day begins.
    ///
    /// # Errors
    /// None of the next days has enough units, or the store does not answer.
    pub async fn take_ahead(&self, allowance: &Allowance, units: u64) -> Result<Duration, Refusal> {
        let request = Reservation { units, all: true, ahead: true, ..Reservation::default() };
        let reserving = tokio::time::timeout(STORE_TIMEOUT, self.ledger.reserve(allowance, &request));
        let grant = match reserving.await {
            Ok(Ok(grant)) => grant,
            Ok(Err(error)) => return Err(Refusal::Unavailable(error.to_string())),
            Err(_) => return Err(Refusal::Unavailable("the store does not answer".to_owned())),
        };
        if grant.units >= units {
            return Ok(duration(grant.starts_in));
        }
        let retry_after = grant.free_in.first().map_or(0, |(time, _)| *time);
        Err(Refusal::Exceeded { retry_after: duration(retry_after) })
    }

    /// Returns units that were taken and not used, in a task of its own.
    pub fn release(&self, allowance: &Allowance, taken: Taken) {
        self.pool(allowance).forget_free_times();
        let (ledger, allowance) = (Arc::clone(&self.ledger), allowance.clone());
        tokio::spawn(async move {
            let request = Reservation { returned: Some((taken.until, taken.units)), ..Reservation::default() };
            // Units that cannot be returned are free at the end of their period.
            let _ = ledger.reserve(&allowance, &request).await;
        });
    }

    /// A permit for one of at most `limit` concurrent uses of a name in this process. Waits for it until a deadline.
    ///
    /// # Errors
    /// None is free in time, or too many others wait.
    pub async fn permit(
        &self,
        environment: &str,
        name: &str,
        limit: u32,
        deadline: Instant,
    ) -> Result<Permit, Refusal> {
        let permits = {
            let mut all = lock(&self.permits);
            if all.len() >= MAX_POOLS {
                all.retain(|_, permits| permits.is_in_use());
            }
            let known = all.entry((environment.to_owned(), name.to_owned()));
            let known = known.or_insert_with(|| Permits::new(limit));
            if !known.has_limit(limit) {
                *known = Permits::new(limit);
            }
            Arc::clone(known)
        };
        let permit = permits.acquire(deadline, MAX_WAITERS).await;
        if let (Some(metrics), Err(Refusal::Exceeded { .. })) = (&self.metrics, &permit) {
            metrics.refused_by_limit(environment, "concurrency");
        }
        permit
    }

    fn pool(&self, allowance: &Allowance) -> Arc<Pool> {
        let mut pools = lock(&self.pools);
        let key = (allowance.environment.clone(), allowance.name.clone());
        if let Some(pool) = pools.get(&key) {
            return Arc::clone(pool);
        }
        if pools.len() >= MAX_POOLS {
            pools.retain(|_, pool| pool.is_in_use());
        }
        Arc::clone(pools.entry(key).or_default())
    }

    fn count_refusal(&self, allowance: &Allowance, refusal: Option<&Refusal>) {
        if let (Some(metrics), Some(Refusal::Exceeded { .. })) = (&self.metrics, refusal) {
            let limit = allowance.name.split('/').next().unwrap_or_default();
            metrics.refused_by_limit(&allowance.environment, limit);
        }
    }
}
