//! Quotas that the definitions themselves exceed: connections of tenants.

use std::collections::BTreeMap;

use super::settings::environments;
use crate::catalog::{AttributedFinding, Catalog, Entry};
use crate::definition::{Kind, Spec};
use crate::text::{Finding, codes};

/// Reports tenants with more connections than their quota allows. Without a quota of its own, a tenant has that of each
/// environment that the catalog is for.
pub(super) fn check_catalog(catalog: &Catalog, found: &mut Vec<AttributedFinding>) {
    let of_environment = |entry: &Entry| match entry.spec() {
        Some(Spec::Environment(spec)) => spec.quotas.as_ref()?.connections,
        _ => None,
    };
    let default = environments(catalog).filter_map(|entry| Some((of_environment(entry)?, entry))).min_by_key(|of| of.0);
    let mut quotas: BTreeMap<&str, (u32, &Entry)> = BTreeMap::new();
    for entry in catalog.of_kind(Kind::Tenant) {
        let Some(Spec::Tenant(spec)) = entry.spec() else { continue };
        let own = spec.quotas.as_ref().and_then(|quotas| quotas.connections).map(|allowed| (allowed, entry));
        if let Some(quota) = own.or(default) {
            quotas.insert(&entry.id.name, quota);
        }
    }
    if quotas.is_empty() {
        return;
    }
    let mut connections: BTreeMap<&str, Vec<&Entry>> = BTreeMap::new();
    for entry in catalog.of_kind(Kind::Connection) {
        if let Some(Spec::Connection(spec)) = entry.spec()
            && let Some(tenant) = &spec.tenant
        {
            connections.entry(tenant).or_default().push(entry);
        }
    }
    for (tenant, connections) in connections {
        let Some((allowed, declared_by)) = quotas.get(tenant) else { continue };
        let Some(surplus) = connections.get(*allowed as usize) else { continue };
        let message = format!("tenant `{tenant}` has {} connections; its quota allows {allowed}", connections.len());
        let place = declared_by.key_span("/spec/quotas/connections");
        let finding = Finding::new(&codes::CONNECTION_QUOTA, surplus.key_span("/spec/tenant"), message)
            .also(place, "the quota")
            .help("remove a connection, or raise the quota");
        found.push(AttributedFinding::about(finding, &surplus.id));
    }
}
