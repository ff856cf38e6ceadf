//! The differences between two texts, line by line.

use similar::{ChangeTag, TextDiff};

/// Maximum number of lines of both texts together. Longer texts are not compared.
const MAX_LINES: usize = 10_000;

/// Number of equal lines shown around each difference.
const CONTEXT: usize = 3;

/// A line of a comparison, without its line break.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DiffLine {
    /// A line of both texts.
    Same(String),
    /// A line of the first text only.
    Removed(String),
    /// A line of the second text only.
    Added(String),
    /// Omitted equal lines.
    Gap,
    /// The texts are too long to be compared; the numbers of lines of the first and the second.
    TooLong(usize, usize),
}

/// The lines that differ, with three equal ones around them.
pub fn text_diff(before: &str, after: &str) -> Vec<DiffLine> {
    let counts = (before.lines().count(), after.lines().count());
    if counts.0 + counts.1 > MAX_LINES {
        return if before == after { Vec::new() } else { vec![DiffLine::TooLong(counts.0, counts.1)] };
    }
    // A last line with and without a line break is the same line.
    let ended = |text: &str| if text.ends_with('\n') { text.to_owned() } else { format!("{text}\n") };
    let (before, after) = (ended(before), ended(after));
    let diff = TextDiff::from_lines(before.as_str(), after.as_str());
    let mut lines = Vec::new();
    for (at, group) in diff.grouped_ops(CONTEXT).iter().enumerate() {
        if at > 0 {
            lines.push(DiffLine::Gap);
        }
        for change in group.iter().flat_map(|op| diff.iter_changes(op)) {
            let line = change.value().trim_end_matches('\n').to_owned();
            lines.push(match change.tag() {
                ChangeTag::Delete => DiffLine::Removed(line),
                ChangeTag::Insert => DiffLine::Added(line),
                ChangeTag::Equal => DiffLine::Same(line),
            });
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_have_context() {
        let number = |n: i32, changed: &str| if n == 10 { format!("{changed}\n") } else { format!("{n}\n") };
        let text = |changed: &str| (0..20).map(|n| number(n, changed)).collect::<String>();
        let lines = text_diff(&text("x"), &text("y"));
        assert_eq!(lines.len(), 8);
        assert_eq!(lines[3..5], [DiffLine::Removed("x".into()), DiffLine::Added("y".into())]);
        assert!(text_diff("a", "a\n").is_empty());
    }

    #[test]
    fn long_texts_are_not_compared() {
        let long = "a\n".repeat(MAX_LINES);
        assert_eq!(text_diff(&long, "b"), [DiffLine::TooLong(MAX_LINES, 1)]);
        assert!(text_diff(&long, &long).is_empty());
    }
}
