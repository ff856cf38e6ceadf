//! The values of the fields of records: transforms, `valuesMap`, coercion and default, in this order.
//!
//! A missing value and null pass through each of them unchanged, except that `concat` and `coalesce` may find another
//! value, and that the default replaces a missing value in the end.

use serde_json::Value;

use super::canonical;
use super::decimal::Decimal;
use super::entity::{Coercion, Concat, ConnectorEntity, ConnectorField, FieldType, Transform};
use super::entity_coercion::{coerced, kind, text_of};

/// Maximum length of a value in a message, in characters.
const MAX_SHOWN: usize = 40;

/// The native values of a record by the name of their field; `None` for a missing one.
pub type NativeValues<'a> = &'a dyn Fn(&str) -> Option<&'a Value>;

/// True if the value of a field may differ from the native one.
pub fn changes_values(name: &str, field: &ConnectorField) -> bool {
    !field.transforms.is_empty()
        || field.coerce.is_some()
        || !field.values_map.is_empty()
        || field.default.is_some()
        || field.path.as_deref().is_some_and(|path| path != name)
}

/// The value of a field in a produced record; `None` if the record has none.
///
/// # Errors
/// The value cannot be transformed or coerced, or `valuesMap` does not list it.
pub fn value_of(
    entity: &ConnectorEntity,
    name: &str,
    field: &ConnectorField,
    native: NativeValues<'_>,
) -> Result<Option<Value>, String> {
    let mut value = native(name).cloned();
    for transform in &field.transforms {
        value = transformed(transform, value, native)?;
    }
    let present = value.as_ref().filter(|value| !value.is_null());
    if let (false, Some(present)) = (field.values_map.is_empty(), present) {
        value = Some(mapped(field, present)?);
    }
    if let (Some(coercion), Some(present)) = (field.coerce, value.as_ref().filter(|value| !value.is_null())) {
        value = Some(coerced(coercion, produced_type(entity, field), present)?);
    }
    let is_lacking = match &value {
        None => true,
        Some(value) => value.is_null() && !field.nullable,
    };
    match field.default.as_ref().filter(|_| is_lacking) {
        Some(default) => Ok(Some(default.value())),
        None => Ok(value),
    }
}

/// The type of a field in a produced record.
pub fn produced_type(entity: &ConnectorEntity, field: &ConnectorField) -> FieldType {
    let canonical = || {
        let entity = canonical::find(entity.canonical.as_deref()?)?;
        Some(entity.field(field.canonical.as_deref()?)?.field_type)
    };
    let one_of = |known: &[FieldType], otherwise: FieldType| {
        let candidates = [canonical(), Some(field.field_type)];
        candidates.into_iter().flatten().find(|candidate| known.contains(candidate)).unwrap_or(otherwise)
    };
    match field.coerce {
        Some(Coercion::Auto) => canonical().unwrap_or(field.field_type),
        Some(Coercion::Date | Coercion::DateMonthFirst | Coercion::DateDayFirst) => {
            one_of(&[FieldType::Date, FieldType::DateTime], FieldType::DateTime)
        }
        Some(Coercion::Number | Coercion::NumberDecimalComma) => one_of(&[FieldType::Integer], FieldType::Number),
        Some(Coercion::Boolean) => FieldType::Boolean,
        Some(Coercion::Money) => FieldType::Money,
        Some(Coercion::String) => FieldType::String,
        None if !field.values_map.is_empty() || field.transforms.iter().any(|transform| transform.concat.is_some()) => {
            FieldType::String
        }
        None if field.field_type == FieldType::Integer && field.transforms.iter().any(makes_fractions) => {
            FieldType::Number
        }
        None => field.field_type,
    }
}

fn makes_fractions(transform: &Transform) -> bool {
    [transform.multiply, transform.add].into_iter().flatten().any(|number| number.fract() != 0.0)
}

/// The values that a field of a produced record may have; `None` if they are not listed.
pub fn produced_values(entity: &ConnectorEntity, name: &str, field: &ConnectorField) -> Option<Vec<Value>> {
    let natives: Vec<&String> = match field.values.is_empty() {
        false => field.values.iter().collect(),
        true if field.transforms.is_empty() => field.values_map.keys().collect(),
        // The transforms decide which keys occur.
        true => Vec::new(),
    };
    if natives.is_empty() && field.values_map.is_empty() {
        return None;
    }
    let reads_others = |transform: &Transform| transform.concat.is_some() || transform.coalesce.is_some();
    let values: Vec<Value> = match natives.is_empty() || field.transforms.iter().any(reads_others) {
        true if field.values_map.is_empty() => return None,
        true => field.values_map.values().cloned().map(Value::String).collect(),
        false => {
            let produced = natives.into_iter().filter_map(|native| {
                let native = Value::String(native.clone());
                value_of(entity, name, field, &|_| Some(&native)).ok().flatten()
            });
            produced.collect()
        }
    };
    let values = values.into_iter().chain(field.default.as_ref().map(super::Json::value));
    let mut distinct: Vec<Value> = Vec::new();
    for value in values {
        if !distinct.contains(&value) {
            distinct.push(value);
        }
    }
    Some(distinct)
}

/// Applies a transform.
fn transformed(transform: &Transform, value: Option<Value>, native: NativeValues<'_>) -> Result<Option<Value>, String> {
    if let Some(concat) = &transform.concat {
        return concatenated(concat, value, native);
    }
    if let Some(fields) = &transform.coalesce {
        let found = fields.iter().filter_map(|name| native(name)).find(|value| !is_empty(value));
        return Ok(found.cloned().or(value));
    }
    let value = match value {
        None | Some(Value::Null) => return Ok(value),
        Some(value) => value,
    };
    let text = |name: &str, change: fn(&str) -> String| match &value {
        Value::String(text) => Ok(Some(Value::String(change(text)))),
        other => Err(format!("`{name}` takes text, and this is {}", kind(other))),
    };
    let number = |name: &str, change: &dyn Fn(Decimal) -> Option<Decimal>| {
        let (digits, is_text) = match &value {
            Value::Number(number) => (number.to_string(), false),
            Value::String(text) => (text.trim().to_owned(), true),
            other => return Err(format!("`{name}` takes a number, and this is {}", kind(other))),
        };
        let parsed = Decimal::parse(&digits)
            .ok_or_else(|| format!("`{name}` takes a number, and this is text without a number"))?;
        let changed = change(parsed).ok_or_else(|| format!("`{name}` makes a number of too many digits"))?;
        // A number in a text, such as an amount of money, stays a text.
        match is_text {
            true => Ok(Some(Value::String(changed.to_string()))),
            false => changed
                .to_number()
                .map(Some)
                .ok_or_else(|| format!("`{name}` makes a number of too many digits for JSON")),
        }
    };
    if transform.upper.is_some() {
        return text("upper", str::to_uppercase);
    }
    if transform.lower.is_some() {
        return text("lower", str::to_lowercase);
    }
    if transform.trim.is_some() {
        return text("trim", |text| text.trim().to_owned());
    }
    if let Some(places) = transform.round {
        return number("round", &|number| Some(number.rounded(u32::from(places))));
    }
    if let Some(factor) = transform.multiply {
        let factor = Decimal::parse(&factor.to_string());
        return number("multiply", &|number| number.times(factor?));
    }
    if let Some(summand) = transform.add {
        let summand = Decimal::parse(&summand.to_string());
        return number("add", &|number| number.plus(summand?));
    }
    Ok(Some(value))
}

/// Joins a value with other fields. Fields that are missing, null or empty are omitted with their separator.
fn concatenated(concat: &Concat, value: Option<Value>, native: NativeValues<'_>) -> Result<Option<Value>, String> {
    let mut parts = Vec::new();
    let others = concat.fields.iter().filter_map(|name| native(name));
    for part in value.iter().chain(others).filter(|part| !is_empty(part)) {
        match part {
            Value::Array(_) | Value::Object(_) => {
                return Err(format!("`concat` joins texts and numbers, and this is {}", kind(part)));
            }
            part => parts.push(text_of(part)),
        }
    }
    if parts.is_empty() {
        return Ok(value);
    }
    Ok(Some(Value::String(parts.join(concat.separator.as_deref().unwrap_or(" ")))))
}

/// The canonical value of a native one.
fn mapped(field: &ConnectorField, value: &Value) -> Result<Value, String> {
    if let Value::Array(_) | Value::Object(_) = value {
        return Err(format!("`valuesMap` maps texts, and this is {}", kind(value)));
    }
    let text = text_of(value);
    if let Some(canonical) = field.values_map.get(&text) {
        return Ok(Value::String(canonical.clone()));
    }
    let shown: String = text.chars().take(MAX_SHOWN).collect();
    let known: Vec<&str> = field.values_map.keys().map(String::as_str).take(20).collect();
    Err(format!("`valuesMap` does not list the value `{shown}`; it lists {}", known.join(", ")))
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// The value that a field makes of a record.
    fn produced(field: Value, record: &Value) -> Result<Option<Value>, String> {
        let entity = json!({"canonical": "Order", "fields": {"f": field}});
        let entity: ConnectorEntity = serde_json::from_value(entity).unwrap();
        value_of(&entity, "f", &entity.fields["f"], &|name| record.get(name))
    }

    fn transformed_to(transforms: Value, native: Value) -> Value {
        let field = json!({"type": "string", "transforms": transforms});
        produced(field, &json!({"f": native, "g": "G", "n": 7, "empty": "", "none": null})).unwrap().unwrap_or_default()
    }

    #[test]
    fn upper_lower_and_trim_change_text() {
        assert_eq!(transformed_to(json!([{"upper": {}}]), json!("straße ä")), "STRASSE Ä");
        assert_eq!(transformed_to(json!([{"lower": {}}]), json!("ÄB c")), "äb c");
        assert_eq!(transformed_to(json!([{"trim": {}}, {"upper": {}}]), json!(" a b\n")), "A B");
        assert_eq!(transformed_to(json!([{"upper": {}}]), json!(null)), json!(null));
        for name in ["upper", "lower", "trim"] {
            let field = json!({"type": "string", "transforms": [{name: {}}]});
            let error = produced(field, &json!({"f": 7})).unwrap_err();
            assert_eq!(error, format!("`{name}` takes text, and this is a number"));
        }
    }

    #[test]
    fn round_multiply_and_add_are_exact_and_keep_texts_texts() {
        assert_eq!(transformed_to(json!([{"round": 2}]), json!(2.345)), json!(2.35));
        assert_eq!(transformed_to(json!([{"round": 0}]), json!("2.5")), json!("3"));
        assert_eq!(transformed_to(json!([{"multiply": 0.01}]), json!(2460)), json!(24.6));
        assert_eq!(transformed_to(json!([{"multiply": 3}]), json!(0.1)), json!(0.3));
        assert_eq!(transformed_to(json!([{"multiply": 2}]), json!("12.50")), json!("25.00"));
        assert_eq!(transformed_to(json!([{"add": 0.2}]), json!(0.1)), json!(0.3));
        assert_eq!(transformed_to(json!([{"multiply": 0.01}, {"add": 1}, {"round": 1}]), json!(2466)), json!(25.7));
        for (native, expected) in
            [(json!("x"), "text without a number"), (json!(true), "true or false"), (json!([]), "a list")]
        {
            let field = json!({"type": "number", "transforms": [{"multiply": 2}]});
            let error = produced(field, &json!({"f": native})).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn concat_joins_and_coalesce_chooses_native_values() {
        let concat = |fields: Value| json!([{"concat": {"fields": fields}}]);
        assert_eq!(transformed_to(concat(json!(["g", "n"])), json!("F")), "F G 7");
        assert_eq!(transformed_to(concat(json!(["empty", "none", "missing", "g"])), json!(null)), "G");
        assert_eq!(
            transformed_to(json!([{"concat": {"fields": ["g"], "separator": "-"}}, {"lower": {}}]), json!("F")),
            "f-g"
        );
        assert_eq!(transformed_to(concat(json!(["missing"])), json!(null)), json!(null));
        assert_eq!(transformed_to(json!([{"coalesce": ["empty", "none", "n", "g"]}]), json!("F")), json!(7));
        assert_eq!(transformed_to(json!([{"coalesce": ["empty", "missing"]}]), json!("F")), "F");
        let field = json!({"type": "string", "transforms": concat(json!(["g"]))});
        assert!(produced(field, &json!({"f": "a", "g": {"x": 1}})).unwrap_err().contains("an object"));
    }

    #[test]
    fn values_are_mapped_after_transforms_and_coerced_after_that() {
        let field = json!({"type": "string", "transforms": [{"lower": {}}], "valuesMap": {"y": "yes", "1": "no"}, "coerce": "Boolean"});
        assert_eq!(produced(field.clone(), &json!({"f": "Y"})), Ok(Some(json!(true))));
        let field = json!({"type": "integer", "valuesMap": {"1": "one"}});
        assert_eq!(produced(field.clone(), &json!({"f": 1})), Ok(Some(json!("one"))));
        let error = produced(field, &json!({"f": 2})).unwrap_err();
        assert_eq!(error, "`valuesMap` does not list the value `2`; it lists 1");
    }

    #[test]
    fn a_default_replaces_a_missing_value() {
        let field = |nullable: bool| json!({"type": "string", "nullable": nullable, "default": "d", "transforms": [{"upper": {}}]});
        assert_eq!(produced(field(false), &json!({})), Ok(Some(json!("d"))));
        assert_eq!(produced(field(false), &json!({"f": null})), Ok(Some(json!("d"))));
        assert_eq!(produced(field(true), &json!({"f": null})), Ok(Some(json!(null))));
        assert_eq!(produced(field(true), &json!({"f": "a"})), Ok(Some(json!("A"))));
        assert_eq!(produced(json!({"type": "string", "coerce": "String"}), &json!({})), Ok(None));
    }
}
