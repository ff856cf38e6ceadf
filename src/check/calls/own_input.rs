//! The input of the definition that calls.

use super::callee::{Callee, CalleeName};
use crate::catalog::Entry;
use crate::definition::Kind;
use crate::text::{PartialValue, unescaped};

/// The known part of a part of the input of the action or workflow that holds a pointer, by its schema. The input is
/// checked against the schema before anything runs.
pub(super) fn own_input(entry: &Entry, pointer: &str, path: &[String], always: bool) -> PartialValue {
    let owner = if entry.id.kind == Kind::Workflow {
        CalleeName { id: entry.id.clone(), action: None }
    } else {
        let action = pointer.strip_prefix("/spec/actions/").and_then(|rest| rest.split('/').next());
        let Some(action) = action else { return PartialValue::Unknown };
        CalleeName { id: entry.id.clone(), action: Some(unescaped(action).into_owned()) }
    };
    let input = Callee::of(entry, owner).schema("input");
    input.map_or(PartialValue::Unknown, |input| input.scope().value_at(path, always))
}
