//! Definitions that a command runs on this machine.

use std::path::Path;

use anyhow::Context as _;

use super::environment_file::ChosenEnvironment;
use super::output;
use crate::connector::Runtime;
use crate::reconcile::validate::{self, Validated};

/// Loads the definitions of an environment, or of all environments, without errors; prints the findings to stderr and
/// returns `None` if there are errors.
///
/// # Errors
/// Fails if the folder or file cannot be read, or the environment does not exist.
pub(super) fn load(path: &Path, environment: Option<&ChosenEnvironment>) -> anyhow::Result<Option<Validated>> {
    let selection = environment.map(|environment| &environment.selection);
    let validated = validate::folder_for(path, selection.cloned());
    let validated = validated.with_context(|| format!("cannot read {}", path.display()))?;
    if let Some(selection) = selection {
        validated.expect_environment(selection).map_err(anyhow::Error::msg)?;
    }
    if validated.is_valid() {
        return Ok(Some(validated));
    }
    output::findings(&validated);
    Ok(None)
}

/// Compiles the connectors of the environment that the definitions were loaded for, or of the first one.
///
/// # Errors
/// Fails if a definition does not compile.
pub(super) fn compile(validated: &Validated) -> anyhow::Result<Runtime> {
    Runtime::compile(validated.catalog_of(None), None, String::new(), None).map_err(anyhow::Error::msg)
}
