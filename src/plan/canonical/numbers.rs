//! Numbers that are compared by their value.

use serde_json::Value;

/// Replaces `1.0` by `1` in a value and everything below it.
pub(super) fn whole(value: &mut Value) {
    match value {
        Value::Number(number) if number.is_f64() => {
            // Above 2^53 a float may differ from the number that was written, so it is kept.
            let whole =
                number.as_f64().filter(|number| number.fract() == 0.0 && number.abs() < 9_007_199_254_740_992.0);
            if let Some(whole) = whole {
                *value = Value::from(whole as i64);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(whole),
        Value::Object(map) => map.values_mut().for_each(whole),
        _ => {}
    }
}
