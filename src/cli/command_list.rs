//! The grouped list of commands in `evenkeel --help`.

use std::fmt::Write as _;

use clap::builder::styling::Styles;

/// Groups of commands, in the order of the help.
const GROUPS: [(&str, &[&str]); 6] = [
    ("Write definitions", &["init", "new", "validate", "fmt", "explain", "schema", "types"]),
    ("Run locally", &["dev", "test", "render", "call"]),
    ("Serve", &["serve", "operator"]),
    (
        "Environments",
        &[
            "status",
            "plan",
            "apply",
            "diff",
            "history",
            "trace",
            "reconcile",
            "suspend",
            "resume",
            "rollback",
            "promote",
            "restore",
        ],
    ),
    ("Executions", &["run", "executions", "events", "dlq", "triggers", "workflows"]),
    ("Other", &["secrets", "completions", "man", "version", "help"]),
];

/// The line of `help`, which clap adds to the commands later.
const HELP: &str = "Print the help of a command";

/// The help template of the top level, with the commands of `cli` in groups.
pub(super) fn help_template(cli: &clap::Command) -> String {
    let styles = Styles::default();
    let (header, literal) = (styles.get_header(), styles.get_literal());
    let mut text = "{about-with-newline}\n{usage-heading} {usage}\n".to_owned();
    for (title, names) in GROUPS {
        let _ = write!(text, "\n{header}{title}:{header:#}\n");
        for name in names {
            let about = match cli.find_subcommand(name).and_then(clap::Command::get_about) {
                Some(about) => about.to_string(),
                None => HELP.to_owned(),
            };
            let _ = writeln!(text, "  {literal}{name:<11}{literal:#}  {about}");
        }
    }
    let _ = write!(text, "\n{header}Options:{header:#}\n{{options}}{{after-help}}");
    text
}

/// True if the help lists the command.
#[cfg(test)]
pub(super) fn lists(command: &str) -> bool {
    GROUPS.iter().any(|(_, names)| names.contains(&command))
}
