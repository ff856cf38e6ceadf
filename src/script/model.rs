//! The parts of a script that other modules use.

use std::fmt;

/// Maximum size of a script, in bytes.
pub const MAX_SCRIPT_BYTES: usize = 256 << 10;

/// A script, ready to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    /// JavaScript with the lines and columns of the source.
    pub javascript: String,
    /// Calls of connector actions: `….connectors.NAME.ACTION`.
    pub calls: Vec<ScriptCall>,
    /// True if the module has an `export default`.
    pub exports_default: bool,
    /// Imported module names, each with the byte offset of its `import`. No module can be imported at run time.
    pub imports: Vec<(String, usize)>,
}

/// A call of a connector action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScriptCall {
    /// Name of the connector as written in the code.
    pub connector: String,
    /// Name of the action as written in the code.
    pub action: String,
    /// Start and end of the connector's name, in bytes from the start of the source.
    pub connector_at: (usize, usize),
    /// Start and end of the action's name, in bytes from the start of the source.
    pub action_at: (usize, usize),
}

/// An error in a script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScriptError {
    /// Description of the error.
    pub message: String,
    /// Start and end of the offending code, in bytes from the start of the source.
    pub at: (usize, usize),
}

impl fmt::Display for ScriptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}
