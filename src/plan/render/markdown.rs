//! A plan for the comment of a pull request, which is edited on every push.
//!
//! Text from definitions is written in code spans and fences only, where HTML, Markdown and mentions are not interpreted,
//! and which it cannot end.

use std::fmt::Write as _;

use super::neutral;
use super::summary::{counts, sign};
use crate::plan::breaking::ChangeClass;
use crate::plan::model::{Action, Plan, Verb};

/// Maximum size of a comment in bytes; GitHub accepts 65,536 characters.
pub const MAX_COMMENT: usize = 65_536;

/// Bytes reserved for the end of the comment.
const RESERVED: usize = 1_000;

/// Maximum number of shown lines of changes of one definition, and their size in bytes.
const MAX_LINES: usize = 120;
const MAX_FENCE: usize = 12_000;

/// Maximum number of named dependants of one definition.
const MAX_DEPENDANTS: usize = 20;

/// Maximum number of shown reasons of one definition, and of definitions with a reason at the top.
const MAX_REASONS: usize = 20;
const MAX_BREAKING: usize = 30;

/// The revisions of both sides of a plan, in readable form.
#[derive(Clone, Copy, Debug)]
pub struct Revisions<'a> {
    /// The revision of the observed definitions.
    pub from: &'a str,
    /// The revision of the desired definitions.
    pub to: &'a str,
}

/// The plan as a comment in GitHub's Markdown: at most [`MAX_COMMENT`] bytes, and never cut within a definition. It starts
/// with a hidden marker that identifies the comment for later edits: `<!-- evenkeel:plan:ENVIRONMENT -->`.
pub fn markdown(plan: &Plan, revisions: &Revisions<'_>) -> String {
    let name: String =
        plan.environment.chars().take(63).map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let marker = format!("<!-- evenkeel:plan:{name} -->\n");
    if plan.is_empty() {
        return format!("{marker}No changes.\n");
    }
    let mut text = marker;
    let _ = writeln!(text, "### Plan for {}: {}\n", code(&plan.environment), counts(&plan.summary));
    let _ = writeln!(
        text,
        "{} → {}\n",
        code(&neutral::short(revisions.from, 200)),
        code(&neutral::short(revisions.to, 200))
    );
    breaking(plan, &mut text);
    let mut omitted = 0;
    let fits = |text: &String, more: &str| text.len() + more.len() + RESERVED <= MAX_COMMENT;
    for action in &plan.actions {
        let (block, line) = (details(action), format!("- {}\n", title(action)));
        if omitted == 0 && fits(&text, &block) {
            text += &block;
        } else if fits(&text, &line) {
            // The list of definitions without details; a blank line ends the preceding block.
            text += if omitted == 0 { "\n" } else { "" };
            text += &line;
            omitted += 1;
        } else {
            omitted += 1;
        }
    }
    if omitted > 0 {
        let _ = writeln!(
            text,
            "\n{omitted} of {} definitions are shown without details or not at all, as a comment is limited; \
             `evenkeel plan` shows all.",
            plan.actions.len()
        );
    }
    let _ = writeln!(text, "\n{} unchanged · plan {}", plan.unchanged, code(&plan.digest.short()));
    text
}

/// The breaking changes, at the top of the comment.
fn breaking(plan: &Plan, text: &mut String) {
    let breaking: Vec<&Action> = plan.actions.iter().filter(|action| action.class == ChangeClass::Breaking).collect();
    if breaking.is_empty() {
        return;
    }
    *text += "**Breaking**\n\n";
    for action in breaking.iter().take(MAX_BREAKING) {
        let first = action.because.first().map_or_else(String::new, |because| format!(": {}", sentence(because)));
        let more = match action.because.len().saturating_sub(1) {
            0 => String::new(),
            more => format!(" (and {more} more)"),
        };
        let _ = writeln!(text, "- {}{first}{more}", code(&action.id.to_string()));
    }
    if breaking.len() > MAX_BREAKING {
        let _ = writeln!(text, "- and {} more", breaking.len() - MAX_BREAKING);
    }
    text.push('\n');
}

/// One line about a definition.
fn title(action: &Action) -> String {
    let class = if action.class == ChangeClass::Breaking { " · **breaking**" } else { "" };
    format!(
        "{} {}{class}",
        code(&format!("{} {}", sign(action.action), action.id)),
        code(&neutral::place(&action.place))
    )
}

/// A definition with all details, folded.
fn details(action: &Action) -> String {
    let mut text = String::from("<details><summary>");
    let class = match action.class {
        ChangeClass::Breaking => " · <b>breaking</b>",
        ChangeClass::None if action.action == Verb::Update => " · texts only",
        ChangeClass::Compatible | ChangeClass::None => "",
    };
    let head = format!("{} {}", sign(action.action), action.id);
    let _ = writeln!(text, "<code>{}</code>{class}</summary>\n", html(&head));
    let was = action.was.as_ref().map_or_else(String::new, |was| format!(", was {}", code(&neutral::place(was))));
    let _ = writeln!(text, "{}{was}: {}\n", code(&neutral::place(&action.place)), sentence(&action.reason));
    for because in action.because.iter().take(MAX_REASONS) {
        let _ = writeln!(text, "- {}", sentence(because));
    }
    match action.because.len() {
        0 => {}
        count if count > MAX_REASONS => {
            let _ = writeln!(text, "- and {} more\n", count - MAX_REASONS);
        }
        _ => text.push('\n'),
    }
    let lines = neutral::lines(action, MAX_LINES);
    if !lines.is_empty() {
        text += &fenced(&lines);
    }
    if let Some(dependants) = neutral::dependants(action, MAX_DEPENDANTS) {
        let _ = writeln!(text, "{}\n", sentence(&dependants));
    }
    text += "</details>\n";
    text
}

/// Lines in a fence that is longer than any run of backquotes in them.
fn fenced(lines: &[neutral::Line]) -> String {
    let mut body = String::new();
    for (at, (sign, line)) in lines.iter().enumerate() {
        if body.len() + line.len() > MAX_FENCE {
            let _ = writeln!(body, "… {} more lines", lines.len() - at);
            break;
        }
        let _ = writeln!(body, "{}", format!("{sign} {line}").trim_end());
    }
    let longest = body.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest.max(2) + 1);
    format!("{fence}diff\n{body}{fence}\n\n")
}

/// Text in a code span, on one line.
fn code(text: &str) -> String {
    let text = neutral::neutral(text).replace('`', "'");
    if text.trim().is_empty() { "` `".into() } else { format!("`{text}`") }
}

/// A sentence of Evenkeel with names from definitions in backquotes.
fn sentence(text: &str) -> String {
    let mut out = String::new();
    for (at, part) in neutral::neutral(text).split('`').enumerate() {
        if at % 2 == 1 {
            out += &code(part);
        } else {
            out += &escaped(part);
        }
    }
    out
}

/// Text with Markdown and HTML escaped. A mention is broken by an invisible joiner.
fn escaped(text: &str) -> String {
    let mut out = String::new();
    for character in text.chars() {
        match character {
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '@' | '#' => {
                out.push(character);
                out.push('\u{2060}');
            }
            '\\' | '*' | '_' | '[' | ']' | '(' | ')' | '!' | '|' | '~' => {
                out.push('\\');
                out.push(character);
            }
            _ => out.push(character),
        }
    }
    out
}

/// Text within HTML.
fn html(text: &str) -> String {
    neutral::neutral(text).replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
