//! Files that held definitions and now hold something else: documents of other tools, encrypted or wrapped ones, or text
//! that cannot be read.
//!
//! The catalog passes over documents of other tools silently. A file that held a definition before is the exception: its
//! definition is more likely to be damaged than removed, so it is an error that names both, and nothing is removed.

use std::collections::{BTreeMap, BTreeSet};

use super::live_generation::LiveGeneration;
use super::validate::Validated;
use crate::catalog::{Catalog, ForeignFile, RawDocument, describe_foreign};
use crate::definition::{Id, Kind};
use crate::store::StoreError;
use crate::text::{Finding, Range, Severity, SourceId, codes};

/// A definition with the documents that it was made from.
struct Known<'a> {
    id: &'a Id,
    base: RawDocument,
    patches: Vec<RawDocument>,
}

/// Reports files that held live definitions or patches of them, which are no longer declared, and that hold more documents
/// of other tools than before, or cannot be read. A file that is unchanged, removed, moved or ignored is not reported.
///
/// # Errors
/// A live definition has no document, which is a bug.
pub(super) fn report(validated: &mut Validated, live: &LiveGeneration) -> Result<(), StoreError> {
    if validated.foreign().is_empty() && !validated.unattributed() {
        return Ok(());
    }
    let foreign = validated.foreign().iter().map(|file| &*file.path);
    let damaged: BTreeSet<&str> = unreadable(validated).map(|(_, path)| path).chain(foreign).collect();
    let mut known = Vec::new();
    for item in live.items().filter(|item| !item.is_api_owned()) {
        let mut paths = std::iter::once(&item.base).chain(&item.patches).map(|part| &*part.path);
        if !paths.any(|path| damaged.contains(path)) {
            continue;
        }
        let pinned = live.pinned(item)?;
        known.push(Known { id: &item.id, base: pinned.base, patches: pinned.patches });
    }
    add(validated, &known, "which is live");
    Ok(())
}

/// Reports files that held definitions of an earlier catalog in the same way; `name` is that of its revision or folder.
pub fn report_since(validated: &mut Validated, before: &Catalog, name: &str) {
    let entries = before.entries.iter().filter(|entry| !entry.id.name.is_empty());
    let known: Vec<Known<'_>> = entries
        .map(|entry| Known { id: &entry.id, base: entry.origin.base.clone(), patches: entry.origin.patches.clone() })
        .collect();
    add(validated, &known, &format!("which `{name}` declares"));
}

/// Errors that may belong to any definition of their file, with its path.
fn unreadable(validated: &Validated) -> impl Iterator<Item = (usize, &str)> {
    let sources = &validated.catalog.sources;
    let errors = validated.findings.iter().enumerate();
    let errors = errors.filter(|(_, finding)| finding.severity == Severity::Error && finding.subject.is_none());
    errors.filter_map(|(at, finding)| Some((at, sources.find(finding.span()?.source)?.path())))
}

fn add(validated: &mut Validated, known: &[Known<'_>], state: &str) {
    let foreign: BTreeMap<&str, &ForeignFile> = validated.foreign().iter().map(|file| (&*file.path, file)).collect();
    let mut lost: BTreeMap<&str, (&Id, bool)> = BTreeMap::new();
    for Known { id, base, patches } in known {
        for (number, document) in std::iter::once(base).chain(patches).enumerate() {
            let Some(file) = foreign.get(&*document.path) else { continue };
            let is_patch = number > 0;
            if file.replaces(document) && !is_declared(validated, id, is_patch.then_some(document)) {
                lost.entry(&*file.path).or_insert_with(|| (*id, is_patch));
            }
        }
    }
    let errors = lost.iter().filter_map(|(path, lost)| Some(finding(validated, foreign.get(path)?, *lost, state)));
    let errors: Vec<Finding> = errors.collect();
    let mut held: BTreeMap<usize, String> = BTreeMap::new();
    for (at, path) in unreadable(validated) {
        let mut here = known.iter().filter(|known| *known.base.path == *path);
        if let Some(first) = here.find(|known| !is_declared(validated, known.id, None)) {
            held.entry(at).or_insert_with(|| first.id.to_string());
        }
    }
    for (at, id) in held {
        let message = &mut validated.findings[at].message;
        *message = format!("{message}; this file held {id}, {state}, and is not taken for removed");
    }
    if !errors.is_empty() {
        validated.add_unattributed(errors);
    }
}

/// True if the definition is declared, with a patch of the same file if one is given.
fn is_declared(validated: &Validated, id: &Id, patch: Option<&RawDocument>) -> bool {
    let entry = validated.catalog.find(id.kind, &id.name);
    entry.is_some_and(|entry| {
        patch.is_none_or(|patch| entry.origin.patches.iter().any(|known| known.path == patch.path))
    })
}

fn finding(validated: &Validated, file: &ForeignFile, (id, is_patch): (&Id, bool), state: &str) -> Finding {
    let source = validated.catalog.sources.iter().find(|(_, source)| source.path() == &*file.path);
    let place = Range::default().within(source.map_or(SourceId::UNKNOWN, |(id, _)| id));
    let held = match (is_patch, id.kind) {
        (true, _) => format!("a patch of {id}"),
        (false, Kind::Environment) => format!("{id}, the active Environment"),
        (false, _) => format!("{id}, {state}"),
    };
    let (now, remedy) = describe_foreign(&file.bytes);
    let message = format!("this file held {held}, and now holds {now}");
    Finding::new(&codes::NOT_A_DEFINITION, place, message)
        .help(format!("{remedy}; to remove the definition, remove the file"))
}
