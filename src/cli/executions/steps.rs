//! The steps of an execution as a table.

use super::super::execution_view::Step;
use super::super::style::Style;
use super::super::table::{excerpt, fixed, text_column};
use super::super::times::{duration, parse, time_of_day};
use crate::store::queue::{StepKind, StepStatus};

/// Formats steps in the order in which they started; calls inside a durable step are indented below it.
pub(super) fn table(steps: &[Step], style: Style) -> String {
    let columns = [
        fixed("STARTED"),
        text_column("STEP"),
        fixed("KIND"),
        fixed("STATUS"),
        fixed("DURATION"),
        text_column("RESULT"),
    ];
    let rows: Vec<[String; 6]> = ordered(steps)
        .into_iter()
        .map(|(step, parent)| {
            let name = match parent {
                Some(parent) => {
                    format!("· {}", label(step, step.name.get(parent.name.len() + 1..).unwrap_or_default()))
                }
                None => label(step, &step.name),
            };
            [
                time_of_day(&step.started_at),
                name,
                step.kind.to_string(),
                step.status.to_string(),
                took(step),
                result(step, style),
            ]
        })
        .collect();
    style.table(columns, &rows)
}

/// The steps in order, each with the durable step that contains it.
fn ordered(steps: &[Step]) -> Vec<(&Step, Option<&Step>)> {
    let parent_of = |step: &Step| {
        let parents = steps.iter().filter(|parent| {
            parent.kind == StepKind::Step
                && step.name.strip_prefix(&parent.name).is_some_and(|rest| rest.starts_with('/'))
        });
        parents.max_by_key(|parent| parent.name.len())
    };
    let place = |step: &Step| (parse(&step.started_at), step.order);
    let mut all: Vec<(&Step, Option<&Step>)> = steps.iter().map(|step| (step, parent_of(step))).collect();
    // A durable step is recorded at its end, after the calls inside it.
    all.sort_by_key(|(step, parent)| (place(parent.unwrap_or(step)), parent.is_some(), place(step)));
    all
}

/// The name of a step for people: without the digest that tells equal calls apart, and without its kind.
fn label(step: &Step, name: &str) -> String {
    let mut words: Vec<&str> = name.split(' ').collect();
    let is_digest = |word: &&str| word.len() == 8 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    if step.kind != StepKind::Step && words.len() > 1 {
        if let Some(at) = words.iter().rposition(is_digest).filter(|at| *at > 0) {
            words.remove(at);
        }
        if words.len() > 1 && words.first().is_some_and(|word| *word == step.kind.as_str()) {
            words.remove(0);
        }
    }
    words.join(" ")
}

/// Duration of a finished step. The end of a waiting one is the limit of its wait.
fn took(step: &Step) -> String {
    match (step.status, parse(&step.started_at), parse(&step.finished_at)) {
        (StepStatus::Completed | StepStatus::Failed, Some(from), Some(to)) => {
            duration((to.as_microsecond().saturating_sub(from.as_microsecond())) as f64 / 1000.0)
        }
        _ => "-".to_owned(),
    }
}

fn result(step: &Step, style: Style) -> String {
    match (step.status, &step.error["message"]) {
        (StepStatus::Waiting, _) if parse(&step.finished_at).is_some() => {
            format!("until {}", style.with_rest(&step.finished_at))
        }
        (_, message) if !step.error.is_null() => excerpt(message.as_str().unwrap_or(&step.error.to_string())),
        _ if step.output.is_null() => String::new(),
        _ => excerpt(&step.output.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::super::response_view;
    use super::*;

    fn steps(values: &[Value]) -> Vec<Step> {
        values.iter().map(|value| response_view::parse(value).unwrap()).collect()
    }

    #[test]
    fn steps_are_in_order_with_inner_calls_below_their_step() {
        let at = |second: u32| format!("2026-11-29T12:00:{second:02}.250Z");
        let steps = steps(&[
            json!({"name": "list/parcelo/list-shipments", "order": 0, "kind": "action", "status": "Completed",
                "startedAt": at(1), "finishedAt": at(2), "output": [1]}),
            json!({"name": "list", "order": 1, "kind": "step", "status": "Completed", "startedAt": at(1),
                "finishedAt": at(2), "output": {"items": 3}}),
            json!({"name": "approval ship", "order": 4, "kind": "approval", "status": "Waiting", "startedAt": at(9),
                "finishedAt": "2026-11-29T12:15:00Z"}),
            json!({"name": "orbit/create 01b82868 #2", "order": 2, "kind": "action", "status": "Failed",
                "startedAt": at(3), "finishedAt": at(14), "error": {"code": "X", "message": "it broke"}}),
        ]);
        let text = table(&steps, Style::with(None, "2026-11-29T12:01:00Z"));
        let lines: Vec<Vec<&str>> = text
            .lines()
            .map(|line| line.split("  ").filter(|cell| !cell.is_empty()).map(str::trim).collect())
            .collect();
        assert_eq!(
            lines,
            [
                vec!["STARTED", "STEP", "KIND", "STATUS", "DURATION", "RESULT"],
                vec!["12:00:01.250", "list", "step", "Completed", "1.0 s", "{\"items\":3}"],
                vec!["12:00:01.250", "· parcelo/list-shipments", "action", "Completed", "1.0 s", "[1]"],
                vec!["12:00:03.250", "orbit/create #2", "action", "Failed", "11.0 s", "it broke"],
                vec!["12:00:09.250", "ship", "approval", "Waiting", "-", "until 2026-11-29T12:15:00Z (14 min left)"],
            ]
        );
    }

    #[test]
    fn names_of_people_keep_their_words() {
        let named = |kind: &str, name: &str| {
            let step = steps(&[json!({"name": name, "kind": kind})]).remove(0);
            label(&step, name)
        };
        assert_eq!(named("step", "deadbeef"), "deadbeef");
        assert_eq!(named("step", "pay deadbeef"), "pay deadbeef");
        assert_eq!(named("sleep", "sleep 2000ms 0a1b2c3d"), "2000ms");
        assert_eq!(named("event", "event paid"), "paid");
        assert_eq!(named("action", "orbit/create"), "orbit/create");
    }
}
