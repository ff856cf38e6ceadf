//! Finding actions by name.

use super::error::{CallError, ErrorCode};
use super::runtime::{Action, Connector, Runtime};
use crate::definition::schema_validator;

/// The action of a name, with its connector.
///
/// # Errors
/// The connector or the action does not exist; with a suggestion.
pub fn find<'a>(runtime: &'a Runtime, connector: &str, action: &str) -> Result<(&'a Connector, &'a Action), CallError> {
    let near = |text: &str, names: Vec<&str>| {
        schema_validator::nearest(text, names.into_iter())
            .map_or_else(String::new, |near| format!("; did you mean `{near}`?"))
    };
    let Some(found) = runtime.connectors.get(connector) else {
        let near = near(connector, runtime.connectors.keys().map(String::as_str).collect());
        return Err(CallError::new(ErrorCode::UnknownConnector, format!("there is no connector `{connector}`{near}")));
    };
    if let Some(action) = found.actions.get(action) {
        Ok((found, action))
    } else {
        let near = near(action, found.actions.keys().map(String::as_str).collect());
        let detail = format!("connector `{connector}` has no action `{action}`{near}");
        Err(CallError::new(ErrorCode::UnknownAction, detail))
    }
}

/// The error for an action whose transport this version does not run.
pub(super) fn not_runnable(name: &str) -> CallError {
    CallError::new(ErrorCode::NotRunnable, format!("this version checks actions by `{name}` and does not run them"))
}
