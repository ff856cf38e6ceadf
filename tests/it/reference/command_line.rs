//! The page about the command line.

use clap::{Arg, ArgAction, Command, CommandFactory as _};

use super::markdown::{anchor, block, code, head, id, table};

/// The command with all names and usages set.
pub fn evenkeel() -> Command {
    let mut command = evenkeel::cli::Cli::command();
    command.build();
    command
}

/// The page.
pub fn page() -> String {
    let mut text = head(
        "Command line",
        "All commands with their arguments. `evenkeel COMMAND --help` prints the same. Options with an environment variable take \
         their value from it if they are not given; see [configuration](configuration.md).",
    );
    text += "Data goes to stdout, everything else to stderr. `NO_COLOR` turns colors off.\n\n";
    let command = evenkeel();
    text += "| command | does |\n|---|---|\n";
    for child in visible(&command) {
        let name = format!("evenkeel {}", child.get_name());
        text += &format!("| [`{name}`](#{}) | {} |\n", id(&name), about(child));
    }
    text += "\n";
    for child in visible(&command) {
        text += &section(child, &format!("evenkeel {}", child.get_name()), 2);
    }
    text.trim_end().to_owned() + "\n"
}

fn visible(command: &Command) -> impl Iterator<Item = &Command> {
    command.get_subcommands().filter(|child| !child.is_hide_set() && child.get_name() != "help")
}

fn about(command: &Command) -> String {
    command.get_about().map(ToString::to_string).unwrap_or_default()
}

fn section(command: &Command, path: &str, level: usize) -> String {
    let mut text = anchor(&id(path)) + &format!("{} `{path}`\n\n{}.\n\n", "#".repeat(level), about(command));
    let usage = command.clone().render_usage().to_string();
    text += &block("text", usage.trim_start_matches("Usage: ").trim());
    text += &table(["argument", "default", "environment", "meaning"], &arguments(command));
    if let Some(more) = command.get_after_help() {
        text += &block("text", more.to_string().trim_matches('\n'));
    }
    for child in visible(command) {
        text += &section(child, &format!("{path} {}", child.get_name()), level + 1);
    }
    text
}

/// The rows of the arguments of a command: name, default, environment variable, meaning.
pub fn arguments(command: &Command) -> Vec<[String; 4]> {
    let is_own =
        |argument: &&Arg| !argument.is_hide_set() && !["help", "version"].contains(&argument.get_id().as_str());
    command.get_arguments().filter(is_own).map(row).collect()
}

fn row(argument: &Arg) -> [String; 4] {
    let mut meaning = argument.get_help().map(ToString::to_string).unwrap_or_default();
    let takes_value = matches!(argument.get_action(), ArgAction::Set | ArgAction::Append);
    let defaults = argument.get_default_values().iter().filter(|value| takes_value && !value.is_empty());
    let mut default = defaults.map(|value| code(&value.to_string_lossy())).collect::<Vec<_>>().join(", ");
    // Defaults and variables that clap does not know are written in the help.
    for (name, place) in [("default", &mut default), ("env", &mut String::new())] {
        let start = format!(" [{name}: ");
        if let Some((before, after)) = meaning.clone().split_once(&start) {
            let (value, rest) = after.split_once(']').unwrap_or((after, ""));
            meaning = format!("{before}{rest}");
            *place = value.to_owned();
        }
    }
    let values: Vec<String> = match argument.get_action() {
        ArgAction::Set | ArgAction::Append => {
            let values = argument.get_possible_values();
            values.iter().filter(|value| !value.is_hide_set()).map(|value| code(value.get_name())).collect()
        }
        _ => Vec::new(),
    };
    if !values.is_empty() {
        meaning += &format!(". One of {}", values.join(", "));
    }
    if argument.is_required_set() && default.is_empty() {
        default = "required".to_owned();
    }
    [code(&name(argument)), default, environment(argument).map(|name| code(&name)).unwrap_or_default(), meaning + "."]
}

/// The environment variable of an argument: known to clap, or written in its help.
pub fn environment(argument: &Arg) -> Option<String> {
    let known = argument.get_env().map(|name| name.to_string_lossy().into_owned());
    known.or_else(|| {
        let help = argument.get_help()?.to_string();
        let (_, after) = help.split_once("[env: ")?;
        Some(after.split_once(']')?.0.to_owned())
    })
}

/// The name of an argument as it is typed, such as `-e, --environment <NAME>`.
pub fn name(argument: &Arg) -> String {
    let value = argument.get_value_names().and_then(|names| names.first()).map(ToString::to_string);
    let value = value.unwrap_or_else(|| argument.get_id().to_string().to_uppercase());
    let takes_value = matches!(argument.get_action(), ArgAction::Set | ArgAction::Append);
    let flags: Vec<String> = argument
        .get_short()
        .map(|short| format!("-{short}"))
        .into_iter()
        .chain(argument.get_long().map(|long| format!("--{long}")))
        .collect();
    match (flags.is_empty(), takes_value) {
        (true, _) => value,
        (false, true) => format!("{} {value}", flags.join(", ")),
        (false, false) => flags.join(", "),
    }
}

#[test]
fn the_page_has_every_command_and_argument() {
    fn check(command: &Command, path: &str, page: &str, number: &mut usize) {
        for child in visible(command) {
            let path = format!("{path} {}", child.get_name());
            *number += 1;
            let (_, section) = page.split_once(&format!("# `{path}`\n")).unwrap_or_else(|| panic!("{path} is missing"));
            for argument in child.get_arguments().filter(|argument| !argument.is_hide_set()) {
                if let Some(long) = argument.get_long().filter(|long| !["help", "version"].contains(long)) {
                    assert!(section.contains(&format!("--{long}")), "{path} --{long}");
                }
            }
            check(child, &path, page, number);
        }
    }
    let mut number = 0;
    check(&evenkeel(), "evenkeel", &page(), &mut number);
    assert!(number > 40, "{number}");
}

#[test]
fn names_defaults_and_variables_of_arguments() {
    let serve = evenkeel();
    let serve = serve.find_subcommand("serve").unwrap();
    let rows = arguments(serve);
    let find = |name: &str| rows.iter().find(|row| row[0].contains(name)).unwrap_or_else(|| panic!("{name}: {rows:?}"));
    assert_eq!(find("--port")[1], "`7400`");
    assert_eq!(find("--store")[2], "`EVENKEEL_STORE`");
    assert_eq!(find("--store")[1], "sqlite:STATE/evenkeel.db");
    assert_eq!(find("--otlp-endpoint")[2], "`OTEL_EXPORTER_OTLP_ENDPOINT`");
    assert!(!find("--otlp-endpoint")[3].contains('['), "{rows:?}");
}
