//! `evenkeel dlq`: lists, shows and replays dead letters.

mod list;
mod replay;
mod show;

use std::process::ExitCode;

use clap::{Args, Subcommand};

/// List, show and replay dead letters
#[derive(Debug, Args)]
#[command(
    disable_help_subcommand = true,
    after_help = "\
Examples:
  evenkeel dlq list --status Pending
  evenkeel dlq replay all"
)]
pub(super) struct Dlq {
    #[command(subcommand)]
    command: DlqCommand,
}

#[derive(Debug, Subcommand)]
enum DlqCommand {
    List(list::List),
    Show(show::Show),
    Replay(replay::Replay),
}

impl Dlq {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        match self.command {
            DlqCommand::List(command) => command.run(),
            DlqCommand::Show(command) => command.run(),
            DlqCommand::Replay(command) => command.run(),
        }
    }
}
