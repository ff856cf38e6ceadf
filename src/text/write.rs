//! Values as YAML, for what people read and other tools take.

use serde::Serialize;

/// A value as one YAML document, ending with a line break; keys keep their order.
///
/// # Errors
/// Where the value cannot be written, such as a map whose keys are not text.
pub fn to_yaml(value: &impl Serialize) -> Result<String, String> {
    let mut text = serde_saphyr::to_string(value).map_err(|error| error.to_string())?;
    if !text.ends_with('\n') {
        text.push('\n');
    }
    Ok(text)
}
