//! Admission of tenants: the one rule for calls, executions and triggers.

use super::error::{CallError, ErrorCode};
use super::runtime::Runtime;
use crate::definition::tenant::TenantStatus;

impl Runtime {
    /// The refusal of a tenant that may not use this environment: one that is declared and not active, and one that is not
    /// declared although others are. While no Tenant is declared, the names of tenants are the embedding product's. An
    /// empty name stands for no tenant.
    pub fn tenant_refusal(&self, name: &str) -> Option<CallError> {
        if name.is_empty() || self.tenants.is_empty() {
            return None;
        }
        let Some(tenant) = self.tenants.get(name) else {
            let detail = format!("there is no tenant `{name}`; declare it with `kind: Tenant`");
            return Some(CallError::new(ErrorCode::UnknownTenant, detail));
        };
        let state = match tenant.status {
            TenantStatus::Active => return None,
            TenantStatus::Pending => "is not active yet (`status: Pending`)",
            TenantStatus::Suspended => "is suspended (`status: Suspended`)",
        };
        Some(CallError::new(ErrorCode::TenantNotActive, format!("tenant `{name}` {state}")))
    }
}
