//! What triggers do by themselves, for all environments of a process: versions, schedules, polls, subscriptions.
//!
//! Several processes may do the same: a tick moves its schedule on in the transaction that stores its executions, a poll
//! its cursor, and one that was beaten to it stores nothing.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use super::subscriber::Subscriber;
use super::{AppEvent, Trigger, TriggerKind, Triggers, poller, routing};
use crate::definition::trigger::{CatchUp, Overlap};
use crate::store::queue::{CommitResult, EnqueueRequest, ExecutionFilter, PollState, ScheduleState};
use crate::store::{Micros, StoreError};
use crate::workflow::{Dispatcher, LiveEnvironment};

/// Longest time between two looks at what is due: a generation that went live is taken up by then.
const LOOK: Duration = Duration::from_millis(500);
/// A tick that starts later than this after it was due is late.
const LATE: Micros = 60_000_000;
/// How long one poll may take, as a lease.
const POLL_SECONDS: u32 = 600;
/// Polls of one process at the same time.
const MAX_POLLS: usize = 8;

/// Environments with their triggers.
pub trait TriggerProvider: Send + Sync + std::fmt::Debug {
    /// The triggers of an environment as it is live.
    fn triggers(&self, environment: &str) -> Option<Arc<Triggers>>;
}

/// What triggers do by themselves.
#[derive(Debug)]
pub struct Service {
    desk: Arc<Dispatcher>,
    posts: Arc<dyn TriggerProvider>,
    public_url: String,
    of: BTreeMap<String, Of>,
    polls: Arc<tokio::sync::Semaphore>,
}

/// What is known of one environment.
#[derive(Debug)]
struct Of {
    /// The generation that was taken up.
    generation: u64,
    /// What it was, so that one of the same number that is another is told apart (`dev`).
    triggers: Arc<Triggers>,
    schedules: BTreeMap<String, ScheduleState>,
    subscriber: Arc<tokio::sync::Mutex<Subscriber>>,
    /// When to look at subscriptions again; `None` where nothing is to be done.
    subscribe_at: Arc<Mutex<Option<Micros>>>,
    /// When to look at polls again.
    poll_at: Micros,
}

impl Service {
    /// A service that has looked at nothing yet.
    pub fn new(desk: Arc<Dispatcher>, posts: Arc<dyn TriggerProvider>, public_url: String) -> Service {
        let polls = Arc::new(tokio::sync::Semaphore::new(MAX_POLLS));
        Service { desk, posts, public_url, of: BTreeMap::new(), polls }
    }

    /// Works until it is told to end.
    pub async fn work(mut self, mut until: watch::Receiver<bool>) {
        while !*until.borrow() {
            let mut next = self.desk.now().saturating_add(Micros::try_from(LOOK.as_micros()).unwrap_or(Micros::MAX));
            for environment in self.desk.ground().environments() {
                match self.look(&environment).await {
                    Ok(Some(due)) => next = next.min(due),
                    Ok(None) => {}
                    Err(error) => tracing::warn!(environment, "triggers: {error}"),
                }
            }
            let left = u64::try_from(next.saturating_sub(self.desk.now())).unwrap_or(0).max(1_000);
            tokio::select! {
                () = tokio::time::sleep(Duration::from_micros(left)) => {}
                _ = until.changed() => {}
            }
        }
    }

    /// Does what is due in an environment. Gives when something is due next, where that is soon.
    async fn look(&mut self, environment: &str) -> Result<Option<Micros>, StoreError> {
        let (Some(live), Some(triggers)) = (self.desk.ground().live(environment), self.posts.triggers(environment))
        else {
            return Ok(None);
        };
        let is_new = self
            .of
            .get(environment)
            .is_none_or(|of| of.generation != live.number || !Arc::ptr_eq(&of.triggers, &triggers));
        if is_new {
            let made = self.desk.publish(environment, live.number, &live.programs).await?;
            if made > 0 {
                tracing::info!(environment, generation = live.number, versions = made, "versions of workflows");
            }
            let earlier = self.of.remove(environment);
            let new = || Arc::new(tokio::sync::Mutex::new(Subscriber::new(self.public_url.clone())));
            let subscriber = earlier.map_or_else(new, |of| of.subscriber);
            self.of.insert(
                environment.to_owned(),
                Of {
                    generation: live.number,
                    triggers: Arc::clone(&triggers),
                    schedules: BTreeMap::new(),
                    subscriber,
                    // Never the same twice, so that whoever is at it sees that there is a new one.
                    subscribe_at: Arc::new(Mutex::new(Some(0))),
                    poll_at: 0,
                },
            );
        }
        let due = self.tick(environment, &live, &triggers).await?;
        self.subscribe(environment, &live, &triggers);
        self.poll(environment, &live, &triggers).await?;
        Ok(due)
    }

    /// Keeps subscriptions, beside everything else: applications may take their time.
    fn subscribe(&mut self, environment: &str, live: &LiveEnvironment, triggers: &Arc<Triggers>) {
        let Some(of) = self.of.get_mut(environment) else { return };
        let now = self.desk.now();
        let due = *of.subscribe_at.lock().unwrap_or_else(PoisonError::into_inner);
        let Ok(mut subscriber) = Arc::clone(&of.subscriber).try_lock_owned() else { return };
        if due.is_none_or(|at| at > now) {
            return;
        }
        let (desk, live, triggers) = (Arc::clone(&self.desk), live.clone(), Arc::clone(triggers));
        let (environment, subscribe_at) = (environment.to_owned(), Arc::clone(&of.subscribe_at));
        tokio::spawn(async move {
            let again = match subscriber.reconcile(&desk, &environment, &live, &triggers).await {
                Ok(again) => again,
                Err(error) => {
                    tracing::warn!(environment, "subscriptions: {error}");
                    Some(desk.now().saturating_add(1_000_000))
                }
            };
            let mut at = subscribe_at.lock().unwrap_or_else(PoisonError::into_inner);
            // A generation that came meanwhile asks for another look.
            if *at == due {
                *at = again;
            }
        });
    }

    /// Starts what schedules say is due.
    async fn tick(
        &mut self,
        environment: &str,
        live: &LiveEnvironment,
        triggers: &Triggers,
    ) -> Result<Option<Micros>, StoreError> {
        let mut soonest: Option<Micros> = None;
        for trigger in triggers.values() {
            let TriggerKind::Schedule(schedule) = &trigger.kind else { continue };
            let Some(of) = self.of.get_mut(environment) else { break };
            let state = if let Some(state) = of.schedules.get(&trigger.name) {
                state.clone()
            } else {
                let state = self.desk.store().schedule(environment, &trigger.name).await?;
                of.schedules.insert(trigger.name.clone(), state.clone());
                state
            };
            let now = self.desk.now();
            if state.shape != schedule.shape() {
                // Declared a moment ago, whatever it was before: what is due is due from now on.
                let after = ScheduleState { until: now, shape: schedule.shape().to_owned(), ..state.clone() };
                let tick = Some((environment.to_owned(), trigger.name.clone(), state, after.clone()));
                let done = self.desk.accept(EnqueueRequest { tick, ..EnqueueRequest::default() }).await?;
                if let Some(of) = self.of.get_mut(environment) {
                    match done {
                        CommitResult::Stored(_) => of.schedules.insert(trigger.name.clone(), after),
                        _ => of.schedules.remove(&trigger.name),
                    };
                }
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
            if let Some(of) = self.of.get_mut(environment) {
                match after {
                    Some(after) => of.schedules.insert(trigger.name.clone(), after),
                    // Another process was first: what it left is read again.
                    None => of.schedules.remove(&trigger.name),
                };
            }
        }
        Ok(soonest)
    }

    /// Fires what is due of one schedule; `None` where another process did.
    async fn fire(
        &self,
        environment: &str,
        live: &LiveEnvironment,
        trigger: &Trigger,
        schedule: &super::Schedule,
        state: &ScheduleState,
        now: Micros,
    ) -> Result<Option<ScheduleState>, StoreError> {
        let Some(spec) = &trigger.spec.schedule else { return Ok(Some(state.clone())) };
        let due = schedule.due(timestamp(state.until), timestamp(now));
        let mut after = ScheduleState { until: due.until.as_microsecond(), ..state.clone() };
        let mut intake = EnqueueRequest::default();
        // While it is paused nothing is due, and nothing is missed.
        if trigger.spec.active && !spec.paused {
            after.missed = after.missed.saturating_add(i64::try_from(due.missed).unwrap_or(i64::MAX));
            let busy = spec.overlap != Overlap::Allow && self.is_busy(environment, &trigger.name).await?;
            for (at, tick) in due.run.iter().enumerate() {
                // The first of several that are due keeps the others from running beside it, unless each is to run.
                let is_overlapping = busy || at > 0 && spec.catch_up != CatchUp::All;
                if spec.overlap == Overlap::Skip && is_overlapping {
                    after.missed = after.missed.saturating_add(1);
                    continue;
                }
                let tick_at = tick.as_microsecond();
                let delay = Micros::try_from(schedule.jitter(&trigger.name, *tick).as_micros()).unwrap_or(0);
                let delay = delay.saturating_sub(now.saturating_sub(tick_at)).max(0);
                let mut runs = routing::scheduled(&self.desk, environment, trigger, live, *tick, delay).await?;
                if spec.overlap == Overlap::Queue || due.run.len() > 1 {
                    // One after the other, in their order.
                    for run in &mut runs {
                        run.ordering_key = format!("schedule/{}/{}/{}", trigger.name, run.workflow, run.tenant);
                    }
                }
                intake.executions.extend(runs);
                after.fired = after.fired.saturating_add(1);
                after.late = after.late.saturating_add(i64::from(now.saturating_sub(tick_at) > LATE));
                after.last = tick_at;
            }
        }
        intake.tick = Some((environment.to_owned(), trigger.name.clone(), state.clone(), after.clone()));
        match self.desk.accept(intake).await? {
            CommitResult::Stored(_) => Ok(Some(after)),
            CommitResult::Refused(why) => {
                tracing::error!(environment, trigger = trigger.name, "a tick cannot be stored: {why}");
                Ok(Some(after))
            }
            _ => Ok(None),
        }
    }

    /// Does an execution of a trigger still run or wait?
    async fn is_busy(&self, environment: &str, trigger: &str) -> Result<bool, StoreError> {
        let filter =
            ExecutionFilter { trigger: Some(trigger.to_owned()), open: true, limit: 1, ..ExecutionFilter::default() };
        Ok(!self.desk.store().executions(environment, &filter).await?.is_empty())
    }

    /// Starts polls that are due, and forgets those that nobody wants.
    async fn poll(
        &mut self,
        environment: &str,
        live: &LiveEnvironment,
        triggers: &Arc<Triggers>,
    ) -> Result<(), StoreError> {
        let now = self.desk.now();
        let Some(of) = self.of.get_mut(environment) else { return Ok(()) };
        if of.poll_at > now {
            return Ok(());
        }
        let polled = |app: &AppEvent| app.event.poll.is_some();
        let wanted: Vec<(&Arc<Trigger>, String)> = triggers
            .values()
            .filter(|trigger| trigger.spec.active)
            .filter_map(|trigger| match &trigger.kind {
                TriggerKind::AppEvent(app) if polled(app) => Some((trigger, app.connections(&live.runtime))),
                _ => None,
            })
            .flat_map(|(trigger, names)| names.into_iter().map(move |name| (trigger, name)))
            .collect();
        let there = self.desk.store().polls(environment).await?;
        for row in &there {
            // A paused trigger keeps what it remembers; one that is gone does not.
            let exists = triggers.get(&row.trigger).is_some_and(|trigger| match &trigger.kind {
                TriggerKind::AppEvent(app) => polled(app) && app.connections(&live.runtime).contains(&row.connection),
                _ => false,
            });
            if !exists {
                self.desk.store().remove_poll(environment, &row.trigger, &row.connection).await?;
            }
        }
        let mut next = now.saturating_add(5_000_000);
        for (trigger, connection) in wanted {
            let known = there.iter().find(|row| row.trigger == trigger.name && row.connection == connection);
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
        if let Some(of) = self.of.get_mut(environment) {
            of.poll_at = next;
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
        // Not even this process polls it twice at a time.
        let holder = format!("{}-{:016x}", self.desk.settings().worker, rand::random::<u64>());
        let Some(lease) = self.desk.store().acquire_lease(&name, &holder, POLL_SECONDS).await? else { return Ok(()) };
        let (desk, trigger, live) = (Arc::clone(&self.desk), Arc::clone(trigger), live.clone());
        let environment = environment.to_owned();
        tokio::spawn(async move {
            if let TriggerKind::AppEvent(app) = &trigger.kind {
                // Where it stands now: another process may have polled before the lease was this one's.
                let fresh = desk.store().polls(&environment).await.unwrap_or_default();
                let fresh = fresh
                    .into_iter()
                    .find(|row| (&row.trigger, &row.connection) == (&state.trigger, &state.connection));
                let state = fresh.unwrap_or(state);
                if state.next_at <= desk.now() {
                    let connection = state.connection.clone();
                    let limit = Duration::from_secs(u64::from(POLL_SECONDS) - 60);
                    let polling = poller::poll(&desk, &environment, &live, &trigger, app, state);
                    match tokio::time::timeout(limit, polling).await {
                        Ok(Ok(brought)) => {
                            if let Some(error) = brought.error {
                                tracing::warn!(environment, trigger = trigger.name, connection, "poll: {error}");
                            } else if brought.events > 0 {
                                tracing::info!(
                                    environment,
                                    trigger = trigger.name,
                                    connection,
                                    events = brought.events,
                                    "poll"
                                );
                            }
                        }
                        Ok(Err(error)) => tracing::warn!(environment, trigger = trigger.name, "poll: {error}"),
                        Err(_) => tracing::warn!(environment, trigger = trigger.name, "poll: it took too long"),
                    }
                }
            }
            let _ = desk.store().release_lease(&lease).await;
            drop(permit);
        });
        Ok(())
    }
}

fn timestamp(micros: Micros) -> jiff::Timestamp {
    jiff::Timestamp::from_microsecond(micros).unwrap_or(jiff::Timestamp::MAX)
}
