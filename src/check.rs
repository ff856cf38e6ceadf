//! What is wrong with a catalog, beyond the shape of its documents: one file per family of findings.
//!
//! Every check sees the whole catalog and reports all that it finds. The checks of one definition run side by side with
//! those of the others; those of the catalog as a whole run after them.

mod connections;
mod connectors;
mod credentials;
mod cycles;
mod entities;
mod references;
mod schemas;
mod settings;
mod steps;
mod templates;
mod tests;
mod triggers;
mod widgets;
mod workflows;

use rayon::prelude::*;

use crate::catalog::{Catalog, Entry};
use crate::text::Finding;

/// Everything that is wrong with a catalog, unsorted. Pure: the same catalog gives the same findings.
pub fn check(catalog: &Catalog) -> Vec<Finding> {
    let settings = settings::Settings::of(catalog);
    let of_entry = |entry: &Entry| {
        let mut findings = Vec::new();
        let out = &mut findings;
        references::check(catalog, entry, out);
        templates::check(entry, &settings, out);
        settings::check(entry, &settings, out);
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
        findings
    };
    let mut findings: Vec<Finding> = catalog.entries.par_iter().flat_map_iter(of_entry).collect();
    settings::check_catalog(catalog, &mut findings);
    settings::unused(catalog, &mut findings);
    cycles::check(catalog, &mut findings);
    findings
}
