//! A plan for a terminal.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};

use super::neutral;
use super::summary::{counts, sign};
use crate::plan::breaking::ChangeClass;
use crate::plan::model::{Action, Plan, Verb};

/// Maximum number of shown lines of changes of one definition.
const MAX_LINES: usize = 60;

/// Maximum number of named dependants of one definition.
const MAX_DEPENDANTS: usize = 8;

/// The plan for a terminal, ending with a line break. `No changes.` for an empty plan.
pub fn human(plan: &Plan, color: bool) -> String {
    if plan.is_empty() {
        return "No changes.\n".into();
    }
    let paint = |style: Style, text: &str| if color { format!("{style}{text}{style:#}") } else { text.to_owned() };
    let mut text = String::new();
    let heading = format!("Plan for {}: {}", neutral::neutral(&plan.environment), counts(&plan.summary));
    let _ = writeln!(text, "{}", paint(Style::new().bold(), &heading));
    for action in &plan.actions {
        block(action, &paint, &mut text);
    }
    let unchanged = match plan.unchanged {
        1 => "1 definition stays as it is".to_owned(),
        count => format!("{count} definitions stay as they are"),
    };
    let _ = writeln!(text, "\n{unchanged}; plan {}", plan.digest.short());
    text
}

fn block(action: &Action, paint: &dyn Fn(Style, &str) -> String, text: &mut String) {
    let red = AnsiColor::Red.on_default();
    let style = match action.action {
        Verb::Create => AnsiColor::Green.on_default(),
        Verb::Update | Verb::Move => AnsiColor::Yellow.on_default(),
        Verb::Delete => red,
    };
    let head = paint(style.bold(), &format!("{} {}", sign(action.action), action.id));
    let breaking = match action.class {
        ChangeClass::Breaking => format!("  {}", paint(red.bold(), "breaking")),
        ChangeClass::None if action.action == Verb::Update => "  texts only".into(),
        ChangeClass::Compatible | ChangeClass::None => String::new(),
    };
    let was = action.was.as_ref().map_or_else(String::new, |was| format!(" (was {})", neutral::place(was)));
    let _ = writeln!(text, "\n{head}  {}{was}{breaking}", neutral::place(&action.place));
    let _ = writeln!(text, "    {}", neutral::neutral(&action.reason));
    for because in &action.because {
        let _ = writeln!(text, "    {} {}", paint(red, "!"), neutral::neutral(because));
    }
    for (sign, line) in neutral::lines(action, MAX_LINES) {
        let line = format!("{sign} {line}");
        let line = match sign {
            '-' => paint(red, &line),
            '+' => paint(AnsiColor::Green.on_default(), &line),
            _ => line,
        };
        let _ = writeln!(text, "      {}", line.trim_end());
    }
    if let Some(dependants) = neutral::dependants(action, MAX_DEPENDANTS) {
        let _ = writeln!(text, "    {dependants}");
    }
}
