//! JSON values of which only a part is known before anything runs: inputs with templates, and arguments in code.

use std::ops::BitOr;

use serde_json::Value;

/// Maximum nesting of a partial value. Deeper parts are unknown.
pub const MAX_PARTIAL_DEPTH: usize = 32;

/// Maximum number of fields of a map that is known in part. A larger one is unknown.
pub const MAX_PARTIAL_FIELDS: usize = 1_000;

/// A JSON value as far as it is known before anything runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PartialValue {
    /// Nothing is known.
    Unknown,
    /// A string, number, boolean or null.
    Scalar(Value),
    /// A value of one of these types.
    Typed(ValueTypes),
    /// A list; `more` is true if it may have further items.
    List {
        /// The known items, from the first one on.
        items: Vec<PartialValue>,
        /// True if other items may follow.
        more: bool,
    },
    /// A map.
    Map(PartialMap),
    /// A part of the input of the definition that holds the value, by the names that lead to it.
    OwnInput(Vec<String>),
}

/// A map of which some fields are known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PartialMap {
    /// The known fields.
    pub fields: Vec<PartialField>,
    /// The other fields.
    pub rest: RestOfMap,
}

/// A known field of a map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartialField {
    /// The name.
    pub name: String,
    /// The value.
    pub value: PartialValue,
    /// True if the field may be absent.
    pub optional: bool,
}

/// The fields of a map beside those that are known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RestOfMap {
    /// There are no others.
    #[default]
    Nothing,
    /// A type in code declares no others. At run time there may be some.
    Undeclared,
    /// There may be others.
    Unknown,
}

/// A set of JSON types. Numbers are integers or fractions, so that `integer` is a part of `number`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ValueTypes(u8);

impl ValueTypes {
    /// No type.
    pub const NONE: ValueTypes = ValueTypes(0);
    /// `null`.
    pub const NULL: ValueTypes = ValueTypes(1);
    /// Booleans.
    pub const BOOL: ValueTypes = ValueTypes(2);
    /// Integers.
    pub const INTEGER: ValueTypes = ValueTypes(4);
    /// Numbers, integers included.
    pub const NUMBER: ValueTypes = ValueTypes(4 | 8);
    /// Strings.
    pub const STRING: ValueTypes = ValueTypes(16);
    /// Lists.
    pub const LIST: ValueTypes = ValueTypes(32);
    /// Maps.
    pub const MAP: ValueTypes = ValueTypes(64);
    /// Every type.
    pub const ALL: ValueTypes = ValueTypes(127);

    /// The types that JSON Schema names by a word; `None` for an unknown word.
    pub fn of_word(word: &str) -> Option<ValueTypes> {
        Some(match word {
            "null" => ValueTypes::NULL,
            "boolean" => ValueTypes::BOOL,
            "integer" => ValueTypes::INTEGER,
            "number" => ValueTypes::NUMBER,
            "string" => ValueTypes::STRING,
            "array" => ValueTypes::LIST,
            "object" => ValueTypes::MAP,
            _ => return None,
        })
    }

    /// The type of a value.
    pub fn of(value: &Value) -> ValueTypes {
        match value {
            Value::Null => ValueTypes::NULL,
            Value::Bool(_) => ValueTypes::BOOL,
            Value::Number(number) if number.as_f64().is_some_and(|number| number.fract() == 0.0) => ValueTypes::INTEGER,
            Value::Number(_) => ValueTypes(8),
            Value::String(_) => ValueTypes::STRING,
            Value::Array(_) => ValueTypes::LIST,
            Value::Object(_) => ValueTypes::MAP,
        }
    }

    /// True if no value is of both sets.
    pub fn excludes(self, other: ValueTypes) -> bool {
        self.0 & other.0 == 0
    }

    /// The types in words: `a string or null`.
    pub fn in_words(self) -> String {
        let words = [
            (ValueTypes::STRING, "a string"),
            (ValueTypes::NUMBER, "a number"),
            (ValueTypes::INTEGER, "an integer"),
            (ValueTypes(8), "a fraction"),
            (ValueTypes::BOOL, "a boolean"),
            (ValueTypes::LIST, "a list"),
            (ValueTypes::MAP, "a map"),
            (ValueTypes::NULL, "null"),
        ];
        let mut named = ValueTypes::NONE;
        let mut text: Vec<&str> = Vec::new();
        for (types, word) in words {
            if self.0 & types.0 == types.0 && named.excludes(types) {
                named = named | types;
                text.push(word);
            }
        }
        text.join(" or ")
    }
}

impl BitOr for ValueTypes {
    type Output = ValueTypes;

    fn bitor(self, other: ValueTypes) -> ValueTypes {
        ValueTypes(self.0 | other.0)
    }
}

impl PartialValue {
    /// A value that is known as a whole.
    pub fn of(value: &Value) -> PartialValue {
        PartialValue::of_tree(value, &|text| PartialValue::Scalar(Value::String(text.to_owned())))
    }

    /// A tree whose strings stand for other values, such as templates.
    pub fn of_tree(value: &Value, string: &dyn Fn(&str) -> PartialValue) -> PartialValue {
        PartialValue::tree_at(value, string, 0)
    }

    fn tree_at(value: &Value, string: &dyn Fn(&str) -> PartialValue, depth: usize) -> PartialValue {
        if depth > MAX_PARTIAL_DEPTH {
            return PartialValue::Unknown;
        }
        let below = |value: &Value| PartialValue::tree_at(value, string, depth + 1);
        match value {
            Value::String(text) => string(text),
            Value::Array(items) => PartialValue::List { items: items.iter().map(below).collect(), more: false },
            Value::Object(map) if map.len() > MAX_PARTIAL_FIELDS => PartialValue::Unknown,
            Value::Object(map) => {
                let field = |(name, value): (&String, &Value)| PartialField {
                    name: name.clone(),
                    value: below(value),
                    optional: false,
                };
                PartialValue::Map(PartialMap { fields: map.iter().map(field).collect(), rest: RestOfMap::Nothing })
            }
            scalar => PartialValue::Scalar(scalar.clone()),
        }
    }

    /// A map without fields.
    pub fn empty_map() -> PartialValue {
        PartialValue::Map(PartialMap::default())
    }

    /// The types that the value may have.
    pub fn types(&self) -> ValueTypes {
        match self {
            PartialValue::Unknown | PartialValue::OwnInput(_) => ValueTypes::ALL,
            PartialValue::Scalar(value) => ValueTypes::of(value),
            PartialValue::Typed(types) => *types,
            PartialValue::List { .. } => ValueTypes::LIST,
            PartialValue::Map(_) => ValueTypes::MAP,
        }
    }

    /// One of two values.
    #[must_use]
    pub fn or(self, other: PartialValue) -> PartialValue {
        match self.types() | other.types() {
            _ if self == other => self,
            ValueTypes::ALL => PartialValue::Unknown,
            types => PartialValue::Typed(types),
        }
    }

    /// The value, if all of it is known.
    pub fn known(&self) -> Option<Value> {
        match self {
            PartialValue::Scalar(value) => Some(value.clone()),
            PartialValue::List { items, more: false } => items.iter().map(PartialValue::known).collect(),
            PartialValue::Map(PartialMap { fields, rest: RestOfMap::Nothing }) => {
                let entry = |field: &PartialField| match field.optional {
                    true => None,
                    false => Some((field.name.clone(), field.value.known()?)),
                };
                fields.iter().map(entry).collect::<Option<serde_json::Map<String, Value>>>().map(Value::Object)
            }
            _ => None,
        }
    }

    /// Replaces parts of the own input by what `resolve` knows about them.
    #[must_use]
    pub fn resolved(self, resolve: &dyn Fn(&[String]) -> PartialValue) -> PartialValue {
        match self {
            PartialValue::OwnInput(path) => resolve(&path),
            PartialValue::List { items, more } => {
                PartialValue::List { items: items.into_iter().map(|item| item.resolved(resolve)).collect(), more }
            }
            PartialValue::Map(PartialMap { fields, rest }) => {
                let field = |field: PartialField| PartialField { value: field.value.resolved(resolve), ..field };
                PartialValue::Map(PartialMap { fields: fields.into_iter().map(field).collect(), rest })
            }
            other => other,
        }
    }
}

impl PartialMap {
    /// The field of a name.
    pub fn get(&self, name: &str) -> Option<&PartialField> {
        self.fields.iter().find(|field| field.name == name)
    }

    /// Sets a field that is present for sure.
    pub fn set(&mut self, name: String, value: PartialValue) {
        self.fields.retain(|field| field.name != name);
        self.fields.push(PartialField { name, value, optional: false });
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_tree_is_known_only_if_all_of_its_parts_are() {
        let value = json!({"a": [1, "x"], "b": null});
        assert_eq!(PartialValue::of(&value).known(), Some(value.clone()));
        let templated = PartialValue::of_tree(&value, &|_| PartialValue::Unknown);
        assert_eq!((templated.known(), templated.types()), (None, ValueTypes::MAP));
    }

    #[test]
    fn an_integer_is_a_number_and_a_fraction_is_no_integer() {
        assert!(!ValueTypes::of(&json!(1.0)).excludes(ValueTypes::INTEGER));
        assert!(ValueTypes::of(&json!(1.5)).excludes(ValueTypes::INTEGER));
        assert!(!ValueTypes::INTEGER.excludes(ValueTypes::NUMBER));
        assert_eq!((ValueTypes::NUMBER | ValueTypes::NULL).in_words(), "a number or null");
    }

    #[test]
    fn one_of_two_values_has_the_types_of_both() {
        let one = PartialValue::of(&json!(1)).or(PartialValue::of(&json!("x")));
        assert_eq!(one, PartialValue::Typed(ValueTypes::INTEGER | ValueTypes::STRING));
        assert_eq!(PartialValue::of(&json!(1)).or(PartialValue::Unknown), PartialValue::Unknown);
    }
}
