//! Texts from anywhere, made safe for terminals and shells.

use std::borrow::Cow;

/// Escapes characters that control a terminal or reorder a line, as JSON does (`\\u009b`), so that JSON stays the same value.
/// Keeps line breaks, tabs, and sequences that only set colors if `colors` is true.
pub(super) fn neutral(text: &str, colors: bool) -> Cow<'_, str> {
    if !text.chars().any(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 16);
    for (at, character) in text.char_indices() {
        if !is_unsafe(character) || character == '\u{1b}' && colors && sets_color(&text[at..]) {
            safe.push(character);
        } else {
            safe += &format!("\\u{:04x}", u32::from(character));
        }
    }
    Cow::Owned(safe)
}

/// An argument of a command that a user may copy: the option-like and the quoted forms of POSIX shells (IEEE 1003.1, 2.2).
pub(super) fn shell_quoted(argument: &str) -> String {
    let is_plain = |character: char| character.is_ascii_alphanumeric() || "-._/:@=+".contains(character);
    if !argument.is_empty() && argument.chars().all(is_plain) {
        return argument.to_owned();
    }
    format!("'{}'", argument.replace('\'', "'\\''"))
}

/// A command with a name from anywhere: quoted, and after `--` if it looks like an option.
pub(super) fn command_with_name(command: &str, name: &str, options: &str) -> String {
    let quoted = shell_quoted(name);
    if name.starts_with('-') {
        format!("{command}{options} -- {quoted}")
    } else {
        format!("{command} {quoted}{options}")
    }
}

/// True for control characters but line breaks and tabs, and for marks that change the direction of text.
fn is_unsafe(character: char) -> bool {
    match character {
        '\n' | '\t' => false,
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => true,
        character => character.is_control(),
    }
}

/// True if the text starts with a sequence that sets colors (SGR of ECMA-48).
fn sets_color(text: &str) -> bool {
    let parameters =
        text.strip_prefix("\u{1b}[").map(|rest| rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';'));
    parameters.is_some_and(|rest| rest.starts_with('m'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn controls_are_escaped_and_json_keeps_its_value() {
        let text = "a\u{1b}]0;x\u{7}\u{9b}31m\u{202e}b\n\tc";
        assert_eq!(neutral(text, true), "a\\u001b]0;x\\u0007\\u009b31m\\u202eb\n\tc");
        let value = serde_json::json!({"text": text});
        let shown = neutral(&value.to_string(), false).into_owned();
        assert!(!shown.chars().any(is_unsafe));
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), value);
        assert!(matches!(neutral("plain \u{e4}", false), Cow::Borrowed(_)));
    }

    #[test]
    fn colors_stay_only_where_they_are_wanted() {
        let text = "\u{1b}[31mred\u{1b}[0m";
        assert_eq!(neutral(text, true), text);
        assert_eq!(neutral(text, false), "\\u001b[31mred\\u001b[0m");
        assert_eq!(neutral("\u{1b}[2J", true), "\\u001b[2J");
    }

    #[test]
    fn a_name_cannot_add_commands_or_options() {
        assert_eq!(command_with_name("approve 01", "ship", " -e live"), "approve 01 ship -e live");
        assert_eq!(command_with_name("approve 01", "a; rm -rf /", ""), "approve 01 'a; rm -rf /'");
        assert_eq!(command_with_name("approve 01", "it's $(id)", ""), "approve 01 'it'\\''s $(id)'");
        assert_eq!(command_with_name("approve 01", "--reject", " -e live"), "approve 01 -e live -- --reject");
        assert_eq!(shell_quoted(""), "''");
    }
}
