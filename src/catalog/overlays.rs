//! Overlay folders: patches of definitions for one environment.

use std::sync::Arc;

use super::entry::Entry;
use super::input::RawDocument;
use super::merge::Layer;
use super::ownership::is_overlay_folder;
use super::read::{self, FileContent, ParsedFile};
use super::references::resolve_path;
use crate::definition::Id;
use crate::text::{Finding, Node, SourceId, Span, codes};

/// The entries of an Environment's `overlays` that name a folder of definitions.
pub fn misplaced(environment: &Entry) -> impl Iterator<Item = &Node> {
    let overlays = environment.node("/spec/overlays").map_or(&[][..], Node::items);
    overlays.iter().filter(|overlay| folder(environment, overlay).is_some_and(|folder| !is_overlay_folder(&folder)))
}

/// A file of patches.
#[derive(Debug)]
pub(super) struct PatchFile {
    /// The number of the file, which changes with its content.
    pub(super) id: SourceId,
    /// For each document the patch, if it is one.
    pub(super) patches: Vec<Option<Patch>>,
    /// Findings about its text and the headers of its documents.
    pub(super) findings: Vec<Finding>,
}

/// A patch and its target.
#[derive(Clone, Debug)]
pub(super) struct Patch {
    pub(super) id: Id,
    /// The place of the name.
    pub(super) name: Span,
    pub(super) layer: Arc<Layer>,
}

impl PatchFile {
    /// Reads the patches of a file.
    pub(super) fn read(file: &ParsedFile) -> PatchFile {
        let FileContent { documents, mut findings, .. } = read::content(&file.path, &file.bytes, file.id);
        let mut patches = Vec::with_capacity(documents.len());
        for ((document, owner), index) in documents.into_iter().zip(0..) {
            let Some(kind) = read::header(&document, owner, &mut findings) else {
                patches.push(None);
                continue;
            };
            let Some(name) = document.root.pointer("/metadata/name") else {
                let first = document.root.entries().first().map_or(document.root.span, |entry| entry.key.span);
                let message = "a patch lacks `metadata.name`, which names its target";
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

/// The overlay folders of an environment, from the root, in order, without paths that leave the root.
pub(super) fn folders(environment: &Entry) -> Vec<String> {
    let overlays = environment.node("/spec/overlays").map_or(&[][..], Node::items);
    overlays.iter().filter_map(|overlay| folder(environment, overlay)).collect()
}

fn folder(environment: &Entry, overlay: &Node) -> Option<String> {
    resolve_path(environment.source.base_path_at(overlay.span.start), overlay.as_str()?)
}

/// Positions of the files of patches in one folder, in a list that is sorted by path.
pub(super) fn in_folder(files: &[Arc<ParsedFile>], folder: &str) -> impl Iterator<Item = usize> {
    let prefix = format!("{folder}/");
    let start = files.partition_point(|file| *file.path < *prefix);
    let length = files.get(start..).map_or(0, |rest| rest.partition_point(|file| file.path.starts_with(&prefix)));
    (start..start + length).filter(|at| files[*at].is_patch)
}
