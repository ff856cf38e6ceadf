//! What is wrong with a catalog, beyond the shape of its documents: one file per family of findings.
//!
//! Every check sees the whole catalog and reports all that it finds. The checks of one definition run side by side with
//! those of the others; those of the catalog as a whole run after them.
//!
//! A [`Checker`] that is used again runs only the checks whose definition changed, or that asked something whose answer
//! may have changed (`catalog::dependencies`).

mod connections;
mod connectors;
mod credentials;
mod cycles;
mod entities;
mod incremental;
mod references;
mod schemas;
mod scripts;
mod settings;
mod steps;
mod templates;
mod tests;
mod triggers;
mod widgets;
mod workflows;

use self::incremental::CheckResult;
use self::settings::Settings;
use crate::catalog::dependencies::listen;
use crate::catalog::{AttributedFinding, Catalog, Entry};
use crate::text::Finding;

pub use incremental::Checker;

/// Everything that is wrong with a catalog, unsorted. Pure: the same catalog gives the same findings.
pub fn check(catalog: &Catalog) -> Vec<Finding> {
    let mut checker = Checker::default();
    checker.check(catalog, None);
    catalog_findings(catalog, &checker, &[]).into_iter().map(|found| found.finding).collect()
}

/// What is wrong with each definition that was looked at, and with the catalog as a whole. What the `others` use counts
/// as used: they are the same catalog for its environments.
pub fn catalog_findings(catalog: &Catalog, checker: &Checker, others: &[&Checker]) -> Vec<AttributedFinding> {
    let mut found = environment_findings(catalog, checker);
    settings::unused(catalog, checker, others, &mut found);
    found
}

/// The same for an environment of a catalog that is looked at as a whole: what is used is told there.
pub fn environment_findings(catalog: &Catalog, checker: &Checker) -> Vec<AttributedFinding> {
    let with_findings = checker.memos().filter(|(_, memo)| !memo.findings.is_empty());
    let mut found: Vec<AttributedFinding> = with_findings
        .flat_map(|(entry, memo)| {
            memo.findings.iter().map(|finding| AttributedFinding::about(finding.clone(), &entry.id))
        })
        .collect();
    settings::check_catalog(catalog, &mut found);
    found.extend(checker.circles().iter().cloned());
    found.retain(|found| !found.is_elsewhere(catalog));
    found
}

/// Checks one definition, and remembers what else the catalog as a whole needs to know of it.
fn of_entry(catalog: &Catalog, entry: &Entry, settings: &Settings) -> CheckResult {
    let (mut memo, asked) = listen(|| {
        let mut findings = Vec::new();
        let out = &mut findings;
        references::check(catalog, entry, out);
        templates::check(entry, settings, out);
        settings::check(catalog, entry, settings, out);
        credentials::check(catalog, entry, out);
        schemas::check(entry, out);
        connections::check(catalog, entry, out);
        connectors::check(entry, out);
        entities::check(catalog, entry, out);
        steps::check(entry, out);
        tests::check(catalog, entry, out);
        widgets::check(entry, out);
        triggers::check(catalog, entry, out);
        workflows::check(entry, out);
        scripts::check(catalog, entry, out);
        CheckResult {
            findings: findings.into(),
            arrows: cycles::arrows(catalog, entry),
            secrets: settings::secrets(entry),
            asked: Box::default(),
        }
    });
    memo.asked = asked;
    memo
}
