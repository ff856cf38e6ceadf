//! Calls that are performed at once, and once: actions, requests of scripts, and values of `ctx.state`.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::engine::{HostCall, HostReply};
use super::execution::{ActiveExecution, StepKey, StepValues, micros_of_ms, store_error};
use super::journal::JournalEntry;
use super::program::camel;
use super::spans;
use crate::connector::{self, CallError};
use crate::store::queue::{StepKind, StepStatus};
use crate::text::Digest;

impl ActiveExecution {
    /// Performs a call, unless the record has its result.
    pub(super) async fn perform_once(self: &Arc<Self>, call: HostCall) -> HostReply {
        let question = serde_json::to_value(&call).unwrap_or_default();
        let (kind, label, input) = match &call {
            HostCall::Action { connector, action, input, .. } => match self.find_action(connector, action) {
                Ok((connector, action)) => (StepKind::Action, format!("{connector}/{action}"), input.clone()),
                Err(error) => return HostReply::Error(error, self.dispatcher.now()),
            },
            HostCall::Fetch { url, init } => {
                let method = init.get("method").and_then(Value::as_str).unwrap_or("GET");
                let path = url.split(['?', '#']).next().unwrap_or_default();
                (StepKind::Fetch, format!("{method} {path}"), init.get("body").cloned().unwrap_or_default())
            }
            HostCall::GetState { scope, key } => (StepKind::State, format!("get {scope} {key}"), Value::Null),
            HostCall::SetState { scope, key, value, .. } => {
                (StepKind::State, format!("set {scope} {key}"), value.clone())
            }
            _ => return HostReply::Error(unknown_call(), self.dispatcher.now()),
        };
        let entry = {
            let mut state = self.lock();
            let label = state.masks.text(&label);
            state.journal.ask(&label, &question)
        };
        let (name, order, within) = match entry {
            JournalEntry::Completed(output, at) => return HostReply::Value(output, at),
            JournalEntry::Failed(error) => return HostReply::Error(error, self.dispatcher.now()),
            JournalEntry::New { name, order, within } => (name, order, within),
            JournalEntry::Waiting(step) => (step.name, step.order, None),
        };
        let started_at = self.dispatcher.now();
        let result = self.perform_call(call, &name, within.as_deref()).await;
        let now = self.dispatcher.now();
        let (status, output, error, reply) = match result {
            Ok(output) => (StepStatus::Completed, output.clone(), Value::Null, HostReply::Value(output, now)),
            Err(error) => (StepStatus::Failed, Value::Null, error.clone(), HostReply::Error(error, now)),
        };
        let step = {
            let masks = &self.lock().masks;
            let values =
                StepValues { input: masks.value(input), output: masks.value(output), error: masks.value(error) };
            self.step(StepKey { name: &name, kind, order }, status, values, started_at, now)
        };
        self.save_step(step, within.as_deref()).await.unwrap_or(reply)
    }

    async fn perform_call(&self, call: HostCall, step: &str, within: Option<&str>) -> Result<Value, Value> {
        match call {
            HostCall::Action { connector, action, input, options } => {
                let (connector, action) = self.find_action(&connector, &action)?;
                let connection = options.get("connection").and_then(Value::as_str).map(str::to_owned);
                let texts = |name: &str| -> BTreeMap<String, String> {
                    let values = options.get(name).and_then(Value::as_object).into_iter().flatten();
                    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                    values.map(|(name, value)| (name.clone(), text(value))).collect()
                };
                let declared = self.program.spec.connectors.values().find(|used| used.connector == connector);
                let call = connector::Call {
                    input,
                    path_params: texts("pathParams"),
                    headers: texts("headers"),
                    query: texts("query"),
                    tenant: Some(self.record.tenant.clone()).filter(|tenant| !tenant.is_empty()),
                    connection: connection.or_else(|| declared.and_then(|used| used.connection.clone())),
                    // The same for each try of this step, so that applications recognize a repetition.
                    request_id: format!("{}-{}", self.record.id, Digest::of(step.as_bytes()).short()),
                    trace: spans::step_traceparent(&self.record, step, within),
                    ..connector::Call::default()
                };
                let called = self.live.actions.call(&connector, &action, call).await;
                called.map_err(|error| error_value(&error, &format!("{connector}/{action}")))
            }
            HostCall::Fetch { url, init } => {
                let trace = spans::step_traceparent(&self.record, step, within);
                self.live.actions.fetch(&url, &init, &trace).await.map_err(|error| error_value(&error, "fetch"))
            }
            HostCall::GetState { scope, key } => {
                let scope = self.scope(&scope);
                let found = self.dispatcher.store().workflow_state(&self.record.environment, &scope, &key).await;
                found.map(Option::unwrap_or_default).map_err(|error| store_error(&error))
            }
            HostCall::SetState { scope, key, value, ttl } => {
                let scope = self.scope(&scope);
                let ttl = ttl.map(micros_of_ms);
                // The state of an execution itself ends with it.
                let is_kept = !scope.starts_with("run/");
                let max_bytes = self.live.runtime.quotas_of(&self.record.tenant).state_bytes.filter(|_| is_kept);
                let (store, environment) = (self.dispatcher.store(), &self.record.environment);
                let stored = store.put_workflow_state_within(environment, &scope, &key, &value, ttl, max_bytes).await;
                match stored {
                    Ok(true) => Ok(Value::Null),
                    Ok(false) => {
                        self.dispatcher.environments().refused_by_quota(environment, "stateBytes");
                        let message = format!(
                            "cannot set state `{key}`: keys and values would have more than the {} bytes that \
                             `quotas.stateBytes` allows; delete some, or set a `ttl`",
                            max_bytes.unwrap_or_default()
                        );
                        Err(json!({"code": "STATE_BYTES_EXCEEDED", "message": message}))
                    }
                    Err(error) => Err(store_error(&error)),
                }
            }
            _ => Err(unknown_call()),
        }
    }

    /// The stored scope of a state value, which keeps tenants apart.
    fn scope(&self, scope: &str) -> String {
        match scope {
            "invocation" => format!("run/{}", self.record.id),
            _ if self.record.tenant.is_empty() => "organization".to_owned(),
            _ => format!("tenant/{}", self.record.tenant),
        }
    }

    /// The connector and action of the names in code.
    fn find_action(&self, connector: &str, action: &str) -> Result<(String, String), Value> {
        let runtime = &self.live.runtime;
        let used = self.program.spec.connectors.get(connector).map(|used| used.connector.as_str());
        let found = used.or_else(|| {
            let exact = runtime.connectors.get_key_value(connector).map(|(name, _)| name.as_str());
            exact.or_else(|| runtime.connectors.keys().map(String::as_str).find(|name| camel(name) == connector))
        });
        let unknown = |code: &str, message: String| json!({"code": code, "message": message});
        let Some(found) = found.and_then(|name| runtime.connectors.get(name)) else {
            let names: Vec<String> = runtime.connectors.keys().map(|name| camel(name)).collect();
            let near = crate::definition::schema_validator::nearest(connector, names.iter().map(String::as_str));
            let near = near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
            return Err(unknown("UNKNOWN_CONNECTOR", format!("there is no connector `{connector}`{near}")));
        };
        let names = || found.actions.keys().map(String::as_str);
        let Some(name) = names().find(|name| *name == action).or_else(|| names().find(|name| camel(name) == action))
        else {
            let available: Vec<String> = names().map(camel).collect();
            let near = crate::definition::schema_validator::nearest(action, available.iter().map(String::as_str));
            let near = near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
            let message = format!("connector `{}` has no action `{action}`{near}", found.name);
            return Err(unknown("UNKNOWN_ACTION", message));
        };
        Ok((found.name.clone(), name.to_owned()))
    }
}

fn unknown_call() -> Value {
    json!({"code": "INTERNAL", "message": "unknown call of the host"})
}

fn error_value(error: &CallError, subject: &str) -> Value {
    let mut value = json!({"code": error.code.as_str(), "message": format!("{subject}: {}", error.detail)});
    if let Some(status) = error.upstream_status {
        value["status"] = status.into();
    }
    if let Some(retry_after) = error.retry_after {
        value["retryAfter"] = connector::retry_after_seconds(retry_after).into();
    }
    if let Some(body) = &error.upstream {
        value["body"] = Value::clone(body);
    }
    value
}
