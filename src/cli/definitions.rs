//! Definitions that a command runs on this machine.

use std::path::Path;

use anyhow::Context as _;

use super::output;
use crate::connector::Runtime;
use crate::reconcile::validate::{self, Validated};

/// Loads definitions without errors; prints the findings to stderr and returns `None` if there are errors.
///
/// # Errors
/// Fails if the folder or file cannot be read.
pub(super) fn load(path: &Path) -> anyhow::Result<Option<Validated>> {
    let validated = validate::folder(path).with_context(|| format!("cannot read {}", path.display()))?;
    if validated.is_valid() {
        return Ok(Some(validated));
    }
    output::findings(&validated);
    Ok(None)
}

/// Compiles the connectors of an environment, with its overlays.
///
/// # Errors
/// Fails if there is no such environment or a definition does not compile.
pub(super) fn compile(validated: &Validated, environment: Option<&str>) -> anyhow::Result<Runtime> {
    Runtime::compile(validated.catalog_of(environment), environment, String::new(), None).map_err(anyhow::Error::msg)
}
