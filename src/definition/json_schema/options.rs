//! The options of the validator, and its messages.

use jsonschema::{Draft, PatternOptions, ValidationOptions};

/// Maximum memory of a compiled pattern, in bytes.
pub const PATTERN_BYTES: usize = 1 << 20;

/// The options of every validator: nothing is fetched, formats are checked, patterns match in linear time.
pub(super) fn options<'i>() -> ValidationOptions<'i> {
    jsonschema::options()
        .offline()
        .with_draft(Draft::Draft202012)
        .should_validate_formats(true)
        .with_pattern_options(PatternOptions::regex().size_limit(PATTERN_BYTES).dfa_size_limit(PATTERN_BYTES))
}

/// Shortens a message, which may quote a whole document.
pub(super) fn shortened(message: String) -> String {
    const MAX_CHARACTERS: usize = 300;
    if message.chars().count() <= MAX_CHARACTERS {
        return message;
    }
    let start: String = message.chars().take(MAX_CHARACTERS / 2).collect();
    let end: Vec<char> = message.chars().rev().take(MAX_CHARACTERS / 2).collect();
    format!("{start} … {}", end.into_iter().rev().collect::<String>())
}
