//! Errors in a catalog beyond the schemas of its documents: one file per family of findings.
//!
//! A check of one definition sees the whole catalog and reports all errors that it finds. Definitions are checked in
//! parallel; the checks of the whole catalog run after them.
//!
//! A [`Checker`] that is used again repeats only the checks whose definition changed, or whose dependencies may have
//! changed (`catalog::dependencies`).

mod action_tests;
mod addresses;
mod braces;
pub(crate) mod calls;
mod connections;
mod connectors;
mod credentials;
mod cycles;
mod definition;
mod entities;
mod entity_values;
mod events;
mod incremental;
mod inputs;
mod planned;
mod presentation;
mod quotas;
mod references;
mod result;
mod schemas;
mod scripts;
mod settings;
mod steps;
mod templates;
mod triggers;
mod widgets;
mod workflows;

use crate::catalog::{AttributedFinding, Catalog};
use crate::text::Finding;

pub use incremental::Checker;

/// All findings of a catalog, unsorted. Pure: the same catalog gives the same findings.
pub fn check(catalog: &Catalog) -> Vec<Finding> {
    let mut checker = Checker::default();
    checker.check(catalog, None);
    catalog_findings(catalog, &checker, &[]).into_iter().map(|found| found.finding).collect()
}

/// The findings of each checked definition and of the catalog as a whole. `others` are the checkers of the same catalog
/// for its environments; secrets that their definitions use count as used.
pub fn catalog_findings(catalog: &Catalog, checker: &Checker, others: &[&Checker]) -> Vec<AttributedFinding> {
    let mut found = environment_findings(catalog, checker);
    let checkers = std::iter::once(&checker).chain(others);
    let used = checkers.flat_map(|checker| checker.results()).flat_map(|(_, result)| &result.secrets);
    settings::unused(catalog, used.map(|name| &**name), &mut found);
    found
}

/// The findings of a catalog for one of its environments. Unused secrets are reported for the whole catalog only.
pub fn environment_findings(catalog: &Catalog, checker: &Checker) -> Vec<AttributedFinding> {
    let with_findings = checker.results().filter(|(_, result)| !result.findings.is_empty());
    let mut found: Vec<AttributedFinding> = with_findings
        .flat_map(|(entry, result)| {
            result.findings.iter().map(|finding| AttributedFinding::about(finding.clone(), &entry.id))
        })
        .collect();
    settings::check_catalog(catalog, &mut found);
    quotas::check_catalog(catalog, &mut found);
    found.extend(checker.cycles().iter().cloned());
    found.retain(|found| !found.is_elsewhere(catalog));
    found
}
