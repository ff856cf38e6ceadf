//! The calls of scripts and steps to their host: dispatched by kind, and answered from the record if they ran before.

use std::sync::Arc;

use futures::future::BoxFuture;
use serde_json::{Value, json};

use super::engine::{HostCall, HostReply, ScriptHost};
use super::execution::{ActiveExecution, StepKey, StepValues};
use super::journal::JournalEntry;
use crate::definition::is_name;
use crate::store::queue::{LogLevel, LogLine, SignalKind, StepKind, StepStatus};

/// Maximum number of roles of an approval.
const MAX_ROLES: usize = 100;
/// Maximum number of log lines of an attempt.
const MAX_LINES: usize = 2_000;
/// Maximum length of a log line in bytes.
const MAX_LINE_BYTES: usize = 4 << 10;

impl ScriptHost for ActiveExecution {
    fn call(self: Arc<Self>, call: HostCall) -> BoxFuture<'static, HostReply> {
        Box::pin(self.perform(call))
    }
}

impl ActiveExecution {
    async fn perform(self: Arc<Self>, call: HostCall) -> HostReply {
        match call {
            HostCall::Log { level, message } => self.log(level, &message),
            HostCall::Begin { name } => self.begin_step(&name),
            HostCall::End { name, output, error } => self.end_step(&name, output, error).await,
            HostCall::Secret { name } => self.secret(&name),
            HostCall::Sleep { ms } => self.sleep(ms).await,
            HostCall::Wait { name, timeout, question, roles } => {
                let has_names = roles.len() <= MAX_ROLES && roles.iter().all(|role| is_name(role));
                if !has_names {
                    let message = format!("`roles` of an approval are at most {MAX_ROLES} names of roles");
                    return HostReply::Error(json!({"code": "BAD_ROLES", "message": message}), self.dispatcher.now());
                }
                let kind = if question.is_null() { SignalKind::Event } else { SignalKind::Approval };
                self.wait_for_signal(kind, &name, timeout, question, &roles).await
            }
            HostCall::Workflow { workflow, input } => self.run_child(&workflow, input).await,
            other => self.perform_once(other).await,
        }
    }

    fn log(&self, level: LogLevel, message: &str) -> HostReply {
        let now = self.dispatcher.now();
        let mut state = self.lock();
        if state.journal.replays() {
            return HostReply::Value(Value::Null, now);
        }
        state.lines += 1;
        if state.lines <= MAX_LINES {
            let mut message = state.masks.text(message);
            if message.len() > MAX_LINE_BYTES {
                let end = (0..=MAX_LINE_BYTES).rev().find(|at| message.is_char_boundary(*at)).unwrap_or(0);
                message.truncate(end);
                message.push('…');
            }
            let message = if state.lines == MAX_LINES { "further lines are not kept".to_owned() } else { message };
            // The lines belong to the record of the execution; the log of a server has them on request only.
            tracing::debug!(
                target: "evenkeel::ctx_log",
                execution = self.record.id,
                environment = self.record.environment,
                workflow = self.record.workflow,
                severity = level.as_str(),
                line = message,
                "line of an execution"
            );
            ActiveExecution::push_line(&mut state, LogLine { at: now, level, message });
        }
        HostReply::Value(Value::Null, now)
    }

    fn begin_step(&self, name: &str) -> HostReply {
        let now = self.dispatcher.now();
        let mut state = self.lock();
        match state.journal.begin(name) {
            JournalEntry::Completed(output, at) => HostReply::Value(json!({"name": name, "output": output}), at),
            JournalEntry::Failed(error) => HostReply::Value(json!({"name": name, "error": error}), now),
            JournalEntry::Waiting(step) => HostReply::Value(json!({"name": step.name}), now),
            JournalEntry::New { name, .. } => {
                state.begun.insert(name.clone(), now);
                HostReply::Value(json!({"name": name}), now)
            }
        }
    }

    async fn end_step(&self, name: &str, output: Value, error: Value) -> HostReply {
        let now = self.dispatcher.now();
        let step = {
            let mut state = self.lock();
            let Some(order) = state.journal.end(name) else { return HostReply::Value(Value::Null, now) };
            let started_at = state.begun.remove(name).unwrap_or(now);
            let status = if error.is_null() { StepStatus::Completed } else { StepStatus::Failed };
            let (output, error) = (state.masks.value(output), state.masks.value(error));
            let key = StepKey { name, kind: StepKind::Step, order };
            self.step(key, status, StepValues { output, error, ..StepValues::default() }, started_at, now)
        };
        self.save_step(step, None).await.unwrap_or(HostReply::Value(Value::Null, now))
    }

    fn secret(&self, name: &str) -> HostReply {
        let now = self.dispatcher.now();
        if !self.program.spec.secrets.iter().any(|declared| declared == name) {
            let message = format!("secret `{name}` is not declared; add it to `secrets` of the workflow");
            return HostReply::Error(json!({"code": "SECRET_NOT_DECLARED", "message": message}), now);
        }
        match self.live.actions.secret(name) {
            Ok(value) => {
                self.lock().masks.add(name, &value);
                HostReply::Value(Value::String(value), now)
            }
            Err(message) => HostReply::Error(json!({"code": "CREDENTIAL_UNAVAILABLE", "message": message}), now),
        }
    }
}
