//! Files that definitions name and that are no definitions themselves.

use std::collections::BTreeSet;

use super::Catalog;
use super::references::path_of;
use crate::definition::Kind;
use crate::definition::shape::RefKind;

/// Paths from the root of the files that definitions refer to, such as a workflow's code or an encrypted file, as far as
/// they are there. Of environments only the one that the catalog is for counts, where it is for one.
pub fn assets(catalog: &Catalog) -> BTreeSet<String> {
    let counts = |name: &str| catalog.environment.as_ref().is_none_or(|chosen| chosen == name);
    let entries = catalog.entries.iter().filter(|entry| entry.id.kind != Kind::Environment || counts(&entry.id.name));
    let files = entries.flat_map(|entry| {
        let files = entry.facts.references.iter().filter(|reference| reference.to == RefKind::File);
        files.filter_map(|reference| path_of(entry, reference))
    });
    files.filter(|path| catalog.files.contains(path)).collect()
}
