//! Syntax errors in words for the people who made them, at the place where they made them.

use granit_parser::ErrorKind;

use super::super::tree::{excerpt, finding, range};
use super::super::{Finding, Range, SourceId, codes};
use super::builder::{line_start, tab_indentation};

/// What is said about `url: {{ x }}`, by far the most frequent mistake. Also used to say it once only.
pub(super) const UNQUOTED_TEMPLATE: &str = "a value that starts with a template needs quotes around it";

/// Where the parser gave up.
pub(super) struct Place<'a> {
    pub(super) text: &'a str,
    /// Offset of the error.
    pub(super) at: usize,
    /// End of what was read before.
    pub(super) before: usize,
    /// Start of the document's content.
    pub(super) start: usize,
    /// The innermost bracket that is open.
    pub(super) bracket: Option<usize>,
}

/// Does a template start here?
pub(super) fn is_template(text: &str, at: usize) -> bool {
    matches!(text.as_bytes().get(at..at + 2), Some(b"{{" | b"{%" | b"{#"))
}

/// The finding for a syntax error.
pub(super) fn explain(kind: &ErrorKind, place: &Place<'_>) -> Finding {
    use ErrorKind as E;
    if let Some(finding) = tab(kind, place).or_else(|| template(place)) {
        return finding;
    }
    match kind {
        E::UnexpectedCharacter { character } => {
            let message = match character {
                control if control.is_control() => {
                    format!("the control character U+{:04X} cannot be here", u32::from(*control))
                }
                '`' => "a value without quotes cannot start with a backquote".to_owned(),
                character => format!("a value without quotes cannot start with `{}`", character.escape_default()),
            };
            place.says(place.character(), message, "put the whole value in quotes")
        }
        E::MissingAnchorOrAliasName => {
            let message = "`*` and `&` start an alias or an anchor, and a name must follow them";
            place.says(place.character(), message, "if it is text, put the whole value in quotes")
        }
        E::UnclosedQuotedScalar | E::InvalidQuotedScalarIndent | E::DocumentIndicatorInQuotedScalar => {
            let at = place.find_quote().map_or_else(|| place.character(), |at| range(at, at + 1));
            let help = "close it; a string of several lines must be indented more than its key";
            place.says(at, "a quoted string is not closed on its line", help)
        }
        E::InvalidTrailingSingleQuotedScalar => place.says(
            place.rest_of_line(),
            "text follows the closing quote",
            "within single quotes a quote is written twice (`''`); or put the whole value in double quotes",
        ),
        E::InvalidTrailingDoubleQuotedScalar => place.says(
            place.rest_of_line(),
            "text follows the closing quote",
            "within double quotes a quote is written `\\\"`; or put the whole value in single quotes",
        ),
        E::UnknownQuotedScalarEscape
        | E::InvalidQuotedScalarHexEscape
        | E::InvalidLowSurrogateHexEscape
        | E::InvalidLowSurrogate
        | E::MissingLowSurrogate
        | E::UnpairedLowSurrogate
        | E::InvalidUnicodeEscape => {
            let at =
                place.find_escape(matches!(kind, E::UnknownQuotedScalarEscape)).unwrap_or_else(|| place.character());
            let help = "write `\\\\` for a backslash, or use single quotes, in which it stands for itself";
            place.says(at, "an escape in double quotes that does not exist or is not complete", help)
        }
        E::MappingValueNotAllowed => mapping_value(place),
        E::SimpleKeyExpected | E::InvalidSimpleKey => simple_key(place),
        E::ExpectedBlockMappingKey | E::ExpectedBlockSequenceEntry | E::InvalidIndentation => misplaced(kind, place),
        E::BlockSequenceEntryNotAllowed | E::InvalidBlockEntryWhitespace | E::BlockEntryInFlowCollection => place.says(
            place.character(),
            "a list item cannot start here",
            "start the list on the line below its key; if it is text, put the whole value in quotes",
        ),
        E::MisplacedFlowCollectionEnd | E::MismatchedFlowCollectionEnd { .. } => bracket(
            place,
            "a closing bracket that does not fit the opening one",
            "check the brackets; if they are text, put the whole value in quotes",
        ),
        E::UnclosedFlowCollection { .. }
        | E::UnexpectedEofFlowSequence
        | E::UnexpectedEofFlowMapping
        | E::UnexpectedEofImplicitFlowMapping
        | E::InvalidColonPlacement
        | E::InvalidFlowScalarIndent => {
            let finding = place.says(
                place.character(),
                "a list or map in brackets is not closed",
                "close the bracket; if it is text, put the whole value in quotes",
            );
            match place.bracket {
                Some(open) => Place::opened(finding, open),
                None => finding,
            }
        }
        E::ExpectedFlowMappingSeparator => {
            bracket(place, "expected `,` or `}`", "separate entries with `,`; close the bracket")
        }
        E::ExpectedFlowSequenceSeparator => {
            bracket(place, "expected `,` or `]`", "separate items with `,`; close the bracket")
        }
        E::CommentNotSeparated => {
            let help = "put a space before `#` for a comment, or quote the value if it is text";
            place.says(place.character(), "a space is missing before `#`", help)
        }
        E::CommentInterceptedScalar => {
            let help = "put the whole value in quotes, or use a block (`|`)";
            place.says(place.character(), "a comment stands within text of several lines", help)
        }
        E::InvalidBlockScalarHeader => place.says(
            place.rest_of_line(),
            "text follows `|` or `>` on its line",
            "start the text on the next line, indented; if `|` or `>` is text, put the whole value in quotes",
        ),
        E::InvalidBlockScalarIndent | E::ZeroBlockScalarIndent => place.says(
            place.rest_of_line(),
            "a line of a block is indented less than the first",
            "indent all lines at least as much as the first one",
        ),
        E::UndeclaredTagHandle => {
            let message = "a tag that means nothing here";
            finding(&codes::UNKNOWN_TAG, place.word(), message)
                .help("remove the tag; if the text starts with `!`, quote it")
        }
        other => {
            let message = other.to_string();
            let message = message.rsplit_once(", ").map_or(&*message, |(_, last)| last).replace('`', "'");
            place.says(
                place.character(),
                format!("not valid YAML: {message}"),
                "if it is text, put the whole value in quotes",
            )
        }
    }
}

fn tab(kind: &ErrorKind, place: &Place<'_>) -> Option<Finding> {
    use ErrorKind as E;
    let about_tabs = matches!(
        kind,
        E::TabNotAllowed
            | E::TabInBlockIndentation
            | E::TabInIndentation
            | E::TabInPlainScalar
            | E::TabAtBlockScalarStart
            | E::InvalidBlockEntryWhitespace
            | E::InvalidMappingValueWhitespace
    );
    // Errors about tabs may be told for the line before the one with the tab.
    let from = line_start(place.text, place.at);
    let mut at = from;
    for line in place.text.get(from..)?.split_inclusive('\n').take(if about_tabs { 3 } else { 1 }) {
        let indentation = line.len() - line.trim_start_matches([' ', '\t']).len();
        if let Some(tab) = line.get(..indentation).and_then(|indentation| indentation.find('\t')) {
            return Some(tab_indentation(at + tab));
        }
        at += line.len();
    }
    about_tabs.then(|| {
        let help = "use spaces; a tab within text needs quotes around the text";
        place.says(place.character(), "a tab stands where only spaces can", help)
    })
}

/// A value that starts with `{{` or `{%`, in the line of the error or in the one read last.
fn template(place: &Place<'_>) -> Option<Finding> {
    [place.at, place.before].into_iter().find_map(|at| {
        let (start, line) = place.line(at);
        let found = ["{{", "{%", "{#"].iter().filter_map(|open| line.find(open)).min()?;
        let before = line.get(..found)?.trim_end();
        let starts_value = before.is_empty() || before.ends_with([':', '-', ',', '[', '{']);
        let comment = before.contains(" #");
        (starts_value && !comment && start + found + 1 >= place.start).then(|| {
            let value = line.get(found..).unwrap_or_default().trim_end();
            let here = range(start + found, start + found + value.len());
            place.says(here, UNQUOTED_TEMPLATE, quoted(value))
        })
    })
}

/// How to write a template: in the kind of quotes that it does not hold itself.
pub(super) fn quoted(template: &str) -> String {
    let template = excerpt(template);
    let quote = if template.contains('"') { '\'' } else { '"' };
    format!("write `{quote}{template}{quote}`")
}

fn mapping_value(place: &Place<'_>) -> Finding {
    let (start, line) = place.line(place.at);
    let before = line.get(..place.at - start).unwrap_or_default();
    if let Some(colon) = before.find(": ") {
        let value = start + colon + 2;
        let value = value + place.text.get(value..place.at).map_or(0, |text| text.len() - text.trim_start().len());
        return place
            .says(place.character(), "`: ` within text that has no quotes", "put the whole value in quotes")
            .also(range(value, place.at).within(SourceId::UNKNOWN), "this text needs quotes");
    }
    let Some((above_start, above)) = place.line_above(start) else { return generic_colon(place) };
    if let Some(colon) = unspaced_colon(above) {
        return missing_space(place, above_start + colon);
    }
    if indentation(line) > indentation(above) {
        let here = range(start + indentation(line), place.at);
        let help = "align it with the line above, or move the value of the line above to a line of its own";
        return place.says(here, "this line is indented more than the line above, which has a value already", help);
    }
    let here = range(above_start + indentation(above), above_start + above.trim_end().len());
    place.says(
        here,
        "this line has no `:` and is taken as the start of the key below",
        "write `key: value`, or remove the line",
    )
}

fn generic_colon(place: &Place<'_>) -> Finding {
    place.says(place.character(), "a `:` where no key can be", "if it is text, put the whole value in quotes")
}

fn simple_key(place: &Place<'_>) -> Finding {
    let (start, line) = place.line(place.at);
    if let Some(colon) = unspaced_colon(line) {
        return missing_space(place, start + colon);
    }
    let here = range(start + indentation(line), start + line.trim_end().len());
    let help = "write `key: value`; if it belongs to the text above, indent it more than its key";
    place.says(here, "expected `key: value`", help)
}

fn missing_space(place: &Place<'_>, colon: usize) -> Finding {
    place.says(range(colon, colon + 1), "a space is missing after `:`", "write `key: value`")
}

/// A line that fits nowhere.
fn misplaced(kind: &ErrorKind, place: &Place<'_>) -> Finding {
    let (start, line) = place.line(place.at);
    let before = line.get(indentation(line)..place.at.saturating_sub(start)).unwrap_or_default();
    if !before.trim_matches([' ', '-']).is_empty() {
        let help = "remove it, or put the whole value in quotes if it belongs to it";
        return place.says(place.rest_of_line(), "text follows the value", help);
    }
    let is_item = line.trim_start().starts_with("- ") || line.trim() == "-";
    let (message, help) = match kind {
        ErrorKind::ExpectedBlockMappingKey if is_item => {
            ("a list item stands among the keys of a map", "align `-` with the other items of its list, below its key")
        }
        ErrorKind::ExpectedBlockSequenceEntry if !is_item => (
            "a key stands among the items of a list",
            "align it with the map that it belongs to, or start it with `- `",
        ),
        _ => ("the indentation fits no line above", "align it with the lines that it belongs to"),
    };
    let here = range(start + indentation(line), start + line.trim_end().len());
    place.says(here, message, help)
}

fn bracket(place: &Place<'_>, message: &str, help: &str) -> Finding {
    let finding = place.says(place.character(), message, help);
    match place.bracket {
        Some(open) => finding.also(range(open, open + 1).within(SourceId::UNKNOWN), "opened here"),
        None => finding,
    }
}

fn indentation(line: &str) -> usize {
    line.len() - line.trim_start_matches(' ').len()
}

/// Offset of the `:` in a line such as `key:value`, but not in `http://host` or `12:30`.
fn unspaced_colon(line: &str) -> Option<usize> {
    let content = line.trim_start_matches([' ', '-']);
    let (key, value) = content.split_once(':')?;
    let is_key = !key.is_empty()
        && !key.starts_with(|first: char| first.is_ascii_digit())
        && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'));
    let is_value = !value.is_empty() && !value.starts_with([' ', '\t', '\r', '\n', ':']) && !value.starts_with("//");
    (is_key && is_value).then(|| line.len() - content.len() + key.len())
}

impl<'a> Place<'a> {
    fn says(&self, at: Range, message: impl Into<String>, help: impl Into<String>) -> Finding {
        let end = self.text.len() as u32;
        let at = Range { start: at.start.min(end), end: at.end.min(end) };
        finding(&codes::SYNTAX, at, message).help(help)
    }

    fn opened(mut finding: Finding, open: usize) -> Finding {
        // The place to mend is the bracket; where it was missed comes second.
        let missed = finding.labels.first().map(|label| label.span);
        if let Some(label) = finding.labels.first_mut() {
            label.span = range(open, open + 1).within(SourceId::UNKNOWN);
            label.text = "opened here".to_owned();
        }
        match missed {
            Some(missed) if missed.start as usize > open => finding.also(missed, "still open here"),
            _ => finding,
        }
    }

    /// The character at the error.
    fn character(&self) -> Range {
        let width = self.text.get(self.at..).and_then(|rest| rest.chars().next()).map_or(0, char::len_utf8);
        range(self.at, self.at + width)
    }

    fn word(&self) -> Range {
        let rest = self.text.get(self.at..).unwrap_or_default();
        range(self.at, self.at + rest.find(char::is_whitespace).unwrap_or(rest.len()))
    }

    fn rest_of_line(&self) -> Range {
        let (start, line) = self.line(self.at);
        range(self.at, (start + line.trim_end().len()).max(self.at))
    }

    /// Start and text of the line that holds an offset.
    fn line(&self, at: usize) -> (usize, &'a str) {
        let start = line_start(self.text, at);
        let rest = self.text.get(start..).unwrap_or_default();
        (start, rest.split_inclusive('\n').next().unwrap_or_default())
    }

    /// The last line with something on it before the one that starts at `start`, within this document.
    fn line_above(&self, start: usize) -> Option<(usize, &'a str)> {
        let before = self.text.get(self.start..start)?.trim_end();
        (!before.is_empty()).then(|| self.line(self.start + before.len()))
    }

    /// The quote that opened what was being read.
    fn find_quote(&self) -> Option<usize> {
        let unread = self.text.get(self.before..self.at.max(self.before))?;
        unread.find(['"', '\'']).map(|at| self.before + at)
    }

    /// The first escape of the string at the error that YAML does not have.
    fn find_escape(&self, unknown: bool) -> Option<Range> {
        let bytes = self.text.as_bytes();
        let mut at = self.at;
        loop {
            at += bytes.get(at..)?.iter().position(|byte| *byte == b'\\')?;
            let escaped = self.text.get(at + 1..)?.chars().next()?;
            let known = "0abtnvfre \"/\\N_LPxuU\t\r\n".contains(escaped);
            if known == unknown || (!unknown && !matches!(escaped, 'x' | 'u' | 'U')) {
                at += 1 + escaped.len_utf8();
            } else {
                return Some(range(at, at + 1 + escaped.len_utf8()));
            }
        }
    }
}
