//! The steps of an execution as a table.

use super::super::execution_view::plain_name;
use super::super::style::Style;
use super::super::table::{excerpt, fixed, text_column};
use super::super::times::{duration, time_of_day};
use crate::api::execution::Step;
use crate::store::queue::StepKind;

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
                    let own = step.name.get(parent.name.len() + 1..).unwrap_or_default();
                    format!("· {}", plain_name(step.kind, own))
                }
                None => plain_name(step.kind, &step.name),
            };
            [
                time_of_day(step.started_at),
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
    let place = |step: &Step| (step.started_at, step.order);
    let mut all: Vec<(&Step, Option<&Step>)> = steps.iter().map(|step| (step, parent_of(step))).collect();
    // A durable step is recorded at its end, after the calls inside it.
    all.sort_by_key(|(step, parent)| (place(parent.unwrap_or(step)), parent.is_some(), place(step)));
    all
}

/// Duration of a finished step.
fn took(step: &Step) -> String {
    match (step.started_at, step.finished_at) {
        (Some(from), Some(to)) => duration(to.micros().saturating_sub(from.micros()) as f64 / 1000.0),
        _ => "-".to_owned(),
    }
}

/// The output or error of a step, or the end of its wait.
fn result(step: &Step, style: Style) -> String {
    match (&step.error, step.waits_until) {
        (Some(error), _) => excerpt(&error.message),
        (None, Some(until)) => format!("until {}", style.with_rest(Some(until))),
        (None, None) if step.output.is_null() => String::new(),
        (None, None) => excerpt(&step.output.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn steps(values: &[Value]) -> Vec<Step> {
        let step = |value: &Value| {
            let mut step = json!({"attempt": 1, "input": null, "output": null, "error": null, "finishedAt": null,
                "waitsUntil": null});
            for (name, member) in value.as_object().unwrap() {
                step[name] = member.clone();
            }
            serde_json::from_value(step).unwrap()
        };
        values.iter().map(step).collect()
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
                "waitsUntil": "2026-11-29T12:15:00Z"}),
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
}
