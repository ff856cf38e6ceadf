//! All checks of one definition.

use super::result::CheckResult;
use super::settings::Settings;
use super::{
    action_tests, addresses, braces, calls, connections, connectors, credentials, cycles, entities, entity_values,
    events, planned, presentation, references, schemas, scripts, settings, steps, templates, triggers, widgets,
    workflows,
};
use crate::catalog::dependencies::Tracker;
use crate::catalog::{Catalog, Entry};

/// Checks one definition, and gathers what the checks of the whole catalog need from it.
///
/// The checks see the rest of the catalog through a view that records their dependencies, and nothing else.
pub(super) fn check(catalog: &Catalog, entry: &Entry, settings: &Settings) -> CheckResult {
    let tracker = Tracker::default();
    let (catalog, settings) = (catalog.tracked(&tracker), settings.tracked(&tracker));
    let mut findings = Vec::new();
    let out = &mut findings;
    references::check(catalog, entry, out);
    templates::check(entry, settings, out);
    braces::check(entry, out);
    settings::check(catalog, entry, settings, out);
    credentials::check(catalog, entry, out);
    schemas::check(entry, out);
    addresses::check(entry, settings, out);
    planned::check(entry, out);
    // The checks above read the document as it is written, those below the typed definition.
    let untyped = out.len();
    connections::check(catalog, entry, out);
    connectors::check(entry, out);
    presentation::check(entry, out);
    entities::check(catalog, entry, out);
    entity_values::check(entry, out);
    events::check(entry, out);
    steps::check(entry, out);
    action_tests::check(catalog, entry, out);
    widgets::check(entry, out);
    triggers::check(catalog, entry, out);
    workflows::check(entry, out);
    scripts::check(catalog, entry, out);
    calls::check(catalog, entry, out);
    calls::check_tests(catalog, entry, out);
    let typed = out.split_off(untyped);
    out.extend(typed.into_iter().filter(|finding| entry.trusts(finding)));
    let edges = cycles::edges(catalog, entry);
    let secrets = settings::secrets(entry);
    CheckResult { findings: findings.into(), edges, secrets, dependencies: tracker.into_keys() }
}
