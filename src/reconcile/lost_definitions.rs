//! Files that held live definitions and now hold documents of other tools.
//!
//! The catalog passes over documents of other tools silently. A file that held a live definition before is the exception:
//! its definition is more likely to be damaged than removed, so it is an error, and the active generation keeps serving.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::live_generation::LiveGeneration;
use super::validate::Validated;
use crate::catalog::{File, ForeignFile, RawDocument, foreign_documents};
use crate::definition::{Id, Kind};
use crate::store::StoreError;
use crate::text::{Finding, Range, SourceId, codes};

/// Reports files that held live definitions or patches of them, which are no longer declared, and that hold more documents
/// of other tools than before. A file that is unchanged, removed, moved or ignored is not reported.
///
/// # Errors
/// A live definition has no document, which is a bug.
pub(super) fn report(validated: &mut Validated, live: &LiveGeneration) -> Result<(), StoreError> {
    if validated.foreign().is_empty() {
        return Ok(());
    }
    let foreign: BTreeMap<&str, &ForeignFile> = validated.foreign().iter().map(|file| (&*file.path, file)).collect();
    let mut lost: BTreeMap<&str, (Id, bool)> = BTreeMap::new();
    for item in live.items().filter(|item| !item.is_api_owned()) {
        let paths = std::iter::once(&item.base).chain(&item.patches).map(|part| &*part.path);
        if !paths.clone().any(|path| foreign.contains_key(path)) {
            continue;
        }
        let pinned = live.pinned(item)?;
        let written = std::iter::once(&pinned.base).chain(&pinned.patches);
        for (number, document) in written.enumerate() {
            let Some(file) = foreign.get(&*document.path) else { continue };
            let is_patch = number > 0;
            if is_replaced(document, file) && !is_declared(validated, &item.id, is_patch.then_some(document)) {
                lost.entry(&*file.path).or_insert_with(|| (item.id.clone(), is_patch));
            }
        }
    }
    let errors: Vec<Finding> = lost.into_iter().map(|(path, lost)| finding(validated, path, &lost)).collect();
    if !errors.is_empty() {
        validated.add_unattributed(errors);
    }
    Ok(())
}

/// True if a file holds more documents of other tools than it did.
fn is_replaced(before: &RawDocument, now: &ForeignFile) -> bool {
    before.bytes != now.bytes && {
        let before = File { path: Arc::clone(&before.path), bytes: Arc::clone(&before.bytes) };
        now.documents > foreign_documents(&before)
    }
}

/// True if the definition is declared, with a patch of the same file if one is given.
fn is_declared(validated: &Validated, id: &Id, patch: Option<&RawDocument>) -> bool {
    let entry = validated.catalog.find(id.kind, &id.name);
    entry.is_some_and(|entry| {
        patch.is_none_or(|patch| entry.origin.patches.iter().any(|known| known.path == patch.path))
    })
}

fn finding(validated: &Validated, path: &str, (id, is_patch): &(Id, bool)) -> Finding {
    let source = validated.catalog.sources.iter().find(|(_, source)| source.path() == path);
    let place = Range::default().within(source.map_or(SourceId::UNKNOWN, |(id, _)| id));
    let held = match (is_patch, id.kind) {
        (true, _) => format!("a patch of {id}"),
        (false, Kind::Environment) => format!("{id}, the active Environment"),
        (false, _) => format!("{id}, which is live"),
    };
    let message = format!("this file held {held}, and now holds a document of another tool or nothing");
    Finding::new(&codes::NOT_A_DEFINITION, place, message)
        .help("restore its `apiVersion` and `kind`; to remove the definition, remove the file")
}
