//! Reports of test results: text, JSON and JUnit.

use std::fmt::Write as _;

use serde_json::json;

use super::super::output;
use crate::connector::testing::{Difference, TestResult};
use crate::plan::{DiffLine, text_diff};
use crate::text::render::github_error;

/// Formats results for people.
pub(super) fn human(results: &[TestResult], failed: usize) -> String {
    let paint = output::Paint::new();
    let mut text = String::new();
    let mut action = String::new();
    for result in results {
        let id = format!("{}/{}", result.connector, result.action);
        if id != action {
            let _ = writeln!(text, "{}", paint.bold(&id));
            action = id;
        }
        if result.differences.is_empty() {
            let remark =
                if result.expects_nothing { " (no expectations: shows only that the action runs)" } else { "" };
            let _ = writeln!(text, "  {} {}{remark}", paint.green("ok  "), result.name);
            continue;
        }
        let _ = writeln!(text, "  {} {}", paint.red("FAIL"), result.name);
        for difference in &result.differences {
            let _ = writeln!(
                text,
                "       {} differs: {} expected, {} actual",
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

/// Missing and unexpected lines with a little context.
fn diff(difference: &Difference, paint: &output::Paint) -> String {
    let line = |line| match line {
        DiffLine::Removed(line) => paint.red(&format!("- {line}")),
        DiffLine::Added(line) => paint.green(&format!("+ {line}")),
        DiffLine::Same(line) => format!("  {line}"),
        DiffLine::Gap => "  …".into(),
        DiffLine::TooLong(expected, actual) => format!("  expected {expected} lines, found {actual}"),
    };
    text_diff(&difference.expected, &difference.actual).into_iter().map(|diff| line(diff) + "\n").collect()
}

/// Formats results as JSON.
pub(super) fn json(results: &[TestResult], failed: usize) -> String {
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

/// Formats failed tests as annotations of GitHub Actions.
pub(super) fn github(results: &[TestResult], place_of: impl Fn(&TestResult) -> Option<(String, u32)>) -> String {
    let plain = output::Paint::plain();
    let mut text = String::new();
    for result in results.iter().filter(|result| !result.differences.is_empty()) {
        let describe = |difference: &Difference| format!("{} differs\n{}", difference.what, diff(difference, &plain));
        let message: Vec<String> = result.differences.iter().map(describe).collect();
        let place = place_of(result);
        let title = format!("{}/{}/{}", result.connector, result.action, result.name);
        let at = place.as_ref().map(|(file, line)| (file.as_str(), *line));
        text += &github_error(at, &title, message.join("\n").trim_end());
    }
    text
}

/// Formats results as JUnit XML.
pub(super) fn junit(results: &[TestResult], failed: usize) -> String {
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
