//! `evenkeel completions`: prints shell completions.

use std::process::ExitCode;

use clap::Args;
use clap_complete::Shell;

use super::output;

/// Print the completion script of a shell
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  evenkeel completions bash > /etc/bash_completion.d/evenkeel
  evenkeel completions zsh > ~/.zfunc/_evenkeel")]
pub(super) struct Completions {
    /// Shell to complete in
    shell: Shell,
}

impl Completions {
    /// Prints the script for the commands of `cli`.
    pub(super) fn run(self, mut cli: clap::Command) -> anyhow::Result<ExitCode> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut cli, "evenkeel", &mut script);
        output::bytes(&script);
        Ok(ExitCode::SUCCESS)
    }
}
