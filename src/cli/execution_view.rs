//! Executions for people: origin, status and waits.

use super::environment_api::EnvironmentApi;
use super::style::Style;
use super::terminal_text::command_with_name;
use crate::api::execution::{ExecutionSummary, Wait};
use crate::store::queue::StepKind;

/// The trigger, person or workflow that started an execution.
pub(super) fn origin(execution: &ExecutionSummary) -> String {
    match &execution.source {
        None => execution.triggered_by.to_string(),
        Some(source) => format!("{} {source}", execution.triggered_by),
    }
}

/// The status, with the subjects that the execution waits for.
pub(super) fn status_with_waits(execution: &ExecutionSummary) -> String {
    let waits: Vec<String> = execution.waits_for.iter().map(subject).collect();
    match waits.is_empty() {
        true => execution.status.to_string(),
        false => format!("{} for {}", execution.status, waits.join(", ")),
    }
}

/// The subject of a wait, such as "approval `ship`".
fn subject(wait: &Wait) -> String {
    let noun = match wait.kind {
        StepKind::Approval => "approval",
        StepKind::Event => "signal",
        StepKind::Workflow => "workflow",
        StepKind::Sleep => return "a time".to_owned(),
        StepKind::Action | StepKind::Step | StepKind::State | StepKind::Fetch => "step",
    };
    format!("{noun} `{}`", plain_name(wait.kind, &wait.name))
}

/// The subject of a wait, with its end.
pub(super) fn describe_wait(wait: &Wait, style: Style) -> String {
    match (wait.kind, wait.until) {
        (_, None) => subject(wait),
        (StepKind::Sleep, until) => style.with_rest(until),
        (_, until) => format!("{} until {}", subject(wait), style.with_rest(until)),
    }
}

/// The command that ends a wait, if there is one.
pub(super) fn wait_command(wait: &Wait, execution: &str, environment: &EnvironmentApi) -> Option<String> {
    let option = environment.option();
    match wait.kind {
        StepKind::Approval => {
            Some(command_with_name(&format!("evenkeel executions approve {execution}"), &wait.name, &option))
        }
        StepKind::Event => {
            let command = format!("evenkeel executions signal {execution}");
            Some(command_with_name(&command, &wait.name, &format!(" -d JSON{option}")))
        }
        _ => None,
    }
}

/// The name of a step for people: without its kind, and without the digest that distinguishes calls of one name.
pub(super) fn plain_name(kind: StepKind, name: &str) -> String {
    let mut words: Vec<&str> = name.split(' ').collect();
    let is_digest = |word: &&str| word.len() == 8 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    // Names that people chose have none.
    let has_digest = !matches!(kind, StepKind::Step | StepKind::Event | StepKind::Approval);
    if has_digest && let Some(at) = words.iter().rposition(is_digest).filter(|at| *at > 0) {
        words.remove(at);
    }
    if kind != StepKind::Step && words.len() > 1 && words.first().is_some_and(|word| *word == kind.as_str()) {
        words.remove(0);
    }
    words.join(" ")
}

/// An execution for tests, with some members of their own.
#[cfg(test)]
pub(super) fn summary(more: &serde_json::Value) -> serde_json::Value {
    let mut value = serde_json::json!({
        "id": "01kb", "workflow": "pay", "version": 2, "generation": 3, "tier": "Long", "status": "Waiting",
        "tenant": null, "triggeredBy": "manual", "source": null, "event": null, "parent": null, "attempt": 1,
        "priority": 0, "createdAt": "2026-11-29T11:55:00Z", "startedAt": null, "finishedAt": null,
        "durationMs": null, "errorMessage": null, "trace": null, "waitsFor": [],
    });
    for (name, member) in more.as_object().unwrap() {
        value[name] = member.clone();
    }
    value
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::api_client::ApiClient;
    use super::*;

    #[test]
    fn a_waiting_execution_names_the_subject_and_the_command() {
        let execution: ExecutionSummary = serde_json::from_value(summary(&json!({"waitsFor": [
            {"kind": "approval", "name": "ship", "until": "2026-11-29T12:15:00Z"},
            {"kind": "event", "name": "paid", "until": null},
            {"kind": "sleep", "name": "7200000ms 0a1b2c3d", "until": "2026-11-29T13:00:00Z"},
            {"kind": "workflow", "name": "child 0a1b2c3d #2", "until": null},
        ]})))
        .unwrap();
        let status = status_with_waits(&execution);
        assert_eq!(status, "Waiting for approval `ship`, signal `paid`, a time, workflow `child #2`");
        assert_eq!(origin(&execution), "manual");
        let style = Style::with(None, "2026-11-29T12:00:00Z");
        let described: Vec<String> = execution.waits_for.iter().map(|wait| describe_wait(wait, style)).collect();
        assert_eq!(
            described,
            [
                "approval `ship` until 2026-11-29T12:15:00Z (15 min left)",
                "signal `paid`",
                "2026-11-29T13:00:00Z (1 h left)",
                "workflow `child #2`",
            ]
        );
        let client = ApiClient { server: String::new(), token: None };
        let environment = EnvironmentApi { client, environment: "live".into(), is_chosen: true };
        let commands: Vec<Option<String>> =
            execution.waits_for.iter().map(|wait| wait_command(wait, "01kb", &environment)).collect();
        assert_eq!(
            commands,
            [
                Some("evenkeel executions approve 01kb ship -e live".to_owned()),
                Some("evenkeel executions signal 01kb paid -d JSON -e live".to_owned()),
                None,
                None,
            ]
        );
    }

    #[test]
    fn names_of_people_keep_their_words() {
        for (kind, name, plain) in [
            (StepKind::Step, "deadbeef", "deadbeef"),
            (StepKind::Step, "pay deadbeef", "pay deadbeef"),
            (StepKind::Step, "step one", "step one"),
            (StepKind::Sleep, "sleep 2000ms 0a1b2c3d", "2000ms"),
            (StepKind::Event, "event paid", "paid"),
            (StepKind::Approval, "approval ship cafebabe", "ship cafebabe"),
            (StepKind::Action, "orbit/create 01b82868 #2", "orbit/create #2"),
        ] {
            assert_eq!(plain_name(kind, name), plain);
        }
    }
}
