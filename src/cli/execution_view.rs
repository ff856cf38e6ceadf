//! An execution of a server's response.

use serde::Deserialize;
use serde_json::Value;

use super::environment_api::EnvironmentApi;
use super::style::Style;
use crate::store::queue::{ExecutionStatus, StepKind, StepStatus};

/// An execution: a row of a list, or with its payloads and steps.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Execution {
    pub(super) id: String,
    pub(super) workflow: String,
    pub(super) version: i64,
    pub(super) tier: String,
    pub(super) status: ExecutionStatus,
    pub(super) tenant: String,
    pub(super) triggered_by: String,
    pub(super) source: String,
    pub(super) event: String,
    pub(super) digest: String,
    pub(super) attempt: i64,
    pub(super) created_at: Value,
    pub(super) duration_ms: Option<f64>,
    pub(super) error: Value,
    pub(super) trace: String,
    pub(super) parent: String,
    pub(super) waits_for: Vec<Wait>,
    pub(super) input: Value,
    pub(super) output: Value,
    pub(super) steps: Vec<Step>,
    pub(super) cancel_requested: bool,
}

/// The subject that a waiting execution waits for.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Wait {
    kind: WaitKind,
    #[serde(default)]
    name: String,
    #[serde(default)]
    until: Value,
}

/// Kind of a [`Wait`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
enum WaitKind {
    Approval,
    Event,
    Timer,
    Execution,
    /// A kind that this version does not know.
    #[serde(other)]
    Unknown,
}

/// A recorded step.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Step {
    pub(super) name: String,
    pub(super) order: i64,
    pub(super) kind: StepKind,
    pub(super) status: StepStatus,
    pub(super) output: Value,
    pub(super) error: Value,
    pub(super) started_at: Value,
    pub(super) finished_at: Value,
}

impl Execution {
    /// The trigger, person or workflow that started it.
    pub(super) fn origin(&self) -> String {
        match self.source.as_str() {
            "" => self.triggered_by.clone(),
            source => format!("{} {source}", self.triggered_by),
        }
    }

    /// The status, with the subjects that it waits for.
    pub(super) fn status_with_waits(&self) -> String {
        match self.waits_for.is_empty() {
            true => self.status.to_string(),
            false => {
                let waits: Vec<String> = self.waits_for.iter().map(Wait::subject).collect();
                format!("{} for {}", self.status, waits.join(", "))
            }
        }
    }

    /// True once it has ended.
    pub(super) fn has_ended(&self) -> bool {
        self.status.is_final()
    }

    /// Message of the error, if it failed.
    pub(super) fn error_message(&self) -> &str {
        self.error.as_str().or(self.error["message"].as_str()).unwrap_or_default()
    }
}

impl Wait {
    /// The subject, such as "approval `ship`".
    fn subject(&self) -> String {
        let noun = match self.kind {
            WaitKind::Approval => "approval",
            WaitKind::Event => "signal",
            WaitKind::Timer => return "a time".to_owned(),
            WaitKind::Execution => "execution",
            WaitKind::Unknown => "something that this version does not know",
        };
        if self.name.is_empty() { noun.to_owned() } else { format!("{noun} `{}`", self.name) }
    }

    /// The subject with the end of the wait.
    pub(super) fn describe(&self, style: Style) -> String {
        if self.until.is_null() {
            return self.subject();
        }
        let until = style.with_rest(&self.until);
        match self.kind {
            WaitKind::Timer => until,
            _ => format!("{} until {until}", self.subject()),
        }
    }

    /// The command that ends the wait, if there is one.
    pub(super) fn command(&self, execution: &str, environment: &EnvironmentApi) -> Option<String> {
        let option = environment.option();
        match self.kind {
            WaitKind::Approval => Some(format!("evenkeel executions approve {execution} {}{option}", self.name)),
            WaitKind::Event => Some(format!("evenkeel executions signal {execution} {} -d JSON{option}", self.name)),
            WaitKind::Timer | WaitKind::Execution | WaitKind::Unknown => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::api_client::ApiClient;
    use super::super::response_view::parse;
    use super::*;

    #[test]
    fn a_waiting_execution_names_the_subject_and_the_command() {
        let execution: Execution = parse(&json!({
            "id": "01kb", "status": "Waiting", "triggeredBy": "manual", "source": null, "waitsFor": [
                {"kind": "approval", "name": "ship", "until": "2026-11-29T12:15:00Z"},
                {"kind": "event", "name": "paid", "until": null},
                {"kind": "timer", "name": null, "until": "2026-11-29T13:00:00Z"},
                {"kind": "planet", "name": "x"},
            ],
        }))
        .unwrap();
        let status = execution.status_with_waits();
        assert!(status.starts_with("Waiting for approval `ship`, signal `paid`, a time"), "{status}");
        assert_eq!(execution.origin(), "manual");
        let style = Style::with(None, "2026-11-29T12:00:00Z");
        let described: Vec<String> = execution.waits_for.iter().map(|wait| wait.describe(style)).collect();
        assert_eq!(
            described[..3],
            [
                "approval `ship` until 2026-11-29T12:15:00Z (15 min left)",
                "signal `paid`",
                "2026-11-29T13:00:00Z (1 h left)"
            ]
        );
        let client = ApiClient { server: String::new(), token: None };
        let environment = EnvironmentApi { client, environment: "live".into(), is_chosen: true };
        let commands: Vec<Option<String>> =
            execution.waits_for.iter().map(|wait| wait.command("01kb", &environment)).collect();
        assert_eq!(
            commands,
            [
                Some("evenkeel executions approve 01kb ship -e live".to_owned()),
                Some("evenkeel executions signal 01kb paid -d JSON -e live".to_owned()),
                None,
                None
            ]
        );
    }

    #[test]
    fn the_message_of_an_error_is_read_from_lists_and_details() {
        for error in [json!("it broke"), json!({"code": "X", "message": "it broke"})] {
            let execution: Execution = parse(&json!({"status": "Failed", "error": error})).unwrap();
            assert_eq!((execution.error_message(), execution.has_ended()), ("it broke", true));
        }
    }
}
