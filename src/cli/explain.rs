//! `evenkeel explain`: explains the code of a finding.

use std::process::ExitCode;

use clap::Args;

use super::output;
use crate::definition::schema_validator::nearest;
use crate::text::{Severity, codes};

/// Explain the code of a finding and how to fix it
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  evenkeel explain EK0101")]
pub(super) struct Explain {
    /// Code to explain [default: list all codes]
    code: Option<String>,
}

impl Explain {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let severity = |severity| match severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        let Some(wanted) = self.code else {
            let line = |code: &&codes::Code| format!("{}  {:7}  {}\n", code.id, severity(code.severity), code.title);
            output::data(&codes::ALL.iter().map(line).collect::<String>());
            return Ok(ExitCode::SUCCESS);
        };
        let Some(code) = codes::find(&wanted) else {
            let near = nearest(&wanted, codes::ALL.iter().map(|code| code.id));
            let near = near.map_or_else(String::new, |near| format!(" Did you mean {near}?"));
            anyhow::bail!("unknown code {wanted}.{near} `evenkeel explain` lists all codes");
        };
        output::data(&format!("{} ({}): {}\n\n{}\n", code.id, severity(code.severity), code.title, code.explanation));
        Ok(ExitCode::SUCCESS)
    }
}
