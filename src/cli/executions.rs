//! `evenkeel executions`: lists, shows and controls executions.

mod cancel;
mod execution_args;
mod list;
mod logs;
mod retry;
mod show;
mod signal;
mod steps;

use std::process::ExitCode;

use clap::{Args, Subcommand};

/// List, show and control executions
#[derive(Debug, Args)]
#[command(
    disable_help_subcommand = true,
    after_help = "\
Examples:
  evenkeel executions list --status Failed --since 2h
  evenkeel executions retry 01jd3kx0"
)]
pub(super) struct Executions {
    #[command(subcommand)]
    command: ExecutionCommand,
}

#[derive(Debug, Subcommand)]
enum ExecutionCommand {
    List(list::List),
    Show(show::Show),
    Logs(logs::Logs),
    Cancel(cancel::Cancel),
    Retry(retry::Retry),
    Signal(signal::Signal),
    Approve(signal::Approve),
}

impl Executions {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        match self.command {
            ExecutionCommand::List(command) => command.run(),
            ExecutionCommand::Show(command) => command.run(),
            ExecutionCommand::Logs(command) => command.run(),
            ExecutionCommand::Cancel(command) => command.run(),
            ExecutionCommand::Retry(command) => command.run(),
            ExecutionCommand::Signal(command) => command.run(),
            ExecutionCommand::Approve(command) => command.run(),
        }
    }
}
