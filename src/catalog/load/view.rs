//! What was read, as one environment sees it: overlays merged, definitions selected, identities found.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Call, Given, Loader};
use crate::catalog::index::Index;
use crate::catalog::merge::{Base, Layer, Layers};
use crate::catalog::overlays::{self, Patch};
use crate::catalog::read::{Part, Read};
use crate::catalog::{Catalog, Entry, RawDocument};
use crate::definition::schema_validator::nearest;
use crate::definition::{Id, Kind};
use crate::text::{Finding, Node, Range, Severity, SourceId, codes};

/// A catalog and what is wrong with how it was written.
#[derive(Debug, Default)]
pub struct LoadedCatalog {
    /// The catalog.
    pub catalog: Catalog,
    /// What is wrong, in the order of the files.
    pub findings: Vec<AttributedFinding>,
}

/// A finding and the definitions that it belongs to.
#[derive(Clone, Debug)]
pub struct AttributedFinding {
    /// The finding; its subject is the definition that it is about, if known.
    pub finding: Finding,
    /// The definitions that it belongs to.
    pub definitions: Vec<Id>,
    /// True if it may also belong to definitions that are not known, such as those of a file that cannot be parsed.
    pub unattributed: bool,
}

impl AttributedFinding {
    /// A finding about one definition, which becomes its subject.
    pub fn about(finding: Finding, id: &Id) -> AttributedFinding {
        // A definition without a name is indistinguishable from others without one.
        if id.name.is_empty() {
            return AttributedFinding { finding, definitions: Vec::new(), unattributed: true };
        }
        let finding = finding.subject(id.into());
        AttributedFinding { finding, definitions: vec![id.clone()], unattributed: false }
    }

    /// A finding that belongs to no known definition.
    pub fn unattributed(finding: Finding) -> AttributedFinding {
        AttributedFinding { finding, definitions: Vec::new(), unattributed: true }
    }

    /// True if it belongs only to environments other than the one that the catalog is for. They do not run there, and
    /// are validated by themselves.
    pub fn is_elsewhere(&self, catalog: &Catalog) -> bool {
        let other = |id: &Id| {
            id.kind == Kind::Environment && catalog.environment.as_ref().is_some_and(|chosen| *chosen != id.name)
        };
        !self.unattributed && !self.definitions.is_empty() && self.definitions.iter().all(other)
    }
}

/// A definition on its way into a catalog, with what is wrong with its shape.
struct Slot<'a> {
    entry: Arc<Entry>,
    findings: &'a [Finding],
    composed: Option<Arc<Part>>,
}

/// What stands for an environment's name while its overlays are looked for.
const GIVEN: &str = "/given";

impl Loader {
    /// The catalog for the chosen environment; the one before any overlay where none is chosen.
    pub(super) fn main(&self, call: &mut Call<'_>) -> LoadedCatalog {
        let pieces = std::mem::take(&mut call.pieces);
        let mut slots = self.slots(call, &pieces);
        let mut view = LoadedCatalog { catalog: self.catalog(call), findings: Vec::new() };
        let chosen = call.input.environment.as_ref().map(|chosen| chosen.name.clone());
        let mut excluded = call.input.excluded.clone();
        if let Some(name) = &chosen {
            view.catalog.environment = Some(name.clone());
            let kept = pieces.iter().map(|(id, ..)| id).chain(&call.input.excluded).cloned().collect();
            // The operator's document by itself comes after: no overlay of a source changes it.
            let below = slots.len();
            let environment = self.environment(call, name, &mut slots);
            let folders = environment.as_ref().map_or_else(Vec::new, |entry| overlays::folders(entry));
            let patches = self.overlaid(call, &folders, &mut view.findings);
            self.apply(call, name, &mut slots[..below], patches, &kept, &mut view.findings);
            excluded.extend(select(&mut slots, environment.as_deref()));
        } else {
            let all: Vec<usize> = call.overlays.iter().copied().collect();
            for at in all {
                let patches = self.patch_file(&self.files[at], call);
                view.findings.extend(patches.findings.iter().cloned().map(AttributedFinding::unattributed));
            }
        }
        self.texts(call, &excluded, &mut view);
        for slot in &slots {
            let findings = slot.composed.as_ref().map_or(slot.findings, |part| &part.findings);
            view.findings
                .extend(findings.iter().map(|finding| AttributedFinding::about(finding.clone(), &slot.entry.id)));
        }
        for (id, part, text) in &pieces {
            let lost = part.findings.iter().filter(|_| part.entry.is_none());
            view.findings.extend(lost.chain(text).map(|finding| AttributedFinding::about(finding.clone(), id)));
        }
        if let Some(Given { findings, own: false, .. }) = &call.given {
            let id = Id { kind: Kind::Environment, name: chosen.unwrap_or_default() };
            view.findings.extend(findings.iter().map(|finding| AttributedFinding::about(finding.clone(), &id)));
        }
        view.findings.retain(|found| !found.is_elsewhere(&view.catalog));
        view.catalog.incomplete = view.findings.iter().any(|found| found.finding.severity == Severity::Error);
        finish(&mut view, slots);
        view.findings.retain(|found| !found.is_elsewhere(&view.catalog));
        call.pieces = pieces;
        view
    }

    /// The catalog of each environment that has overlays or a selector, with what is wrong beyond the main one.
    pub(super) fn environments(&self, call: &mut Call<'_>, main: &LoadedCatalog) -> Vec<(String, LoadedCatalog)> {
        if call.input.environment.is_some() {
            return Vec::new();
        }
        let pieces: BTreeSet<Id> = call.pieces.iter().map(|(id, ..)| id.clone()).collect();
        let mut views = Vec::new();
        for environment in main.catalog.of_kind(Kind::Environment) {
            let name = &environment.id.name;
            let folders = overlays::folders(environment);
            let selects = !labels(environment, "/spec/selector").is_empty();
            let first =
                main.catalog.find(Kind::Environment, name).is_some_and(|first| first.stamp == environment.stamp);
            if !first || folders.is_empty() && !selects {
                continue;
            }
            let slot = |entry: &Arc<Entry>| Slot { entry: Arc::clone(entry), findings: &[], composed: None };
            let mut slots: Vec<Slot> = main.catalog.entries.iter().map(slot).collect();
            let mut view = LoadedCatalog { catalog: self.catalog(call), findings: Vec::new() };
            view.catalog.environment = Some(name.clone());
            // What is wrong with the patches' files is told by the main catalog.
            let patches = self.overlaid(call, &folders, &mut Vec::new());
            self.apply(call, name, &mut slots, patches, &pieces, &mut view.findings);
            select(&mut slots, Some(environment));
            for (slot, part) in slots.iter().filter_map(|slot| Some((slot, slot.composed.as_ref()?))) {
                view.findings.extend(
                    part.findings.iter().map(|finding| AttributedFinding::about(finding.clone(), &slot.entry.id)),
                );
            }
            let errors = view.findings.iter().any(|found| found.finding.severity == Severity::Error);
            view.catalog.incomplete = main.catalog.incomplete || errors;
            view.catalog.nameless.clone_from(&main.catalog.nameless);
            let duplicates = view.findings.len();
            finish(&mut view, slots);
            view.findings.truncate(duplicates);
            views.push((name.clone(), view));
        }
        views
    }

    fn catalog(&self, call: &Call<'_>) -> Catalog {
        Catalog {
            sources: call.sources.clone(),
            files: Arc::clone(&self.names),
            code: Arc::clone(&self.code),
            alone: call.input.snapshot.alone,
            ..Catalog::default()
        }
    }

    /// The definitions before any overlay, in the order of their files.
    fn slots<'a>(&'a self, call: &Call<'_>, pieces: &'a [(Id, Arc<Part>, Vec<Finding>)]) -> Vec<Slot<'a>> {
        let mut slots = Vec::with_capacity(self.files.len() + pieces.len());
        let without = &call.input.excluded;
        for (at, file) in self.files.iter().enumerate() {
            if !call.overlays.is_empty() && call.overlays.contains(&at) {
                continue;
            }
            for part in &file.documents {
                let Some(entry) = &part.entry else { continue };
                if without.is_empty() || !without.contains(&entry.id) {
                    slots.push(Slot { entry: Arc::clone(entry), findings: &part.findings, composed: None });
                }
            }
        }
        for (_, part, _) in pieces {
            if let Some(entry) = &part.entry {
                slots.push(Slot { entry: Arc::clone(entry), findings: &part.findings, composed: None });
            }
        }
        if !pieces.is_empty() {
            let place = |slot: &Slot<'a>| (Arc::clone(&slot.entry.origin.base.path), slot.entry.origin.base.index);
            slots.sort_by_cached_key(place);
            // A piece that is still there as it was is the same definition, not another one.
            slots.dedup_by(|a, b| a.entry.stamp == b.entry.stamp);
        }
        slots
    }

    /// What is wrong with files, and names of documents of no known kind.
    fn texts(&self, call: &Call<'_>, excluded: &BTreeSet<Id>, view: &mut LoadedCatalog) {
        for (at, file) in self.files.iter().enumerate() {
            if !call.overlays.is_empty() && call.overlays.contains(&at) {
                continue;
            }
            for part in file.documents.iter().filter(|part| part.entry.is_none()) {
                view.findings.extend(part.findings.iter().cloned().map(AttributedFinding::unattributed));
                view.catalog.nameless.extend(part.nameless.clone());
            }
            for finding in &file.findings {
                let found = owned(file, finding);
                if found.unattributed || !found.definitions.iter().all(|id| excluded.contains(id)) {
                    view.findings.push(found);
                }
            }
        }
    }

    /// The chosen environment as it is before overlays, the operator's document merged over the source's.
    fn environment(&self, call: &mut Call<'_>, name: &str, slots: &mut Vec<Slot<'_>>) -> Option<Arc<Entry>> {
        let at = slots.iter().position(|slot| is_environment(slot, name));
        let given = call.given.as_ref().filter(|given| !given.own).and_then(|given| given.patch.clone());
        let (Some(given), at) = (given, at) else {
            return at.map(|at| Arc::clone(&slots[at].entry));
        };
        if let Some(at) = at {
            let base = Arc::clone(&slots[at].entry);
            return self.compose(call, GIVEN, &base, &[], Some(&given)).entry.clone();
        }
        let key = (GIVEN.to_owned(), given.id.clone());
        let layers = Layers { base: Base::Layer(&given.layer), patches: &[], given: None };
        let known = self.composed.get(&key).filter(|(stamps, _)| *stamps == layers.stamps());
        let part = known.map_or_else(|| Arc::new(layers.compose()), |(_, part)| Arc::clone(part));
        call.composed.insert(key, (layers.stamps(), Arc::clone(&part)));
        let entry = part.entry.clone()?;
        slots.push(Slot { entry: Arc::clone(&entry), findings: &[], composed: Some(part) });
        Some(entry)
    }

    /// The patches of folders in order, each file once; what is wrong with their files is added to the findings.
    fn overlaid(&self, call: &mut Call<'_>, folders: &[String], findings: &mut Vec<AttributedFinding>) -> Vec<Patch> {
        let mut seen = BTreeSet::new();
        let mut patches = Vec::new();
        for at in folders.iter().flat_map(|folder| overlays::in_folder(&self.files, folder)) {
            if !seen.insert(at) {
                continue;
            }
            let file = self.patch_file(&self.files[at], call);
            findings.extend(file.findings.iter().cloned().map(AttributedFinding::unattributed));
            patches.extend(file.patches.iter().flatten().cloned());
        }
        patches
    }

    /// Merges patches over definitions. Those of definitions that are `kept` as they are, or are not looked at, are
    /// passed over.
    fn apply(
        &self,
        call: &mut Call<'_>,
        environment: &str,
        slots: &mut [Slot<'_>],
        patches: Vec<Patch>,
        kept: &BTreeSet<Id>,
        findings: &mut Vec<AttributedFinding>,
    ) {
        let given = call.given.as_ref().filter(|given| !given.own).and_then(|given| given.patch.clone());
        let mut by_id: BTreeMap<Id, Vec<Patch>> = BTreeMap::new();
        if given.is_some() && slots.iter().any(|slot| is_environment(slot, environment)) {
            by_id.insert(Id { kind: Kind::Environment, name: environment.to_owned() }, Vec::new());
        }
        for patch in patches.into_iter().filter(|patch| !kept.contains(&patch.id)) {
            by_id.entry(patch.id.clone()).or_default().push(patch);
        }
        if by_id.is_empty() {
            return;
        }
        let entries: Vec<Arc<Entry>> = slots.iter().map(|slot| Arc::clone(&slot.entry)).collect();
        let (index, _) = Index::of(&entries);
        for (id, patches) in by_id {
            let Some(at) = index.place(&entries, id.kind, &id.name) else {
                findings.extend(
                    patches.iter().map(|patch| AttributedFinding::unattributed(no_target(patch, &index, &entries))),
                );
                continue;
            };
            let layers: Vec<Arc<Layer>> = patches.into_iter().map(|patch| patch.layer).collect();
            let own = given.as_ref().filter(|given| given.id == id);
            if layers.is_empty() && own.is_none() {
                continue;
            }
            let part = self.compose(call, environment, &entries[at], &layers, own);
            if let Some(entry) = &part.entry {
                slots[at].entry = Arc::clone(entry);
                slots[at].composed = Some(part);
            }
        }
    }
}

/// Leaves out definitions without the labels that an environment asks for; gives which.
fn select(slots: &mut Vec<Slot<'_>>, environment: Option<&Entry>) -> BTreeSet<Id> {
    let wanted = environment.map_or_else(Vec::new, |environment| labels(environment, "/spec/selector"));
    let mut left_out = BTreeSet::new();
    if wanted.is_empty() {
        return left_out;
    }
    slots.retain(|slot| {
        let labels = labels(&slot.entry, "/metadata/labels");
        let fits = wanted.iter().all(|label| labels.contains(label));
        let stays = fits || slot.entry.id.kind == Kind::Environment;
        if !stays {
            left_out.insert(slot.entry.id.clone());
        }
        stays
    });
    left_out
}

fn is_environment(slot: &Slot<'_>, name: &str) -> bool {
    slot.entry.id.kind == Kind::Environment && slot.entry.id.name == name
}

/// Puts the definitions into the view's catalog, and finds those that are there twice.
fn finish(view: &mut LoadedCatalog, slots: Vec<Slot<'_>>) {
    let catalog = &mut view.catalog;
    catalog.entries = slots.into_iter().map(|slot| slot.entry).collect();
    let (index, duplicates) = Index::of(&catalog.entries);
    catalog.index = index;
    for (at, first) in duplicates {
        let (entry, first) = (&catalog.entries[at], &catalog.entries[first]);
        let place = catalog.sources.place(first.span(first.name_span));
        let finding = Finding::new(
            &codes::DUPLICATE_DEFINITION,
            entry.span(entry.name_span),
            format!("{} `{}` is defined twice; the other is at {place}", entry.id.kind, entry.id.name),
        );
        let finding = finding
            .label("again here")
            .also(first.span(first.name_span), "first here")
            .help("rename or remove one of them");
        view.findings.push(AttributedFinding::about(finding, &entry.id));
    }
}

/// Keys and values of a map of texts.
fn labels<'a>(entry: &'a Entry, pointer: &str) -> Vec<(&'a str, &'a str)> {
    let labels = entry.node(pointer).map_or(&[][..], Node::entries).iter();
    labels.filter_map(|label| Some((&*label.key.name, label.value.as_str()?))).collect()
}

/// A finding in the text of a file with the definition that it is in; with all of the file where it is in none.
fn owned(file: &Read, finding: &Finding) -> AttributedFinding {
    let inside = |range: Range| finding.span().is_some_and(|span| range.start <= span.start && span.start < range.end);
    let entries = || file.documents.iter().filter_map(|part| part.entry.as_ref());
    if let Some(owner) = entries().find(|entry| inside(entry.document.root.extent())) {
        return AttributedFinding::about(finding.clone(), &owner.id);
    }
    // The identity of a document that cannot be read is unknown.
    let definitions = entries().map(|entry| entry.id.clone()).filter(|id| !id.name.is_empty()).collect();
    AttributedFinding { finding: finding.clone(), definitions, unattributed: true }
}

/// Those of a file's findings that are within one of its documents; all where it has no such document.
pub(super) fn of_document(file: &Read, index: u32, findings: &[Finding]) -> Vec<Finding> {
    let part = file.documents.get(index as usize);
    let extent = part.and_then(|part| part.entry.as_ref()).map(|entry| entry.document.root.extent());
    let inside = |finding: &&Finding| match (extent, finding.span()) {
        (Some(extent), Some(span)) => extent.start <= span.start && span.start < extent.end,
        _ => true,
    };
    findings.iter().filter(inside).cloned().collect()
}

/// A definition that is not in the document that it was in.
pub(super) fn lost(id: &Id, written: &RawDocument, file: SourceId) -> Part {
    let message = format!("document {} of `{}` is not {id}", u64::from(written.index) + 1, written.path);
    let finding = Finding::new(&codes::NOT_A_DEFINITION, Range::default().within(file), message)
        .help("give the file as it was when the definition was read from it");
    Part { entry: None, nameless: None, findings: vec![finding] }
}

/// A layer of the operator, whose paths are relative to the root of the definitions.
pub(super) fn operators(layer: &Layer) -> Arc<Layer> {
    Arc::new(Layer {
        document: layer.document.clone(),
        source: Arc::clone(&layer.source),
        written: layer.written.clone(),
        from_root: true,
        stamp: layer.stamp,
    })
}

fn no_target(patch: &Patch, index: &Index, entries: &[Arc<Entry>]) -> Finding {
    let id = &patch.id;
    let names = || index.of_kind(entries, id.kind).map(|entry| entry.id.name.as_str()).filter(|name| !name.is_empty());
    let help = match nearest(&id.name, names()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("define {} `{}` outside of the overlay folder, or remove the patch", id.kind, id.name),
    };
    let message = format!("there is no {} `{}` for this patch to change", id.kind, id.name);
    Finding::new(&codes::OVERLAY_TARGET, patch.name, message).help(help)
}
