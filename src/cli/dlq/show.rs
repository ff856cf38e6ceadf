//! `evenkeel dlq show`

use std::process::ExitCode;

use clap::Args;
use serde_json::Value;

use super::super::environment_args::ApiArgs;
use super::super::output;
use super::super::style::Style;
use super::super::table::text;

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
            output::data(&human(&letter, Style::of_stdout()));
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn human(letter: &Value, style: Style) -> String {
    let mut lines = format!("{}  {}\n", style.paint().bold(&text(&letter["id"])), text(&letter["status"]));
    lines += &style.field("received", &style.with_age(&letter["at"]));
    lines += &style.field("reason", &format!("{}: {}", text(&letter["reason"]), text(&letter["message"])));
    for name in ["trigger", "workflow", "tenant", "event", "execution"] {
        let value = text(&letter[name]);
        if !value.is_empty() {
            lines += &style.field(name, &value);
        }
    }
    // Whole, so that it can be copied into a test.
    lines += &format!("\n{:#}\n", letter["payload"]);
    lines
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_dead_letter_shows_its_reason_and_its_whole_payload() {
        let letter = json!({"id": "01kb", "status": "Pending", "at": "2026-11-29T11:00:00Z", "reason": "NoRoute",
            "message": "no route matches", "trigger": "orders", "workflow": null, "payload": {"a": 1}});
        let expected = "01kb  Pending\n  received    2026-11-29T11:00:00Z\n  reason      NoRoute: no route matches\n  trigger     \
                        orders\n\n{\n  \"a\": 1\n}\n";
        assert_eq!(human(&letter, Style::default()), expected);
    }
}
