//! `evenkeel history`: lists the generations of an environment.

use std::collections::BTreeMap;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use serde::Deserialize;
use serde_json::Value;

use super::environment_args::ApiArgs;
use super::environment_status::short_digest;
use super::page_args::{PageArgs, items, note_next};
use super::style::Style;
use super::table::{fixed, text_column};
use super::{output, response_view};

/// List the generations of an environment, newest first
#[derive(Debug, Args)]
#[command(after_help = "\
`*` marks the active generation. CHANGES counts definitions: + created,
~ changed, - removed, > moved.

Examples:
  evenkeel history -e live --limit 5")]
pub(super) struct History {
    #[command(flatten)]
    page: PageArgs,
    #[command(flatten)]
    api: ApiArgs,
}

/// A generation in a history.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Generation {
    #[serde(alias = "generation")]
    number: u64,
    digest: String,
    at: Value,
    actor: String,
    cause: String,
    revisions: BTreeMap<String, String>,
    summary: BTreeMap<String, Value>,
    active: bool,
}

impl Generation {
    fn row(&self, style: Style) -> [String; 7] {
        let mark = if self.active { '*' } else { ' ' };
        let signs = [("create", '+'), ("update", '~'), ("delete", '-'), ("move", '>')];
        let counts = signs.into_iter().filter_map(|(name, sign)| {
            let count = self.summary.get(name)?.as_u64().filter(|count| *count > 0)?;
            Some(format!("{sign}{count}"))
        });
        let revisions: Vec<&str> = self.revisions.values().map(String::as_str).collect();
        [
            format!("{mark} {}", self.number),
            style.time_cell(&self.at),
            self.cause.clone(),
            self.actor.clone(),
            counts.collect::<Vec<String>>().join(" "),
            revisions.join(", "),
            short_digest(&self.digest).to_owned(),
        ]
    }
}

impl History {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let page = self.api.connect()?.get(&["history"], self.page.query([]))?;
        if let Some(code) = self.api.output.print_json(&page) {
            return Ok(code);
        }
        let generations = items(&page).map(response_view::parse::<Generation>).collect::<Result<Vec<_>, _>>();
        let generations = generations.context("the server's response is not a history")?;
        output::data(&human(&generations, Style::of_stdout()));
        note_next(&page);
        Ok(ExitCode::SUCCESS)
    }
}

fn human(generations: &[Generation], style: Style) -> String {
    let columns = [
        fixed("  GENERATION"),
        fixed(style.time_title()),
        fixed("CAUSE"),
        text_column("BY"),
        fixed("CHANGES"),
        text_column("REVISION"),
        text_column("DIGEST"),
    ];
    let rows: Vec<[String; 7]> = generations.iter().map(|generation| generation.row(style)).collect();
    style.table(columns, &rows)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_history_marks_the_active_generation_and_says_who_and_why() {
        let generations = [
            json!({"number": 12, "digest": "sha256:0123456789abcdef0123", "at": "2026-11-29T11:00:00Z", "actor": "ada",
                "cause": "Rollback", "revisions": {"source": "main@sha1:1111"}, "summary": {"create": 0, "delete": 2},
                "active": true}),
            json!({"number": 11, "digest": null, "at": "2026-11-28T10:00:00.9Z", "actor": "reconciler",
                "cause": "Source", "revisions": {}, "summary": {"create": 1, "update": 3}, "active": false}),
        ];
        let generations: Vec<Generation> =
            generations.iter().map(|generation| response_view::parse(generation).unwrap()).collect();
        assert_eq!(
            human(&generations, Style::default()),
            "  GENERATION  TIME                  CAUSE     BY          CHANGES  REVISION        DIGEST\n\
             * 12          2026-11-29T11:00:00Z  Rollback  ada         -2       main@sha1:1111  sha256:0123456789abcdef\n\
             \u{20}\u{20}11          2026-11-28T10:00:00Z  Source    reconciler  +1 ~3\n"
        );
        let narrow = human(&generations, Style::with(Some(80), "2026-11-29T12:00:00Z"));
        assert!(narrow.lines().all(|line| line.chars().count() <= 80) && narrow.contains("1 d 1 h"), "{narrow}");
    }
}
