//! Neutralizes text from definitions, so that it cannot control a terminal, end a fence or mention a user.

use crate::plan::model::Action;

/// Maximum number of characters of a line.
const MAX_LINE: usize = 400;

/// Text on one line without characters that control a terminal or reorder the text around them: control characters, and
/// Unicode's directional marks, overrides and isolates (Trojan Source, CVE-2021-42574).
pub(super) fn neutral(text: &str) -> String {
    let replace = |character: char| match character {
        '\n' | '\t' => ' ',
        '\u{61C}' | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{2069}' | '\u{FEFF}' => {
            '\u{FFFD}'
        }
        character if character.is_control() => '\u{FFFD}',
        character => character,
    };
    text.chars().map(replace).collect()
}

/// The text, cut to a maximum number of characters.
pub(super) fn short(text: &str, max: usize) -> String {
    match text.char_indices().nth(max) {
        Some((at, _)) => format!("{}…", text.get(..at).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// A neutral line of limited length.
pub(super) fn line(text: &str) -> String {
    short(&neutral(text), MAX_LINE)
}

/// The dependants of a definition in one phrase; `None` if it has none.
pub(super) fn dependants(action: &Action, max: usize) -> Option<String> {
    let named: Vec<String> = action.dependants.iter().take(max).map(|id| format!("`{}`", neutral(id))).collect();
    let more = action.dependants_total.saturating_sub(named.len());
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    (action.dependants_total > 0).then(|| format!("needed by {}{more}", named.join(", ")))
}
