//! Reading the files of an input, those that did not change taken from the last call.

use std::collections::HashMap;
use std::sync::Arc;

use rayon::prelude::*;

use super::state::{ForeignFile, LoadCall, Loader};
use crate::catalog::code;
use crate::catalog::input::{File, RawDocument, Snapshot};
use crate::catalog::overlays::PatchFile;
use crate::catalog::ownership::is_foreign;
use crate::catalog::read::{self, ParsedFile};
use crate::text::SourceId;

impl Loader {
    /// Updates the list of files. Changed files are read in parallel.
    pub(super) fn read_files(&mut self, snapshot: &Snapshot) {
        if self.names != snapshot.names {
            self.names = Arc::clone(&snapshot.names);
        }
        let mut wanted: Vec<&File> = snapshot.files.iter().filter(|file| !is_foreign(&file.path)).collect();
        if !wanted.is_sorted_by(|a, b| a.path <= b.path) {
            wanted.sort_by(|a, b| a.path.cmp(&b.path));
        }
        let mut before = std::mem::take(&mut self.files).into_iter().peekable();
        let mut jobs: Vec<Result<Arc<ParsedFile>, (&File, SourceId)>> = Vec::with_capacity(wanted.len());
        for file in wanted {
            while let Some(gone) = before.next_if(|known| known.path < file.path) {
                self.ids.release(gone.id);
            }
            match before.next_if(|known| known.path == file.path) {
                Some(known) if same(&known.bytes, &file.bytes) => {
                    self.read.hits += 1;
                    jobs.push(Ok(known));
                }
                changed => {
                    if let Some(changed) = changed {
                        self.ids.release(changed.id);
                    }
                    if let Some(known) = self.take_pinned_file(file) {
                        self.read.hits += 1;
                        jobs.push(Ok(known));
                        continue;
                    }
                    self.read.misses += 1;
                    jobs.push(Err((file, self.ids.next())));
                }
            }
        }
        before.for_each(|gone| self.ids.release(gone.id));
        let make = |(file, id): (&File, SourceId)| Arc::new(read::read(&file.path, &file.bytes, id));
        self.files = if self.read.misses == 0 {
            jobs.into_iter().filter_map(Result::ok).collect()
        } else {
            jobs.into_par_iter().map(|job| job.unwrap_or_else(make)).collect()
        };
    }

    /// The files of the snapshot with documents of other tools.
    pub(super) fn foreign(&self) -> Vec<ForeignFile> {
        let foreign = self.files.iter().filter(|file| file.foreign > 0);
        let described = foreign.map(|file| ForeignFile {
            path: Arc::clone(&file.path),
            bytes: Arc::clone(&file.bytes),
            documents: file.foreign,
            is_passed_over: file.foreign >= file.documents.len() && file.findings.is_empty(),
        });
        described.collect()
    }

    /// Updates the code files.
    pub(super) fn read_code(&mut self, snapshot: &Snapshot) {
        let mut gone = Vec::new();
        let ids = &mut self.ids;
        self.code = code::read(snapshot, &self.code, || ids.next(), |id| gone.push(id));
        for id in gone {
            self.ids.release(id);
        }
    }

    /// The parsed form of a file of the snapshot that was read for a pinned definition. After a start most stored
    /// definitions equal the declared ones, and one copy is enough.
    fn take_pinned_file(&mut self, file: &File) -> Option<Arc<ParsedFile>> {
        let files = self.pinned_files.get_mut(&file.path)?;
        let at = files.iter().position(|known| same(&known.bytes, &file.bytes))?;
        Some(files.swap_remove(at))
    }

    /// The file of a document, which may be a file of the snapshot. `before` are the pinned files of the last call.
    pub(super) fn pinned_file(
        &mut self,
        written: &RawDocument,
        before: &mut HashMap<Arc<str>, Vec<Arc<ParsedFile>>>,
    ) -> Arc<ParsedFile> {
        let is = |file: &Arc<ParsedFile>| file.path == written.path && same(&file.bytes, &written.bytes);
        let at = self.files.partition_point(|file| *file.path < *written.path);
        if let Some(file) = self.files.get(at).filter(|file| is(file)) {
            return Arc::clone(file);
        }
        let known = self.pinned_files.get(&written.path).and_then(|files| files.iter().find(|file| is(file)));
        if let Some(file) = known {
            return Arc::clone(file);
        }
        let kept = before.get_mut(&written.path).and_then(|files| {
            let at = files.iter().position(is)?;
            Some(files.swap_remove(at))
        });
        let file = if let Some(kept) = kept {
            self.read.hits += 1;
            kept
        } else {
            self.read.misses += 1;
            Arc::new(read::read(&written.path, &written.bytes, self.ids.next()))
        };
        self.pinned_files.entry(Arc::clone(&written.path)).or_default().push(Arc::clone(&file));
        file
    }

    /// The patches of a file.
    pub(super) fn patch_file(&self, file: &ParsedFile, call: &mut LoadCall<'_>) -> Arc<PatchFile> {
        let known =
            call.patches.get(&file.id).or_else(|| self.patches.get(&file.id).filter(|known| known.id == file.id));
        let known = known.cloned().unwrap_or_else(|| Arc::new(PatchFile::read(file)));
        call.patches.insert(file.id, Arc::clone(&known));
        known
    }
}

/// True if two contents are equal. Usually decided by their address.
pub(super) fn same(a: &Arc<[u8]>, b: &Arc<[u8]>) -> bool {
    Arc::ptr_eq(a, b) || a == b
}
