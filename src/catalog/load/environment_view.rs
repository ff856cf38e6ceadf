//! The catalog of one environment: overlays merged, definitions selected, identities indexed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::state::{LoadCall, LoadedCatalog, Loader, OperatorOverride, Pinned};
use crate::catalog::attributed::AttributedFinding;
use crate::catalog::definitions::Catalog;
use crate::catalog::entry::Entry;
use crate::catalog::index::Index;
use crate::catalog::input::Overlaid;
use crate::catalog::merge::{BaseLayer, Layer, Layers};
use crate::catalog::overlays::{self, Patch};
use crate::catalog::read::{ParsedDocument, ParsedFile};
use crate::definition::schema_validator::nearest;
use crate::definition::{Id, Kind};
use crate::text::{Finding, Node, Range, Severity, codes};

/// A definition before it enters a catalog, with its schema findings.
struct PendingEntry<'a> {
    entry: Arc<Entry>,
    findings: &'a [Finding],
    composed: Option<Arc<ParsedDocument>>,
}

/// The name under which the operator's document is composed to find its overlays. No environment has such a name.
const OPERATOR: &str = "/operator";

impl Loader {
    /// The catalog for the chosen environment, or without overlays if none is chosen.
    pub(super) fn main(&self, call: &mut LoadCall<'_>) -> LoadedCatalog {
        let pinned = std::mem::take(&mut call.pinned);
        let mut pending = self.pending(call, &pinned);
        let mut view = LoadedCatalog { catalog: self.empty_catalog(call), findings: Vec::new() };
        let chosen = call.input.environment.as_ref().map(|chosen| chosen.name.clone());
        let mut excluded = call.input.excluded.clone();
        if let Some(name) = &chosen {
            view.catalog.environment = Some(name.clone());
            let is_kept =
                |id: &&Id| !matches!(&call.input.overlaid, Overlaid::Promoted(promoted) if promoted.contains(*id));
            let pinned = pinned.iter().map(|pinned| &pinned.id).filter(is_kept);
            let kept = pinned.chain(&call.input.excluded).cloned().collect();
            // The operator's own document is added after these: no overlay of a source changes it.
            let declared = pending.len();
            let environment = self.environment(call, name, &mut pending);
            let folders = environment.as_ref().map_or_else(Vec::new, |entry| overlays::folders(entry));
            if call.input.overlaid == Overlaid::Merged {
                view.catalog.files = with_folders(&view.catalog.files, &folders);
            }
            let patches = self.overlay_patches(call, &folders, &mut view.findings);
            self.apply(call, name, &mut pending[..declared], patches, &kept, &mut view.findings);
            excluded.extend(select(&mut pending, environment.as_deref()));
        } else {
            self.check_patches(call, &pending, &mut view.findings);
        }
        self.file_findings(call, &excluded, &mut view);
        for candidate in &pending {
            let findings = candidate.composed.as_ref().map_or(candidate.findings, |document| &document.findings);
            view.findings
                .extend(findings.iter().map(|finding| AttributedFinding::about(finding.clone(), &candidate.entry.id)));
        }
        for Pinned { id, document, text } in &pinned {
            let lost = document.findings.iter().filter(|_| document.entry.is_none());
            view.findings.extend(lost.chain(text).map(|finding| AttributedFinding::about(finding.clone(), id)));
        }
        if let Some(OperatorOverride { findings, in_source: false, .. }) = &call.operator_override {
            let id = Id { kind: Kind::Environment, name: chosen.unwrap_or_default() };
            view.findings.extend(findings.iter().map(|finding| AttributedFinding::about(finding.clone(), &id)));
        }
        view.findings.retain(|found| !found.is_elsewhere(&view.catalog));
        view.catalog.incomplete = view.findings.iter().any(|found| found.finding.severity == Severity::Error);
        finish(&mut view, pending);
        view.findings.retain(|found| !found.is_elsewhere(&view.catalog));
        call.pinned = pinned;
        view
    }

    /// Reports the mistakes of all patches that do not depend on an environment: also of those that no environment of the
    /// source uses, as the environments of an operator may use them.
    fn check_patches(
        &self,
        call: &mut LoadCall<'_>,
        pending: &[PendingEntry<'_>],
        findings: &mut Vec<AttributedFinding>,
    ) {
        let mut index = None;
        for file in self.files.iter().filter(|file| file.is_patch) {
            let file = self.patch_file(file, call);
            findings.extend(file.findings.iter().cloned().map(AttributedFinding::unattributed));
            for patch in file.patches.iter().flatten() {
                let (index, entries) = index.get_or_insert_with(|| {
                    let entries: Vec<Arc<Entry>> =
                        pending.iter().map(|candidate| Arc::clone(&candidate.entry)).collect();
                    (Index::of(&entries).0, entries)
                });
                if index.place(entries, patch.id.kind, &patch.id.name).is_none() {
                    findings.push(AttributedFinding::unattributed(no_target(patch, index, entries)));
                }
            }
        }
    }

    /// The catalog of each environment that has overlays or a selector, with the findings that the main catalog lacks.
    pub(super) fn environments(&self, call: &mut LoadCall<'_>, main: &LoadedCatalog) -> Vec<(String, LoadedCatalog)> {
        if call.input.environment.is_some() {
            return Vec::new();
        }
        let pinned: BTreeSet<Id> = call.pinned.iter().map(|pinned| pinned.id.clone()).collect();
        let mut catalogs = Vec::new();
        for environment in main.catalog.of_kind(Kind::Environment) {
            let name = &environment.id.name;
            let folders = overlays::folders(environment);
            let selects = !labels(environment, "/spec/selector").is_empty();
            let first =
                main.catalog.find(Kind::Environment, name).is_some_and(|first| first.stamp == environment.stamp);
            if !first || folders.is_empty() && !selects {
                continue;
            }
            let candidate =
                |entry: &Arc<Entry>| PendingEntry { entry: Arc::clone(entry), findings: &[], composed: None };
            let mut pending: Vec<PendingEntry> = main.catalog.entries.iter().map(candidate).collect();
            let mut view = LoadedCatalog { catalog: self.empty_catalog(call), findings: Vec::new() };
            view.catalog.environment = Some(name.clone());
            // The main catalog reports the findings of the patches' files.
            let patches = self.overlay_patches(call, &folders, &mut Vec::new());
            self.apply(call, name, &mut pending, patches, &pinned, &mut view.findings);
            select(&mut pending, Some(environment));
            for (candidate, document) in
                pending.iter().filter_map(|candidate| Some((candidate, candidate.composed.as_ref()?)))
            {
                view.findings.extend(
                    document
                        .findings
                        .iter()
                        .map(|finding| AttributedFinding::about(finding.clone(), &candidate.entry.id)),
                );
            }
            let errors = view.findings.iter().any(|found| found.finding.severity == Severity::Error);
            view.catalog.incomplete = main.catalog.incomplete || errors;
            view.catalog.nameless.clone_from(&main.catalog.nameless);
            let duplicates = view.findings.len();
            finish(&mut view, pending);
            view.findings.truncate(duplicates);
            catalogs.push((name.clone(), view));
        }
        catalogs
    }

    /// A catalog without definitions.
    fn empty_catalog(&self, call: &LoadCall<'_>) -> Catalog {
        Catalog {
            sources: call.sources.clone(),
            files: Arc::clone(&self.names),
            code: Arc::clone(&self.code),
            alone: call.input.snapshot.alone,
            ..Catalog::default()
        }
    }

    /// The definitions without overlays, in the order of their files.
    fn pending<'a>(&'a self, call: &LoadCall<'_>, pinned: &'a [Pinned]) -> Vec<PendingEntry<'a>> {
        let mut pending = Vec::with_capacity(self.files.len() + pinned.len());
        let excluded = &call.input.excluded;
        let promotes = matches!(call.input.overlaid, Overlaid::Promoted(_));
        for file in self.files.iter().filter(|file| !file.is_patch) {
            for document in &file.documents {
                let Some(entry) = &document.entry else { continue };
                let counts = !promotes || entry.id.kind == Kind::Environment;
                if counts && (excluded.is_empty() || !excluded.contains(&entry.id)) {
                    let findings = &document.findings;
                    pending.push(PendingEntry { entry: Arc::clone(entry), findings, composed: None });
                }
            }
        }
        for document in pinned.iter().map(|pinned| &pinned.document) {
            if let Some(entry) = &document.entry {
                let findings = &document.findings;
                pending.push(PendingEntry { entry: Arc::clone(entry), findings, composed: None });
            }
        }
        if !pinned.is_empty() {
            pending.sort_by_cached_key(|candidate| {
                let base = &candidate.entry.origin.base;
                (Arc::clone(&base.path), base.index)
            });
            // A pinned definition that is declared unchanged is the same definition and no duplicate.
            pending.dedup_by(|a, b| a.entry.stamp == b.entry.stamp);
        }
        pending
    }

    /// Adds the findings of files, and the names of documents of unknown kind.
    fn file_findings(&self, call: &LoadCall<'_>, excluded: &BTreeSet<Id>, view: &mut LoadedCatalog) {
        if matches!(call.input.overlaid, Overlaid::Promoted(_)) {
            // The other definitions of the snapshot are not used.
            return;
        }
        for file in self.files.iter().filter(|file| !file.is_patch) {
            for document in file.documents.iter().filter(|document| document.entry.is_none()) {
                view.findings.extend(document.findings.iter().cloned().map(AttributedFinding::unattributed));
                view.catalog.nameless.extend(document.nameless.clone());
            }
            for finding in &file.findings {
                let found = attribute(file, finding);
                if found.unattributed || !found.definitions.iter().all(|id| excluded.contains(id)) {
                    view.findings.push(found);
                }
            }
        }
    }

    /// The chosen environment before overlays, the operator's document merged over the source's.
    fn environment(
        &self,
        call: &mut LoadCall<'_>,
        name: &str,
        pending: &mut Vec<PendingEntry<'_>>,
    ) -> Option<Arc<Entry>> {
        let at = pending.iter().position(|candidate| is_environment(candidate, name));
        let Some(operator) = call.operator_patch().cloned() else {
            return at.map(|at| Arc::clone(&pending[at].entry));
        };
        if let Some(at) = at {
            let base = Arc::clone(&pending[at].entry);
            return self.compose(call, OPERATOR, &base, &[], Some(&operator)).entry.clone();
        }
        let key = (OPERATOR.to_owned(), operator.id.clone());
        let layers = Layers { base: BaseLayer::Layer(&operator.layer), patches: &[], operator: None };
        let known = self.composed.get(&key).filter(|(stamps, _)| *stamps == layers.stamps());
        let composed = known.map_or_else(|| Arc::new(layers.compose()), |(_, composed)| Arc::clone(composed));
        call.composed.insert(key, (layers.stamps(), Arc::clone(&composed)));
        let entry = composed.entry.clone()?;
        pending.push(PendingEntry { entry: Arc::clone(&entry), findings: &[], composed: Some(composed) });
        Some(entry)
    }

    /// The patches of folders in order, each file once. Adds the findings of their files.
    fn overlay_patches(
        &self,
        call: &mut LoadCall<'_>,
        folders: &[String],
        findings: &mut Vec<AttributedFinding>,
    ) -> Vec<Patch> {
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

    /// Merges patches over definitions, except those of definitions that are `kept` unchanged.
    fn apply(
        &self,
        call: &mut LoadCall<'_>,
        environment: &str,
        pending: &mut [PendingEntry<'_>],
        patches: Vec<Patch>,
        kept: &BTreeSet<Id>,
        findings: &mut Vec<AttributedFinding>,
    ) {
        let operator = call.operator_patch().cloned();
        let mut by_id: BTreeMap<Id, Vec<Patch>> = BTreeMap::new();
        if operator.is_some() && pending.iter().any(|candidate| is_environment(candidate, environment)) {
            by_id.insert(Id { kind: Kind::Environment, name: environment.to_owned() }, Vec::new());
        }
        for patch in patches.into_iter().filter(|patch| !kept.contains(&patch.id)) {
            by_id.entry(patch.id.clone()).or_default().push(patch);
        }
        if by_id.is_empty() {
            return;
        }
        let entries: Vec<Arc<Entry>> = pending.iter().map(|candidate| Arc::clone(&candidate.entry)).collect();
        let (index, _) = Index::of(&entries);
        for (id, patches) in by_id {
            let Some(at) = index.place(&entries, id.kind, &id.name) else {
                findings.extend(
                    patches.iter().map(|patch| AttributedFinding::unattributed(no_target(patch, &index, &entries))),
                );
                continue;
            };
            let layers: Vec<Arc<Layer>> = patches.into_iter().map(|patch| patch.layer).collect();
            let own = operator.as_ref().filter(|operator| operator.id == id);
            if layers.is_empty() && own.is_none() {
                continue;
            }
            let composed = self.compose(call, environment, &entries[at], &layers, own);
            if let Some(entry) = &composed.entry {
                pending[at].entry = Arc::clone(entry);
                pending[at].composed = Some(composed);
            }
        }
    }
}

/// The files of a source, with the folders in which patches were that are merged already.
fn with_folders(files: &Arc<BTreeSet<String>>, folders: &[String]) -> Arc<BTreeSet<String>> {
    let mut files = BTreeSet::clone(files);
    files.extend(folders.iter().map(|folder| format!("{folder}/.merged")));
    Arc::new(files)
}

/// Removes definitions that do not match the selector of an environment, and returns their identities.
fn select(pending: &mut Vec<PendingEntry<'_>>, environment: Option<&Entry>) -> BTreeSet<Id> {
    let wanted = environment.map_or_else(Vec::new, |environment| labels(environment, "/spec/selector"));
    let mut removed = BTreeSet::new();
    if wanted.is_empty() {
        return removed;
    }
    pending.retain(|candidate| {
        let labels = labels(&candidate.entry, "/metadata/labels");
        let fits = wanted.iter().all(|label| labels.contains(label));
        let stays = fits || candidate.entry.id.kind == Kind::Environment;
        if !stays {
            removed.insert(candidate.entry.id.clone());
        }
        stays
    });
    removed
}

fn is_environment(candidate: &PendingEntry<'_>, name: &str) -> bool {
    candidate.entry.id.kind == Kind::Environment && candidate.entry.id.name == name
}

/// Moves the definitions into the catalog, and reports duplicates.
fn finish(view: &mut LoadedCatalog, pending: Vec<PendingEntry<'_>>) {
    let catalog = &mut view.catalog;
    catalog.entries = pending.into_iter().map(|candidate| candidate.entry).collect();
    let (index, duplicates) = Index::of(&catalog.entries);
    catalog.index = index;
    for (at, first) in duplicates {
        let (entry, first) = (&catalog.entries[at], &catalog.entries[first]);
        let place = catalog.sources.display_position(first.span(first.name_span));
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

/// Keys and values of a map of strings.
fn labels<'a>(entry: &'a Entry, pointer: &str) -> Vec<(&'a str, &'a str)> {
    let labels = entry.node(pointer).map_or(&[][..], Node::entries).iter();
    labels.filter_map(|label| Some((&*label.key.name, label.value.as_str()?))).collect()
}

/// Attributes a finding about a file's text to the definition that it lies in, or to all definitions of the file.
fn attribute(file: &ParsedFile, finding: &Finding) -> AttributedFinding {
    let inside = |range: Range| finding.span().is_some_and(|span| range.start <= span.start && span.start < range.end);
    let entries = || file.documents.iter().filter_map(|document| document.entry.as_ref());
    if let Some(owner) = entries().find(|entry| inside(entry.document.root.extent())) {
        return AttributedFinding::about(finding.clone(), &owner.id);
    }
    // The identity of a document that cannot be read is unknown.
    let definitions = entries().map(|entry| entry.id.clone()).filter(|id| !id.name.is_empty()).collect();
    AttributedFinding { finding: finding.clone(), definitions, unattributed: true }
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
