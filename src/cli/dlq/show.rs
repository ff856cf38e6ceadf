//! `evenkeel dlq show`

use std::process::ExitCode;

use clap::Args;

use super::super::environment_args::ApiArgs;
use super::super::style::Style;
use super::super::{output, response_view};
use crate::api::event::DeadLetter;

/// Show a dead letter and its payload
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  evenkeel dlq show 01jd3kx0")]
pub(super) struct Show {
    /// Dead letter ID
    #[arg(value_name = "DEAD_LETTER")]
    id: String,
    #[command(flatten)]
    api: ApiArgs,
}

impl Show {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let letter = self.api.connect()?.get(&["dead-letters", &self.id], Vec::new())?;
        if self.api.output.print_json(&letter).is_none() {
            let letter = response_view::parse(&letter, "a dead letter")?;
            output::data(&human(&letter, Style::of_stdout()));
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn human(letter: &DeadLetter, style: Style) -> String {
    let DeadLetter { summary, payload, .. } = letter;
    let mut lines = format!("{}  {}\n", style.paint().bold(&summary.id), summary.status);
    lines += &style.field("received", &style.with_age(summary.at));
    lines += &style.field("reason", &format!("{}: {}", summary.reason, summary.message));
    let optional = [
        ("trigger", &summary.trigger),
        ("workflow", &summary.workflow),
        ("tenant", &summary.tenant),
        ("event", &summary.event),
        ("execution", &summary.execution),
    ];
    for (label, value) in optional {
        lines += &value.as_ref().map_or_else(String::new, |value| style.field(label, value));
    }
    // Whole, so that it can be copied into a test.
    lines += &format!("\n{payload:#}\n");
    lines
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_dead_letter_shows_its_reason_and_its_whole_payload() {
        let letter = json!({"id": "01kb", "status": "Pending", "at": "2026-11-29T11:00:00Z", "reason": "Unmatched",
            "message": "no route matches", "trigger": "orders", "workflow": null, "event": null, "execution": null, "tenant": null, "replays": 0,
            "expiresAt": null, "headers": {}, "payload": {"a": 1}});
        let letter = serde_json::from_value(letter).unwrap();
        let expected = "01kb  Pending\n  received    2026-11-29T11:00:00Z\n  reason      Unmatched: no route matches\n  trigger     \
                        orders\n\n{\n  \"a\": 1\n}\n";
        assert_eq!(human(&letter, Style::default()), expected);
    }
}
