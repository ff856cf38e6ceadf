//! Names in sentences.

use crate::plan::mask::looks_secret;

/// Maximum number of characters of a quoted name.
const MAX_NAME: usize = 80;

/// A name in backquotes: on one line, bounded, without backquotes of its own, and never a credential.
pub(super) fn quoted(name: &str) -> String {
    if looks_secret(name) {
        return "`…`".into();
    }
    let clean = |c: char| if c == '`' || c.is_control() { '\'' } else { c };
    let short: String = name.chars().take(MAX_NAME).map(clean).collect();
    let cut = short.is_empty() || name.chars().nth(MAX_NAME).is_some();
    if cut { format!("`{short}…`") } else { format!("`{short}`") }
}
