//! `evenkeel trace`: shows the origin of a live definition.

use std::process::ExitCode;

use clap::Args;

use super::environment_args::ApiArgs;
use super::output;
use super::style::Style;
use super::table::text;
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
        let segments: Vec<&str> = ["trace"].into_iter().chain(id.split('/')).collect();
        let found = self.api.connect()?.get(&segments, Vec::new())?;
        if let Some(code) = self.api.output.print_json(&found) {
            return Ok(code);
        }
        let style = Style::of_stdout();
        let owner = &found["owner"];
        let from = match owner["by"].as_str() {
            Some("api") => format!("override by {}", text(&owner["who"])),
            _ => format!("{} {}", text(&owner["source"]), text(&owner["revision"])),
        };
        let mut lines = format!("{}\n", text(&found["id"]));
        lines += &style.field("from", &from);
        lines += &style.field("file", &format!("{}:{}", text(&found["file"]), found["line"]));
        for overlay in found["overlays"].as_array().into_iter().flatten() {
            lines += &style.field("overlay", &text(overlay));
        }
        lines += &style.field("generation", &found["generation"].to_string());
        lines += &style.field("identity", &text(&found["uid"]));
        output::data(&lines);
        Ok(ExitCode::SUCCESS)
    }
}
