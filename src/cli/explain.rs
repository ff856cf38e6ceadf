//! `evenkeel explain`: what a code means and what to do.

use std::process::ExitCode;

use clap::Args;

use super::output;
use crate::definition::schema_validator::nearest;
use crate::text::{Severity, codes};

/// Tell what a finding's code means and how to fix it.
#[derive(Debug, Args)]
pub(super) struct Explain {
    /// A code such as EK0101; all codes where left out.
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
            anyhow::bail!("there is no code {wanted}.{near} `evenkeel explain` lists all");
        };
        output::data(&format!("{} ({}): {}\n\n{}\n", code.id, severity(code.severity), code.title, code.explanation));
        Ok(ExitCode::SUCCESS)
    }
}
