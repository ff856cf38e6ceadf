//! Files that definitions refer to and that hold no definitions.

use std::collections::BTreeSet;

use super::definitions::Catalog;
use super::entry::Entry;
use super::references::path_of;
use crate::definition::Kind;
use crate::definition::schema_validator::ReferenceKind;

/// Paths from the root of the existing files that definitions refer to, such as a workflow's code or an encrypted file.
/// In a catalog for one environment, files of other environments are excluded.
pub fn assets(catalog: &Catalog) -> BTreeSet<String> {
    let counts = |name: &str| catalog.environment.as_ref().is_none_or(|chosen| chosen == name);
    let entries = catalog.entries.iter().filter(|entry| entry.id.kind != Kind::Environment || counts(&entry.id.name));
    entries.flat_map(|entry| assets_of(entry)).filter(|path| catalog.files.contains(path)).collect()
}

/// Paths from the root of the files that one definition refers to, whether they exist or not.
pub fn assets_of(entry: &Entry) -> impl Iterator<Item = String> {
    let files = entry.facts.references.iter().filter(|reference| reference.to == ReferenceKind::File);
    files.filter_map(|reference| path_of(entry, reference))
}
