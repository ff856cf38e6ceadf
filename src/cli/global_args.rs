//! The options of every command: colors and verbosity.

use std::ffi::OsString;

use clap::{ArgAction, Args, ColorChoice, ValueEnum as _};

use super::output;

/// Colors and verbosity.
#[derive(Debug, Args)]
#[command(next_help_heading = "Global options")]
pub(super) struct GlobalArgs {
    /// Use of colors
    #[arg(long, global = true, default_value = "auto", value_name = "WHEN")]
    color: ColorChoice,
    /// Print data and errors only
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    quiet: bool,
    /// Print requests to a server, and more of the log; repeatable
    #[arg(short, long, global = true, action = ArgAction::Count)]
    verbose: u8,
}

impl GlobalArgs {
    /// Applies the options to the whole process.
    pub(super) fn apply(&self) {
        set_color(self.color);
        output::set_verbosity(if self.quiet { -1 } else { i8::try_from(self.verbose).unwrap_or(i8::MAX) });
    }
}

fn set_color(color: ColorChoice) {
    match color {
        ColorChoice::Auto => {}
        ColorChoice::Always => anstream::ColorChoice::Always.write_global(),
        ColorChoice::Never => anstream::ColorChoice::Never.write_global(),
    }
}

/// Applies `--color` of arguments that do not parse or ask for help.
pub(super) fn apply_color_of(arguments: &[OsString]) {
    let mut arguments = arguments.iter().map(|argument| argument.to_string_lossy()).take_while(|text| text != "--");
    while let Some(argument) = arguments.next() {
        let value = match argument.strip_prefix("--color") {
            Some("") => arguments.next().map(std::borrow::Cow::into_owned),
            Some(rest) => rest.strip_prefix('=').map(str::to_owned),
            None => None,
        };
        if let Some(Ok(color)) = value.map(|value| ColorChoice::from_str(&value, false)) {
            set_color(color);
        }
    }
}
