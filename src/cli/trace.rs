//! `evenkeel trace`: shows the origin of a live definition.

use std::process::ExitCode;

use clap::Args;

use super::environment_args::ApiArgs;
use super::style::Style;
use super::{output, response_view};
use crate::api::definition::{Definition, Owner};
use crate::definition::Id;

/// Show the source, commit, file and line of a live definition
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  evenkeel trace Connector/orbit-crm -e live")]
pub(super) struct Trace {
    /// Definition, as KIND/NAME
    #[arg(value_name = "KIND/NAME")]
    id: Id,
    #[command(flatten)]
    api: ApiArgs,
}

impl Trace {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let id = self.id.to_string();
        let segments: Vec<&str> = ["definitions"].into_iter().chain(id.split('/')).collect();
        let found = self.api.connect()?.get(&segments, Vec::new())?;
        if let Some(code) = self.api.output.print_json(&found) {
            return Ok(code);
        }
        let definition: Definition = response_view::parse(&found, "a definition")?;
        output::data(&human(&definition, Style::of_stdout()));
        Ok(ExitCode::SUCCESS)
    }
}

fn human(definition: &Definition, style: Style) -> String {
    let from = match &definition.owner {
        Owner::Api { who, until, .. } => {
            let until = until.map(|until| format!(", until {}", style.with_rest(Some(until)))).unwrap_or_default();
            format!("override by {who}{until}")
        }
        Owner::Source { source, revision } => format!("{source} {revision}"),
    };
    let mut lines = format!("{}\n", definition.id);
    lines += &style.field("from", &from);
    lines += &style.field("file", &format!("{}:{}", definition.file, definition.line));
    lines += &definition.overlays.iter().map(|overlay| style.field("overlay", overlay)).collect::<String>();
    let generation = definition.generation.map_or_else(|| "-".to_owned(), |number| number.to_string());
    lines += &style.field("generation", &generation);
    lines += &style.field("identity", &definition.uid);
    lines
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_override_shows_its_writer_and_its_end() {
        let definition = json!({"id": "Connector/a", "uid": "7", "file": "a.yaml", "line": 4, "overlays": ["live.yaml"],
            "digest": format!("sha256:{}", "0".repeat(64)), "generation": 3,
            "owner": {"by": "api", "who": "ada", "at": null, "reason": null, "until": "2026-11-29T12:30:00Z"}});
        let text = human(&serde_json::from_value(definition).unwrap(), Style::with(None, "2026-11-29T12:00:00Z"));
        assert_eq!(
            text,
            "Connector/a\n  from        override by ada, until 2026-11-29T12:30:00Z (30 min left)\n  file        \
             a.yaml:4\n  overlay     live.yaml\n  generation  3\n  identity    7\n"
        );
    }
}
