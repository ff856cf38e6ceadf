//! The house: imports only go up the list of rooms, each heavy crate is named in one room, only `cli` prints.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::support::root;

/// The rooms, from the top. A room may use only those before it.
const ROOMS: [&str; 19] = [
    "text",
    "script",
    "definition",
    "template",
    "catalog",
    "check",
    "plan",
    "store",
    "source",
    "net",
    "telemetry",
    "connector",
    "workflow",
    "trigger",
    "widget",
    "reconcile",
    "server",
    "operator",
    "cli",
];

/// Crates that shape what they touch, and the room that hides each.
const HEAVY: [(&str, &str); 44] = [
    ("annotate_snippets", "text"),
    ("sha2", "text"),
    ("granit_parser", "text"),
    ("schemars", "definition"),
    ("jsonschema", "definition"),
    ("minijinja", "template"),
    ("jsonwebtoken", "template"),
    ("croner", "definition"),
    ("regex_syntax", "check"),
    ("sqlx", "store"),
    ("chacha20poly1305", "store"),
    ("git2", "source"),
    ("ssh_key", "source"),
    ("pgp", "source"),
    ("semver", "source"),
    ("age", "source"),
    ("aes_gcm", "source"),
    ("reqwest", "net"),
    ("hmac", "text"),
    ("subtle", "text"),
    ("rustls", "net"),
    ("opentelemetry", "telemetry"),
    ("opentelemetry_http", "telemetry"),
    ("opentelemetry_otlp", "telemetry"),
    ("opentelemetry_sdk", "telemetry"),
    ("notify", "reconcile"),
    ("arc_swap", "reconcile"),
    ("prometheus_client", "reconcile"),
    ("axum", "server"),
    ("tokio_rustls", "server"),
    ("kube", "operator"),
    ("k8s_openapi", "operator"),
    ("rcgen", "operator"),
    ("serde_saphyr", "text"),
    ("rquickjs", "workflow"),
    ("rustix", "workflow"),
    ("swc_common", "script"),
    ("swc_ecma_ast", "script"),
    ("swc_ecma_parser", "script"),
    ("swc_ecma_visit", "script"),
    ("swc_ts_fast_strip", "script"),
    ("clap", "cli"),
    ("clap_complete", "cli"),
    ("similar", "plan"),
];

/// Source files with their room, tests left out.
fn files() -> Vec<(String, PathBuf, String)> {
    fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, files);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    let source = root().join("src");
    let mut paths = Vec::new();
    walk(&source, &mut paths);
    paths.sort();
    let mut files = Vec::new();
    for path in paths {
        let inside = path.strip_prefix(&source).unwrap();
        let first = inside.iter().next().unwrap().to_string_lossy();
        let room = first.trim_end_matches(".rs").to_owned();
        let is_test = inside.iter().any(|part| part.to_string_lossy().starts_with("test") && part != "testing.rs");
        if !["lib", "main"].contains(&room.as_str()) && !is_test {
            let text = std::fs::read_to_string(&path).unwrap();
            files.push((room, path, text));
        }
    }
    assert!(files.len() > 100, "the source was not found");
    files
}

/// Lines of code, without comments.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let is_code = |(_, line): &(usize, &str)| !line.trim_start().starts_with("//");
    text.lines().enumerate().map(|(number, line)| (number + 1, line)).filter(is_code)
}

/// Rooms that a line names: `crate::room` and `use crate::{room, other::x}`.
fn named(line: &str) -> Vec<String> {
    line.split("crate::")
        .skip(1)
        .flat_map(|rest| match rest.strip_prefix('{') {
            Some(group) => group.split(',').map(|part| part.trim().to_owned()).collect::<Vec<_>>(),
            None => vec![rest.to_owned()],
        })
        .map(|rest| rest.chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect())
        .collect()
}

#[test]
fn every_room_is_listed() {
    for (room, path, _) in files() {
        assert!(ROOMS.contains(&room.as_str()), "{} is in a room that the list does not have", path.display());
    }
}

#[test]
fn imports_only_go_up() {
    let place = |room: &str| ROOMS.iter().position(|known| *known == room);
    let mut wrong = Vec::new();
    for (room, path, text) in files() {
        for (number, line) in code(&text) {
            for other in named(line) {
                if place(&other).is_some_and(|other| other > place(&room).unwrap()) {
                    wrong.push(format!("{}:{number}: {room} uses {other}", path.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn the_import_test_sees_what_it_should() {
    assert_eq!(named("use crate::cli;"), ["cli"]);
    assert_eq!(named("use crate::{check, cli::output};"), ["check", "cli"]);
    assert_eq!(named("    let x = crate::server::run(crate::text::y);"), ["server", "text"]);
}

#[test]
fn each_heavy_crate_is_named_in_one_room() {
    let mut rooms: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (room, path, text) in files() {
        for (number, line) in code(&text) {
            for (name, home) in HEAVY {
                let uses =
                    |start: &str| line.contains(&format!("{start}{name}::")) && !line.contains(&format!("_{name}::"));
                let uses = line.trim_start().starts_with(&format!("use {name}")) || uses(" ") || uses("(") || uses("<");
                if uses && room != home && !line.contains("crate::") {
                    rooms.entry(name).or_default().push(format!("{}:{number}", path.display()));
                }
            }
        }
    }
    assert!(rooms.is_empty(), "crates outside of their room: {rooms:#?}");
}

#[test]
fn only_the_command_line_prints() {
    let mut wrong = Vec::new();
    for (room, path, text) in files() {
        let printing = |line: &str| {
            ["println!", "eprintln!", "print!(", "stdout()", "stderr()"].iter().any(|word| line.contains(word))
        };
        wrong.extend(
            code(&text)
                .filter(|(_, line)| room != "cli" && printing(line))
                .map(|(number, _)| format!("{}:{number}", path.display())),
        );
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn what_comes_before_the_source_is_pure() {
    let pure = &ROOMS[..ROOMS.iter().position(|room| *room == "store").unwrap()];
    let impure = [
        "std::fs::",
        "std::env::",
        "SystemTime::now",
        "Instant::now",
        "tokio::",
        "std::net::Tcp",
        "async fn",
        "std::process",
    ];
    let mut wrong = Vec::new();
    for (room, path, text) in files().into_iter().filter(|(room, ..)| pure.contains(&room.as_str())) {
        for (number, line) in code(&text) {
            wrong.extend(
                impure
                    .iter()
                    .filter(|word| line.contains(**word))
                    .map(|word| format!("{}:{number}: {room} uses {word}", path.display())),
            );
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}
