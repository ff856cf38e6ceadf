//! The execution of a command.

use clap::Args;

use super::super::environment_args::ApiArgs;

/// One execution.
#[derive(Debug, Args)]
pub(super) struct ExecutionArgs {
    /// Execution ID, or the first 8 or more characters of it if they are unique
    #[arg(value_name = "EXECUTION")]
    pub(super) id: String,
    #[command(flatten)]
    pub(super) api: ApiArgs,
}
