//! Numbers for files: a file keeps its own while it stays as it is.

use crate::text::SourceId;

/// Numbers that are given out, and taken back where a file is gone.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    next: u32,
    free: Vec<SourceId>,
    /// Taken back in this call: findings of the last one may still name them until they are looked at again.
    freed: Vec<SourceId>,
}

impl Numbers {
    /// Begins a call.
    pub(super) fn begin(&mut self) {
        self.free.append(&mut self.freed);
    }

    /// A number that no file has.
    pub(super) fn next(&mut self) -> SourceId {
        self.free.pop().unwrap_or_else(|| {
            let id = SourceId(self.next);
            self.next = self.next.saturating_add(1);
            id
        })
    }

    /// Takes a number back.
    pub(super) fn free(&mut self, id: SourceId) {
        self.freed.push(id);
    }
}
