//! The page about configuration: the options of servers, and all environment variables.

use std::collections::{BTreeMap, BTreeSet};

use clap::Command;
use regex::Regex;

use super::command_line;
use super::markdown::{code, head, table};
use crate::support::root;

/// Environment variables that are no option of a command: name, default, meaning.
const VARIABLES: [(&str, &str, &str); 9] = [
    ("EVENKEEL_LOG", "`info`", "Filter of the log of servers, such as `evenkeel=debug` or `warn`."),
    (
        "EVENKEEL_MASTER_KEY",
        "",
        "Keys that encrypt credentials in the store, the newest first: lines of `id:key`, as `evenkeel secrets keygen` prints them.",
    ),
    ("EVENKEEL_MASTER_KEY_FILE", "", "File with the keys, if `EVENKEEL_MASTER_KEY` is not set."),
    ("EVENKEEL_AGE_KEY", "", "Private keys for files that are encrypted with age or SOPS, one per line."),
    ("EVENKEEL_AGE_KEY_FILE", "", "File with further private keys."),
    ("EVENKEEL_STUCK_SECONDS", "`600`", "Seconds without progress of a reconcile loop after which `/healthz` fails."),
    ("NO_COLOR", "", "Turns colors off, with any value."),
    ("CLICOLOR_FORCE", "", "Turns colors on without a terminal, unless it is `0`."),
    ("COLUMNS", "`120`", "Width of reports and texts, from 40 to 500."),
];

/// Variables of OpenTelemetry: name, default, meaning. They apply to `serve`, `operator` and `dev` once an endpoint is set.
const TELEMETRY: [(&str, &str, &str); 18] = [
    ("OTEL_SDK_DISABLED", "`false`", "`true` turns traces off."),
    ("OTEL_TRACES_EXPORTER", "`otlp`", "`none` turns traces off."),
    (
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
        "",
        "Address of the collector for traces; takes precedence over the next one.",
    ),
    (
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "no traces",
        "Address of the collector. The path `/v1/traces` is appended if it is missing.",
    ),
    ("OTEL_EXPORTER_OTLP_HEADERS", "", "Headers of each request to the collector, as `name=value,…`."),
    ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "", "The same for traces only."),
    ("OTEL_EXPORTER_OTLP_TIMEOUT", "`10000`", "Maximum duration of a request in milliseconds."),
    ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "", "The same for traces only."),
    ("OTEL_EXPORTER_OTLP_COMPRESSION", "none", "`gzip` compresses requests."),
    ("OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "", "The same for traces only."),
    ("OTEL_SERVICE_NAME", "`evenkeel`", "Name of the service in traces."),
    ("OTEL_RESOURCE_ATTRIBUTES", "", "Attributes of the process in traces, as `name=value,…`."),
    ("OTEL_TRACES_SAMPLER", "`parentbased_always_on`", "Sampler, such as `parentbased_traceidratio`."),
    ("OTEL_TRACES_SAMPLER_ARG", "", "Argument of the sampler, such as `0.1`."),
    ("OTEL_BSP_MAX_QUEUE_SIZE", "`2048`", "Maximum number of spans that wait for an export; further ones are dropped."),
    ("OTEL_BSP_SCHEDULE_DELAY", "`5000`", "Milliseconds between two exports."),
    ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "`512`", "Maximum number of spans per export."),
    ("OTEL_BSP_EXPORT_TIMEOUT", "`30000`", "Maximum duration of an export in milliseconds."),
];

/// Variables for tests of Evenkeel itself: they stop a process at a failpoint.
const INTERNAL: [&str; 2] = ["EVENKEEL_PAUSE_AT", "EVENKEEL_PAUSE_FILE"];

/// The page.
pub fn page() -> String {
    let mut text = head(
        "Configuration",
        "Servers are configured by options and environment variables; environments, connectors and everything else by \
         [definitions](README.md). There is no configuration file.",
    );
    let command = command_line::evenkeel();
    for (name, about) in [
        ("serve", "Runs the environments of a folder."),
        ("operator", "Runs the environments of a Kubernetes cluster."),
        ("dev", "Runs one folder while it is edited."),
    ] {
        let server = command.find_subcommand(name).unwrap();
        text += &format!("## Options of `evenkeel {name}`\n\n{about}\n\n");
        text += &table(["option", "default", "environment", "meaning"], &command_line::arguments(server));
    }
    text +=
        "## Environment variables of options\n\nAn option on the command line takes precedence over its variable.\n\n";
    let rows: Vec<[String; 3]> = of_options(&command)
        .into_iter()
        .map(|(variable, uses)| {
            let (option, meaning) = uses.options.into_iter().next().unwrap_or_default();
            let commands = uses.commands.iter().map(|command| code(command)).collect::<Vec<_>>().join(", ");
            [code(&variable), format!("{} of {commands}", code(&option)), meaning]
        })
        .collect();
    text += &table(["variable", "option", "meaning"], &rows);
    text += "## Other environment variables\n\n";
    text += &rows_of(&VARIABLES);
    text += "Secrets and variables of environments are not read from fixed names: a secret with `env: ORBIT_KEY` reads the \
             variable `ORBIT_KEY`.\n\n";
    text += "## OpenTelemetry\n\nTraces are exported over OTLP/HTTP if `--otlp-endpoint` or one of the endpoint variables is set.\n\n";
    text += &rows_of(&TELEMETRY);
    text.trim_end().to_owned() + "\n"
}

fn rows_of(variables: &[(&str, &str, &str)]) -> String {
    let row =
        |(name, default, meaning): &(&str, &str, &str)| [code(name), (*default).to_owned(), (*meaning).to_owned()];
    table(["variable", "default", "meaning"], &variables.iter().map(row).collect::<Vec<_>>())
}

/// Uses of an environment variable: options with their meaning, and commands.
#[derive(Default)]
struct VariableUses {
    options: BTreeMap<String, String>,
    commands: BTreeSet<String>,
}

/// The environment variables of the options of all commands.
fn of_options(command: &Command) -> BTreeMap<String, VariableUses> {
    fn walk(command: &Command, path: &str, found: &mut BTreeMap<String, VariableUses>) {
        let rows = command_line::arguments(command);
        for argument in command.get_arguments() {
            let Some(variable) = command_line::environment(argument) else { continue };
            let name = command_line::name(argument);
            let row = rows.iter().find(|row| row[0] == code(&name));
            let uses = found.entry(variable).or_default();
            uses.options.insert(name, row.map(|row| row[3].clone()).unwrap_or_default());
            uses.commands.insert(path.to_owned());
        }
        for child in command.get_subcommands().filter(|child| !child.is_hide_set() && child.get_name() != "help") {
            let path = format!("{path} {}", child.get_name()).trim().to_owned();
            walk(child, &path, found);
        }
    }
    let mut found = BTreeMap::new();
    walk(command, "", &mut found);
    found
}

/// Every variable that the sources name is on the page, and no other variable of Evenkeel.
#[test]
fn the_page_has_every_environment_variable_of_the_sources() {
    fn walk(folder: &std::path::Path, found: &mut BTreeSet<String>) {
        let name = Regex::new(r#""((?:EVENKEEL|OTEL)_[A-Z_]+[A-Z])""#).unwrap();
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("test")) {
                continue;
            }
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                found.extend(name.captures_iter(&text).map(|found| found[1].to_owned()));
            }
        }
    }
    let mut sources = BTreeSet::new();
    walk(&root().join("src"), &mut sources);
    assert!(sources.len() > 10, "{sources:?}");
    let page = page();
    let missing: Vec<&String> = sources
        .iter()
        .filter(|name| !INTERNAL.contains(&name.as_str()) && !page.contains(&format!("`{name}`")))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
    for (name, ..) in VARIABLES {
        // `EVENKEEL_MASTER_KEY_FILE` is made from the name of the key.
        let known = sources.iter().any(|source| name.starts_with(source.as_str()));
        assert!(!name.starts_with("EVENKEEL") || known, "no source names {name}");
    }
}
