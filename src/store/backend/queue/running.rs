//! The running executions of tenants with a limit.

use std::collections::HashMap;

use super::super::super::StoreError;
use super::super::super::queue::TenantLimits;
use super::super::super::sql::{Connection, query};

/// The running executions of each tenant, and its limit.
pub(super) struct RunningOfTenants<'a> {
    counts: HashMap<String, usize>,
    limits: &'a TenantLimits<'a>,
}

/// Counts the running executions of an environment. Claims with limits take turns until their transactions end: two
/// that count at the same time would both claim the last one that a limit allows.
pub(super) async fn of_tenants<'a>(
    connection: &mut dyn Connection,
    environment: &str,
    limits: &'a TenantLimits<'a>,
) -> Result<RunningOfTenants<'a>, StoreError> {
    connection.lock_names(&[format!("{environment}/concurrency")]).await?;
    let statement = "SELECT tenant, count(*) AS running FROM executions WHERE environment = $1 \
                     AND lease_expires_at IS NOT NULL GROUP BY tenant";
    let mut counts = HashMap::new();
    for row in query(statement).bind(environment).fetch_all(connection).await? {
        counts.insert(row.get("tenant")?, usize::try_from(row.get::<i64>("running")?).unwrap_or(0));
    }
    Ok(RunningOfTenants { counts, limits })
}

impl RunningOfTenants<'_> {
    /// Number of executions of a tenant that may start now, at most `wanted`.
    pub(super) fn free(&self, tenant: &str, wanted: usize) -> usize {
        let Some(limit) = (self.limits)(tenant) else { return wanted };
        let running = self.counts.get(tenant).copied().unwrap_or(0);
        wanted.min((limit as usize).saturating_sub(running))
    }

    /// Counts executions that were started.
    pub(super) fn add(&mut self, tenant: &str, started: usize) {
        *self.counts.entry(tenant.to_owned()).or_default() += started;
    }
}
