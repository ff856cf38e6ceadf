//! Telling others what happened: signed webhooks, Slack, and the forge's commit statuses.
//!
//! ```text
//! tell ──► queue (bounded, the oldest gives way) ──► one task ──► per target one delivery at a time, with retries
//! ```
//!
//! Telling never waits and never fails: what cannot be delivered is logged and counted. A target that does not answer holds
//! up no other one. What a target was told last is not told to it again.

mod deliver;
mod message;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::{Id, JoinHandle, JoinSet};
use zeroize::Zeroizing;

use crate::definition::environment::{NotificationEvent, Provider};
use crate::net;
use crate::telemetry::metrics::Metrics;

/// Deliveries that wait, over all targets.
pub const MAX_QUEUED: usize = 256;
/// Tries of one delivery.
pub const MAX_TRIES: u32 = 4;
/// Deliveries at the same moment, each to another target.
const MAX_AT_ONCE: usize = 8;
/// Targets whose last message is remembered.
const MAX_REMEMBERED: usize = 1024;
/// Longest title and text, in characters; what is longer is cut.
const MAX_TITLE: usize = 200;
const MAX_TEXT: usize = 8000;

/// A value that must not be shown: it has no `Debug`, and is overwritten when dropped.
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes a value in.
    pub fn new(value: String) -> Secret {
        Secret(Zeroizing::new(value))
    }

    fn expose(&self) -> &str {
        &self.0
    }
}

/// What happened, and who is told.
#[derive(Clone)]
pub struct OutgoingNotification {
    /// The environment.
    pub environment: String,
    /// What happened.
    pub event: NotificationEvent,
    /// One line, without secrets.
    pub title: String,
    /// More of it, without secrets.
    pub text: String,
    /// The revision, as people read it.
    pub revision: String,
    /// The commit, 40 or 64 hexadecimal digits; empty where there is none, and then there is no commit status.
    pub commit: String,
    /// The generation's number.
    pub generation: u64,
    /// The generation's digest.
    pub digest: String,
    /// Where more is to be seen.
    pub url: Option<String>,
    /// When it happened, in unix seconds.
    pub at_unix: i64,
    /// Who is told.
    pub targets: Vec<Target>,
}

/// Someone who is told.
#[derive(Clone)]
pub enum Target {
    /// JSON by POST, signed as Standard Webhooks says (<https://www.standardwebhooks.com>).
    Webhook {
        /// The notification's name, for logs.
        name: String,
        /// Absolute URL.
        url: String,
        /// What signs it: raw, or as `whsec_` and base64.
        secret: Secret,
    },
    /// A message in Slack's format.
    Slack {
        /// The notification's name, for logs.
        name: String,
        /// The incoming webhook's URL, which is a secret.
        url: Secret,
    },
    /// A status of the commit.
    CommitStatus {
        /// The forge's kind.
        provider: Provider,
        /// The forge's API; the provider's public one where left out.
        api_url: Option<String>,
        /// The repository there, such as `acme/integrations`.
        repository: String,
        /// A token that may write statuses.
        token: Secret,
        /// What the status is of; see [`status_context`].
        context: String,
        /// How it stands.
        state: CommitState,
        /// One line, without secrets; cut at 140 characters.
        description: String,
    },
}

/// How a commit stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "the names say it")]
pub enum CommitState {
    Pending,
    Success,
    Failure,
}

/// The context of an environment's commit statuses.
pub fn status_context(environment: &str) -> String {
    format!("evenkeel/{environment}")
}

/// How long things take. The defaults are for production.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The wait before the second try; doubled for each further one, half of it random.
    pub first_wait: Duration,
    /// The longest wait that a server may ask for by `Retry-After`.
    pub longest_wait: Duration,
    /// Time for one try.
    pub timeout: Duration,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            first_wait: Duration::from_secs(1),
            longest_wait: Duration::from_mins(1),
            timeout: Duration::from_secs(10),
        }
    }
}

/// Tells others. Cheap to clone; what waits is still delivered after the last clone is dropped, as long as the runtime runs.
#[derive(Clone)]
pub struct Notifier(Arc<Handle>);

impl Notifier {
    /// Starts the task that delivers. Must be called within a tokio runtime. The client's policy says what may be reached.
    pub fn start(client: net::Client, metrics: Metrics, settings: Settings) -> Notifier {
        let shared = Arc::new(Shared { queue: Mutex::default(), wake: Notify::new(), metrics });
        let task = tokio::spawn(work(Arc::clone(&shared), client, Arc::new(settings)));
        Notifier(Arc::new(Handle { shared, task: Mutex::new(Some(task)) }))
    }

    /// Puts an announcement into the queue, once for each of its targets. Never waits.
    pub fn send(&self, announcement: OutgoingNotification) {
        let shared = &self.0.shared;
        let OutgoingNotification { targets, .. } = &announcement;
        let targets = targets.clone();
        let fact = Arc::new(OutgoingNotification {
            title: tidy(&announcement.title, MAX_TITLE),
            text: tidy(&announcement.text, MAX_TEXT),
            targets: Vec::new(),
            ..announcement
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
                queue.jobs.push_back(Job { fact: Arc::clone(&fact), target });
            }
        }
        for _ in 0..dropped {
            shared.metrics.notified("dropped");
        }
        if dropped > 0 {
            tracing::warn!(dropped, "notifications were dropped: too many wait, or this process ends");
        }
        shared.wake.notify_one();
    }

    /// Takes no more in, and waits for what waits to be delivered, for at most `patience`; then gives up on the rest.
    pub async fn finish(self, patience: Duration) {
        self.0.close();
        let task = self.0.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(mut task) = task
            && tokio::time::timeout(patience, &mut task).await.is_err()
        {
            task.abort();
        }
    }
}

/// Ends the task with the last announcer.
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
    fact: Arc<OutgoingNotification>,
    target: Target,
}

/// Who is told, and so which deliveries must keep their order.
type Lane = (String, &'static str, String);
/// What tells one message to a target from the next.
type Message = (NotificationEvent, String, u64, String, Option<CommitState>);

impl Job {
    fn lane(&self) -> Lane {
        let (kind, name) = match &self.target {
            Target::Webhook { name, .. } => ("webhook", name.clone()),
            Target::Slack { name, .. } => ("slack", name.clone()),
            Target::CommitStatus { api_url, repository, context, .. } => {
                ("status", [api_url.as_deref().unwrap_or_default(), repository, context].join(" "))
            }
        };
        (self.fact.environment.clone(), kind, name)
    }

    fn message(&self) -> Message {
        let fact = &*self.fact;
        let state = match &self.target {
            Target::CommitStatus { state, .. } => Some(*state),
            _ => None,
        };
        (fact.event, format!("{} {}", fact.commit, fact.revision), fact.generation, fact.digest.clone(), state)
    }
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The first one in the queue whose target is not busy.
    fn take(&self, busy: &BTreeSet<Lane>) -> Option<(Job, Lane)> {
        let mut queue = self.queue();
        let (at, lane) = queue.jobs.iter().enumerate().find_map(|(at, job)| {
            let lane = job.lane();
            (!busy.contains(&lane)).then_some((at, lane))
        })?;
        Some((queue.jobs.remove(at)?, lane))
    }

    fn is_done(&self) -> bool {
        let queue = self.queue();
        queue.closed && queue.jobs.is_empty()
    }
}

/// The task: hands out deliveries until the queue is closed and empty.
async fn work(shared: Arc<Shared>, client: net::Client, settings: Arc<Settings>) {
    let mut running: JoinSet<bool> = JoinSet::new();
    let mut busy = BTreeSet::new();
    let mut tasks: HashMap<Id, (Lane, Message)> = HashMap::new();
    let mut told: BTreeMap<Lane, Message> = BTreeMap::new();
    loop {
        while running.len() < MAX_AT_ONCE
            && let Some((job, lane)) = shared.take(&busy)
        {
            let message = job.message();
            if told.get(&lane) == Some(&message) {
                shared.metrics.notified("duplicate");
                continue;
            }
            let (client, settings, metrics) = (client.clone(), Arc::clone(&settings), shared.metrics.clone());
            let task = running.spawn(async move {
                let delivered = deliver::deliver(&client, &settings, &job.fact, &job.target).await;
                metrics.notified(if delivered { "delivered" } else { "failed" });
                delivered
            });
            busy.insert(lane.clone());
            tasks.insert(task.id(), (lane, message));
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
                if let Some((lane, message)) = tasks.remove(&id) {
                    busy.remove(&lane);
                    if delivered {
                        if told.len() >= MAX_REMEMBERED {
                            told.clear();
                        }
                        told.insert(lane, message);
                    }
                }
            }
        }
    }
}

/// At most so many characters, line breaks the only control characters.
fn tidy(text: &str, most: usize) -> String {
    let fits = text.chars().nth(most).is_none();
    let kept = text.chars().filter(|c| !c.is_control() || *c == '\n');
    match fits {
        true => kept.collect(),
        false => kept.take(most.saturating_sub(1)).chain(['…']).collect(),
    }
}
