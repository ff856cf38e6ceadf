//! Changes of files beside definitions, such as the code of a workflow, as bounded unified diffs.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use similar::TextDiff;

use super::mask::looks_secret;
use super::object::Files;
use crate::definition::Kind;

/// Maximum number of lines of one diff.
pub const MAX_DIFF_LINES: usize = 200;

/// Maximum size of the lines of one diff, in bytes.
pub const MAX_DIFF_BYTES: usize = 16 << 10;

/// Maximum size of the lines of all diffs of a plan, in bytes.
pub const MAX_ALL_DIFF_BYTES: usize = 1 << 20;

/// Maximum number of characters of a line.
const MAX_LINE: usize = 400;

/// Maximum number of lines of both texts together. Longer texts are not compared.
const MAX_COMPARED_LINES: usize = 10_000;

/// Number of equal lines around each difference.
const CONTEXT: usize = 3;

/// The change of a file that a definition refers to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FileDiff {
    /// Path of the file from the root of the source.
    pub path: String,
    /// Lines of a unified diff without the two that name the files: `@@ -1,4 +1,4 @@`, ` equal`, `-removed`, `+added`.
    pub lines: Vec<String>,
    /// Number of further lines of the diff.
    pub omitted: usize,
    /// The reason why there are no lines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

impl FileDiff {
    /// The diff in the opposite direction. The order of removed and added lines is kept, so that the inverse of the
    /// inverse is the same diff.
    #[must_use]
    pub(super) fn inverse(&self) -> FileDiff {
        FileDiff { lines: self.lines.iter().map(|line| inverse(line)).collect(), ..self.clone() }
    }

    fn bytes(&self) -> usize {
        self.lines.iter().map(String::len).sum()
    }
}

fn inverse(line: &str) -> String {
    match (line.get(..1), line.get(1..)) {
        (Some("-"), Some(rest)) => format!("+{rest}"),
        (Some("+"), Some(rest)) => format!("-{rest}"),
        (Some("@"), _) => match line.split(' ').collect::<Vec<_>>().as_slice() {
            [open, before, after, close] => format!("{open} -{} +{} {close}", &after[1..], &before[1..]),
            _ => line.to_owned(),
        },
        _ => line.to_owned(),
    }
}

/// The diffs of the files of a definition, in the order of their paths. The files of an environment are encrypted and have
/// no readable lines.
pub(super) fn diffs(kind: Kind, before: Option<&Files>, after: Option<&Files>) -> Vec<FileDiff> {
    if kind == Kind::Environment {
        return Vec::new();
    }
    let paths = |files: Option<&Files>| files.into_iter().flat_map(|files| files.keys().cloned()).collect();
    let (mut all, more): (BTreeSet<String>, BTreeSet<String>) = (paths(before), paths(after));
    all.extend(more);
    let diff = |path: String| {
        let (old, new) = (before.and_then(|files| files.get(&path)), after.and_then(|files| files.get(&path)));
        if old == new {
            return None;
        }
        let text = |bytes: Option<&std::sync::Arc<[u8]>>| match bytes {
            Some(bytes) => String::from_utf8(bytes.to_vec()).ok(),
            None => Some(String::new()),
        };
        let diff = match (text(old), text(new)) {
            (Some(old), Some(new)) => unified(&old, &new),
            _ => Err("it is not text"),
        };
        Some(match diff {
            Ok((lines, omitted)) => FileDiff { path, lines, omitted, note: None },
            Err(note) => FileDiff { path, lines: Vec::new(), omitted: 0, note: Some(note.to_owned()) },
        })
    };
    all.into_iter().filter_map(diff).collect()
}

/// The lines of a unified diff, and the number of those that are omitted.
fn unified(before: &str, after: &str) -> Result<(Vec<String>, usize), &'static str> {
    if before.contains("PRIVATE KEY-----") || after.contains("PRIVATE KEY-----") {
        return Err("its lines are hidden, as it may hold a private key");
    }
    if before.lines().count() + after.lines().count() > MAX_COMPARED_LINES {
        return Err("it is too long to be compared");
    }
    let (before, after) = (ended(before), ended(after));
    let diff = TextDiff::from_lines(before.as_str(), after.as_str());
    let mut lines = Vec::new();
    let (mut bytes, mut omitted) = (0, 0);
    let mut push = |line: String| {
        bytes += line.len();
        if omitted == 0 && lines.len() < MAX_DIFF_LINES && bytes <= MAX_DIFF_BYTES {
            lines.push(line);
        } else {
            omitted += 1;
        }
    };
    for hunk in diff.unified_diff().context_radius(CONTEXT).iter_hunks() {
        push(hunk.header().to_string());
        for change in hunk.iter_changes() {
            let text = change.value().trim_end_matches(['\n', '\r']);
            let text = if looks_secret(text) { "(hidden: it may hold a credential)" } else { text };
            let cut = text.char_indices().nth(MAX_LINE).and_then(|(at, _)| text.get(..at));
            push(match cut {
                Some(start) => format!("{}{start}…", change.tag()),
                None => format!("{}{text}", change.tag()),
            });
        }
    }
    Ok((lines, omitted))
}

/// The text with a line break at its end: a last line with and without one is the same line.
fn ended(text: &str) -> String {
    if text.is_empty() || text.ends_with('\n') { text.to_owned() } else { format!("{text}\n") }
}

/// Omits lines of the last diffs if all diffs together are larger than [`MAX_ALL_DIFF_BYTES`].
pub(super) fn bound<'a>(diffs: impl Iterator<Item = &'a mut FileDiff>) {
    let mut bytes = 0;
    for diff in diffs {
        bytes += diff.bytes();
        if bytes > MAX_ALL_DIFF_BYTES {
            diff.omitted += diff.lines.len();
            diff.lines = Vec::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(text: &str) -> Files {
        Files::from([("w/a.ts".to_owned(), text.as_bytes().into())])
    }

    fn only(before: &str, after: &str) -> FileDiff {
        let diffs = diffs(Kind::Workflow, Some(&files(before)), Some(&files(after)));
        assert_eq!(diffs.len(), 1);
        diffs.into_iter().next().unwrap()
    }

    #[test]
    fn changed_lines_have_a_header_and_context() {
        let text = |changed: &str| format!("1\n2\n3\n4\n{changed}\n6\n");
        let diff = only(&text("x"), &text("y"));
        assert_eq!(diff.lines, ["@@ -2,5 +2,5 @@", " 2", " 3", " 4", "-x", "+y", " 6"]);
        assert_eq!((diff.omitted, diff.note.as_deref()), (0, None));
        assert_eq!(diff.inverse().lines, ["@@ -2,5 +2,5 @@", " 2", " 3", " 4", "+x", "-y", " 6"]);
        assert_eq!(diff.inverse().inverse(), diff);
        let added = diffs(Kind::Workflow, None, Some(&files("a\nb")));
        assert_eq!(added[0].lines, ["@@ -0,0 +1,2 @@", "+a", "+b"]);
        assert_eq!(added[0].inverse().lines[0], "@@ -1,2 +0,0 @@");
        assert!(diffs(Kind::Workflow, Some(&files("a")), Some(&files("a"))).is_empty());
        assert!(diffs(Kind::Environment, Some(&files("a")), Some(&files("b"))).is_empty());
    }

    #[test]
    fn a_diff_is_bounded_in_lines_and_bytes() {
        let long = |sign: &str| (0..1000).map(|n| format!("{sign}{n}\n")).collect::<String>();
        let diff = only(&long("a"), &long("b"));
        assert_eq!((diff.lines.len(), diff.omitted), (MAX_DIFF_LINES, 2001 - MAX_DIFF_LINES));
        let wide = format!("{}\n", "ü".repeat(2000)).repeat(100);
        let diff = only("", &wide);
        assert!(diff.bytes() <= MAX_DIFF_BYTES && diff.omitted > 0, "{}", diff.bytes());
        assert!(diff.lines[1].ends_with('…') && diff.lines[1].chars().count() == MAX_LINE + 2);
        let mut many = vec![only("", &wide); 100];
        bound(many.iter_mut());
        assert!(many.iter().map(FileDiff::bytes).sum::<usize>() <= MAX_ALL_DIFF_BYTES);
        assert!(many[0].lines.len() > 1 && many[99].lines.is_empty());
        assert_eq!(many[99].omitted, 101);
    }

    #[test]
    fn credentials_binaries_and_long_files_are_not_shown() {
        let token = concat!("gh", "p_0123456789abcdefghijABCDEFGHIJ012345");
        let diff = only("a\n", &format!("a\nconst token = \"{token}\";\n"));
        assert!(diff.lines.iter().all(|line| !line.contains("0123456789")), "{diff:?}");
        assert!(diff.lines.iter().any(|line| line == "+(hidden: it may hold a credential)"), "{diff:?}");
        let key = only("a\n", "-----BEGIN PRIVATE KEY-----\nMIIEvQ\n-----END PRIVATE KEY-----\n");
        assert!(key.lines.is_empty() && key.note.unwrap().contains("private key"));
        let long = only("a\n", &"b\n".repeat(MAX_COMPARED_LINES));
        assert_eq!(long.note.as_deref(), Some("it is too long to be compared"));
        let binary = Files::from([("a.bin".to_owned(), [0xff_u8, 0xfe].as_slice().into())]);
        let diff = diffs(Kind::Connector, None, Some(&binary));
        assert_eq!(diff[0].note.as_deref(), Some("it is not text"));
    }
}
