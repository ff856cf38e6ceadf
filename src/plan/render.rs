//! A plan for people, for scripts, and for the comment under a pull request. The same plan gives the same bytes.

mod human;
mod markdown;
mod words;

use super::{Plan, Summary, Verb};

pub use human::human;
pub use markdown::{MAX_COMMENT, Revisions, markdown};

/// The plan as JSON, in the stable order of its fields; ends with a line break.
pub fn json(plan: &Plan) -> String {
    // Texts, numbers, maps with text keys: writing them cannot fail.
    let mut text = serde_json::to_string_pretty(plan).unwrap_or_default();
    text.push('\n');
    text
}

/// `2 to add, 1 to change, 1 to move, 1 to remove, 1 breaking`, without what there is none of.
fn counts(summary: &Summary) -> String {
    let counts = [
        (summary.create, "to add"),
        (summary.update, "to change"),
        (summary.moved, "to move"),
        (summary.delete, "to remove"),
        (summary.breaking, "breaking"),
    ];
    let counts: Vec<String> =
        counts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")).collect();
    counts.join(", ")
}

/// The sign before a definition.
fn sign(verb: Verb) -> char {
    match verb {
        Verb::Create => '+',
        Verb::Update => '~',
        Verb::Delete => '-',
        Verb::Move => '>',
    }
}

#[cfg(test)]
mod tests;
