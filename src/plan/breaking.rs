//! What a change means for those who use a definition: nothing, something new, or something that no longer works.
//!
//! The rules are data: [`RULES`] names places that others rely on and how each may break them, [`TEXTS`] names what only
//! people read. What neither names is compatible.
//!
//! Two decisions: another `baseUrl` is breaking, because the credentials that users gave to one application would be
//! sent to another address; another `auth.default` is, because connections that name no method would log in otherwise.

mod judge;
mod rules;
mod schema;

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::mask::looks_secret;
use super::{Action, pattern};
use crate::definition::Kind;
use rules::{RULES, TEXTS};

/// Reasons that an action names.
const MAX_REASONS: usize = 50;

/// What a change means for those who use a definition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChangeClass {
    /// Only texts, labels, images or tests change: nothing runs differently.
    None,
    /// It runs differently, and whoever uses it may go on doing so.
    Compatible,
    /// Something that others can name or rely on is gone or stricter.
    Breaking,
}

impl ChangeClass {
    /// The word in a plan's JSON.
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

/// The class of an update, and why it is breaking.
pub(super) fn class(kind: Kind, before: &Value, after: &Value) -> (ChangeClass, Vec<String>) {
    let mut because = Vec::new();
    for rule in RULES.iter().filter(|rule| rule.kind == kind) {
        judge::apply(rule, before, after, &mut because);
    }
    if !because.is_empty() {
        because.dedup();
        let more = because.len().saturating_sub(MAX_REASONS);
        because.truncate(MAX_REASONS);
        if more > 0 {
            because.push(format!("and {more} more"));
        }
        return (ChangeClass::Breaking, because);
    }
    let silent = without_texts(kind, before) == without_texts(kind, after);
    (if silent { ChangeClass::None } else { ChangeClass::Compatible }, because)
}

/// The class of a removal. Alerts are the only kind that nobody can name or see.
pub(super) fn removal(action: &Action) -> (ChangeClass, Vec<String>) {
    if action.id.kind == Kind::Alert {
        return (ChangeClass::Compatible, Vec::new());
    }
    let gone = match &action.renamed_to {
        Some(new) => format!("`{}` is gone; what names it does not find `{new}`", action.id),
        None => format!("`{}` is gone", action.id),
    };
    let needed = match action.dependants_total {
        0 => None,
        1 => Some("1 definition needed it".to_owned()),
        count => Some(format!("{count} definitions needed it")),
    };
    (ChangeClass::Breaking, std::iter::once(gone).chain(needed).collect())
}

/// A name in a sentence: one line, bounded, without quotes that would end it, and never a credential.
fn quoted(name: &str) -> String {
    const MOST: usize = 80;
    if looks_secret(name) {
        return "`…`".into();
    }
    let clean = |c: char| if c == '`' || c.is_control() { '\'' } else { c };
    let short: String = name.chars().take(MOST).map(clean).collect();
    if short.is_empty() || name.chars().nth(MOST).is_some() { format!("`{short}…`") } else { format!("`{short}`") }
}

/// The document without what only people and tests read.
fn without_texts(kind: Kind, document: &Value) -> Value {
    let mut document = document.clone();
    for (of, text) in TEXTS {
        if of.is_none_or(|of| of == kind) {
            pattern::remove(&mut document, text, |_| true);
        }
    }
    // Our own annotations are settings.
    pattern::each_mut(&mut document, "metadata/annotations", &mut |annotations| {
        if let Value::Object(map) = annotations {
            map.retain(|key, _| key.starts_with("evenkeel.dev/"));
        }
    });
    pattern::remove(&mut document, "metadata/annotations", |value| {
        value.as_object().is_some_and(serde_json::Map::is_empty)
    });
    for rule in RULES.iter().filter(|rule| rule.kind == kind && rule.test.is_schema()) {
        pattern::each_mut(&mut document, rule.place, &mut schema::without_texts);
    }
    document
}

#[cfg(test)]
mod tests;
