//! `evenkeel test`: runs the tests of definitions.

mod report;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use clap::{Args, ValueEnum};

use super::environment_args::VARIABLE;
use super::environment_file::EnvironmentFile;
use super::runtime::runtime;
use super::{definitions, output};
use crate::connector::Runtime;
use crate::connector::testing::{self, TestResult};
use crate::definition::Kind;
use crate::reconcile::active::Work;
use crate::reconcile::validate::Validated;
use crate::script::MAX_SCRIPT_BYTES;
use crate::source::directory;
use crate::text::Node;
use crate::trigger;

/// Run the tests of actions and workflows offline
#[derive(Debug, Args)]
#[command(after_help = "\
Uses no network, accounts, secrets or real time. The test of an action compares
the request that it sends and the output that it makes of a response. The test
of a workflow compares its output, calls and state.

Exit status:
  0  every test passed
  1  a test failed, or the definitions have errors
  2  no test matches the filter, or the folder cannot be read

Examples:
  evenkeel test
  evenkeel test definitions --filter orbit-crm/create-contact
  evenkeel test -o junit > report.xml
  evenkeel test -o github               # annotations of GitHub Actions")]
pub(super) struct Test {
    /// Folder of definitions, or one file
    #[arg(default_value = ".")]
    path: PathBuf,
    /// Run only tests whose `connector/action/test` or `workflow/name/test` contains the text
    #[arg(short, long, value_name = "TEXT")]
    filter: Option<String>,
    /// Environment to run the tests for [default: the first one found]
    #[arg(short, long, env = VARIABLE, value_name = "ENVIRONMENT")]
    environment: Option<String>,
    #[command(flatten)]
    environment_file: EnvironmentFile,
    /// Output format
    #[arg(short, long, value_enum, default_value = "human", value_name = "FORMAT")]
    output: TestFormat,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum TestFormat {
    Human,
    Json,
    Junit,
    Github,
}

impl Test {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let environment = self.environment_file.choose(self.environment.as_deref())?;
        let Some(validated) = definitions::load(&self.path, environment.as_ref())? else {
            return Ok(ExitCode::FAILURE);
        };
        let connectors = definitions::compile(&validated)?;
        let executor = runtime()?;
        let mut results = Vec::new();
        for (name, connector) in &connectors.connectors {
            for (action_name, action) in &connector.actions {
                for test in &action.spec.tests {
                    let id = format!("{name}/{action_name}/{}", test.name);
                    if self.filter.as_ref().is_none_or(|filter| id.contains(filter)) {
                        results.push(executor.block_on(testing::run(&connectors, name, action_name, test)));
                    }
                }
            }
        }
        results.extend(self.run_workflow_tests(&validated, connectors, &executor)?);
        let failed = results.iter().filter(|result| !result.differences.is_empty()).count();
        output::data(&match self.output {
            TestFormat::Human => report::human(&results, failed),
            TestFormat::Json => report::json(&results, failed),
            TestFormat::Junit => report::junit(&results, failed),
            TestFormat::Github => report::github(&results, |result| place_of(&validated, result)),
        });
        if matches!(self.output, TestFormat::Github) {
            output::note(&format!("{} passed, {failed} failed", results.len() - failed));
        }
        if let Some(filter) = self.filter.filter(|_| results.is_empty()) {
            anyhow::bail!(
                "no test matches `{filter}`; expected part of `connector/action/test` or `workflow/name/test`"
            );
        }
        if results.is_empty() {
            output::note("no tests; add `tests:` to an action or a workflow");
        }
        Ok(if failed > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }
}

impl Test {
    fn run_workflow_tests(
        &self,
        validated: &Validated,
        runtime: Runtime,
        executor: &tokio::runtime::Runtime,
    ) -> anyhow::Result<Vec<TestResult>> {
        let folder = if self.path.is_file() { self.path.parent().unwrap_or(Path::new("")) } else { &*self.path };
        let read = |file: &str| directory::read_inside(folder, file, MAX_SCRIPT_BYTES + 1).ok();
        let work = Work::compile(validated.catalog_of(None), &read, None);
        let work = work.map_err(anyhow::Error::msg)?;
        let subject = trigger::testing::TestSubject {
            runtime: Arc::new(runtime),
            programs: Arc::clone(&work.programs),
            triggers: Arc::clone(&work.triggers),
        };
        let mut results = Vec::new();
        for program in work.programs.values() {
            for test in &program.spec.tests {
                let id = format!("workflow/{}/{}", program.name, test.name);
                if self.filter.as_ref().is_none_or(|filter| id.contains(filter)) {
                    let result = executor.block_on(trigger::testing::run(&subject, program, test));
                    results.push(result.map_err(anyhow::Error::msg).with_context(|| id)?);
                }
            }
        }
        Ok(results)
    }
}

/// File and line of the declaration of a test; `None` if its definition is composed in a way that hides it.
fn place_of(validated: &Validated, result: &TestResult) -> Option<(String, u32)> {
    let catalog = validated.catalog_of(None);
    let is_workflow = result.connector == "workflow";
    let (kind, name) = match is_workflow {
        true => (Kind::Workflow, &result.action),
        false => (Kind::Connector, &result.connector),
    };
    let entry = catalog.find(kind, name)?;
    let spec = entry.document.root.get("spec")?;
    let owner = if is_workflow { spec } else { spec.get("actions")?.get(&result.action)? };
    let named = |test: &&Node| test.get("name").and_then(Node::as_str) == Some(&result.name);
    let test = owner.get("tests")?.items().iter().find(named)?;
    let span = entry.span(test.span);
    let line = catalog.sources.find(span.source)?.position(span.start).line;
    Some((catalog.sources.display_path(span.source), line))
}
