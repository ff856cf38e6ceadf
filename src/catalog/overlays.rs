//! Overlay folders: documents that change others in one environment.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::merge::Layer;
use super::read::{self, Read};
use super::references::resolve_path;
use super::{Entry, RawDocument};
use crate::definition::Id;
use crate::text::{Finding, Node, SourceId, Span, codes};

/// A file of patches.
#[derive(Debug)]
pub(super) struct PatchFile {
    /// Its number, equal exactly for the same file with the same content.
    pub(super) id: SourceId,
    /// A patch for each document, where it is one.
    pub(super) patches: Vec<Option<Patch>>,
    /// What is wrong with its text and its documents' heads.
    pub(super) findings: Vec<Finding>,
}

/// A patch and what it is for.
#[derive(Clone, Debug)]
pub(super) struct Patch {
    pub(super) id: Id,
    /// Where the name stands.
    pub(super) name: Span,
    pub(super) layer: Arc<Layer>,
}

impl PatchFile {
    /// Reads the patches of a file.
    pub(super) fn read(file: &Read) -> PatchFile {
        let (_, documents, mut findings) = read::text(&file.path, &file.bytes, file.id);
        let mut patches = Vec::with_capacity(documents.len());
        for (document, index) in documents.into_iter().zip(0..) {
            let Some(kind) = read::header(&document, &mut findings) else {
                patches.push(None);
                continue;
            };
            let Some(name) = document.root.pointer("/metadata/name") else {
                let first = document.root.entries().first().map_or(document.root.span, |entry| entry.key.span);
                let message = "a patch lacks `metadata.name`, which tells what it changes";
                findings.push(
                    Finding::new(&codes::MISSING_FIELD, first.within(file.id), message)
                        .help("add the name of the definition"),
                );
                patches.push(None);
                continue;
            };
            let id = Id { kind, name: name.as_str().unwrap_or_default().to_owned() };
            let name = name.span.within(file.id);
            let written = RawDocument { path: Arc::clone(&file.path), bytes: Arc::clone(&file.bytes), index };
            let source = Arc::clone(&file.source);
            let layer = Layer { document, source, written, from_root: false, stamp: read::stamp() };
            patches.push(Some(Patch { id, name, layer: Arc::new(layer) }));
        }
        PatchFile { id: file.id, patches, findings }
    }
}

/// The overlay folders of an environment, from the root, in order; those that lead out of it are left out.
pub(super) fn folders(environment: &Entry) -> Vec<String> {
    let overlays = environment.node("/spec/overlays").map_or(&[][..], Node::items);
    let resolved = overlays.iter().filter_map(|overlay| {
        let path = environment.source.path_at(overlay.span.start);
        resolve_path(path, overlay.as_str()?)
    });
    resolved.collect()
}

/// Places in a list of files sorted by path of those in any of some folders.
pub(super) fn inside(files: &[Arc<Read>], folders: &BTreeSet<String>) -> BTreeSet<usize> {
    folders.iter().flat_map(|folder| in_folder(files, folder)).collect()
}

/// The same for one folder, in order.
pub(super) fn in_folder(files: &[Arc<Read>], folder: &str) -> std::ops::Range<usize> {
    let prefix = format!("{folder}/");
    let start = files.partition_point(|file| *file.path < *prefix);
    let length = files.get(start..).map_or(0, |rest| rest.partition_point(|file| file.path.starts_with(&prefix)));
    start..start + length
}
