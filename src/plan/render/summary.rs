//! Parts that every rendering has.

use crate::plan::model::{Summary, Verb};

/// `2 to add, 1 to change, 1 to move, 1 to remove, 1 breaking`, without zeros.
pub(super) fn counts(summary: &Summary) -> String {
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
pub(super) fn sign(verb: Verb) -> char {
    match verb {
        Verb::Create => '+',
        Verb::Update => '~',
        Verb::Delete => '-',
        Verb::Move => '>',
    }
}
