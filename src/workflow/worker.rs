//! Takes executions that are ready, and brings each to its end or to where it waits.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::{OwnedSemaphorePermit, watch};

use super::dispatcher::Dispatcher;
use super::engine::{CancelReason, CancelToken, ScriptException, ScriptOutcome};
use super::execution::ActiveExecution;
use super::program::Program;
use super::spans;
use crate::store::queue::{
    Change, CommitResult, DeadLetter, DeadLetterReason, Disposition, Execution, ExecutionStatus, NewExecution,
    TriggeredBy, new_id,
};
use crate::store::{Micros, StoreError};

/// Longest wait between two looks for work: another process may have left some.
const LOOK: Duration = Duration::from_millis(500);
/// How often an execution may lose its worker: one that brings each down must not bring down all.
const MAX_LOST: i64 = 5;
/// How long running executions may go on when the process ends.
const GRACE: Duration = Duration::from_secs(10);
/// How often what is over is forgotten.
const SWEEP: Duration = Duration::from_mins(5);

/// A worker of a process.
#[derive(Debug)]
pub struct Worker {
    desk: Arc<Dispatcher>,
    running: Mutex<HashMap<String, (i64, CancelToken)>>,
    /// Does the process end?
    ending: AtomicBool,
}

impl Worker {
    /// A worker that has nothing yet.
    pub fn new(desk: Arc<Dispatcher>) -> Arc<Worker> {
        Arc::new(Worker { desk, running: Mutex::default(), ending: AtomicBool::new(false) })
    }

    /// Works until it is told to end; then gives back what it has.
    pub async fn work(self: Arc<Self>, mut until: watch::Receiver<bool>) {
        let renewing = tokio::spawn(Arc::clone(&self).renew());
        let starting = tokio::spawn(Arc::clone(&self).start_taken());
        let sweeping = tokio::spawn(Arc::clone(&self).sweep());
        let mut news = self.desk.store().changes();
        let mut failing = false;
        while !*until.borrow() {
            match self.claim().await {
                Ok(()) => failing = false,
                Err(error) => {
                    if !std::mem::replace(&mut failing, true) {
                        tracing::warn!("work cannot be looked for: {error}");
                    }
                }
            }
            let wait = self.until_next().await;
            tokio::select! {
                () = self.desk.woken.notified() => {}
                _ = news.changed() => {}
                () = tokio::time::sleep(wait) => {}
                _ = until.changed() => {}
            }
        }
        sweeping.abort();
        starting.abort();
        self.leave().await;
        renewing.abort();
    }

    /// Executions that this process has now.
    pub fn load(&self) -> usize {
        self.running.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    async fn until_next(&self) -> Duration {
        let mut next: Option<Micros> = None;
        for environment in self.desk.ground().environments() {
            if let Ok(ready) = self.desk.store().next_ready_at(&environment).await {
                next = next.into_iter().chain(ready).min();
            }
        }
        let left = next.map_or(Micros::MAX, |next| next.saturating_sub(self.desk.now()));
        // What is ready and was not taken waits for room, and whoever makes room wakes us.
        let left = if left <= 0 { LOOK } else { Duration::from_micros(left.unsigned_abs()) };
        left.min(LOOK).max(Duration::from_millis(1))
    }

    /// Starts what was taken as it was accepted.
    async fn start_taken(self: Arc<Self>) {
        loop {
            let taken = std::mem::take(&mut *self.desk.taken.lock().unwrap_or_else(PoisonError::into_inner));
            for (run, permit) in taken {
                self.start(run, permit);
            }
            self.desk.handed.notified().await;
        }
    }

    async fn claim(self: &Arc<Self>) -> Result<(), StoreError> {
        let lease = Micros::try_from(self.desk.settings().lease.as_micros()).unwrap_or(Micros::MAX);
        let mut is_behind = false;
        for environment in self.desk.ground().environments() {
            loop {
                let free = self.desk.slots.available_permits().min(64);
                let permits = Arc::clone(&self.desk.slots).try_acquire_many_owned(free as u32);
                let (Ok(mut permits), true) = (permits, free > 0) else { break };
                let worker = &self.desk.settings().worker;
                let runs = self.desk.store().claim(&environment, worker, free as u32, lease).await?;
                let found = runs.len();
                for run in runs {
                    if let Some(permit) = permits.split(1) {
                        self.start(run, permit);
                    }
                }
                is_behind |= found >= free;
                if found < free {
                    break;
                }
            }
        }
        self.desk.backlog.store(is_behind, Ordering::Relaxed);
        Ok(())
    }

    fn start(self: &Arc<Self>, run: Execution, permit: OwnedSemaphorePermit) {
        let (stop, key, token) = (CancelToken::default(), run.id.clone(), run.token);
        let earlier =
            self.running.lock().unwrap_or_else(PoisonError::into_inner).insert(key.clone(), (token, stop.clone()));
        // This process lost it and took it again: what it did before counts no more.
        if let Some((_, earlier)) = earlier {
            earlier.stop(CancelReason::Gone);
        }
        let worker = Arc::clone(self);
        tokio::spawn(async move {
            let bringing = tokio::spawn({
                let worker = Arc::clone(&worker);
                async move { worker.bring(run, stop, permit).await }
            });
            let next = bringing.await.unwrap_or_else(|_| {
                tracing::error!(run = key, "an execution broke off; it is taken over when its lease is over");
                Vec::new()
            });
            for run in next {
                // The one that ended left its permit.
                if let Ok(permit) = Arc::clone(&worker.desk.slots).acquire_owned().await {
                    worker.start(run, permit);
                }
            }
            let mut running = worker.running.lock().unwrap_or_else(PoisonError::into_inner);
            if running.get(&key).is_some_and(|(known, _)| *known == token) {
                running.remove(&key);
            }
            drop(running);
            worker.desk.woken.notify_one();
        });
    }

    /// Brings an execution to its end, or to where it waits; gives the next of its lane, where this worker has it now.
    async fn bring(&self, run: Execution, stop: CancelToken, permit: OwnedSemaphorePermit) -> Vec<Execution> {
        let desk = &self.desk;
        let started = std::time::Instant::now();
        let failed = |code: &str, message: String| ScriptOutcome::Threw(ScriptException::new(code, message));
        let Some(live) = desk.ground().live(&run.environment) else {
            // Nothing is live here yet: another process, or this one a little later.
            let again = Disposition::Requeue;
            let change = Change::Release {
                claim: run.claim(),
                disposition: again,
                steps: Vec::new(),
                logs: Vec::new(),
                follow_ups: Vec::new(),
                dead_letter: None,
                claim_next: None,
            };
            tokio::time::sleep(Duration::from_millis(200)).await;
            let _ = desk.commit(change).await;
            return Vec::new();
        };
        let (execution, ended) = match self.prepare(&run, &live, permit).await {
            Ok(execution) if run.lease_expirations > MAX_LOST => {
                let message = format!("its worker was lost {} times while it ran", run.lease_expirations);
                (Some(execution), failed("WORKER_LOST", message))
            }
            Ok(execution) if execution.deadline <= desk.now() => (Some(execution), ScriptOutcome::TimedOut),
            Ok(execution) => {
                let ended = match run.cancel_requested {
                    true => ScriptOutcome::Cancelled,
                    false => execution.run(stop.clone()).await,
                };
                (Some(execution), ended)
            }
            Err(message) => (None, failed("NOT_RUNNABLE", message)),
        };
        let outcome = self.outcome(&run, execution.as_deref(), ended, stop.reason());
        let Some(outcome) = outcome else {
            tracing::warn!(run = run.id, workflow = run.workflow, "another worker has this execution by now");
            return Vec::new();
        };
        let program = execution.as_ref().map(|execution| Arc::clone(&execution.program));
        let (steps, logs) = execution.as_ref().map_or_else(Default::default, |execution| {
            let unsaved = execution.take_unsaved();
            (unsaved.steps, unsaved.logs)
        });
        let (follow, dead) = self.after(&run, program.as_deref(), &live, &outcome).await;
        let mut ended = run.clone();
        if let Disposition::Ended(status, output, error) = &outcome {
            (ended.status, ended.output, ended.error) = (*status, output.clone(), error.clone());
            ended.finished_at = desk.now();
            tracing::info!(
                run = run.id,
                environment = run.environment,
                workflow = run.workflow,
                version = run.version,
                generation = run.generation,
                status = status.as_str(),
                attempt = run.attempt,
                ms = started.elapsed().as_micros() as f64 / 1000.0,
                trace = run.trace,
                "execution"
            );
        }
        let claim = run.claim();
        let dead = dead.map(Box::new);
        // Where others wait for a place, the next one waits for its turn like them.
        let may_go_on = !run.ordering_key.is_empty()
            && !desk.backlog.load(Ordering::Relaxed)
            && !self.ending.load(Ordering::Relaxed);
        let lease = Micros::try_from(desk.settings().lease.as_micros()).unwrap_or(Micros::MAX);
        let next = may_go_on.then(|| (desk.settings().worker.clone(), lease));
        match desk
            .commit(Change::Release {
                claim,
                disposition: outcome,
                steps,
                logs,
                follow_ups: follow,
                dead_letter: dead,
                claim_next: next,
            })
            .await
        {
            Ok(CommitResult::Stored(next)) => {
                if ended.status.is_final() {
                    spans::tell_run(&ended);
                    desk.ground().ended(&ended.environment, ended.status.as_str());
                    desk.ended(ended);
                }
                return next;
            }
            Ok(CommitResult::Refused(why)) => self.unstorable(&run, &why).await,
            Ok(_) => tracing::warn!(run = run.id, "another worker has this execution by now"),
            // Its lease runs out, and it is done again by whoever can store it.
            Err(error) => tracing::error!(run = run.id, "what became of an execution cannot be stored: {error}"),
        }
        Vec::new()
    }

    async fn prepare(
        &self,
        run: &Execution,
        live: &super::runtime_context::LiveEnvironment,
        permit: OwnedSemaphorePermit,
    ) -> Result<Arc<ActiveExecution>, String> {
        let desk = &self.desk;
        let program = desk.program(live, run).await?;
        // One that was just accepted did nothing yet.
        let is_new = run.token == 1 && run.attempt == 1 && run.lease_expirations == 0;
        let steps = match is_new {
            true => Vec::new(),
            false => desk.store().steps(&run.id).await.map_err(|error| error.to_string())?,
        };
        let timeout = Micros::try_from(program.timeout().as_micros()).unwrap_or(Micros::MAX);
        let deadline = if run.deadline_at > 0 { run.deadline_at } else { desk.now().saturating_add(timeout) };
        Ok(Arc::new(ActiveExecution::new(
            run.clone(),
            program,
            live.clone(),
            Arc::clone(desk),
            steps,
            deadline,
            permit,
        )))
    }

    /// How an execution goes on; `None` where that is not this process's to say.
    fn outcome(
        &self,
        run: &Execution,
        execution: Option<&ActiveExecution>,
        ended: ScriptOutcome,
        reason: Option<CancelReason>,
    ) -> Option<Disposition> {
        let over = |status, error: ScriptException| Some(Disposition::Ended(status, Value::Null, error.to_value()));
        match ended {
            ScriptOutcome::Returned(output) => {
                Some(Disposition::Ended(ExecutionStatus::Completed, output, Value::Null))
            }
            ScriptOutcome::Suspended(until) => {
                let deadline = execution.map_or(until, |execution| execution.deadline);
                Some(Disposition::Suspend(until.min(deadline), deadline))
            }
            ScriptOutcome::Threw(thrown) => {
                let again = execution.and_then(|execution| execution.program.retry_after(run.attempt));
                let final_codes = ["INVALID_INPUT", "WORKER_LOST", "NOT_RUNNABLE"];
                match again.filter(|_| !final_codes.contains(&thrown.code.as_str())) {
                    Some(wait) => {
                        let wait = Micros::try_from(wait.as_micros()).unwrap_or(Micros::MAX);
                        if self.desk.clock().is_virtual() {
                            self.desk.clock().advance(wait);
                            return Some(Disposition::Retry(0, thrown.to_value()));
                        }
                        Some(Disposition::Retry(self.desk.now().saturating_add(wait), thrown.to_value()))
                    }
                    None => over(ExecutionStatus::Failed, thrown),
                }
            }
            ScriptOutcome::TimedOut => {
                let most = execution.map_or(Duration::ZERO, |execution| execution.program.timeout());
                let most = crate::definition::common::Duration(most);
                over(ExecutionStatus::TimedOut, ScriptException::new("TIMEOUT", format!("it took longer than {most}")))
            }
            ScriptOutcome::Cancelled => match reason {
                Some(CancelReason::Ends) => Some(Disposition::Requeue),
                Some(CancelReason::Gone) => None,
                _ => {
                    over(ExecutionStatus::Cancelled, ScriptException::new("CANCELLED", "it was cancelled while it ran"))
                }
            },
            ScriptOutcome::Gone => None,
        }
    }

    /// What a failed execution leaves behind.
    async fn after(
        &self,
        run: &Execution,
        program: Option<&Program>,
        live: &super::runtime_context::LiveEnvironment,
        outcome: &Disposition,
    ) -> (Vec<NewExecution>, Option<DeadLetter>) {
        let Disposition::Ended(ExecutionStatus::Failed | ExecutionStatus::TimedOut, _, error) = outcome else {
            return (Vec::new(), None);
        };
        let mut follow = Vec::new();
        let next = program.and_then(|program| program.spec.on_failure.as_deref());
        if let Some(next) = next.and_then(|name| live.programs.get(name)).filter(|next| next.name != run.workflow) {
            match self.desk.new_run(&run.environment, live, next).await {
                Ok(new) => follow.push(NewExecution {
                    tenant: run.tenant.clone(),
                    triggered_by: TriggeredBy::Workflow,
                    source: run.workflow.clone(),
                    parent: run.id.clone(),
                    event: run.event.clone(),
                    input: json!({"execution": run.id, "workflow": run.workflow, "error": error, "input": run.input}),
                    trace: spans::of_run(run),
                    ..new
                }),
                Err(error) => tracing::error!(run = run.id, "the workflow for failures cannot be started: {error}"),
            }
        }
        let triggered = matches!(run.triggered_by, TriggeredBy::Webhook | TriggeredBy::AppEvent);
        let retention = self.desk.ground().keeps_dead(&run.environment, &run.source).filter(|_| triggered);
        let dead = retention.map(|retention| DeadLetter {
            id: new_id(),
            environment: run.environment.clone(),
            trigger: run.source.clone(),
            workflow: run.workflow.clone(),
            event: run.event.clone(),
            execution: run.id.clone(),
            tenant: run.tenant.clone(),
            reason: DeadLetterReason::Failed,
            message: error["message"].as_str().unwrap_or_default().to_owned(),
            payload: run.input.clone(),
            headers: run.headers.clone(),
            retention: Micros::try_from(retention.as_micros()).unwrap_or(Micros::MAX),
            ..DeadLetter::default()
        });
        (follow, dead)
    }

    /// What it made cannot be stored (a text with a zero byte on PostgreSQL): it failed, and that can be.
    async fn unstorable(&self, run: &Execution, why: &str) {
        let thrown = ScriptException::new("UNSTORABLE", format!("what it made cannot be stored: {why}"));
        let outcome = Disposition::Ended(ExecutionStatus::Failed, Value::Null, thrown.to_value());
        let change = Change::Release {
            claim: run.claim(),
            disposition: outcome,
            steps: Vec::new(),
            logs: Vec::new(),
            follow_ups: Vec::new(),
            dead_letter: None,
            claim_next: None,
        };
        if let Ok(CommitResult::Stored(_)) = self.desk.commit(change).await {
            self.desk.ended(Execution { status: ExecutionStatus::Failed, error: thrown.to_value(), ..run.clone() });
        }
    }

    /// Keeps what this process has, and hears what is to end.
    async fn renew(self: Arc<Self>) {
        let lease = self.desk.settings().lease;
        let micros = Micros::try_from(lease.as_micros()).unwrap_or(Micros::MAX);
        let mut looks = 0_u32;
        loop {
            tokio::time::sleep((lease / 8).min(Duration::from_secs(2))).await;
            looks = looks.wrapping_add(1);
            if let Ok(time) = self.desk.store().time().await {
                self.desk.clock().follow(time);
            }
            if looks.is_multiple_of(4) {
                self.unpark().await;
            }
            let mut held: Vec<(String, i64)> = {
                let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
                running.iter().map(|(id, (token, _))| (id.clone(), *token)).collect()
            };
            {
                let taken = self.desk.taken.lock().unwrap_or_else(PoisonError::into_inner);
                held.extend(taken.iter().map(|(run, _)| (run.id.clone(), run.token)));
            }
            if held.is_empty() {
                continue;
            }
            match self.desk.store().renew(&self.desk.settings().worker, &held, micros).await {
                Ok(lost) => {
                    let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
                    for lost in lost {
                        // One that left and came back meanwhile has another token.
                        if let Some((token, stop)) = running.get(&lost.execution)
                            && *token == lost.token
                        {
                            stop.stop(if lost.cancel_requested { CancelReason::Cancelled } else { CancelReason::Gone });
                        }
                    }
                }
                Err(error) => tracing::warn!(executions = held.len(), "leases cannot be renewed: {error}"),
            }
        }
    }

    async fn unpark(&self) {
        for environment in self.desk.ground().environments() {
            match self.desk.store().unblock(&environment).await {
                Ok(0) => {}
                Ok(_) => self.desk.wake(),
                Err(error) => tracing::warn!(environment, "executions that wait for others: {error}"),
            }
        }
    }

    async fn sweep(self: Arc<Self>) {
        let retention = Micros::try_from(self.desk.settings().retention.as_micros()).unwrap_or(Micros::MAX);
        loop {
            tokio::time::sleep(SWEEP).await;
            for environment in self.desk.ground().environments() {
                // A part at a time, so that others come in between.
                for _ in 0..1000 {
                    match self.desk.store().delete_expired(&environment, retention).await {
                        Ok(0) => break,
                        Ok(_) => {}
                        Err(error) => {
                            tracing::warn!(environment, "what is over cannot be forgotten: {error}");
                            break;
                        }
                    }
                }
            }
        }
    }

    /// Lets what runs go on for a while, then gives it back.
    async fn leave(&self) {
        self.ending.store(true, Ordering::Relaxed);
        let deadline = tokio::time::Instant::now() + GRACE;
        while self.load() > 0 && tokio::time::Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        // What was taken and never started is given back as it was.
        let taken = std::mem::take(&mut *self.desk.taken.lock().unwrap_or_else(PoisonError::into_inner));
        for (run, _) in taken {
            let (claim, outcome) = (run.claim(), Disposition::Requeue);
            let (steps, logs, follow) = (Vec::new(), Vec::new(), Vec::new());
            let _ = self
                .desk
                .commit(Change::Release {
                    claim,
                    disposition: outcome,
                    steps,
                    logs,
                    follow_ups: follow,
                    dead_letter: None,
                    claim_next: None,
                })
                .await;
        }
        let stops: Vec<CancelToken> = {
            let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
            running.values().map(|(_, stop)| stop.clone()).collect()
        };
        for stop in &stops {
            stop.stop(CancelReason::Ends);
        }
        if !stops.is_empty() {
            // They give themselves back; whoever does not is taken over when its lease is over.
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }
}
