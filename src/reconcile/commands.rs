//! Commands that operators give an environment.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::reason::ReconcileError;
use super::validate::Validated;
use crate::definition::Id;
use crate::store::{Micros, StoreError};
use crate::text::render::{OutputFormat, Report, render};
use crate::text::{Digest, Finding, Severity};

/// Maximum number of findings in an error.
const MAX_FINDINGS: usize = 100;

/// A request to one environment.
#[derive(Clone, Debug)]
pub enum Request {
    /// Reconcile now.
    Reconcile,
    /// Apply nothing until resumed.
    Suspend {
        /// Reason in the operator's words.
        reason: Option<String>,
    },
    /// Continue after a suspension or rollback.
    Resume,
    /// Activate the content of an earlier generation.
    Rollback {
        /// Number of the generation.
        to: u64,
    },
    /// Activate the content of another environment's active generation.
    Promote {
        /// Name of the other environment.
        from: String,
    },
    /// Approve the pending plan.
    Approve {
        /// Digest of the plan that was read, so that no other plan is approved.
        plan: Digest,
    },
    /// Write a definition through the API.
    Put {
        /// Kind and name of the definition.
        id: Id,
        /// Text of the definition.
        text: String,
        /// True if the text is JSON, false if it is YAML.
        json: bool,
        /// Duration of an override of the source's definition, in microseconds.
        over: Option<Micros>,
        /// Reason in the operator's words.
        reason: Option<String>,
        /// Condition on the definition that is live.
        precondition: Precondition,
    },
    /// Remove a definition that was written through the API, or end an override.
    Delete {
        /// Kind and name of the definition.
        id: Id,
        /// Condition on the definition that is live.
        precondition: Precondition,
    },
    /// Restore a removed definition through the API.
    Restore {
        /// Kind and name of the definition.
        id: Id,
    },
    /// Read the pending plan.
    Plan,
    /// Plan files as if they were the source's.
    Preview {
        /// Contents by path from the root of the source.
        files: BTreeMap<String, String>,
    },
}

impl Request {
    /// The action and its details in the audit log; `None` for requests that change nothing. The text of a definition is
    /// never logged.
    pub(super) fn audit(&self) -> Option<(&'static str, Value)> {
        match self {
            Request::Reconcile => Some(("Reconcile", json!({}))),
            Request::Suspend { reason } => Some(("Suspend", json!({"reason": reason}))),
            Request::Resume => Some(("Resume", json!({}))),
            Request::Rollback { to } => Some(("Rollback", json!({"to": to}))),
            Request::Promote { from } => Some(("Promote", json!({"from": from}))),
            Request::Approve { plan } => Some(("Approve", json!({"plan": plan}))),
            Request::Put { id, over, reason, .. } => {
                Some(("Put", json!({"id": id.to_string(), "overMicros": over, "reason": reason})))
            }
            Request::Delete { id, .. } => Some(("Delete", json!({"id": id.to_string()}))),
            Request::Restore { id } => Some(("Restore", json!({"id": id.to_string()}))),
            Request::Plan | Request::Preview { .. } => None,
        }
    }
}

/// Condition on the live definition that a write replaces, as `If-Match` and `If-None-Match` say it (RFC 9110, section 13).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precondition {
    /// None.
    #[default]
    None,
    /// It exists.
    Exists,
    /// It does not exist.
    Absent,
    /// It exists with this digest.
    Digest(Digest),
}

impl Precondition {
    /// Checks the condition.
    ///
    /// # Errors
    /// 412 `PRECONDITION_FAILED` with the present state.
    pub fn check(self, id: &Id, live: Option<Digest>) -> Result<(), CommandError> {
        let holds = match self {
            Precondition::None => true,
            Precondition::Exists => live.is_some(),
            Precondition::Absent => live.is_none(),
            Precondition::Digest(digest) => live == Some(digest),
        };
        if holds {
            return Ok(());
        }
        let now = live.map_or_else(|| "does not exist".to_owned(), |digest| format!("has the digest {digest} now"));
        let message = format!("{id} {now}; read it again before you change it");
        Err(CommandError::new(412, "PRECONDITION_FAILED", message))
    }
}

/// A request with its sender.
#[derive(Debug)]
pub struct Command {
    /// The request.
    pub request: Request,
    /// Name of the operator.
    pub actor: String,
    /// Receives the response.
    pub answer: oneshot::Sender<Result<Value, CommandError>>,
}

/// A request that was not carried out.
#[derive(Debug)]
pub struct CommandError {
    /// HTTP status of the response.
    pub status: u16,
    /// Code of the error.
    pub reason: &'static str,
    /// One sentence: the cause and the remedy.
    pub message: String,
    /// Findings, as `validate -o json` writes them.
    pub findings: Vec<Value>,
}

impl CommandError {
    /// An error without findings.
    pub fn new(status: u16, reason: &'static str, message: impl Into<String>) -> CommandError {
        CommandError { status, reason, message: message.into(), findings: Vec::new() }
    }

    /// The error of definitions that are invalid.
    pub(super) fn invalid(validated: &Validated) -> CommandError {
        let errors = validated.findings.iter().filter(|finding| finding.severity == Severity::Error);
        let errors: Vec<Finding> = errors.take(MAX_FINDINGS).cloned().collect();
        let catalog = &validated.catalog;
        let report = Report { findings: &errors, sources: &catalog.sources, definitions: catalog.entries.len() };
        let rendered: Value = serde_json::from_str(&render(&report, OutputFormat::Json, false, 0)).unwrap_or_default();
        let first = errors.first().map_or("", |first| first.message.as_str());
        let message = format!("the change makes the environment invalid: {first}");
        CommandError {
            findings: rendered["findings"].as_array().cloned().unwrap_or_default(),
            ..CommandError::new(422, "INVALID_DEFINITIONS", message)
        }
    }
}

impl From<ReconcileError> for CommandError {
    fn from(error: ReconcileError) -> CommandError {
        let status = if error.reason.is_of_store() { 503 } else { 409 };
        CommandError::new(status, "REFUSED", error.message)
    }
}

impl From<StoreError> for CommandError {
    fn from(error: StoreError) -> CommandError {
        CommandError::from(ReconcileError::from(error))
    }
}
