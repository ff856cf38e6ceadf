//! Serialisation of values as YAML.

use serde::Serialize;

/// Serialises a value as one YAML document that ends with a line break. Keys keep their order.
///
/// # Errors
/// If the value has no YAML form, such as a map whose keys are not strings.
pub fn to_yaml(value: &impl Serialize) -> Result<String, String> {
    let mut text = serde_saphyr::to_string(value).map_err(|error| error.to_string())?;
    if !text.ends_with('\n') {
        text.push('\n');
    }
    Ok(text)
}
