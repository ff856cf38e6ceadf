//! The parts of a script that other modules use.

use std::fmt;

use crate::text::PartialValue;

/// Maximum size of a script, in bytes.
pub const MAX_SCRIPT_BYTES: usize = 256 << 10;

/// A script, ready to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    /// JavaScript with the lines and columns of the source.
    pub javascript: String,
    /// Calls of connector actions: `….connectors.NAME.ACTION`.
    pub calls: Vec<ScriptCall>,
    /// Calls of workflows: `ctx.workflows.NAME`.
    pub workflow_calls: Vec<WorkflowCall>,
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
    /// The input that the call passes.
    pub argument: ScriptArgument,
    /// Parts of the output that the code reads.
    pub reads: Vec<ScriptRead>,
    /// True if the connectors are surely those of the context: other objects may have a property of this name.
    pub of_context: bool,
}

/// A call of a workflow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkflowCall {
    /// Name of the workflow as written in the code.
    pub workflow: String,
    /// Start and end of the name, in bytes from the start of the source.
    pub workflow_at: (usize, usize),
    /// The input that the call passes.
    pub argument: ScriptArgument,
    /// Parts of the output that the code reads.
    pub reads: Vec<ScriptRead>,
}

/// The argument of a call, as far as literals, constants and declared types of the same file tell it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScriptArgument {
    /// The value.
    pub value: PartialValue,
    /// Start and end of the argument or of the call's name, in bytes from the start of the source.
    pub at: (usize, usize),
    /// Start and end of parts of the value, by JSON pointer.
    pub parts: Vec<(String, (usize, usize))>,
}

impl ScriptArgument {
    /// The place of the part at a JSON pointer, or of the nearest part that holds it.
    pub fn place(&self, pointer: &str) -> (usize, usize) {
        let mut pointer = pointer;
        loop {
            if let Some((_, at)) = self.parts.iter().rev().find(|(part, _)| part == pointer) {
                return *at;
            }
            match pointer.rsplit_once('/') {
                Some((parent, _)) => pointer = parent,
                None => return self.at,
            }
        }
    }
}

/// A part of an output that code reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScriptRead {
    /// The names that lead to the part.
    pub path: Vec<String>,
    /// Start and end of the expression, in bytes from the start of the source.
    pub at: (usize, usize),
}

impl Script {
    /// Translates all positions of calls.
    pub(super) fn move_calls(&mut self, moved: impl Fn((usize, usize)) -> (usize, usize)) {
        let argument = |argument: &mut ScriptArgument| {
            argument.at = moved(argument.at);
            argument.parts.iter_mut().for_each(|(_, at)| *at = moved(*at));
        };
        for call in &mut self.calls {
            (call.connector_at, call.action_at) = (moved(call.connector_at), moved(call.action_at));
            argument(&mut call.argument);
            call.reads.iter_mut().for_each(|read| read.at = moved(read.at));
        }
        for call in &mut self.workflow_calls {
            call.workflow_at = moved(call.workflow_at);
            argument(&mut call.argument);
            call.reads.iter_mut().for_each(|read| read.at = moved(read.at));
        }
    }
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
