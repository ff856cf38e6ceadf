//! Classifies a change by its effect on users of the definition: none, compatible or breaking.
//!
//! The rules are data: [`RULES`] lists the fields that users rely on and the changes of each that break them, [`TEXTS`]
//! lists the fields that only people read. Changes of other fields are compatible.
//!
//! Two decisions: a changed `baseUrl` is breaking, because the credentials that users gave to one application would be
//! sent to another address; a changed `auth.default` is, because connections that name no method would use another one.

mod judge;
mod quote;
mod rules;
mod schema;

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::pattern;
use crate::definition::{Id, Kind};
use rules::{RULES, TEXTS};

/// Maximum number of reasons of an action, and of users that it names.
const MAX_REASONS: usize = 50;

/// The effect of a change on users of a definition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChangeClass {
    /// Only texts, labels, images or tests change. Behaviour stays the same.
    None,
    /// Behaviour changes, and users need not change anything.
    Compatible,
    /// Something that users can name or rely on is removed or stricter.
    Breaking,
}

impl ChangeClass {
    /// The name in a plan's JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            ChangeClass::None => "none",
            ChangeClass::Compatible => "compatible",
            ChangeClass::Breaking => "breaking",
        }
    }
}

impl fmt::Display for ChangeClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The class of an update, and the reasons if it is breaking.
pub(super) fn class(kind: Kind, before: &Value, after: &Value) -> (ChangeClass, Vec<String>) {
    let mut because = Vec::new();
    for rule in RULES.iter().filter(|rule| rule.kind == kind) {
        judge::apply(rule, before, after, &mut because);
    }
    if !because.is_empty() {
        because.dedup();
        return (ChangeClass::Breaking, bounded(because));
    }
    let silent = without_texts(kind, before) == without_texts(kind, after);
    (if silent { ChangeClass::None } else { ChangeClass::Compatible }, because)
}

/// True if the JSON Schema of an input refuses values that it accepted.
pub(super) fn narrows_input(before: Option<&Value>, after: Option<&Value>) -> bool {
    let mut because = Vec::new();
    schema::stricter(before, after, "", &mut because);
    !because.is_empty()
}

/// The first reasons, and the number of the others.
pub(super) fn bounded(mut because: Vec<String>) -> Vec<String> {
    let more = because.len().saturating_sub(MAX_REASONS);
    because.truncate(MAX_REASONS);
    if more > 0 {
        because.push(format!("and {more} more"));
    }
    because
}

/// The class of a removal with the reasons. `dependants` is the number of definitions that need it.
pub(super) fn removal(id: &Id, renamed_to: Option<&str>, dependants: usize) -> (ChangeClass, Vec<String>) {
    // No definition and no user can name an alert.
    if id.kind == Kind::Alert {
        return (ChangeClass::Compatible, Vec::new());
    }
    let removed = match renamed_to {
        Some(new) => format!("`{id}` is gone; what names it does not find `{new}`"),
        None => format!("`{id}` is gone"),
    };
    let needed = match dependants {
        0 => None,
        1 => Some("1 definition needed it".to_owned()),
        count => Some(format!("{count} definitions needed it")),
    };
    (ChangeClass::Breaking, std::iter::once(removed).chain(needed).collect())
}

/// The document without the fields that only people and tests read.
fn without_texts(kind: Kind, document: &Value) -> Value {
    let mut document = document.clone();
    for (only, text) in TEXTS {
        if only.is_none_or(|only| only == kind) {
            pattern::remove(&mut document, text, |_| true);
        }
    }
    // Annotations of Evenkeel are settings.
    pattern::each_mut(&mut document, "metadata/annotations", &mut |annotations| {
        if let Value::Object(map) = annotations {
            map.retain(|key, _| key.starts_with("evenkeel.dev/"));
        }
    });
    pattern::remove(&mut document, "metadata/annotations", |value| {
        value.as_object().is_some_and(serde_json::Map::is_empty)
    });
    for rule in RULES.iter().filter(|rule| rule.kind == kind && rule.test.is_schema()) {
        pattern::each_mut(&mut document, rule.pattern, &mut schema::without_texts);
    }
    document
}

#[cfg(test)]
mod tests;
