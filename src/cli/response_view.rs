//! Parsing of a server's responses into the views that commands print.

use serde::de::DeserializeOwned;
use serde_json::Value;

/// Parses a response. A member that is null counts as absent, so that a view's default applies.
///
/// # Errors
/// Fails if a member has another type than the view.
pub(super) fn parse<T: DeserializeOwned>(value: &Value) -> serde_json::Result<T> {
    serde_json::from_value(without_nulls(value))
}

/// A copy without null members of objects.
fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let members = members.iter().filter(|(_, member)| !member.is_null());
            Value::Object(members.map(|(name, member)| (name.clone(), without_nulls(member))).collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(without_nulls).collect()),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn null_and_absent_members_are_the_same() {
        #[derive(Debug, Default, PartialEq, serde::Deserialize)]
        #[serde(default)]
        struct View {
            name: String,
            list: Vec<Option<u8>>,
        }
        let view: View = parse(&json!({"name": null, "list": [null, 1], "more": {}})).unwrap();
        assert_eq!(view, View { name: String::new(), list: vec![None, Some(1)] });
        assert!(parse::<View>(&json!({"name": 7})).is_err());
    }
}
