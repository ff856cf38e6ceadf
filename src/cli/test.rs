//! `evenkeel test`: the tests beside actions.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use serde_json::json;

use super::output;
use crate::connector::Runtime;
use crate::connector::testing::{self, Difference, TestResult};
use crate::plan::{DiffLine, text_diff};
use crate::reconcile::active::Work;
use crate::reconcile::validate::{self, Validated};
use crate::script::MAX_SCRIPT_BYTES;
use crate::source::directory;
use crate::trigger;

/// Run the tests beside actions and workflows: no network, no account, no secrets, no waiting.
///
/// A test of an action gives an input, the request that it must make, what the application answers, and the output that
/// must result; one of a workflow an input or an event, what actions answer, and the output, calls and state. Exits with 0 where all pass, 1 where one fails.
#[derive(Debug, Args)]
pub(super) struct Test {
    /// A folder of definitions, or one file.
    #[arg(default_value = ".")]
    path: PathBuf,
    /// Only tests whose `connector/action/test` or `workflow/name/test` holds this text.
    #[arg(short, long)]
    filter: Option<String>,
    /// The Environment whose variables are used; the first one where left out.
    #[arg(short, long, value_name = "NAME")]
    environment: Option<String>,
    /// How to report.
    #[arg(short, long, value_enum, default_value = "human", value_name = "FORM")]
    output: Form,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Form {
    Human,
    Json,
    Junit,
}

impl Test {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let examined = load(&self.path)?;
        let Some(examined) = examined else { return Ok(ExitCode::FAILURE) };
        let runtime = compiled(&examined, self.environment.as_deref())?;
        let executor = super::executor()?;
        let mut results = Vec::new();
        for (name, connector) in &runtime.connectors {
            for (action_name, action) in &connector.actions {
                for test in &action.spec.tests {
                    let id = format!("{name}/{action_name}/{}", test.name);
                    if self.filter.as_ref().is_none_or(|filter| id.contains(filter)) {
                        results.push(executor.block_on(testing::run(&runtime, name, action_name, test)));
                    }
                }
            }
        }
        results.extend(self.workflows(&examined, runtime, &executor)?);
        let failed = results.iter().filter(|result| !result.differences.is_empty()).count();
        output::data(&match self.output {
            Form::Human => human(&results, failed),
            Form::Json => json(&results, failed),
            Form::Junit => junit(&results, failed),
        });
        if let Some(filter) = self.filter.filter(|_| results.is_empty()) {
            anyhow::bail!("no test's `connector/action/test` or `workflow/name/test` holds `{filter}`");
        }
        if results.is_empty() {
            output::note("no tests; add `tests:` to an action or a workflow");
        }
        Ok(if failed > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }
}

impl Test {
    /// Runs the tests of workflows.
    fn workflows(
        &self,
        examined: &Validated,
        runtime: Runtime,
        executor: &tokio::runtime::Runtime,
    ) -> anyhow::Result<Vec<TestResult>> {
        let folder = if self.path.is_file() { self.path.parent().unwrap_or(Path::new("")) } else { &*self.path };
        let read = |file: &str| directory::read_inside(folder, file, MAX_SCRIPT_BYTES + 1).ok();
        let work = Work::compile(examined.catalog_of(self.environment.as_deref()), &read, None);
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

/// Definitions that may be run: without errors. Findings are printed to stderr otherwise.
pub(super) fn load(path: &Path) -> anyhow::Result<Option<Validated>> {
    let examined = validate::folder(path).with_context(|| format!("cannot read {}", path.display()))?;
    if examined.is_valid() {
        return Ok(Some(examined));
    }
    output::findings(&examined);
    Ok(None)
}

/// What runs in an environment, with its overlays.
pub(super) fn compiled(examined: &Validated, environment: Option<&str>) -> anyhow::Result<Runtime> {
    Runtime::compile(examined.catalog_of(environment), environment, String::new(), None).map_err(anyhow::Error::msg)
}

fn human(results: &[TestResult], failed: usize) -> String {
    let paint = output::Paint::new();
    let mut text = String::new();
    let mut action = String::new();
    for result in results {
        let this = format!("{}/{}", result.connector, result.action);
        if this != action {
            let _ = writeln!(text, "{}", paint.bold(&this));
            action = this;
        }
        if result.differences.is_empty() {
            let remark =
                if result.expects_nothing { " (expects nothing: it only shows that the action runs)" } else { "" };
            let _ = writeln!(text, "  {} {}{remark}", paint.green("ok  "), result.name);
            continue;
        }
        let _ = writeln!(text, "  {} {}", paint.red("FAIL"), result.name);
        for difference in &result.differences {
            let _ = writeln!(
                text,
                "       {} differs: {} expected, {} was",
                difference.what,
                paint.red("-"),
                paint.green("+")
            );
            for line in diff(difference, &paint).lines() {
                let _ = writeln!(text, "       {line}");
            }
        }
    }
    let passed = results.len() - failed;
    let _ = match failed {
        0 => writeln!(text, "\n{passed} passed"),
        _ => writeln!(text, "\n{passed} passed, {failed} failed"),
    };
    text
}

/// Lines that are missing and lines that are too many, with a few around them.
fn diff(difference: &Difference, paint: &output::Paint) -> String {
    let line = |line| match line {
        DiffLine::Removed(line) => paint.red(&format!("- {line}")),
        DiffLine::Added(line) => paint.green(&format!("+ {line}")),
        DiffLine::Same(line) => format!("  {line}"),
        DiffLine::Gap => "  …".into(),
        DiffLine::TooLong(expected, actual) => format!("  {expected} lines expected, {actual} were"),
    };
    text_diff(&difference.expected, &difference.actual).into_iter().map(|diff| line(diff) + "\n").collect()
}

fn json(results: &[TestResult], failed: usize) -> String {
    let tests: Vec<_> = results
        .iter()
        .map(|result| {
            let differences: Vec<_> = result
                .differences
                .iter()
                .map(|difference| json!({"what": difference.what, "expected": difference.expected, "actual": difference.actual}))
                .collect();
            json!({
                "connector": result.connector, "action": result.action, "name": result.name,
                "passed": result.differences.is_empty(), "differences": differences,
            })
        })
        .collect();
    format!("{:#}\n", json!({"tests": tests, "summary": {"passed": results.len() - failed, "failed": failed}}))
}

fn junit(results: &[TestResult], failed: usize) -> String {
    use crate::text::render::xml_escape as escape;
    let plain = output::Paint::plain();
    let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let _ = writeln!(text, "<testsuites name=\"evenkeel test\" tests=\"{}\" failures=\"{failed}\">", results.len());
    let _ = writeln!(text, "  <testsuite name=\"evenkeel test\" tests=\"{}\" failures=\"{failed}\">", results.len());
    for result in results {
        let class = escape(&format!("{}/{}", result.connector, result.action));
        let _ = write!(text, "    <testcase classname=\"{class}\" name=\"{}\"", escape(&result.name));
        if result.differences.is_empty() {
            text += "/>\n";
            continue;
        }
        text += ">\n";
        for difference in &result.differences {
            let message = escape(&format!("{} differs", difference.what));
            let body = escape(&diff(difference, &plain));
            let _ = writeln!(text, "      <failure message=\"{message}\">{body}</failure>");
        }
        text += "    </testcase>\n";
    }
    text += "  </testsuite>\n</testsuites>\n";
    text
}
