//! `evenkeel explain`: explains codes of findings, kinds and their fields, and the names of templates.

mod explanation;
mod fields;
mod human;
mod templates;
mod topics;

use std::process::ExitCode;

use clap::Args;
use serde_json::Value;

use self::explanation::Explanation;
use super::output;
use super::output_format::OutputFormat;

/// Explain a code, a kind, a field, or a name of templates
#[derive(Debug, Args)]
#[command(after_help = "\
Topics: codes of findings, kinds, fields such as Connector.spec.actions.http,
template variables, filters, functions and tests, canonical entities.

Examples:
  evenkeel explain EK0101
  evenkeel explain Connector.spec.actions.http.body
  evenkeel explain templates")]
pub(super) struct Explain {
    /// Topic to explain [default: list all topics]
    #[arg(value_name = "TOPIC")]
    topic: Option<String>,
    /// Output format
    #[arg(short, long, value_name = "FORMAT", default_value = "human")]
    output: OutputFormat,
}

impl Explain {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let explanations = match &self.topic {
            None => topics::list(),
            Some(topic) => topics::find(topic).map_err(|reason| anyhow::anyhow!("cannot explain {topic}: {reason}"))?,
        };
        let json = Value::Array(explanations.iter().map(Explanation::to_json).collect());
        if let Some(code) = self.output.print_json(&json) {
            return Ok(code);
        }
        let width = output::width().min(human::MAX_WIDTH);
        let text = if self.topic.is_none() {
            human::list(&explanations, width)
        } else {
            let all = explanations.iter().map(|explanation| human::render(explanation, width));
            all.collect::<Vec<_>>().join("\n\n")
        };
        output::data(&text);
        Ok(ExitCode::SUCCESS)
    }
}
