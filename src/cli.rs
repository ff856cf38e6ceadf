//! The command line: one file per command. The only room that prints: data on stdout, everything else on stderr.

mod explain;
mod output;
mod schema;
mod validate;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Connectors, widgets, triggers and workflows as code: checked, planned, and kept running.
#[derive(Debug, Parser)]
#[command(name = "evenkeel", version, propagate_version = true, disable_help_subcommand = true, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Validate(validate::Validate),
    Schema(schema::SchemaCommand),
    Explain(explain::Explain),
}

/// Runs the command of the process's arguments.
pub fn run() -> ExitCode {
    crate::net::install_crypto_provider();
    let result = match Cli::parse().command {
        Command::Validate(command) => command.run(),
        Command::Schema(command) => command.run(),
        Command::Explain(command) => command.run(),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            output::error(&error);
            ExitCode::from(2)
        }
    }
}
