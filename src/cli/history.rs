//! `evenkeel history`: lists the generations of an environment.

use std::process::ExitCode;

use clap::Args;

use super::environment_args::ApiArgs;
use super::output;
use super::page_args::{PageArgs, items, note_next};
use super::style::Style;
use super::table::{fixed, text_column};
use crate::api::environment::Generation;

/// List the generations of an environment, newest first
#[derive(Debug, Args)]
#[command(after_help = "\
`*` marks the active generation. CHANGES counts definitions: + created,
~ changed, - removed, > moved, ^ adopted from the API.

Examples:
  evenkeel history -e live --limit 5")]
pub(super) struct History {
    #[command(flatten)]
    page: PageArgs,
    #[command(flatten)]
    api: ApiArgs,
}

fn row(generation: &Generation, style: Style) -> [String; 7] {
    let mark = if generation.active { '*' } else { ' ' };
    let signs = [("create", '+'), ("update", '~'), ("delete", '-'), ("move", '>'), ("adopt", '^')];
    let counts = signs.into_iter().filter_map(|(name, sign)| {
        let count = generation.summary[name].as_u64().filter(|count| *count > 0)?;
        Some(format!("{sign}{count}"))
    });
    let revisions: Vec<String> = generation.revisions.values().map(|revision| style.revision(revision)).collect();
    [
        format!("{mark} {}", generation.generation),
        style.time_cell(generation.at),
        generation.cause.as_str().to_owned(),
        generation.actor.clone(),
        counts.collect::<Vec<String>>().join(" "),
        revisions.join(", "),
        generation.digest.short(),
    ]
}

impl History {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let page = self.api.connect()?.get(&["history"], self.page.query([]))?;
        if let Some(code) = self.api.output.print_json(&page) {
            return Ok(code);
        }
        let generations: Vec<Generation> = items(&page, "a history")?;
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
    let rows: Vec<[String; 7]> = generations.iter().map(|generation| row(generation, style)).collect();
    style.table(columns, &rows)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_history_marks_the_active_generation_and_says_who_and_why() {
        let generations = [
            json!({"generation": 12, "digest": format!("sha256:0123456789abcdef{}", "0".repeat(48)), "at": "2026-11-29T11:00:00Z", "actor": "ada",
                "cause": "Rollback", "revisions": {"source": "main@sha1:1111"}, "summary": {"create": 0, "delete": 2},
                "active": true, "plan": null}),
            json!({"generation": 11, "digest": format!("sha256:{}", "f".repeat(64)), "at": "2026-11-28T10:00:00.9Z", "actor": "reconciler",
                "cause": "Source", "revisions": {}, "summary": {"create": 1, "update": 3}, "active": false, "plan": null}),
        ];
        let generations: Vec<Generation> =
            generations.into_iter().map(|generation| serde_json::from_value(generation).unwrap()).collect();
        assert_eq!(
            human(&generations, Style::default()),
            "  GENERATION  TIME                  CAUSE     BY          CHANGES  REVISION        DIGEST\n\
             * 12          2026-11-29T11:00:00Z  Rollback  ada         -2       main@sha1:1111  sha256:0123456789abcdef\n\
             \u{20}\u{20}11          2026-11-28T10:00:00Z  Source    reconciler  +1 ~3                    sha256:ffffffffffffffff\n"
        );
        let narrow = human(&generations, Style::with(Some(80), "2026-11-29T12:00:00Z"));
        assert!(narrow.lines().all(|line| line.chars().count() <= 80) && narrow.contains("1 d 1 h"), "{narrow}");
    }
}
