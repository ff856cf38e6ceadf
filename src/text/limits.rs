//! Limits of a file.

/// Limits of one definition file. A file that exceeds a limit is rejected with a finding; nothing is truncated.
///
/// The defaults fit the largest known definitions (a connector with several hundred actions is about 400 KiB).
#[derive(Clone, Copy, Debug)]
pub struct ReadLimits {
    /// Maximum size of a file, in bytes [default: 4 MiB].
    pub file_bytes: usize,
    /// Maximum number of values (scalars, lists and maps, aliases expanded) in a file [default: 250,000].
    pub nodes: usize,
    /// Maximum nesting of lists and maps [default: 64].
    pub depth: usize,
    /// Maximum number of documents in a file [default: 10,000].
    pub documents: usize,
    /// Maximum size of all strings in a file, in bytes, aliases expanded [default: 16 MiB].
    pub string_bytes: usize,
}

impl Default for ReadLimits {
    fn default() -> Self {
        ReadLimits { file_bytes: 4 << 20, nodes: 250_000, depth: 64, documents: 10_000, string_bytes: 16 << 20 }
    }
}
