//! Declarations that are accepted and not in effect in this version.
//!
//! The mark `x-evenkeel-planned` at a field or a type is the only statement about it. Descriptions, the list in the
//! reference and the findings of `validate`, plans and statuses are made of it.

use serde_json::Value;

/// The name of the mark.
pub(super) const MARK: &str = "x-evenkeel-planned";

/// A declaration that is accepted and not in effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Planned<'a> {
    /// The effect in this version: a clause such as "a call returns one page".
    pub instead: &'a str,
    /// The remedy until then, in the imperative.
    pub remedy: &'a str,
}

impl<'a> Planned<'a> {
    /// The mark of a schema. `Some(None)` states that a field within a marked one is in effect.
    pub fn of_schema(schema: &'a Value) -> Option<Option<Planned<'a>>> {
        let mark = schema.get(MARK)?;
        let text = |name: &str| mark[name].as_str();
        Some(text("instead").zip(text("remedy")).map(|(instead, remedy)| Planned { instead, remedy }))
    }

    /// The sentence that descriptions end with.
    fn sentence(self) -> String {
        format!("Accepted, not in effect yet: {}; {}.", self.instead, self.remedy)
    }
}

/// Adds a sentence to the description of each marked schema.
pub(super) fn describe(schema: &mut Value) {
    let sentence = Planned::of_schema(schema).flatten().map(Planned::sentence);
    if let (Some(sentence), Value::Object(map)) = (sentence, &mut *schema) {
        let description = map.get("description").and_then(Value::as_str).unwrap_or_default();
        let described = format!("{description} {sentence}");
        map.insert("description".into(), described.trim_start().into());
    }
    match schema {
        Value::Object(map) => map.values_mut().for_each(describe),
        Value::Array(items) => items.iter_mut().for_each(describe),
        _ => {}
    }
}
