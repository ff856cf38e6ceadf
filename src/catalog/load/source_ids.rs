//! Numbers of files. A file keeps its number while it does not change.

use crate::text::SourceId;

/// Assigns numbers to files, and reuses those of files that no longer exist.
#[derive(Debug, Default)]
pub(super) struct SourceIds {
    next: u32,
    free: Vec<SourceId>,
    /// Released in this call. Findings of the last call may name them until they are recomputed, so they are reused
    /// from the next call on.
    released: Vec<SourceId>,
}

impl SourceIds {
    /// Begins a call.
    pub(super) fn begin(&mut self) {
        self.free.append(&mut self.released);
    }

    /// An unused number.
    pub(super) fn next(&mut self) -> SourceId {
        self.free.pop().unwrap_or_else(|| {
            let id = SourceId(self.next);
            self.next = self.next.saturating_add(1);
            id
        })
    }

    /// Releases the number of a file that no longer exists.
    pub(super) fn release(&mut self, id: SourceId) {
        self.released.push(id);
    }
}
