//! Descriptions of YAML syntax errors: positions and messages that match the author's mistake, not the parser's state.

use granit_parser::ErrorKind;

use super::super::codes;
use super::super::finding::Finding;
use super::super::span::{Range, SourceId};
use super::super::tree::{excerpt, finding, range};
use super::lines::{line_start, tab_indentation};

/// The message for `url: {{ x }}`, by far the most frequent mistake. Also used to recognise that it was reported.
pub(super) const UNQUOTED_TEMPLATE: &str = "a value that starts with a template needs quotes around it";

/// The state of the parser at a syntax error.
pub(super) struct ErrorContext<'a> {
    pub(super) text: &'a str,
    /// Offset of the error.
    pub(super) at: usize,
    /// End of the last token.
    pub(super) before: usize,
    /// Start of the document's content.
    pub(super) start: usize,
    /// Offset of the innermost open bracket.
    pub(super) bracket: Option<usize>,
}

/// True if a template starts at an offset.
pub(super) fn is_template(text: &str, at: usize) -> bool {
    matches!(text.as_bytes().get(at..at + 2), Some(b"{{" | b"{%" | b"{#"))
}

/// Describes a syntax error as a finding.
pub(super) fn describe(kind: &ErrorKind, context: &ErrorContext<'_>) -> Finding {
    use ErrorKind as E;
    if let Some(finding) = tab(kind, context).or_else(|| unquoted_template(context)) {
        return finding;
    }
    match kind {
        E::UnexpectedCharacter { character } => {
            let message = match character {
                control if control.is_control() => {
                    format!("the control character U+{:04X} is not allowed here", u32::from(*control))
                }
                '`' => "a value without quotes cannot start with a backquote".to_owned(),
                character => format!("a value without quotes cannot start with `{}`", character.escape_default()),
            };
            context.finding(context.character(), message, "put the whole value in quotes")
        }
        E::MissingAnchorOrAliasName => {
            let message = "`*` and `&` start an alias or an anchor, and a name must follow them";
            context.finding(context.character(), message, "if it is text, put the whole value in quotes")
        }
        E::UnclosedQuotedScalar | E::InvalidQuotedScalarIndent | E::DocumentIndicatorInQuotedScalar => {
            let at = context.find_quote().map_or_else(|| context.character(), |at| range(at, at + 1));
            let help = "close it; a string of several lines must be indented more than its key";
            context.finding(at, "a quoted string is not closed on its line", help)
        }
        E::InvalidTrailingSingleQuotedScalar => context.finding(
            context.rest_of_line(),
            "text follows the closing quote",
            "within single quotes a quote is written twice (`''`); or put the whole value in double quotes",
        ),
        E::InvalidTrailingDoubleQuotedScalar => context.finding(
            context.rest_of_line(),
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
            let at = context
                .find_escape(matches!(kind, E::UnknownQuotedScalarEscape))
                .unwrap_or_else(|| context.character());
            let help = "write `\\\\` for a backslash, or use single quotes, in which it has no special meaning";
            context.finding(at, "an unknown or incomplete escape in double quotes", help)
        }
        E::MappingValueNotAllowed => mapping_value(context),
        E::SimpleKeyExpected | E::InvalidSimpleKey => simple_key(context),
        E::ExpectedBlockMappingKey | E::ExpectedBlockSequenceEntry | E::InvalidIndentation => misplaced(kind, context),
        E::BlockSequenceEntryNotAllowed | E::InvalidBlockEntryWhitespace | E::BlockEntryInFlowCollection => context
            .finding(
                context.character(),
                "a list item cannot start here",
                "start the list on the line below its key; if it is text, put the whole value in quotes",
            ),
        E::MisplacedFlowCollectionEnd | E::MismatchedFlowCollectionEnd { .. } => bracket(
            context,
            "a closing bracket that does not match the opening one",
            "check the brackets; if they are text, put the whole value in quotes",
        ),
        E::UnclosedFlowCollection { .. }
        | E::UnexpectedEofFlowSequence
        | E::UnexpectedEofFlowMapping
        | E::UnexpectedEofImplicitFlowMapping
        | E::InvalidColonPlacement
        | E::InvalidFlowScalarIndent => {
            let finding = context.finding(
                context.character(),
                "a list or map in brackets is not closed",
                "close the bracket; if it is text, put the whole value in quotes",
            );
            match context.bracket {
                Some(open) => ErrorContext::at_open_bracket(finding, open),
                None => finding,
            }
        }
        E::ExpectedFlowMappingSeparator => {
            bracket(context, "expected `,` or `}`", "separate entries with `,`; close the bracket")
        }
        E::ExpectedFlowSequenceSeparator => {
            bracket(context, "expected `,` or `]`", "separate items with `,`; close the bracket")
        }
        E::CommentNotSeparated => {
            let help = "put a space before `#` for a comment, or quote the value if it is text";
            context.finding(context.character(), "a space is missing before `#`", help)
        }
        E::CommentInterceptedScalar => {
            let help = "put the whole value in quotes, or use a block (`|`)";
            context.finding(context.character(), "a comment interrupts text of several lines", help)
        }
        E::InvalidBlockScalarHeader => context.finding(
            context.rest_of_line(),
            "text follows `|` or `>` on its line",
            "start the text on the next line, indented; if `|` or `>` is text, put the whole value in quotes",
        ),
        E::InvalidBlockScalarIndent | E::ZeroBlockScalarIndent => context.finding(
            context.rest_of_line(),
            "a line of a block is indented less than the first",
            "indent all lines at least as much as the first one",
        ),
        E::UndeclaredTagHandle => {
            let message = "a tag that is not supported";
            finding(&codes::UNKNOWN_TAG, context.word(), message)
                .help("remove the tag; if the text starts with `!`, quote it")
        }
        other => {
            let message = other.to_string();
            let message = message.rsplit_once(", ").map_or(&*message, |(_, last)| last).replace('`', "'");
            context.finding(
                context.character(),
                format!("not valid YAML: {message}"),
                "if it is text, put the whole value in quotes",
            )
        }
    }
}

fn tab(kind: &ErrorKind, context: &ErrorContext<'_>) -> Option<Finding> {
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
    // Errors about tabs may be reported for the line before the one with the tab.
    let from = line_start(context.text, context.at);
    let mut at = from;
    for line in context.text.get(from..)?.split_inclusive('\n').take(if about_tabs { 3 } else { 1 }) {
        let indentation = line.len() - line.trim_start_matches([' ', '\t']).len();
        if let Some(tab) = line.get(..indentation).and_then(|indentation| indentation.find('\t')) {
            return Some(tab_indentation(at + tab));
        }
        at += line.len();
    }
    about_tabs.then(|| {
        let help = "use spaces; a tab within text needs quotes around the text";
        context.finding(context.character(), "a tab is used where only spaces are allowed", help)
    })
}

/// The finding for a value that starts with `{{` or `{%`, in the line of the error or of the last token.
fn unquoted_template(context: &ErrorContext<'_>) -> Option<Finding> {
    [context.at, context.before].into_iter().find_map(|at| {
        let (start, line) = context.line(at);
        let found = ["{{", "{%", "{#"].iter().filter_map(|open| line.find(open)).min()?;
        let before = line.get(..found)?.trim_end();
        let starts_value = before.is_empty() || before.ends_with([':', '-', ',', '[', '{']);
        let comment = before.contains(" #");
        (starts_value && !comment && start + found + 1 >= context.start).then(|| {
            let value = line.get(found..).unwrap_or_default().trim_end();
            let here = range(start + found, start + found + value.len());
            context.finding(here, UNQUOTED_TEMPLATE, quoting_help(value))
        })
    })
}

/// The help to quote a template, with quotes that do not occur in it.
pub(super) fn quoting_help(template: &str) -> String {
    let template = excerpt(template);
    let quote = if template.contains('"') { '\'' } else { '"' };
    format!("write `{quote}{template}{quote}`")
}

fn mapping_value(context: &ErrorContext<'_>) -> Finding {
    let (start, line) = context.line(context.at);
    let before = line.get(..context.at - start).unwrap_or_default();
    if let Some(colon) = before.find(": ") {
        let value = start + colon + 2;
        let value = value + context.text.get(value..context.at).map_or(0, |text| text.len() - text.trim_start().len());
        return context
            .finding(context.character(), "`: ` within unquoted text", "put the whole value in quotes")
            .also(range(value, context.at).within(SourceId::UNKNOWN), "this text needs quotes");
    }
    let Some((above_start, above)) = context.line_above(start) else { return generic_colon(context) };
    if let Some(colon) = unspaced_colon(above) {
        return missing_space(context, above_start + colon);
    }
    if indentation(line) > indentation(above) {
        let here = range(start + indentation(line), context.at);
        let help = "align it with the line above, or move the value of the line above to a line of its own";
        return context.finding(
            here,
            "this line is indented more than the line above, which already has a value",
            help,
        );
    }
    let here = range(above_start + indentation(above), above_start + above.trim_end().len());
    context.finding(
        here,
        "this line has no `:` and is read as the start of the key below",
        "write `key: value`, or remove the line",
    )
}

fn generic_colon(context: &ErrorContext<'_>) -> Finding {
    context.finding(
        context.character(),
        "a `:` where no key is allowed",
        "if it is text, put the whole value in quotes",
    )
}

fn simple_key(context: &ErrorContext<'_>) -> Finding {
    let (start, line) = context.line(context.at);
    if let Some(colon) = unspaced_colon(line) {
        return missing_space(context, start + colon);
    }
    let here = range(start + indentation(line), start + line.trim_end().len());
    let help = "write `key: value`; if it belongs to the text above, indent it more than its key";
    context.finding(here, "expected `key: value`", help)
}

fn missing_space(context: &ErrorContext<'_>, colon: usize) -> Finding {
    context.finding(range(colon, colon + 1), "a space is missing after `:`", "write `key: value`")
}

/// The finding for a line with wrong indentation.
fn misplaced(kind: &ErrorKind, context: &ErrorContext<'_>) -> Finding {
    let (start, line) = context.line(context.at);
    let before = line.get(indentation(line)..context.at.saturating_sub(start)).unwrap_or_default();
    if !before.trim_matches([' ', '-']).is_empty() {
        let help = "remove it, or put the whole value in quotes if it belongs to it";
        return context.finding(context.rest_of_line(), "text follows the value", help);
    }
    let is_item = line.trim_start().starts_with("- ") || line.trim() == "-";
    let (message, help) = match kind {
        ErrorKind::ExpectedBlockMappingKey if is_item => {
            ("a list item is among the keys of a map", "align `-` with the other items of its list, below its key")
        }
        ErrorKind::ExpectedBlockSequenceEntry if !is_item => {
            ("a key is among the items of a list", "align it with the map that it belongs to, or start it with `- `")
        }
        _ => ("the indentation matches no line above", "align it with the lines that it belongs to"),
    };
    let here = range(start + indentation(line), start + line.trim_end().len());
    context.finding(here, message, help)
}

fn bracket(context: &ErrorContext<'_>, message: &str, help: &str) -> Finding {
    let finding = context.finding(context.character(), message, help);
    match context.bracket {
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

impl<'a> ErrorContext<'a> {
    fn finding(&self, at: Range, message: impl Into<String>, help: impl Into<String>) -> Finding {
        let end = self.text.len() as u32;
        let at = Range { start: at.start.min(end), end: at.end.min(end) };
        finding(&codes::SYNTAX, at, message).help(help)
    }

    fn at_open_bracket(mut finding: Finding, open: usize) -> Finding {
        // The primary position is the bracket to fix; the position of the error comes second.
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

    /// Start and text of the line that contains an offset.
    fn line(&self, at: usize) -> (usize, &'a str) {
        let start = line_start(self.text, at);
        let rest = self.text.get(start..).unwrap_or_default();
        (start, rest.split_inclusive('\n').next().unwrap_or_default())
    }

    /// The last line of this document that is not blank, before the one that starts at `start`.
    fn line_above(&self, start: usize) -> Option<(usize, &'a str)> {
        let before = self.text.get(self.start..start)?.trim_end();
        (!before.is_empty()).then(|| self.line(self.start + before.len()))
    }

    /// Offset of the quote that opened the current string.
    fn find_quote(&self) -> Option<usize> {
        let unread = self.text.get(self.before..self.at.max(self.before))?;
        unread.find(['"', '\'']).map(|at| self.before + at)
    }

    /// The first escape, from the error on, that is unknown to YAML (`unknown`) or incomplete.
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
