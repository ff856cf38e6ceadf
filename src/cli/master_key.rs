//! The master keys of this process and files that hold secrets.

use std::path::Path;

use anyhow::{Context as _, anyhow};
use zeroize::Zeroizing;

use crate::store::Keys;

/// Reads the keys that encrypt stored credentials from `EVENKEEL_MASTER_KEY`, or from the file that
/// `EVENKEEL_MASTER_KEY_FILE` names.
///
/// # Errors
/// Fails if the file cannot be read or a line is not a key.
pub(super) fn read() -> anyhow::Result<Keys> {
    match variable("EVENKEEL_MASTER_KEY")? {
        Some(text) => Keys::parse(&text).map_err(|error| anyhow!("EVENKEEL_MASTER_KEY: {error}")),
        None => Ok(Keys::none()),
    }
}

/// Value of a variable, or content of the file that the variable with the suffix `_FILE` names.
fn variable(name: &str) -> anyhow::Result<Option<Zeroizing<String>>> {
    if let Some(text) = std::env::var(name).ok().filter(|text| !text.is_empty()) {
        return Ok(Some(Zeroizing::new(text)));
    }
    let file = std::env::var_os(format!("{name}_FILE")).filter(|path| !path.is_empty());
    file.map(|path| read_file(Path::new(&path))).transpose()
}

/// Reads a file that holds secrets; the text is erased from memory when it is dropped.
///
/// # Errors
/// Fails if the file cannot be read.
pub(super) fn read_file(path: &Path) -> anyhow::Result<Zeroizing<String>> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(Zeroizing::new(text))
}
