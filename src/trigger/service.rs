//! The background work of triggers in a process: versions of workflows, schedules, polls and subscriptions.
//!
//! Several processes may run it at the same time. A tick advances its schedule, and a poll its cursor, in the transaction
//! that stores its executions; a process whose state is outdated stores nothing.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use super::app_event::{AppEvent, tenant_of};
use super::compiled::{Trigger, TriggerKind, Triggers};
use super::schedule::Schedule;
use super::subscriber::Subscriber;
use super::{poller, routing};
use crate::definition::trigger::{CatchUp, Overlap};
use crate::store::queue::{CommitResult, EnqueueRequest, ExecutionFilter, ExecutionStatus, PollState, ScheduleState};
use crate::store::{Micros, StoreError};
use crate::telemetry::repetition;
use crate::workflow::{CountedExecutions, Dispatcher, LiveEnvironment};

/// Maximum interval between two passes, and so the delay until a new generation is noticed.
const PASS_INTERVAL: Duration = Duration::from_millis(500);
/// Delay from which a tick counts as late.
const LATE_AFTER: Micros = 60_000_000;
/// Lease duration of a poll.
const POLL_LEASE_SECONDS: u32 = 600;
/// Maximum number of concurrent polls of a process.
const MAX_POLLS: usize = 8;

/// A source of the live triggers by environment.
pub trait TriggerProvider: Send + Sync + std::fmt::Debug {
    /// The triggers of the active generation of an environment; `None` if it has none.
    fn triggers(&self, environment: &str) -> Option<Arc<Triggers>>;
}

/// The background work of triggers.
#[derive(Debug)]
pub struct TriggerService {
    dispatcher: Arc<Dispatcher>,
    provider: Arc<dyn TriggerProvider>,
    public_url: String,
    states: BTreeMap<String, EnvironmentState>,
    polls: Arc<tokio::sync::Semaphore>,
}

/// The state of one environment.
#[derive(Debug)]
struct EnvironmentState {
    /// The number of the generation whose versions were published.
    generation: u64,
    /// The triggers of that generation, to notice another generation with the same number (`dev`).
    triggers: Arc<Triggers>,
    schedules: BTreeMap<String, ScheduleState>,
    subscriber: Arc<tokio::sync::Mutex<Subscriber>>,
    /// The time of the next reconciliation of subscriptions; `None` if all are settled.
    subscribe_at: Arc<Mutex<Option<Micros>>>,
    /// The time of the next check of polls.
    poll_at: Micros,
}

impl TriggerService {
    /// A service that has not started.
    pub fn new(dispatcher: Arc<Dispatcher>, provider: Arc<dyn TriggerProvider>, public_url: String) -> TriggerService {
        let polls = Arc::new(tokio::sync::Semaphore::new(MAX_POLLS));
        TriggerService { dispatcher, provider, public_url, states: BTreeMap::new(), polls }
    }

    /// Runs until `shutdown` becomes true.
    pub async fn run(mut self, mut shutdown: watch::Receiver<bool>) {
        while !*shutdown.borrow() {
            let mut next = self
                .dispatcher
                .now()
                .saturating_add(Micros::try_from(PASS_INTERVAL.as_micros()).unwrap_or(Micros::MAX));
            for environment in self.dispatcher.environments().names() {
                match self.pass(&environment).await {
                    Ok(Some(due)) => next = next.min(due),
                    Ok(None) => {}
                    Err(error) => {
                        let error = error.to_string();
                        if let Some(repetitions) = repetition::fault_occurred(&format!("pass {environment} {error}")) {
                            tracing::warn!(environment, error, repetitions, "trigger pass failed");
                        }
                    }
                }
            }
            let left = u64::try_from(next.saturating_sub(self.dispatcher.now())).unwrap_or(0).max(1_000);
            tokio::select! {
                () = tokio::time::sleep(Duration::from_micros(left)) => {}
                _ = shutdown.changed() => {}
            }
        }
    }

    /// Performs the due work of an environment. Returns the time of the next due tick, if any.
    async fn pass(&mut self, environment: &str) -> Result<Option<Micros>, StoreError> {
        let (Some(live), Some(triggers)) =
            (self.dispatcher.environments().live(environment), self.provider.triggers(environment))
        else {
            return Ok(None);
        };
        let is_new = self
            .states
            .get(environment)
            .is_none_or(|state| state.generation != live.generation || !Arc::ptr_eq(&state.triggers, &triggers));
        if is_new {
            let published = self.dispatcher.publish(environment, live.generation, &live.programs).await?;
            if published > 0 {
                tracing::info!(
                    environment,
                    generation = live.generation,
                    versions = published,
                    "workflow versions published"
                );
            }
            let earlier = self.states.remove(environment);
            let new = || Arc::new(tokio::sync::Mutex::new(Subscriber::new(self.public_url.clone())));
            let subscriber = earlier.map_or_else(new, |state| state.subscriber);
            self.states.insert(
                environment.to_owned(),
                EnvironmentState {
                    generation: live.generation,
                    triggers: Arc::clone(&triggers),
                    schedules: BTreeMap::new(),
                    subscriber,
                    // A new `Arc` per generation, so that a running reconciliation does not overwrite its time.
                    subscribe_at: Arc::new(Mutex::new(Some(0))),
                    poll_at: 0,
                },
            );
        }
        let due = self.fire_schedules(environment, &live, &triggers).await?;
        self.reconcile_subscriptions(environment, &live, &triggers);
        self.start_due_polls(environment, &live, &triggers).await?;
        Ok(due)
    }

    /// Reconciles subscriptions in a task of its own, since applications may respond slowly.
    fn reconcile_subscriptions(&mut self, environment: &str, live: &LiveEnvironment, triggers: &Arc<Triggers>) {
        let Some(state) = self.states.get_mut(environment) else { return };
        let now = self.dispatcher.now();
        let due = *state.subscribe_at.lock().unwrap_or_else(PoisonError::into_inner);
        let Ok(mut subscriber) = Arc::clone(&state.subscriber).try_lock_owned() else { return };
        if due.is_none_or(|at| at > now) {
            return;
        }
        let (dispatcher, live, triggers) = (Arc::clone(&self.dispatcher), live.clone(), Arc::clone(triggers));
        let (environment, subscribe_at) = (environment.to_owned(), Arc::clone(&state.subscribe_at));
        tokio::spawn(async move {
            let next = match subscriber.reconcile(&dispatcher, &environment, &live, &triggers).await {
                Ok(next) => next,
                Err(error) => {
                    tracing::warn!(environment, error = error.to_string(), "reconciling subscriptions failed");
                    Some(dispatcher.now().saturating_add(1_000_000))
                }
            };
            let mut at = subscribe_at.lock().unwrap_or_else(PoisonError::into_inner);
            // Unless a generation that went live in the meantime requested another reconciliation.
            if *at == due {
                *at = next;
            }
        });
    }

    /// Fires due schedules. Returns the time of the next due tick, if any.
    async fn fire_schedules(
        &mut self,
        environment: &str,
        live: &LiveEnvironment,
        triggers: &Triggers,
    ) -> Result<Option<Micros>, StoreError> {
        let mut soonest: Option<Micros> = None;
        for trigger in triggers.values() {
            let TriggerKind::Schedule(schedule) = &trigger.kind else { continue };
            let Some(known) = self.states.get_mut(environment) else { break };
            let state = if let Some(state) = known.schedules.get(&trigger.name) {
                state.clone()
            } else {
                let state = self.dispatcher.store().schedule(environment, &trigger.name).await?;
                known.schedules.insert(trigger.name.clone(), state.clone());
                state
            };
            let now = self.dispatcher.now();
            if state.shape != schedule.shape() {
                // The schedule is new or changed: its ticks count from now on.
                let after = ScheduleState { until: now, shape: schedule.shape().to_owned(), ..state.clone() };
                let tick = Some((environment.to_owned(), trigger.name.clone(), state, after.clone()));
                let result = self.dispatcher.accept(EnqueueRequest { tick, ..EnqueueRequest::default() }).await?;
                self.remember(
                    environment,
                    &trigger.name,
                    Some(after).filter(|_| matches!(result, CommitResult::Stored(_))),
                );
                soonest = Some(soonest.map_or(now, |known| known.min(now)));
                continue;
            }
            let Some(next) = schedule.next(timestamp(state.until)).map(jiff::Timestamp::as_microsecond) else {
                continue;
            };
            if next > now {
                soonest = Some(soonest.map_or(next, |known| known.min(next)));
                continue;
            }
            let after = self.fire(environment, live, trigger, schedule, &state, now).await?;
            self.remember(environment, &trigger.name, after);
        }
        Ok(soonest)
    }

    /// Caches the state of a schedule. `None` means that another process stored a newer one, which is read again.
    fn remember(&mut self, environment: &str, trigger: &str, schedule: Option<ScheduleState>) {
        let Some(state) = self.states.get_mut(environment) else { return };
        match schedule {
            Some(schedule) => state.schedules.insert(trigger.to_owned(), schedule),
            None => state.schedules.remove(trigger),
        };
    }

    /// Fires the due ticks of one schedule. Returns `None` if another process fired them.
    async fn fire(
        &self,
        environment: &str,
        live: &LiveEnvironment,
        trigger: &Trigger,
        schedule: &Schedule,
        state: &ScheduleState,
        now: Micros,
    ) -> Result<Option<ScheduleState>, StoreError> {
        let Some(spec) = &trigger.spec.schedule else { return Ok(Some(state.clone())) };
        let due = schedule.due(timestamp(state.until), timestamp(now));
        let mut after = ScheduleState { until: due.until.as_microsecond(), ..state.clone() };
        let mut accept = EnqueueRequest::default();
        let mut counted = CountedExecutions::default();
        // A paused schedule neither fires nor misses ticks.
        if trigger.spec.active && !spec.paused {
            after.missed = after.missed.saturating_add(i64::try_from(due.missed).unwrap_or(i64::MAX));
            let open = |status| self.has_open_execution(environment, &trigger.name, status);
            let busy = spec.overlap != Overlap::Allow && open(None).await?;
            // At most one run waits for the one before it.
            let one_waits = spec.overlap == Overlap::Queue && busy && open(Some(ExecutionStatus::Queued)).await?;
            for (at, tick) in due.run.iter().enumerate() {
                // The first of several due ticks overlaps the others, unless the schedule catches up all of them.
                let is_overlapping = busy || at > 0 && spec.catch_up != CatchUp::All;
                if spec.overlap == Overlap::Skip && is_overlapping || one_waits {
                    after.missed = after.missed.saturating_add(1);
                    continue;
                }
                let tick_at = tick.as_microsecond();
                let delay = Micros::try_from(schedule.jitter(&trigger.name, *tick).as_micros()).unwrap_or(0);
                let delay = delay.saturating_sub(now.saturating_sub(tick_at)).max(0);
                let mut executions =
                    routing::scheduled_executions(&self.dispatcher, environment, trigger, live, *tick, delay).await?;
                let refusal = self.dispatcher.retain_within_quota(&mut executions, &mut counted).await?;
                after.error = refusal.map_or_else(String::new, |refusal| refusal.to_string());
                if !after.error.is_empty() {
                    let cause = &after.error;
                    tracing::warn!(environment, trigger = trigger.name, cause, "a quota refused a scheduled execution");
                    if executions.is_empty() {
                        after.missed = after.missed.saturating_add(1);
                        continue;
                    }
                }
                if spec.overlap == Overlap::Queue || due.run.len() > 1 {
                    // In their order, one at a time.
                    for new in &mut executions {
                        new.ordering_key = format!("schedule/{}/{}/{}", trigger.name, new.workflow, new.tenant);
                    }
                }
                if executions.is_empty() {
                    // No workflow of it is active, or none of its tenants may run.
                    after.missed = after.missed.saturating_add(1);
                    continue;
                }
                accept.executions.extend(executions);
                after.fired = after.fired.saturating_add(1);
                after.late = after.late.saturating_add(i64::from(now.saturating_sub(tick_at) > LATE_AFTER));
                after.last = tick_at;
            }
        }
        accept.tick = Some((environment.to_owned(), trigger.name.clone(), state.clone(), after.clone()));
        let result = self.dispatcher.accept(accept).await;
        if !matches!(result, Ok(CommitResult::Stored(_))) {
            self.dispatcher.uncount_executions(counted);
        }
        match result? {
            CommitResult::Stored(_) => Ok(Some(after)),
            CommitResult::Refused(cause) => {
                tracing::error!(environment, trigger = trigger.name, cause, "storing a tick failed");
                Ok(Some(after))
            }
            _ => Ok(None),
        }
    }

    /// True if an execution of a trigger has not ended, and has a status if one is given.
    async fn has_open_execution(
        &self,
        environment: &str,
        trigger: &str,
        status: Option<ExecutionStatus>,
    ) -> Result<bool, StoreError> {
        let trigger = Some(trigger.to_owned());
        let filter = ExecutionFilter { trigger, status, open: true, limit: 1, ..ExecutionFilter::default() };
        Ok(!self.dispatcher.store().executions(environment, &filter).await?.is_empty())
    }

    /// Starts due polls, and removes the state of polls without a trigger or connection.
    async fn start_due_polls(
        &mut self,
        environment: &str,
        live: &LiveEnvironment,
        triggers: &Arc<Triggers>,
    ) -> Result<(), StoreError> {
        let now = self.dispatcher.now();
        let Some(state) = self.states.get_mut(environment) else { return Ok(()) };
        if state.poll_at > now {
            return Ok(());
        }
        let polled = |app: &AppEvent| app.event.poll.is_some();
        let desired: Vec<(&Arc<Trigger>, String)> = triggers
            .values()
            .filter(|trigger| trigger.spec.active)
            .filter_map(|trigger| match &trigger.kind {
                TriggerKind::AppEvent(app) if polled(app) => Some((trigger, app.connections(&live.runtime))),
                _ => None,
            })
            .flat_map(|(trigger, names)| names.into_iter().map(move |name| (trigger, name)))
            .collect();
        let rows = self.dispatcher.store().polls(environment).await?;
        for row in &rows {
            // An inactive trigger keeps its remembered records; a removed one does not.
            let exists = triggers.get(&row.trigger).is_some_and(|trigger| match &trigger.kind {
                TriggerKind::AppEvent(app) => polled(app) && app.connections(&live.runtime).contains(&row.connection),
                _ => false,
            });
            if !exists {
                self.dispatcher.store().remove_poll(environment, &row.trigger, &row.connection).await?;
            }
        }
        let mut next = now.saturating_add(5_000_000);
        for (trigger, connection) in desired {
            let tenant = tenant_of(&live.runtime, &connection);
            if let Some(refusal) = live.runtime.tenant_refusal(&tenant) {
                // Its remembered records are kept for the time after.
                routing::report_skipped(environment, trigger, &tenant, &refusal);
                continue;
            }
            let known = rows.iter().find(|row| row.trigger == trigger.name && row.connection == connection);
            let state = known.cloned().unwrap_or_else(|| PollState {
                trigger: trigger.name.clone(),
                connection: connection.clone(),
                ..PollState::default()
            });
            if state.next_at > now {
                next = next.min(state.next_at);
                continue;
            }
            next = next.min(now.saturating_add(1_000_000));
            self.start_poll(environment, live, trigger, state).await?;
        }
        if let Some(state) = self.states.get_mut(environment) {
            state.poll_at = next;
        }
        Ok(())
    }

    async fn start_poll(
        &self,
        environment: &str,
        live: &LiveEnvironment,
        trigger: &Arc<Trigger>,
        state: PollState,
    ) -> Result<(), StoreError> {
        let Ok(permit) = Arc::clone(&self.polls).try_acquire_owned() else { return Ok(()) };
        let name = format!("poll/{environment}/{}/{}", state.trigger, state.connection);
        // A holder per poll, so that even this process does not run two at a time.
        let holder = format!("{}-{:016x}", self.dispatcher.settings().worker, rand::random::<u64>());
        let Some(lease) = self.dispatcher.store().acquire_lease(&name, &holder, POLL_LEASE_SECONDS).await? else {
            return Ok(());
        };
        let (dispatcher, trigger, live) = (Arc::clone(&self.dispatcher), Arc::clone(trigger), live.clone());
        let environment = environment.to_owned();
        tokio::spawn(async move {
            if let TriggerKind::AppEvent(app) = &trigger.kind {
                run_poll(&dispatcher, &environment, &live, &trigger, app, state).await;
            }
            let _ = dispatcher.store().release_lease(&lease).await;
            drop(permit);
        });
        Ok(())
    }
}

/// Polls once, within the time of the lease.
async fn run_poll(
    dispatcher: &Dispatcher,
    environment: &str,
    live: &LiveEnvironment,
    trigger: &Trigger,
    app: &AppEvent,
    state: PollState,
) {
    // Read again: another process may have polled before this one held the lease.
    let fresh = dispatcher.store().polls(environment).await.unwrap_or_default();
    let fresh = fresh.into_iter().find(|row| (&row.trigger, &row.connection) == (&state.trigger, &state.connection));
    let state = fresh.unwrap_or(state);
    if state.next_at > dispatcher.now() {
        return;
    }
    let (trigger_name, connection) = (&trigger.name, state.connection.clone());
    let limit = Duration::from_secs(u64::from(POLL_LEASE_SECONDS) - 60);
    let polling = poller::poll(dispatcher, environment, live, trigger, app, state);
    let fault = format!("poll {environment} {trigger_name} {connection} ");
    let error = match tokio::time::timeout(limit, polling).await {
        Ok(Ok(poller::PollSummary { error: None, events })) => {
            repetition::faults_ended(&fault);
            if events > 0 {
                tracing::info!(environment, trigger = trigger_name, connection, events, "poll completed");
            }
            return;
        }
        Ok(Ok(poller::PollSummary { error: Some(error), .. })) => error,
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("it took longer than {} s", limit.as_secs()),
    };
    if let Some(repetitions) = repetition::fault_occurred(&(fault + &error)) {
        tracing::warn!(environment, trigger = trigger_name, connection, error, repetitions, "poll failed");
    }
}

fn timestamp(micros: Micros) -> jiff::Timestamp {
    jiff::Timestamp::from_microsecond(micros).unwrap_or(jiff::Timestamp::MAX)
}
