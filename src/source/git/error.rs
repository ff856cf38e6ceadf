//! Errors of fetches, and text that is safe to show.

use git2::{ErrorClass, ErrorCode};

use crate::source::{FetchError, FetchReason};

/// Creates an error.
pub(super) fn fail(reason: FetchReason, message: impl Into<String>) -> FetchError {
    FetchError { reason, message: message.into() }
}

/// Creates an error for a source that is defined wrongly.
pub(super) fn invalid(message: impl Into<String>) -> FetchError {
    fail(FetchReason::Invalid, message)
}

/// The first `max_chars` characters of a text, without those that a terminal or a page would act on.
pub(super) fn printable(text: &str, max_chars: usize) -> String {
    text.chars().filter(|c| !is_hidden(*c)).take(max_chars).collect()
}

/// True for control characters, and for characters that are invisible or change the direction of text.
pub(super) fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{2069}' | '\u{FEFF}' | '\u{AD}')
}

/// The error for an object that cannot be read: the local copy is damaged, because a fetch is never partial.
pub(super) fn broken(error: &git2::Error) -> FetchError {
    let missing = error.code() == ErrorCode::NotFound || error.class() == ErrorClass::Odb;
    let what = if missing { "lacks an object" } else { "holds a damaged object" };
    fail(FetchReason::Corrupt, format!("the local copy of the repository {what}"))
}
