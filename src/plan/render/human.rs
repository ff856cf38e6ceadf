//! A plan for a terminal.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};

use super::change_lines::{self, Line, printed};
use super::neutral;
use super::review::Review;
use super::summary::{counts, label, sign};
use crate::plan::model::{Action, Plan, Verb};

/// Maximum number of shown lines of changes of one definition, and of each of its files.
const MAX_LINES: usize = 60;

/// Maximum number of shown lines of changes of the tests of one definition.
const MAX_TEST_LINES: usize = 12;

/// Maximum number of named dependants of one definition.
const MAX_DEPENDANTS: usize = 8;

/// The plan for a terminal, ending with a line break. `No changes.` for an empty plan.
pub fn human(plan: &Plan, review: &Review, color: bool) -> String {
    if plan.is_empty() {
        return "No changes.\n".into();
    }
    let paint = |style: Style, text: &str| if color { format!("{style}{text}{style:#}") } else { text.to_owned() };
    let mut text = String::new();
    let heading = format!("Plan for {}: {}", neutral::neutral(&plan.environment), counts(&plan.summary));
    let _ = writeln!(text, "{}", paint(Style::new().bold(), &heading));
    for action in &plan.actions {
        block(action, review, &paint, &mut text);
    }
    let unchanged = match plan.unchanged {
        1 => "1 definition stays as it is".to_owned(),
        count => format!("{count} definitions stay as they are"),
    };
    let _ = writeln!(text, "\n{unchanged}; plan {}", plan.digest.short());
    text
}

fn block(action: &Action, review: &Review, paint: &dyn Fn(Style, &str) -> String, text: &mut String) {
    let red = AnsiColor::Red.on_default();
    let style = match action.action {
        Verb::Create => AnsiColor::Green.on_default(),
        Verb::Update | Verb::Move | Verb::Adopt => AnsiColor::Yellow.on_default(),
        Verb::Delete => red,
    };
    let head = paint(style.bold(), &format!("{} {}", sign(action.action), action.id));
    let class = match label(action) {
        Some("breaking") => format!("  {}", paint(red.bold(), "breaking")),
        Some(label) => format!("  {label}"),
        None => String::new(),
    };
    let was = review.former_place(action).map_or_else(String::new, |was| format!(" (was {})", was.text));
    let _ = writeln!(text, "\n{head}  {}{was}{class}", review.place(action).text);
    let _ = writeln!(text, "    {}", neutral::neutral(&action.reason));
    for because in &action.because {
        let _ = writeln!(text, "    {} {}", paint(red, "!"), neutral::neutral(because));
    }
    let mut lines = |lines: Vec<Line>| {
        for line in lines {
            let shown = match line.0 {
                '-' => paint(red, &printed(&line)),
                '+' => paint(AnsiColor::Green.on_default(), &printed(&line)),
                _ => printed(&line),
            };
            let _ = writeln!(text, "      {}", shown.trim_end());
        }
    };
    lines(change_lines::effects(action, MAX_LINES));
    for file in &action.files {
        lines(vec![('@', review.file(action, &file.path).text + ":")]);
        lines(change_lines::file(file, MAX_LINES));
    }
    let tests = change_lines::tests(action, MAX_TEST_LINES);
    if !tests.is_empty() {
        lines(vec![('@', "tests, without an effect:".to_owned())]);
        lines(tests);
    }
    if let Some(dependants) = neutral::dependants(action, MAX_DEPENDANTS) {
        let _ = writeln!(text, "    {dependants}");
    }
}
