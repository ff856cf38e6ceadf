//! The queue of deliveries and the task that works it off.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::{Id, JoinHandle, JoinSet};

use super::deliver;
use super::model::{
    CommitState, MAX_AT_ONCE, MAX_QUEUED, MAX_REMEMBERED, MAX_TEXT, MAX_TITLE, OutgoingNotification, Settings, Target,
    tidy,
};
use crate::definition::environment::NotificationEvent;
use crate::net;
use crate::telemetry::metrics::Metrics;

/// Sends notifications. Cheap to clone; deliveries that wait are still made after the last clone is dropped, as long as the
/// runtime runs.
#[derive(Clone)]
pub struct Notifier(Arc<Handle>);

impl Notifier {
    /// Starts the delivery task. Must be called within a tokio runtime. The policy of the client limits the targets.
    pub fn start(client: net::Client, metrics: Metrics, settings: Settings) -> Notifier {
        let shared = Arc::new(Shared { queue: Mutex::default(), wake: Notify::new(), metrics });
        let task = tokio::spawn(work(Arc::clone(&shared), client, Arc::new(settings)));
        Notifier(Arc::new(Handle { shared, task: Mutex::new(Some(task)) }))
    }

    /// Queues a notification for each of its targets. Never waits.
    pub fn send(&self, outgoing: OutgoingNotification) {
        let shared = &self.0.shared;
        let OutgoingNotification { targets, .. } = &outgoing;
        let targets = targets.clone();
        let notification = Arc::new(OutgoingNotification {
            title: tidy(&outgoing.title, MAX_TITLE),
            text: tidy(&outgoing.text, MAX_TEXT),
            targets: Vec::new(),
            ..outgoing
        });
        let mut dropped = 0;
        {
            let mut queue = shared.queue();
            for target in targets {
                if queue.closed {
                    dropped += 1;
                    continue;
                }
                if queue.jobs.len() >= MAX_QUEUED {
                    queue.jobs.pop_front();
                    dropped += 1;
                }
                queue.jobs.push_back(Job { notification: Arc::clone(&notification), target });
            }
        }
        for _ in 0..dropped {
            shared.metrics.notified("dropped");
        }
        if dropped > 0 {
            tracing::warn!(dropped, "notifications were dropped as too many wait or the process stops");
        }
        shared.wake.notify_one();
    }

    /// Refuses new notifications and waits until the queue is delivered, for at most `timeout`; then drops the rest.
    pub async fn finish(self, timeout: Duration) {
        self.0.close();
        let task = self.0.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(mut task) = task
            && tokio::time::timeout(timeout, &mut task).await.is_err()
        {
            task.abort();
        }
    }
}

/// Closes the queue with the last [`Notifier`].
struct Handle {
    shared: Arc<Shared>,
    task: Mutex<Option<JoinHandle<()>>>,
}

impl Handle {
    fn close(&self) {
        self.shared.queue().closed = true;
        self.shared.wake.notify_one();
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.close();
    }
}

struct Shared {
    queue: Mutex<Queue>,
    wake: Notify,
    metrics: Metrics,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    closed: bool,
}

struct Job {
    notification: Arc<OutgoingNotification>,
    target: Target,
}

/// Environment, type and name of a target; deliveries with the same key keep their order.
type DeliveryKey = (String, &'static str, String);
/// Properties by which a message to a target differs from the one before.
type Message = (NotificationEvent, String, u64, String, Option<CommitState>);

impl Job {
    fn key(&self) -> DeliveryKey {
        let (kind, name) = match &self.target {
            Target::Webhook { name, .. } => ("webhook", name.clone()),
            Target::Slack { name, .. } => ("slack", name.clone()),
            Target::CommitStatus { api_url, repository, context, .. } => {
                ("status", [api_url.as_deref().unwrap_or_default(), repository, context].join(" "))
            }
        };
        (self.notification.environment.clone(), kind, name)
    }

    fn message(&self) -> Message {
        let notification = &*self.notification;
        let state = match &self.target {
            Target::CommitStatus { state, .. } => Some(*state),
            _ => None,
        };
        (
            notification.event,
            format!("{} {}", notification.commit, notification.revision),
            notification.generation,
            notification.digest.clone(),
            state,
        )
    }
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the first job whose target is not busy.
    fn take(&self, busy: &BTreeSet<DeliveryKey>) -> Option<(Job, DeliveryKey)> {
        let mut queue = self.queue();
        let (at, key) = queue.jobs.iter().enumerate().find_map(|(at, job)| {
            let key = job.key();
            (!busy.contains(&key)).then_some((at, key))
        })?;
        Some((queue.jobs.remove(at)?, key))
    }

    fn is_done(&self) -> bool {
        let queue = self.queue();
        queue.closed && queue.jobs.is_empty()
    }
}

/// The delivery task: starts deliveries until the queue is closed and empty.
async fn work(shared: Arc<Shared>, client: net::Client, settings: Arc<Settings>) {
    let mut running: JoinSet<bool> = JoinSet::new();
    let mut busy = BTreeSet::new();
    let mut tasks: HashMap<Id, (DeliveryKey, Message)> = HashMap::new();
    let mut delivered_last: BTreeMap<DeliveryKey, Message> = BTreeMap::new();
    loop {
        while running.len() < MAX_AT_ONCE
            && let Some((job, key)) = shared.take(&busy)
        {
            let message = job.message();
            if delivered_last.get(&key) == Some(&message) {
                shared.metrics.notified("duplicate");
                continue;
            }
            let (client, settings, metrics) = (client.clone(), Arc::clone(&settings), shared.metrics.clone());
            let task = running.spawn(async move {
                let delivered = deliver::deliver(&client, &settings, &job.notification, &job.target).await;
                metrics.notified(if delivered { "delivered" } else { "failed" });
                delivered
            });
            busy.insert(key.clone());
            tasks.insert(task.id(), (key, message));
        }
        if running.is_empty() && shared.is_done() {
            return;
        }
        tokio::select! {
            () = shared.wake.notified() => {}
            Some(ended) = running.join_next_with_id() => {
                let (id, delivered) = match ended {
                    Ok((id, delivered)) => (id, delivered),
                    Err(error) => (error.id(), false),
                };
                if let Some((key, message)) = tasks.remove(&id) {
                    busy.remove(&key);
                    if delivered {
                        if delivered_last.len() >= MAX_REMEMBERED {
                            delivered_last.clear();
                        }
                        delivered_last.insert(key, message);
                    }
                }
            }
        }
    }
}
