//! The canonical form of JSON Schemas (2020-12): sets sorted, whole numbers without a fraction.

use serde_json::Value;

use super::{numbers, sets};

/// Keywords whose value is a map of names to schemas.
const MAPS: [&str; 5] = ["properties", "patternProperties", "$defs", "definitions", "dependentSchemas"];

/// Keywords whose value is a list of schemas; true if its order has no meaning.
const LISTS: [(&str, bool); 4] = [("allOf", true), ("anyOf", true), ("oneOf", true), ("prefixItems", false)];

/// Keywords whose value is a set of values.
const SETS: [&str; 3] = ["required", "enum", "type"];

/// Keywords that hold values, which are kept as they are written: a default is sent like any other value.
const VALUES: [&str; 2] = ["default", "examples"];

/// Brings a schema into its canonical form. Recursion is bounded by the depth of definitions.
pub(super) fn canonical(schema: &mut Value) {
    let Value::Object(map) = schema else { return };
    for (key, value) in map.iter_mut() {
        let key = key.as_str();
        let list = LISTS.iter().find(|(known, _)| *known == key);
        match value {
            _ if VALUES.contains(&key) => {}
            value if SETS.contains(&key) => {
                numbers::whole(value);
                sets::set(value);
            }
            value if key == "const" => numbers::whole(value),
            Value::Object(named) if key == "dependentRequired" => named.values_mut().for_each(sets::set),
            Value::Object(named) if MAPS.contains(&key) => named.values_mut().for_each(canonical),
            Value::Array(schemas) if list.is_some() => {
                schemas.iter_mut().for_each(canonical);
                if list.is_some_and(|(_, is_set)| *is_set) {
                    sets::set(value);
                }
            }
            value @ Value::Object(_) => canonical(value),
            value => numbers::whole(value),
        }
    }
}
