//! Lines and their indentation.

use super::super::codes;
use super::super::finding::Finding;
use super::super::tree::{finding, range};

/// Offset of the first byte of the line that contains `at`.
pub(super) fn line_start(text: &str, at: usize) -> usize {
    text.as_bytes().get(..at).and_then(|before| before.iter().rposition(|byte| *byte == b'\n')).map_or(0, |at| at + 1)
}

/// The finding for a tab in the indentation.
pub(super) fn tab_indentation(at: usize) -> Finding {
    finding(&codes::SYNTAX, range(at, at + 1), "a tab is used for indentation; use spaces")
        .help("set your editor to insert spaces, two for a level")
}
