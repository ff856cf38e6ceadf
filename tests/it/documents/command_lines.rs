//! Commands of `evenkeel` that are not run: in blocks for other machines, in files for other programs, in prose, and in the
//! alerts. The program parses each of them.

use std::collections::BTreeMap;

use regex::Regex;

use super::blocks::pages;
use super::session::commands;
use crate::support::{root, run};

/// Maximum number of commands that are not run. A new one needs a reason that a test cannot remove.
const MAX_NOT_RUN: usize = 75;
/// Reasons for which a block is not run.
const REASONS: [&str; 9] = [
    "compiles",
    "needs a cluster",
    "needs a Git host",
    "needs an account",
    "needs a package",
    "needs a registry",
    "needs Docker",
    "needs PostgreSQL",
    "needs systemd",
];

/// The arguments of each `evenkeel` command in a line. A line may hold other commands around it.
fn evenkeel_commands(line: &str) -> Vec<Vec<String>> {
    let start = Regex::new(r#"(?:^|[\s(="'/])(?:evenkeel|evenkeel:[0-9.]+) ([a-z].*)$"#).unwrap();
    let Some(found) = start.captures(line).filter(|_| !is_other(line)) else { return Vec::new() };
    // The command ends where another one or a comment begins.
    let end = Regex::new(r#" (?:\||&&|&$|>|2>|#|;)|\)"?$|;"#).unwrap();
    let command = end.split(&found[1]).next().unwrap_or_default();
    vec![words(command)]
}

/// True for commands in which `evenkeel` is the name of a release, a namespace or a kind.
fn is_other(line: &str) -> bool {
    ["kubectl ", "helm ", "docker build ", "git "].iter().any(|program| line.contains(program))
}

/// The words of a command, with quotes as in a shell.
fn words(command: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quote = None;
    for character in command.chars() {
        match (quote, character) {
            (None, ' ') => words.push(String::new()),
            (None, '\'' | '"') => quote = Some(character),
            (Some(open), close) if open == close => quote = None,
            (_, other) => words.last_mut().unwrap().push(other),
        }
    }
    words.retain(|word| !word.is_empty() && word != "…");
    // Placeholders, such as NAME, stand for names, which are written in lower case.
    let is_placeholder = |word: &String| word.chars().all(|character| character.is_ascii_uppercase());
    words.iter_mut().filter(|word| is_placeholder(word)).for_each(|word| word.make_ascii_lowercase());
    words
}

/// Checks that the program knows a command with its options.
///
/// # Errors
/// The program's message.
fn parse(arguments: &[String]) -> Result<(), String> {
    // Help ends the parser after it has read everything before. `help COMMAND` has this effect itself.
    let help = if arguments.first().is_some_and(|first| first == "help") { None } else { Some("--help") };
    let said = run(arguments.iter().map(String::as_str).chain(help));
    if said.code == 0 { Ok(()) } else { Err(said.err) }
}

#[test]
fn every_command_that_is_not_run_can_be_parsed() {
    let mut found: BTreeMap<Vec<String>, String> = BTreeMap::new();
    let mut not_run = 0;
    let inline = Regex::new("`(evenkeel [^`]+)`").unwrap();
    for page in pages() {
        let mut add = |line: usize, text: &str| {
            for command in evenkeel_commands(text) {
                found.entry(command).or_insert_with(|| format!("{}:{line}", page.path));
            }
        };
        for block in &page.blocks {
            if let Some(reason) = block.option("not-run") {
                assert!(
                    REASONS.contains(&reason),
                    "{}:{}: `{reason}` is not one of {REASONS:?}",
                    page.path,
                    block.line
                );
                for (line, command, _) in commands(block) {
                    not_run += 1;
                    add(block.line + line, &command);
                }
            } else if ["yaml", "ini", "text"].contains(&block.language.as_str()) {
                for (number, line) in block.text.lines().enumerate() {
                    add(block.line + number + 1, line);
                }
            }
        }
        for (number, line) in page.prose().lines().enumerate() {
            inline.captures_iter(line).for_each(|command| add(number + 1, &command[1]));
        }
    }
    let alerts = std::fs::read_to_string(root().join("charts/evenkeel/files/alerts.yaml")).unwrap();
    let value = Regex::new(r"\{\{ \$labels\.\w+ \}\}").unwrap();
    for command in inline.captures_iter(&value.replace_all(&alerts, "NAME")) {
        for command in evenkeel_commands(&command[1]) {
            found.entry(command).or_insert_with(|| "alerts.yaml".to_owned());
        }
    }
    let wrong: Vec<String> = found
        .iter()
        .filter_map(|(command, place)| parse(command).err().map(|error| format!("{place}: {command:?}: {error}")))
        .collect();
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    assert!(found.len() > 40, "only {} commands were found", found.len());
    assert!(not_run <= MAX_NOT_RUN, "{not_run} commands are not run, more than {MAX_NOT_RUN}");
}

#[test]
fn every_command_is_in_the_written_pages() {
    let text: String = pages().into_iter().map(|page| page.text).collect();
    let help = run(["--help"]).out;
    let command = Regex::new(r"(?m)^  ([a-z]+)  +[A-Z]").unwrap();
    let names: Vec<String> = command.captures_iter(&help).map(|found| found[1].to_owned()).collect();
    assert!(names.len() > 25, "{help}");
    let missing: Vec<&String> = names.iter().filter(|name| !text.contains(&format!("evenkeel {name}"))).collect();
    assert!(missing.is_empty(), "no page shows {missing:?}");
}

#[test]
fn a_command_is_found_in_its_line_and_a_wrong_one_is_refused() {
    let found = |line: &str| evenkeel_commands(line).concat().join(" ");
    for (line, command) in [
        ("evenkeel validate -o github", "validate -o github"),
        ("  - run: evenkeel plan --from main -o markdown > plan.md", "plan --from main -o markdown"),
        ("ExecStart=/usr/local/bin/evenkeel serve /etc/evenkeel", "serve /etc/evenkeel"),
        ("docker run --rm evenkeel:0.1.0 serve /definitions", "serve /definitions"),
        ("export KEY=\"$(evenkeel secrets keygen)\"", "secrets keygen"),
        ("cd evenkeel", ""),
        ("kubectl get evenkeel -A", ""),
    ] {
        assert_eq!(found(line), command, "{line}");
    }
    assert!(parse(&words("validate --strict definitions")).is_ok());
    for wrong in ["validate --strickt", "validat", "status --nonsense x"] {
        assert!(parse(&words(wrong)).is_err(), "{wrong}");
    }
}
