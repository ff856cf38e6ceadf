//! Files that definitions name and that are no definitions themselves.

use std::collections::BTreeSet;

use super::references::path_of;
use super::{Catalog, Entry};
use crate::definition::Kind;
use crate::definition::schema_validator::RefKind;

/// Paths from the root of the files that definitions refer to, such as a workflow's code or an encrypted file, as far as
/// they are there. Of environments only the one that the catalog is for counts, where it is for one.
pub fn assets(catalog: &Catalog) -> BTreeSet<String> {
    let counts = |name: &str| catalog.environment.as_ref().is_none_or(|chosen| chosen == name);
    let entries = catalog.entries.iter().filter(|entry| entry.id.kind != Kind::Environment || counts(&entry.id.name));
    entries.flat_map(|entry| assets_of(entry)).filter(|path| catalog.files.contains(path)).collect()
}

/// The files that one definition names, by their paths from the source's root; whether they are there or not.
pub fn assets_of(entry: &Entry) -> impl Iterator<Item = String> {
    let files = entry.facts.references.iter().filter(|reference| reference.to == RefKind::File);
    files.filter_map(|reference| path_of(entry, reference))
}
