//! The form of output for people: width, colors, and ages or times.

use jiff::Timestamp;

use super::output::{self, Paint};
use super::table::{self, Column};
use super::times::{between, time};
use crate::api::Time;

/// Digits of a revision in a table.
const SHORT_DIGITS: usize = 12;

/// Form of the output for people. A terminal gets colors, folded lines and ages; a pipe or a file gets whole lines and
/// times.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Style {
    columns: Option<usize>,
    colored: bool,
    now: Option<Timestamp>,
}

impl Style {
    /// The form for stdout.
    pub(super) fn of_stdout() -> Style {
        let columns = output::columns();
        Style { columns, colored: output::colored(), now: columns.map(|_| Timestamp::now()) }
    }

    /// The form of an output that is repeated to be compared: without ages.
    pub(super) fn without_ages(self) -> Style {
        Style { now: None, ..self }
    }

    /// A form with a width and ages at a moment.
    #[cfg(test)]
    pub(super) fn with(columns: Option<usize>, now: &str) -> Style {
        Style { columns, colored: false, now: now.parse().ok() }
    }

    /// Colors.
    pub(super) fn paint(self) -> Paint {
        if self.colored { Paint::colored() } else { Paint::plain() }
    }

    /// Formats rows below a header.
    pub(super) fn table<const N: usize>(self, columns: [Column; N], rows: &[[String; N]]) -> String {
        table::layout(columns, rows, self.columns)
    }

    /// Formats a labelled value, indented; it is folded below itself.
    pub(super) fn field(self, label: &str, value: &str) -> String {
        table::field(label, value, self.columns)
    }

    /// A revision in a table; a terminal gets the first 12 digits of a commit or digest, as Git shows them.
    pub(super) fn revision(self, revision: &str) -> String {
        let digits = revision.rsplit(':').next().unwrap_or_default();
        let is_digest = digits.len() >= 40 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        match self.columns.filter(|_| is_digest) {
            Some(_) => revision[..revision.len() - digits.len() + SHORT_DIGITS].to_owned(),
            None => revision.to_owned(),
        }
    }

    /// Title of a column of times.
    pub(super) fn time_title(self) -> &'static str {
        if self.now.is_some() { "AGE" } else { "TIME" }
    }

    /// Cell of a column of times.
    pub(super) fn time_cell(self, at: Option<Time>) -> String {
        match (self.now, at) {
            (Some(now), Some(at)) => between(at.0, now),
            _ => time(at),
        }
    }

    /// A time with its age in parentheses.
    pub(super) fn with_age(self, at: Option<Time>) -> String {
        match (self.now, at) {
            (Some(now), Some(past)) => format!("{} ({} ago)", time(at), between(past.0, now)),
            _ => time(at),
        }
    }

    /// A time in the future with the remaining time in parentheses.
    pub(super) fn with_rest(self, at: Option<Time>) -> String {
        match (self.now, at) {
            (Some(now), Some(future)) => format!("{} ({} left)", time(at), between(now, future.0)),
            _ => time(at),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_shows_the_first_digits_of_a_revision() {
        let commit = format!("main@sha1:{}", "0123456789".repeat(4));
        let terminal = Style::with(Some(80), "");
        assert_eq!(terminal.revision(&commit), "main@sha1:012345678901");
        assert_eq!(Style::default().revision(&commit), commit);
        for other in ["main", "", "main@sha1:1111", "a:é"] {
            assert_eq!(terminal.revision(other), other);
        }
    }

    #[test]
    fn ages_and_remaining_times_count_from_now() {
        let at = |text: &str| Some(Time(text.parse().unwrap()));
        let style = Style::with(Some(80), "2026-11-29T12:00:00Z");
        assert_eq!(style.time_cell(at("2026-11-29T11:58:30.5Z")), "1 min 30 s");
        assert_eq!(style.with_age(at("2026-11-29T11:59:59.9Z")), "2026-11-29T11:59:59Z (0 s ago)");
        assert_eq!(style.with_rest(at("2026-11-29T12:15:00Z")), "2026-11-29T12:15:00Z (15 min left)");
        assert_eq!(style.with_rest(at("2026-11-29T11:00:00Z")), "2026-11-29T11:00:00Z (0 s left)");
        let repeated = style.without_ages();
        assert_eq!((style.time_title(), repeated.time_title()), ("AGE", "TIME"));
        assert_eq!(repeated.time_cell(at("2026-11-29T11:58:30.5Z")), "2026-11-29T11:58:30Z");
        assert_eq!(repeated.with_age(None), "-");
    }
}
