//! The command line: one file per command. The only room that prints: data on stdout, everything else on stderr.

mod apply;
mod call;
mod completions;
mod dev;
mod environment_commands;
mod executions;
mod explain;
mod fmt;
mod init;
mod listen_args;
mod operator;
mod output;
mod plan;
mod remote;
mod schema;
mod script_worker;
mod secrets;
mod serve;
mod serve_args;
mod status;
mod test;
mod types;
mod validate;
mod worker_args;

use std::process::ExitCode;

use anyhow::Context as _;
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
    Init(init::Init),
    Dev(dev::Dev),
    Validate(validate::Validate),
    Fmt(fmt::Fmt),
    Explain(explain::Explain),
    Schema(schema::SchemaCommand),
    Types(types::Types),
    Render(call::Render),
    Test(test::Test),
    Call(call::Call),
    Plan(plan::PlanCommand),
    Apply(apply::Apply),
    Serve(serve::Serve),
    Operator(operator::Operator),
    Status(status::StatusCommand),
    History(status::History),
    Diff(status::Diff),
    Rollback(environment_commands::Rollback),
    Promote(environment_commands::Promote),
    Suspend(environment_commands::Suspend),
    Resume(environment_commands::Resume),
    Reconcile(environment_commands::Reconcile),
    Trace(environment_commands::Trace),
    Restore(environment_commands::Restore),
    Run(executions::Run),
    Executions(executions::Executions),
    Events(executions::Events),
    Dlq(executions::Dlq),
    Triggers(executions::Triggers),
    Workflows(executions::Workflows),
    Secrets(secrets::Secrets),
    Completions(completions::Completions),
    #[command(hide = true)]
    ScriptWorker(script_worker::ScriptWorker),
}

/// Runs what waits: calls, servers.
fn executor() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().context("threads cannot be started")
}

/// Runs the command of the process's arguments.
pub fn run() -> ExitCode {
    crate::net::install_crypto_provider();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return output::usage(&error),
    };
    let result = match cli.command {
        Command::Init(command) => command.run(),
        Command::Dev(command) => command.run(),
        Command::Validate(command) => command.run(),
        Command::Fmt(command) => command.run(),
        Command::Explain(command) => command.run(),
        Command::Schema(command) => command.run(),
        Command::Types(command) => command.run(),
        Command::Render(command) => command.run(),
        Command::Test(command) => command.run(),
        Command::Call(command) => command.run(),
        Command::Plan(command) => command.run(),
        Command::Apply(command) => command.run(),
        Command::Serve(command) => command.run(),
        Command::Operator(command) => command.run(),
        Command::Status(command) => command.run(),
        Command::History(command) => command.run(),
        Command::Diff(command) => command.run(),
        Command::Rollback(command) => command.run(),
        Command::Promote(command) => command.run(),
        Command::Suspend(command) => command.run(),
        Command::Resume(command) => command.run(),
        Command::Reconcile(command) => command.run(),
        Command::Trace(command) => command.run(),
        Command::Restore(command) => command.run(),
        Command::Run(command) => command.run(),
        Command::Executions(command) => command.run(),
        Command::Events(command) => command.run(),
        Command::Dlq(command) => command.run(),
        Command::Triggers(command) => command.run(),
        Command::Workflows(command) => command.run(),
        Command::Secrets(command) => command.run(),
        Command::Completions(command) => command.run(),
        Command::ScriptWorker(command) => command.run(),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            output::error(&error);
            ExitCode::from(2)
        }
    }
}
