//! What people ask of an environment: go back, promote, stop, go on, approve, write by hand.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::clock::now;
use super::engine::Reconciler;
use super::propose::written_by_hand;
use super::reason::{Reason, ReconcileError};
use super::sources::MergedSources;
use super::status::{Approved, BlockedPrune, ConditionKind, ConditionStatus, Requester};
use crate::catalog::Snapshot;
use crate::definition::Id;
use crate::plan::{self, Inventory, Plan, PlanOptions};
use crate::store::manifest::Manifest;
use crate::store::{Audit, Generation, Micros, StoreError};
use crate::text::render::{OutputFormat, Report, render};
use crate::text::{Digest, Finding, Severity};

/// What is asked, of one environment.
#[derive(Clone, Debug)]
pub enum Request {
    /// Look now.
    Reconcile,
    /// Apply nothing until resumed.
    Suspend {
        /// Why.
        reason: Option<String>,
    },
    /// Go on, also after a rollback.
    Resume,
    /// Make an earlier generation active.
    Rollback {
        /// Its number.
        to: u64,
    },
    /// Make another environment's active generation this one's.
    Promote {
        /// The other environment.
        from: String,
    },
    /// The pending plan may be applied.
    Approve {
        /// The plan's digest, so that nothing else is approved than what was read.
        plan: Digest,
    },
    /// Write a definition by hand.
    Put {
        /// Its kind and name.
        id: Id,
        /// Its text.
        text: String,
        /// Is it JSON? YAML otherwise.
        json: bool,
        /// For how long it may stand in for a source's definition, in microseconds.
        over: Option<Micros>,
        /// Why.
        reason: Option<String>,
    },
    /// Remove a definition that was written by hand.
    Delete {
        /// Its kind and name.
        id: Id,
    },
    /// Bring back a removed definition by hand.
    Restore {
        /// Its kind and name.
        id: Id,
    },
    /// The plan that waits.
    Plan,
    /// The plan that these files would lead to, were they the source's.
    Preview {
        /// Content by path from the source's root.
        files: BTreeMap<String, String>,
    },
}

/// Someone asks for something.
#[derive(Debug)]
pub struct Command {
    /// What.
    pub request: Request,
    /// Who.
    pub actor: String,
    /// Where the answer goes.
    pub answer: oneshot::Sender<Result<Value, CommandError>>,
}

/// Why it is not done.
#[derive(Debug)]
pub struct CommandError {
    /// HTTP status that fits.
    pub status: u16,
    /// One word.
    pub reason: &'static str,
    /// One sentence: what to do.
    pub message: String,
    /// Findings, as `validate -o json` writes them.
    pub findings: Vec<Value>,
}

impl CommandError {
    /// Without findings.
    pub fn new(status: u16, reason: &'static str, message: impl Into<String>) -> CommandError {
        CommandError { status, reason, message: message.into(), findings: Vec::new() }
    }
}

impl From<ReconcileError> for CommandError {
    fn from(refused: ReconcileError) -> CommandError {
        let status = if refused.reason.is_of_store() { 503 } else { 409 };
        CommandError::new(status, "Refused", refused.message)
    }
}

impl From<StoreError> for CommandError {
    fn from(error: StoreError) -> CommandError {
        CommandError::from(ReconcileError::from(error))
    }
}

impl Reconciler {
    /// Does what is asked.
    pub(super) async fn answer(&mut self, request: Request, actor: &str) -> Result<Value, CommandError> {
        let line = match &request {
            Request::Plan | Request::Preview { .. } => None,
            other => Some(details(other)),
        };
        let answer = self.act(request, actor).await?;
        if let Some((action, details)) = line {
            let (environment, actor, action) = (self.key().to_owned(), actor.to_owned(), action.to_owned());
            let line = Audit { at: 0, environment, actor, action, details };
            // It is done: whoever asked must not be told that it is not.
            if let Err(error) = self.store().append_audit(&line).await {
                tracing::error!(?line, "what was done cannot be recorded: {error}");
            }
        }
        Ok(answer)
    }

    async fn act(&mut self, request: Request, actor: &str) -> Result<Value, CommandError> {
        if self.follows {
            // Another process leads: what it says counts.
            let mut status = self.status.clone();
            self.read_status(&mut status).await?;
            self.status = status;
        }
        let mut controls = self.controls().await?;
        match request {
            Request::Reconcile => controls.requested += 1,
            Request::Suspend { reason } => {
                controls.suspended = Some(Requester { by: actor.to_owned(), at: now(), reason });
            }
            Request::Resume => {
                controls.suspended = None;
                controls.held_back = None;
                self.fights.settle();
            }
            Request::Approve { plan } => {
                let pending = self.pending.as_ref().map(|pending| pending.digest);
                let known = pending.or(self.status.pending.as_ref().map(|pending| pending.plan));
                if known != Some(plan) {
                    let message = match known {
                        Some(known) => format!("the plan is stale: {known} waits now, read that one"),
                        None => "no plan waits for approval".to_owned(),
                    };
                    return Err(CommandError::new(409, "StalePlan", message));
                }
                if let Some(one) = self.status.blocked.iter().find(|one| one.reason.is_final()) {
                    return Err(CommandError::new(409, "NotApprovable", one.message.clone()));
                }
                controls.approved = Some(Approved { plan, by: actor.to_owned(), at: now() });
            }
            Request::Rollback { to } => return self.roll_back(to, actor).await,
            Request::Promote { from } => return self.promote(&from, actor).await,
            Request::Put { id, text, json, over, reason } => {
                return self.put(&id, written_by_hand(&id, &text, json), over, reason, actor).await;
            }
            Request::Delete { id } => return self.delete(&id, actor).await,
            Request::Restore { id } => return self.restore(&id, actor).await,
            Request::Plan => {
                if self.follows && self.status.pending.is_some() {
                    let plan = self.store().state(self.key(), "plan").await?;
                    return Ok(plan.unwrap_or_default());
                }
                if let Some(ready) = self.status.condition(ConditionKind::Ready)
                    && self.pending.is_none()
                    && ready.status != ConditionStatus::True
                    && ready.reason != Reason::Progressing
                {
                    return Err(CommandError::new(409, "NoPlan", format!("there is no plan: {}", ready.message)));
                }
                let plan = self.pending.clone().unwrap_or_else(|| self.no_plan());
                return Ok(serde_json::to_value(&*plan).unwrap_or_default());
            }
            Request::Preview { files } => return self.preview(files).await,
        }
        self.put_controls(&controls).await?;
        Ok(json!({"environment": self.key(), "requested": controls.requested}))
    }

    /// The plan that changes nothing.
    fn no_plan(&self) -> Arc<Plan> {
        let nothing = Inventory::new();
        let live = self.live.as_ref().map_or(&nothing, |live| &live.candidate.inventory);
        let options = PlanOptions { environment: self.key(), fingerprint: Some(&self.context.fingerprint) };
        Arc::new(plan::plan(live, live, &options))
    }

    /// Plans files that somebody sent as if they were the source's, with everything that this environment adds.
    async fn preview(&mut self, files: BTreeMap<String, String>) -> Result<Value, CommandError> {
        self.follow().await?;
        let sent: BTreeMap<String, Arc<[u8]>> =
            files.into_iter().map(|(path, text)| (path, Arc::from(text.into_bytes()))).collect();
        let definitions = sent.iter().filter(|(path, _)| crate::text::Format::of(path).is_some());
        let mut snapshot = Snapshot::of(definitions.map(|(path, bytes)| (path.as_str(), Arc::clone(bytes))));
        snapshot.names = Arc::new(sent.keys().cloned().collect());
        snapshot.with_code(sent.iter().map(|(path, bytes)| (path.as_str(), bytes)));
        let joined = MergedSources { parts: Vec::new(), snapshot, unreadable: Vec::new(), sent };
        // What others are shown is the source's, and not what somebody tried.
        let looked = self.looked.take();
        let proposal = self.propose(&joined, None).await;
        let tried = std::mem::replace(&mut self.looked, looked);
        match proposal {
            Ok(proposal) => {
                let blocked: Vec<BlockedPrune> = proposal.blocked.iter().map(BlockedPrune::from).collect();
                Ok(json!({"plan": &*proposal.plan, "blocked": blocked}))
            }
            Err(refused) => match tried.filter(|tried| !tried.is_valid()) {
                Some(tried) => Err(with_findings(&tried)),
                None => Err(refused.into()),
            },
        }
    }

    /// The manifest that is active here, for those who ask where something comes from.
    pub(super) fn manifest(&self) -> Option<&Arc<Manifest>> {
        self.live.as_ref().map(|live| &live.candidate.manifest)
    }
}

pub(super) fn with_findings(examined: &super::validate::Validated) -> CommandError {
    let errors: Vec<Finding> =
        examined.findings.iter().filter(|finding| finding.severity == Severity::Error).take(100).cloned().collect();
    let report =
        Report { findings: &errors, sources: &examined.catalog.sources, definitions: examined.catalog.entries.len() };
    let rendered: Value = serde_json::from_str(&render(&report, OutputFormat::Json, false, 0)).unwrap_or_default();
    let first = errors.first().map_or("", |first| first.message.as_str());
    let mut denied =
        CommandError::new(422, "InvalidDefinitions", format!("with it the environment has errors: {first}"));
    denied.findings = rendered["findings"].as_array().cloned().unwrap_or_default();
    denied
}

pub(super) fn of_generation(generation: &Generation) -> Value {
    serde_json::to_value(generation).unwrap_or_default()
}

/// What the record says of a request: a word, and more about it; never the text of a definition.
fn details(request: &Request) -> (&'static str, Value) {
    match request {
        Request::Reconcile => ("Reconcile", json!({})),
        Request::Suspend { reason } => ("Suspend", json!({"reason": reason})),
        Request::Resume => ("Resume", json!({})),
        Request::Rollback { to } => ("Rollback", json!({"to": to})),
        Request::Promote { from } => ("Promote", json!({"from": from})),
        Request::Approve { plan } => ("Approve", json!({"plan": plan})),
        Request::Put { id, over, reason, .. } => {
            ("Put", json!({"id": id.to_string(), "overMicros": over, "reason": reason}))
        }
        Request::Delete { id } => ("Delete", json!({"id": id.to_string()})),
        Request::Restore { id } => ("Restore", json!({"id": id.to_string()})),
        Request::Plan => ("Plan", json!({})),
        Request::Preview { .. } => ("Preview", json!({})),
    }
}
