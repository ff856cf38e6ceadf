//! A plan for the comment of a pull request, which is edited on every push.
//!
//! Text from definitions is written in code spans and fences only, where HTML, Markdown and mentions are not interpreted,
//! and which it cannot end.

use std::fmt::Write as _;

use super::findings::{counted, listed};
use super::inline::{code, fenced, html, place, sentence};
use super::review::{Review, ReviewSide};
use super::summary::{counts, label, sign};
use super::{change_lines, neutral};
use crate::plan::breaking::ChangeClass;
use crate::plan::model::{Action, Plan};

/// Maximum size of a comment in bytes. GitHub accepts 65,536 characters; the rest is for lines that a job adds.
pub const MAX_COMMENT: usize = 65_000;

/// Bytes reserved for the end of the comment.
const RESERVED: usize = 1_000;

/// Maximum number of shown lines of changes of one definition, of its tests, and of each of its files.
const MAX_LINES: usize = 120;

/// Maximum number of shown files of one definition.
const MAX_FILES: usize = 5;

/// Maximum number of named dependants of one definition.
const MAX_DEPENDANTS: usize = 20;

/// Maximum number of shown reasons of one definition, and of definitions with a reason at the top.
const MAX_REASONS: usize = 20;
const MAX_BREAKING: usize = 30;

/// Maximum number of shown remarks.
const MAX_NOTES: usize = 20;

/// Maximum size of the list of findings if there is no plan, and of a folded list above a plan, in bytes.
const MAX_FINDINGS: usize = 40_000;
const MAX_FOLDED: usize = 6_000;

/// The plan as a comment in GitHub's Markdown: at most [`MAX_COMMENT`] bytes, and never cut within a definition. It starts
/// with a hidden marker that identifies the comment for later edits: `<!-- evenkeel:plan:ENVIRONMENT -->`.
pub fn markdown(plan: &Plan, review: &Review) -> String {
    let mut text = marker(&plan.environment);
    if plan.is_empty() {
        text += "No changes.\n";
        remarks(review, &mut text);
        return text;
    }
    let _ = writeln!(text, "### Plan for {}: {}\n", code(&plan.environment), counts(&plan.summary));
    sides(review, &mut text);
    remarks(review, &mut text);
    breaking(plan, &mut text);
    let mut omitted = 0;
    let fits = |text: &String, more: &str| text.len() + more.len() + RESERVED <= MAX_COMMENT;
    for action in &plan.actions {
        let (block, line) = (details(action, review), format!("- {}\n", title(action, review)));
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

/// The comment if there is no plan: the error, or the findings of the desired state.
pub fn markdown_without_plan(review: &Review) -> String {
    let mut text = marker(&review.environment);
    match &review.error {
        Some(_) => text += "### No plan: 1 error\n\n",
        None => {
            let _ = writeln!(text, "### No plan: {}\n", counted(&review.after));
        }
    }
    sides(review, &mut text);
    if let Some(error) = &review.error {
        let _ = writeln!(text, "- **error**: {}", sentence(&neutral::short(error, 4_000)));
    }
    text += &listed(&review.after, MAX_FINDINGS);
    remarks(&Review { after: ReviewSide::default(), ..review.clone() }, &mut text);
    text
}

/// The first line of a comment, by which it is found.
fn marker(environment: &str) -> String {
    let name: String = environment.chars().take(63).map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    format!("<!-- evenkeel:plan:{name} -->\n")
}

fn sides(review: &Review, text: &mut String) {
    let shown = |name: &str| code(&neutral::short(name, 200));
    if !review.before.name.is_empty() || !review.after.name.is_empty() {
        let _ = writeln!(text, "{} → {}\n", shown(&review.before.name), shown(&review.after.name));
    }
}

/// Remarks, and the findings that do not prevent the plan.
fn remarks(review: &Review, text: &mut String) {
    for note in review.notes.iter().take(MAX_NOTES) {
        let _ = writeln!(text, "- {}", sentence(note));
    }
    if review.notes.len() > MAX_NOTES {
        let _ = writeln!(text, "- and {} more", review.notes.len() - MAX_NOTES);
    }
    if !review.notes.is_empty() {
        text.push('\n');
    }
    for (side, state) in [(&review.before, " before"), (&review.after, "")] {
        if side.findings.is_empty() {
            continue;
        }
        let _ = writeln!(text, "<details><summary>Findings{state}: {}</summary>\n", counted(side));
        let _ = writeln!(text, "{}\n</details>\n", listed(side, MAX_FOLDED));
    }
}

/// The breaking changes, which a reviewer must see first.
fn breaking(plan: &Plan, text: &mut String) {
    let breaking: Vec<&Action> = plan.actions.iter().filter(|action| action.class == ChangeClass::Breaking).collect();
    if breaking.is_empty() {
        return;
    }
    text.push_str("**Breaking**\n\n");
    for action in breaking.iter().take(MAX_BREAKING) {
        let more = match action.because.len() {
            0 | 1 => String::new(),
            count => format!(" (and {} more)", count - 1),
        };
        let because = action.because.first().map_or_else(String::new, |because| sentence(because));
        let _ = writeln!(text, "- {}: {because}{more}", code(&action.id.to_string()));
    }
    if breaking.len() > MAX_BREAKING {
        let _ = writeln!(text, "- and {} more", breaking.len() - MAX_BREAKING);
    }
    text.push('\n');
}

/// One line about a definition.
fn title(action: &Action, review: &Review) -> String {
    let class = if action.class == ChangeClass::Breaking { " · **breaking**" } else { "" };
    format!("{} {}{class}", code(&format!("{} {}", sign(action.action), action.id)), place(&review.place(action)))
}

/// A definition with all details, folded.
fn details(action: &Action, review: &Review) -> String {
    let mut text = String::from("<details><summary>");
    let class = match label(action) {
        Some("breaking") => " · <b>breaking</b>".to_owned(),
        Some(label) => format!(" · {label}"),
        None => String::new(),
    };
    let head = format!("{} {}", sign(action.action), action.id);
    let _ = writeln!(text, "<code>{}</code>{class}</summary>\n", html(&head));
    let was = review.former_place(action).map_or_else(String::new, |was| format!(", was {}", place(&was)));
    let _ = writeln!(text, "{}{was}: {}\n", place(&review.place(action)), sentence(&action.reason));
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
    let lines = change_lines::effects(action, MAX_LINES);
    if !lines.is_empty() {
        text += &fenced(&lines);
    }
    files(action, review, &mut text);
    let tests = change_lines::tests(action, MAX_LINES);
    if !tests.is_empty() {
        let _ = writeln!(text, "<details><summary>tests</summary>\n\n{}</details>\n", fenced(&tests));
    }
    if let Some(dependants) = neutral::dependants(action, MAX_DEPENDANTS) {
        let _ = writeln!(text, "{}\n", sentence(&dependants));
    }
    text += "</details>\n";
    text
}

/// The files that a definition refers to, as diffs.
fn files(action: &Action, review: &Review, text: &mut String) {
    for file in action.files.iter().take(MAX_FILES) {
        let _ = writeln!(text, "{}\n", place(&review.file(action, &file.path)));
        *text += &fenced(&change_lines::file(file, MAX_LINES));
    }
    if action.files.len() > MAX_FILES {
        let _ = writeln!(text, "and {} more files\n", action.files.len() - MAX_FILES);
    }
}
