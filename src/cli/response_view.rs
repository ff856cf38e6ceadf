//! Parsing of a server's responses into the types of the API.

use anyhow::Context as _;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Parses a response; `noun` names it in the error.
///
/// # Errors
/// Fails if the response has another form, such as that of another version.
pub(super) fn parse<T: DeserializeOwned>(value: &Value, noun: &str) -> anyhow::Result<T> {
    T::deserialize(value).with_context(|| format!("cannot read the response of the server as {noun}"))
}
