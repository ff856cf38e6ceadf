//! The command line: one file per command. The only module that prints: data on stdout, everything else on stderr.

mod action_args;
mod api_client;
mod api_error;
mod apply;
mod call;
mod ci_links;
mod cluster_status;
mod command_list;
mod completions;
mod definitions;
mod dev;
mod diff;
mod dlq;
mod egress;
mod environment_api;
mod environment_args;
mod environment_file;
mod environment_status;
mod events;
mod execution_view;
mod executions;
mod explain;
mod fmt;
mod global_args;
mod history;
mod init;
mod json_input;
mod listen_args;
mod logging;
mod man;
mod master_key;
mod new;
mod operation;
mod operator;
mod output;
mod output_format;
mod page_args;
mod plan;
mod plan_output;
mod plan_server;
mod plan_side;
mod project;
mod promote;
mod reconcile;
mod render;
mod response_view;
mod restore;
mod resume;
mod rollback;
mod run;
mod runtime;
mod schema;
mod script_worker;
mod secrets;
mod serve;
mod serve_args;
mod status;
mod store_url;
mod style;
mod suspend;
mod table;
mod terminal_text;
mod test;
mod times;
mod trace;
mod triggers;
mod types;
mod usage;
mod validate;
mod version;
mod watch;
mod workflow_args;
mod workflows;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};

use self::global_args::GlobalArgs;

/// Connectors, widgets, triggers and workflows as code
#[derive(Debug, Parser)]
#[command(
    name = "evenkeel",
    version,
    propagate_version = true,
    max_term_width = 100,
    help_template = command_list::help_template(&Command::augment_subcommands(clap::Command::new("evenkeel"))),
    after_help = "\
Examples:
  evenkeel init definitions
  evenkeel dev definitions

Exit status:
  0  success
  1  findings, a failed execution, or an environment that is not ready
  2  a usage error, a refused request, or a server that cannot be reached

`evenkeel help COMMAND` shows the options of a command."
)]
pub struct Cli {
    #[command(flatten)]
    global: GlobalArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Init(init::Init),
    New(new::New),
    Validate(validate::Validate),
    Fmt(fmt::Fmt),
    Explain(explain::Explain),
    Schema(schema::SchemaCommand),
    Types(types::Types),
    Dev(dev::Dev),
    Test(test::Test),
    Render(render::Render),
    Call(call::Call),
    Serve(serve::Serve),
    Operator(operator::Operator),
    Status(status::StatusCommand),
    Plan(plan::PlanCommand),
    Apply(apply::Apply),
    Diff(diff::Diff),
    History(history::History),
    Trace(trace::Trace),
    Reconcile(reconcile::Reconcile),
    Suspend(suspend::Suspend),
    Resume(resume::Resume),
    Rollback(rollback::Rollback),
    Promote(promote::Promote),
    Restore(restore::Restore),
    Run(run::Run),
    Executions(executions::Executions),
    Events(events::Events),
    Dlq(dlq::Dlq),
    Triggers(triggers::Triggers),
    Workflows(workflows::Workflows),
    Secrets(secrets::Secrets),
    Completions(completions::Completions),
    Man(man::ManCommand),
    Version(version::Version),
    #[command(hide = true)]
    ScriptWorker(script_worker::ScriptWorker),
}

/// Runs the command that the process arguments name.
pub fn run() -> ExitCode {
    crate::net::install_crypto_provider();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage::exit_with(error, Cli::command()),
    };
    cli.global.apply();
    let result = match cli.command {
        Command::Init(command) => command.run(),
        Command::New(command) => command.run(),
        Command::Validate(command) => command.run(),
        Command::Fmt(command) => command.run(),
        Command::Explain(command) => command.run(),
        Command::Schema(command) => command.run(),
        Command::Types(command) => command.run(),
        Command::Dev(command) => command.run(),
        Command::Test(command) => command.run(),
        Command::Render(command) => command.run(),
        Command::Call(command) => command.run(),
        Command::Serve(command) => command.run(),
        Command::Operator(command) => command.run(),
        Command::Status(command) => command.run(),
        Command::Plan(command) => command.run(),
        Command::Apply(command) => command.run(),
        Command::Diff(command) => command.run(),
        Command::History(command) => command.run(),
        Command::Trace(command) => command.run(),
        Command::Reconcile(command) => command.run(),
        Command::Suspend(command) => command.run(),
        Command::Resume(command) => command.run(),
        Command::Rollback(command) => command.run(),
        Command::Promote(command) => command.run(),
        Command::Restore(command) => command.run(),
        Command::Run(command) => command.run(),
        Command::Executions(command) => command.run(),
        Command::Events(command) => command.run(),
        Command::Dlq(command) => command.run(),
        Command::Triggers(command) => command.run(),
        Command::Workflows(command) => command.run(),
        Command::Secrets(command) => command.run(),
        Command::Completions(command) => command.run(Cli::command()),
        Command::Man(command) => command.run(Cli::command()),
        Command::Version(command) => command.run(),
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Applies `check` to every visible command, with its path such as `evenkeel dlq list`.
    fn for_each_command(command: &clap::Command, path: &str, check: &mut dyn FnMut(&clap::Command, &str)) {
        check(command, path);
        for child in command.get_subcommands().filter(|child| !child.is_hide_set()) {
            for_each_command(child, &format!("{path} {}", child.get_name()), check);
        }
    }

    #[test]
    fn every_command_has_an_example_of_itself() {
        let mut number = 0;
        for_each_command(&Cli::command(), "evenkeel", &mut |command, path| {
            number += 1;
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            let (_, examples) = help.split_once("Examples:\n").unwrap_or_else(|| panic!("{path} has no examples"));
            assert!(examples.contains(path), "{path}: {examples}");
            assert!(help.lines().all(|line| line.chars().count() <= 80), "{path}: {help}");
        });
        assert!(number > 40, "{number}");
    }

    #[test]
    fn help_lines_are_short_phrases() {
        for_each_command(&Cli::command(), "evenkeel", &mut |command, path| {
            let about = command.get_about().map(ToString::to_string).unwrap_or_default();
            assert!((10..=72).contains(&about.chars().count()) && !about.ends_with('.'), "{path}: {about}");
            for argument in command.get_arguments() {
                let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
                assert!((4..=90).contains(&help.chars().count()) && !help.ends_with('.'), "{path}: {help}");
            }
        });
    }

    #[test]
    fn the_help_lists_every_command() {
        for command in Cli::command().get_subcommands().filter(|command| !command.is_hide_set()) {
            assert!(command_list::lists(command.get_name()), "{}", command.get_name());
        }
    }
}
