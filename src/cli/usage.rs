//! Help and usage errors.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue};

use super::global_args;

/// Prints help or a usage error, and returns the exit code: 0 for help, 2 for an error.
///
/// With `--detailed-exitcode`, 2 means "changes", so a usage error exits with 1.
pub(super) fn exit_with(mut error: clap::Error, command: clap::Command) -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    global_args::apply_color_of(&arguments);
    if error.get(ContextKind::Usage).is_some() {
        // Clap's own usage lists options that environment variables set as if they were required.
        error.insert(ContextKind::Usage, ContextValue::StyledStr(plain_usage(command, &arguments)));
    }
    let _ = error.print();
    let detailed = arguments.iter().any(|argument| argument == "--detailed-exitcode");
    match error.use_stderr() {
        false => ExitCode::SUCCESS,
        true if detailed => ExitCode::FAILURE,
        true => ExitCode::from(2),
    }
}

/// The usage of the command that the arguments name.
fn plain_usage(mut command: clap::Command, arguments: &[OsString]) -> clap::builder::StyledStr {
    command.build();
    for argument in arguments {
        let name = argument.to_string_lossy();
        if let Some(child) = command.find_subcommand(&*name).cloned() {
            command = child;
        }
    }
    command.render_usage()
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn a_usage_is_that_of_the_named_command() {
        let usage = |arguments: &[&str]| {
            let arguments: Vec<OsString> = arguments.iter().map(OsString::from).collect();
            plain_usage(super::super::Cli::command(), &arguments).to_string()
        };
        assert_eq!(usage(&["rollback", "--nope"]), "Usage: evenkeel rollback [OPTIONS] <GENERATION>");
        assert!(usage(&["-q", "executions", "show"]).starts_with("Usage: evenkeel executions show [OPTIONS]"));
        assert!(usage(&[]).starts_with("Usage: evenkeel [OPTIONS] <COMMAND>"));
    }
}
