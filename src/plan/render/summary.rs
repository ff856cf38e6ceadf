//! Parts that every rendering has.

use crate::plan::breaking::ChangeClass;
use crate::plan::declared_tests::is_of_tests;
use crate::plan::model::{Action, Summary, Verb};

/// `2 to add, 1 to change, 1 to move, 1 to remove, 1 breaking`, without zeros.
pub(super) fn counts(summary: &Summary) -> String {
    let counts = [
        (summary.create, "to add"),
        (summary.update, "to change"),
        (summary.moved, "to move"),
        (summary.adopt, "to adopt"),
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
        Verb::Adopt => '^',
    }
}

/// The effect of a change in a word or two; `None` for an ordinary one.
pub(super) fn label(action: &Action) -> Option<&'static str> {
    let of_tests = action.changes.iter().all(|change| is_of_tests(action.id.kind, change));
    let is_update = action.action == Verb::Update || action.action == Verb::Adopt && !action.changes.is_empty();
    match action.class {
        ChangeClass::Breaking => Some("breaking"),
        ChangeClass::None if is_update && of_tests => Some("tests only"),
        ChangeClass::None if is_update => Some("texts only"),
        ChangeClass::Compatible | ChangeClass::None => None,
    }
}
