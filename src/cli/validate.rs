//! `evenkeel validate`: reports every error of a folder.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;

use super::environment_args::environment_name;
use super::environment_file::EnvironmentFile;
use super::output;
use crate::reconcile::validate::{self, Validated};
use crate::text::Severity;
use crate::text::render::OutputFormat;

/// Check definitions and report every error
#[derive(Debug, Args)]
#[command(after_help = "\
Exit status:
  0  no errors
  1  errors
  2  the folder cannot be read

Examples:
  evenkeel validate
  evenkeel validate --strict definitions
  evenkeel validate definitions --environment-file environments/live.yaml
  evenkeel validate -o sarif > findings.sarif")]
pub(super) struct Validate {
    /// Folder of definitions, or one file
    #[arg(default_value = ".")]
    path: PathBuf,
    /// Output format: human, json, sarif, junit, github or gitlab
    #[arg(short, long, default_value = "human", value_name = "FORMAT")]
    output: OutputFormat,
    /// Treat warnings as errors
    #[arg(long)]
    strict: bool,
    /// Environment to check the definitions for, as it applies them [default: all]
    #[arg(short, long, value_name = "ENVIRONMENT", value_parser = environment_name)]
    environment: Option<String>,
    #[command(flatten)]
    environment_file: EnvironmentFile,
}

impl Validate {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let environment = self.environment_file.choose(self.environment.as_deref())?;
        let selection = environment.map(|environment| environment.selection);
        let validated = validate::folder_for(&self.path, selection.clone());
        let mut validated = validated.with_context(|| format!("cannot read {}", self.path.display()))?;
        if let Some(selection) = &selection {
            validated.expect_environment(selection).map_err(anyhow::Error::msg)?;
        }
        if self.strict {
            for finding in &mut validated.findings {
                finding.severity = Severity::Error;
            }
        }
        let code = output::report(&validated, self.output);
        if code == ExitCode::SUCCESS && self.output == OutputFormat::Human {
            passed_over(&validated);
        }
        // The process ends here: dropping a large catalog value by value would take a tenth of the total time.
        std::mem::forget(validated);
        Ok(code)
    }
}

/// Maximum number of files that the note names.
const MAX_NAMED: usize = 3;

/// Notes the files of other tools, so that a definition among them is noticed.
fn passed_over(validated: &Validated) {
    let files = validated.foreign().iter().filter(|file| file.is_passed_over);
    let names: Vec<&str> = files.map(|file| &*file.path).collect();
    if names.is_empty() {
        return;
    }
    let more = if names.len() > MAX_NAMED { ", …" } else { "" };
    let named = names.iter().take(MAX_NAMED).copied().collect::<Vec<_>>().join(", ");
    let count = output::count(names.len(), "file");
    output::note(&format!("{count} of other tools, without definitions: {named}{more}"));
}
