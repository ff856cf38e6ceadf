//! `evenkeel script-worker`: a hidden command that `serve --scripts process` starts.

use std::process::ExitCode;

use clap::Args;

/// Run scripts that arrive on stdin
#[derive(Debug, Args)]
pub(super) struct ScriptWorker {}

impl ScriptWorker {
    #[allow(clippy::unused_self, reason = "all commands have one form")]
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(4).build()?;
        runtime.block_on(crate::workflow::serve_scripts(tokio::io::stdin(), tokio::io::stdout()))?;
        Ok(ExitCode::SUCCESS)
    }
}
