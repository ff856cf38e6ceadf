//! Definitions that do not come from the snapshot: pinned ones, and the operator's Environment document.

use std::collections::HashMap;
use std::sync::Arc;

use super::files::same;
use super::state::{LoadCall, Loader, OperatorOverride, Pinned};
use crate::catalog::entry::Entry;
use crate::catalog::input::{PinnedDefinition, RawDocument};
use crate::catalog::merge::{BaseLayer, Layer, Layers};
use crate::catalog::overlays::Patch;
use crate::catalog::read::{ParsedDocument, ParsedFile};
use crate::definition::{Id, Kind};
use crate::text::{Finding, Range, SourceId, codes};

/// The name under which pinned definitions are composed. No environment has such a name.
const PINNED: &str = "/pinned";

impl Loader {
    /// The operator's Environment document, if the input names one.
    pub(super) fn operator_override(
        &mut self,
        call: &mut LoadCall<'_>,
        before: &mut HashMap<Arc<str>, Vec<Arc<ParsedFile>>>,
    ) -> Option<OperatorOverride> {
        let selection = call.input.environment.as_ref()?;
        let written = selection.document.as_ref()?;
        let at = self.files.partition_point(|file| *file.path < *written.path);
        let in_source =
            self.files.get(at).is_some_and(|file| file.path == written.path && same(&file.bytes, &written.bytes));
        let file = self.pinned_file(written, before);
        let patches = self.patch_file(&file, call);
        let patch = patches.patches.get(written.index as usize).cloned().flatten();
        let id = Id { kind: Kind::Environment, name: selection.name.clone() };
        let mut findings = findings_within(&file, written.index, &patches.findings);
        if patch.as_ref().is_none_or(|patch| patch.id != id) && findings.is_empty() {
            findings = missing(&id, written, file.id).findings;
        }
        let patch = patch.filter(|patch| patch.id == id);
        let patch = patch.map(|patch| Patch { layer: from_root(&patch.layer), ..patch });
        Some(OperatorOverride { patch, findings, in_source })
    }

    /// The pinned definitions of the input.
    pub(super) fn pinned(
        &mut self,
        call: &mut LoadCall<'_>,
        before: &mut HashMap<Arc<str>, Vec<Arc<ParsedFile>>>,
    ) -> Vec<Pinned> {
        call.input.pinned.iter().map(|definition| self.pinned_definition(definition, call, before)).collect()
    }

    fn pinned_definition(
        &mut self,
        definition: &PinnedDefinition,
        call: &mut LoadCall<'_>,
        before: &mut HashMap<Arc<str>, Vec<Arc<ParsedFile>>>,
    ) -> Pinned {
        let (id, base) = (&definition.id, &definition.base);
        let file = self.pinned_file(base, before);
        let text = findings_within(&file, base.index, &file.findings);
        let parsed = file.documents.get(base.index as usize);
        let parsed = parsed.and_then(|document| document.entry.as_ref().map(|entry| (document, entry)));
        let Some((document, entry)) = parsed.filter(|(_, entry)| entry.id == *id) else {
            return Pinned { id: id.clone(), document: Arc::new(missing(id, base, file.id)), text };
        };
        if definition.patches.is_empty() {
            let findings = document.findings.clone();
            let document = ParsedDocument { entry: Some(Arc::clone(entry)), nameless: None, findings };
            return Pinned { id: id.clone(), document: Arc::new(document), text };
        }
        let mut layers = Vec::with_capacity(definition.patches.len());
        let mut lost = None;
        for written in &definition.patches {
            let file = self.pinned_file(written, before);
            let patches = self.patch_file(&file, call);
            let patch = patches.patches.get(written.index as usize).cloned().flatten();
            match patch.filter(|patch| patch.id == *id) {
                Some(patch) => layers.push(patch.layer),
                None => lost = Some(missing(id, written, file.id)),
            }
        }
        let document = match lost {
            Some(lost) => Arc::new(lost),
            None => self.compose(call, PINNED, entry, &layers, None),
        };
        Pinned { id: id.clone(), document, text }
    }

    /// A definition with patches merged over it; the cached one if its layers did not change.
    pub(super) fn compose(
        &self,
        call: &mut LoadCall<'_>,
        environment: &str,
        base: &Arc<Entry>,
        patches: &[Arc<Layer>],
        operator: Option<&Patch>,
    ) -> Arc<ParsedDocument> {
        let layers =
            Layers { base: BaseLayer::Entry(base), patches, operator: operator.map(|operator| &*operator.layer) };
        let stamps = layers.stamps();
        let key = (environment.to_owned(), base.id.clone());
        let known =
            self.composed.get(&key).filter(|(known, _)| *known == stamps).map(|(_, composed)| Arc::clone(composed));
        let composed = known.unwrap_or_else(|| Arc::new(layers.compose()));
        call.composed.insert(key, (stamps, Arc::clone(&composed)));
        composed
    }
}

/// The findings of a file that lie within one of its documents; all of them if it has no such document.
fn findings_within(file: &ParsedFile, index: u32, findings: &[Finding]) -> Vec<Finding> {
    let document = file.documents.get(index as usize);
    let extent = document.and_then(|document| document.entry.as_ref()).map(|entry| entry.document.root.extent());
    let inside = |finding: &&Finding| match (extent, finding.span()) {
        (Some(extent), Some(span)) => extent.start <= span.start && span.start < extent.end,
        _ => true,
    };
    findings.iter().filter(inside).cloned().collect()
}

/// A definition that its document does not hold.
fn missing(id: &Id, written: &RawDocument, file: SourceId) -> ParsedDocument {
    let message = format!("document {} of `{}` is not {id}", u64::from(written.index) + 1, written.path);
    let finding = Finding::new(&codes::NOT_A_DEFINITION, Range::default().within(file), message)
        .help("give the file as it was when the definition was read from it");
    ParsedDocument { entry: None, nameless: None, findings: vec![finding] }
}

/// A layer of the operator: its paths are relative to the root of the definitions.
fn from_root(layer: &Layer) -> Arc<Layer> {
    Arc::new(Layer {
        document: layer.document.clone(),
        source: Arc::clone(&layer.source),
        written: layer.written.clone(),
        from_root: true,
        stamp: layer.stamp,
    })
}
