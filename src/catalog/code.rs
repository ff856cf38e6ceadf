//! Code files beside definitions, with positions in their text.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::input::Snapshot;
use crate::text::{Source, SourceId};

/// A code file.
#[derive(Clone, Debug)]
pub struct CodeFile {
    /// Its number in the catalog's sources, which changes with its content.
    pub id: SourceId,
    /// Its text; empty if it is not UTF-8.
    pub source: Arc<Source>,
    /// True if it is UTF-8.
    pub is_text: bool,
    bytes: Arc<[u8]>,
}

/// Code files by path.
pub(super) type CodeFiles = BTreeMap<Arc<str>, CodeFile>;

/// The code files of a snapshot. Unchanged files are taken from `before`, which is returned itself if no file changed.
pub(super) fn read(
    snapshot: &Snapshot,
    before: &Arc<CodeFiles>,
    mut next: impl FnMut() -> SourceId,
    mut free: impl FnMut(SourceId),
) -> Arc<CodeFiles> {
    let stays = |path: &Arc<str>, bytes: &Arc<[u8]>| {
        before.get(path).filter(|known| Arc::ptr_eq(&known.bytes, bytes) || known.bytes == *bytes)
    };
    if before.len() == snapshot.code.len() && snapshot.code.iter().all(|(path, bytes)| stays(path, bytes).is_some()) {
        return Arc::clone(before);
    }
    let gone = before.iter().filter(|(path, known)| snapshot.code.get(*path).is_none_or(|now| *now != known.bytes));
    gone.for_each(|(_, known)| free(known.id));
    let files = snapshot.code.iter().map(|(path, bytes)| {
        let file = stays(path, bytes).cloned().unwrap_or_else(|| {
            let text = std::str::from_utf8(bytes);
            let source = Arc::new(Source::new(Arc::clone(path), text.unwrap_or_default()));
            CodeFile { id: next(), source, is_text: text.is_ok(), bytes: Arc::clone(bytes) }
        });
        (Arc::clone(path), file)
    });
    Arc::new(files.collect())
}
