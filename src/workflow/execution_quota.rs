//! The quota of executions per day, counted when executions are accepted.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::clock::micros_of;
use super::runtime_context::EnvironmentProvider;
use crate::definition::workflow::Tier;
use crate::quota::{Limiter, Refusal, Taken};
use crate::store::StoreError;
use crate::store::allowance::{Allowance, Period};
use crate::store::queue::{EnqueueRequest, NewExecution};

/// The code of a refusal.
pub const EXECUTIONS_PER_DAY: &str = "EXECUTIONS_PER_DAY_EXCEEDED";

/// The refusal of executions by the quota of their tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OverQuota {
    /// The tenant; empty for executions without one.
    pub tenant: String,
    /// Number of executions that its quota allows per day.
    pub allowed: u64,
    /// Time until executions are allowed again.
    pub retry_after: Duration,
}

impl fmt::Display for OverQuota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (allowed, seconds) = (self.allowed, crate::connector::retry_after_seconds(self.retry_after));
        match self.tenant.as_str() {
            "" => write!(f, "`quotas.executionsPerDay` allows {allowed} executions without a tenant")?,
            tenant => write!(f, "`quotas.executionsPerDay` allows tenant `{tenant}` {allowed} executions")?,
        }
        write!(f, " each day (UTC); try again in {seconds} s")
    }
}

/// The reason that a request was not accepted. Nothing was stored.
#[derive(Debug)]
pub enum AcceptError {
    /// A quota refused its executions.
    OverQuota(Box<OverQuota>),
    /// The store is unavailable.
    Store(StoreError),
}

impl From<StoreError> for AcceptError {
    fn from(error: StoreError) -> AcceptError {
        AcceptError::Store(error)
    }
}

impl From<AcceptError> for StoreError {
    fn from(error: AcceptError) -> StoreError {
        match error {
            AcceptError::OverQuota(refusal) => StoreError::Unavailable(refusal.to_string()),
            AcceptError::Store(error) => error,
        }
    }
}

/// Units of quotas that were taken for executions, to be returned if those are not stored.
#[derive(Debug, Default)]
pub struct CountedExecutions(Vec<(Allowance, Taken)>);

/// Counts the executions of all processes.
#[derive(Debug)]
pub(super) struct ExecutionQuota {
    limiter: Arc<Limiter>,
}

impl ExecutionQuota {
    pub(super) fn new(limiter: Arc<Limiter>) -> ExecutionQuota {
        ExecutionQuota { limiter }
    }

    /// Counts the executions of a request. Over quota, executions of an event are delayed to the first of the next days
    /// with units left, because the sender may not send the event again; unless a caller waits for their output.
    pub(super) async fn count(
        &self,
        environments: &dyn EnvironmentProvider,
        request: &mut EnqueueRequest,
    ) -> Result<CountedExecutions, AcceptError> {
        let mut counted = CountedExecutions::default();
        for (allowance, tenant, units) in allowances(environments, &request.executions) {
            let refusal = match self.limiter.take(&allowance, units).await {
                Ok(taken) => {
                    counted.0.push((allowance, taken));
                    continue;
                }
                Err(refusal) => refusal,
            };
            let of_tenant = |new: &&mut NewExecution| new.tenant == tenant;
            let is_delayable = request.event.is_some()
                && request.replays.is_none()
                && !request.executions.iter().any(|new| new.tenant == tenant && new.tier == Tier::Instant);
            let refusal = match refusal {
                Refusal::Exceeded { .. } if is_delayable => match self.limiter.take_ahead(&allowance, units).await {
                    Ok(starts_in) => {
                        for new in request.executions.iter_mut().filter(of_tenant) {
                            new.delay = new.delay.saturating_add(micros_of(starts_in));
                        }
                        continue;
                    }
                    Err(refusal) => refusal,
                },
                refusal => refusal,
            };
            self.release(counted);
            return Err(match refusal {
                Refusal::Exceeded { retry_after } => {
                    environments.refused_by_quota(&allowance.environment, "executionsPerDay");
                    AcceptError::OverQuota(Box::new(OverQuota { tenant, allowed: allowance.units, retry_after }))
                }
                Refusal::Unavailable(cause) => AcceptError::Store(StoreError::Unavailable(cause)),
            });
        }
        Ok(counted)
    }

    /// Counts executions, and removes those over quota. Returns the refusal of the last one removed.
    pub(super) async fn retain(
        &self,
        environments: &dyn EnvironmentProvider,
        executions: &mut Vec<NewExecution>,
        counted: &mut CountedExecutions,
    ) -> Result<Option<OverQuota>, StoreError> {
        let mut last = None;
        for (allowance, tenant, units) in allowances(environments, executions) {
            match self.limiter.take(&allowance, units).await {
                Ok(taken) => counted.0.push((allowance, taken)),
                Err(Refusal::Exceeded { retry_after }) => {
                    environments.refused_by_quota(&allowance.environment, "executionsPerDay");
                    executions.retain(|new| new.tenant != tenant);
                    last = Some(OverQuota { tenant, allowed: allowance.units, retry_after });
                }
                Err(Refusal::Unavailable(cause)) => return Err(StoreError::Unavailable(cause)),
            }
        }
        Ok(last)
    }

    /// The refusal of one more execution of a tenant now; `None` if one is allowed.
    pub(super) async fn refusal(
        &self,
        environments: &dyn EnvironmentProvider,
        environment: &str,
        tenant: &str,
    ) -> Result<Option<OverQuota>, StoreError> {
        let new =
            NewExecution { environment: environment.to_owned(), tenant: tenant.to_owned(), ..NewExecution::default() };
        let mut counted = CountedExecutions::default();
        let refusal = self.retain(environments, &mut vec![new], &mut counted).await;
        self.release(counted);
        refusal
    }

    pub(super) fn release(&self, counted: CountedExecutions) {
        for (allowance, taken) in counted.0 {
            self.limiter.release(&allowance, taken);
        }
    }
}

/// The allowances of executions, each with its tenant and the number of its executions.
fn allowances(environments: &dyn EnvironmentProvider, executions: &[NewExecution]) -> Vec<(Allowance, String, u64)> {
    let mut counts: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    for new in executions {
        *counts.entry((&new.environment, &new.tenant)).or_default() += 1;
    }
    let allowance = |((environment, tenant), units): ((&str, &str), u64)| {
        let allowed = environments.live(environment)?.runtime.quotas_of(tenant).executions_per_day?;
        let allowance = Allowance {
            environment: environment.to_owned(),
            name: format!("executionsPerDay/{tenant}"),
            units: allowed,
            period: Period::Day,
        };
        Some((allowance, tenant.to_owned(), units))
    };
    counts.into_iter().filter_map(allowance).collect()
}
