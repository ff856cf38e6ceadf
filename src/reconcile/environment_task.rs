//! The tasks of an environment: a loop of passes and requests, restarted after a panic, and a heartbeat.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use serde_json::Value;
use tokio::sync::{Mutex, Notify, mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::active::Pointer;
use super::clock::now;
use super::commands::{Command, CommandError, Request};
use super::connector_probes::ConnectorProbes;
use super::context::Context;
use super::decide::refusal;
use super::document::EnvironmentDocument;
use super::handle::Handle;
use super::reason::{Reason, ReconcileError};
use super::reconciler::{Outputs, Reconciler};
use super::secret_monitor::Rechecks;
use super::status::Status;

/// Maximum number of requests that wait for one environment; further ones are refused.
const MAX_WAITING: usize = 64;
/// Quiet period between push notifications and a pass, as pushes come in bursts.
const QUIET: Duration = Duration::from_millis(20);
/// Time that a response waits for the pass that follows a request; the pass continues.
const MAX_RESPONSE_WAIT: Duration = Duration::from_secs(10);
/// First wait before the loop is restarted after a panic; it doubles with each panic.
const RESTART: Duration = Duration::from_secs(2);
/// Period of the heartbeat to other processes, which is valid for 30 seconds.
const HEARTBEAT: Duration = Duration::from_secs(10);

/// Starts the tasks of an environment.
pub(super) fn spawn(document: EnvironmentDocument, context: &Arc<Context>) -> Handle {
    let (commands, requests) = mpsc::channel(MAX_WAITING);
    let (status_sender, status) = watch::channel(Arc::new(Status::default()));
    let (passes_sender, passes) = watch::channel(0_u64);
    let handle = Handle {
        name: document.key.clone(),
        pointer: Pointer::empty(),
        status,
        heartbeat: Arc::default(),
        view: Arc::default(),
        document: Arc::new(ArcSwap::from_pointee(document)),
        document_error: Arc::default(),
        passes,
        commands,
        push: Arc::new(Notify::new()),
        serving: Arc::default(),
        tasks: Arc::default(),
    };
    let mut tasks = JoinSet::new();
    if context.shared {
        tasks.spawn(report_heartbeat(handle.clone(), Arc::clone(context)));
    }
    let senders = Senders { status: status_sender, passes: passes_sender };
    tasks.spawn(supervise(handle.clone(), Arc::clone(context), senders, requests));
    handle.tasks.store(Some(Arc::new(std::sync::Mutex::new(tasks))));
    handle
}

/// Senders of what an environment publishes.
#[derive(Clone)]
struct Senders {
    status: watch::Sender<Arc<Status>>,
    passes: watch::Sender<u64>,
}

/// Restarts the loop after a panic; the live generation keeps serving.
async fn supervise(handle: Handle, context: Arc<Context>, senders: Senders, requests: mpsc::Receiver<Command>) {
    let requests = Arc::new(Mutex::new(requests));
    let mut panics = 0_u32;
    loop {
        // A set, so that the loop ends with this task.
        let mut running = JoinSet::new();
        running.spawn(run(handle.clone(), Arc::clone(&context), senders.clone(), Arc::clone(&requests)));
        let Some(Err(error)) = running.join_next().await else { return };
        tracing::error!(environment = handle.name, %error, "reconciling panicked and is restarted");
        context.metrics.reconciled(&handle.name, "panic", Duration::ZERO);
        senders.status.send_modify(|status| {
            let message = "reconciling panicked and is restarted; see the log";
            Arc::make_mut(status).conclude(&refusal(&ReconcileError::stalled(Reason::Panicked, message)), now());
        });
        tokio::time::sleep(RESTART.saturating_mul(1 << panics.min(7))).await;
        panics += 1;
    }
}

/// Reports the generation that this process serves to the other processes.
async fn report_heartbeat(handle: Handle, context: Arc<Context>) {
    loop {
        tokio::time::sleep(HEARTBEAT).await;
        if let Some(generation) = handle.serving.load_full()
            && let Err(error) = context.store.report_replica(&context.replica, &handle.name, &generation).await
        {
            tracing::debug!(environment = handle.name, %error, "the heartbeat failed");
        }
    }
}

/// Event that the loop wakes up for.
enum Wake {
    Interval,
    Push,
    StoreChanged,
    SecretFailed,
    Probed,
    Request(Box<Command>),
}

async fn run(handle: Handle, context: Arc<Context>, senders: Senders, requests: Arc<Mutex<mpsc::Receiver<Command>>>) {
    let mut requests = requests.lock().await;
    let mut changes = context.store.changes();
    let outputs = Outputs {
        pointer: handle.pointer.clone(),
        serving: Arc::clone(&handle.serving),
        status: senders.status,
        view: Arc::clone(&handle.view),
        heartbeat: Arc::clone(&handle.heartbeat),
    };
    let document = EnvironmentDocument::clone(&handle.document.load());
    let mut reconciler = Reconciler::new(context, document, outputs);
    let mut rechecks = Rechecks::of(&reconciler.secrets);
    let mut probes = ConnectorProbes::default();
    let mut next = Instant::now();
    loop {
        let wake = tokio::select! {
            () = tokio::time::sleep_until(next) => Wake::Interval,
            () = handle.push.notified() => Wake::Push,
            changed = changes.changed() => match changed {
                Ok(()) => Wake::StoreChanged,
                Err(_) => return,
            },
            () = rechecks.next() => Wake::SecretFailed,
            () = probes.changed() => Wake::Probed,
            command = requests.recv() => match command {
                Some(command) => Wake::Request(Box::new(command)),
                None => return,
            },
        };
        handle.heartbeat.taken();
        handle.heartbeat.tick();
        let error = handle.document_error.load().as_deref().cloned();
        reconciler.update_document(&handle.document.load(), error);
        match wake {
            Wake::Interval => next = Instant::now() + reconciler.reconcile().await,
            Wake::Push => {
                tokio::time::sleep(QUIET).await;
                next = Instant::now() + reconciler.reconcile().await;
                reconciler.forward_push().await;
            }
            Wake::StoreChanged => {
                if let Some(wait) = reconciler.react_to_store().await {
                    next = Instant::now() + wait;
                }
            }
            Wake::SecretFailed => reconciler.recheck_secrets().await,
            Wake::Probed => reconciler.publish_probes(&probes).await,
            Wake::Request(command) => {
                let Command { request, actor, answer } = *command;
                let is_reconcile = matches!(request, Request::Reconcile);
                let is_read = matches!(request, Request::Plan | Request::Preview { .. });
                let response = reconciler.handle(request, &actor).await;
                if is_read || response.is_err() {
                    let _ = answer.send(response);
                } else {
                    next = Instant::now() + reconcile_and_respond(&mut reconciler, answer, response).await;
                    if is_reconcile {
                        reconciler.forward_push().await;
                    }
                }
            }
        }
        if reconciler.follow_probes(&mut probes) {
            reconciler.publish_probes(&probes).await;
        }
        reconciler.publish_view();
        senders.passes.send_modify(|passes| *passes += 1);
    }
}

/// Runs a pass before the response, so that the requester sees its outcome, for at most [`MAX_RESPONSE_WAIT`].
async fn reconcile_and_respond(
    reconciler: &mut Reconciler,
    answer: oneshot::Sender<Result<Value, CommandError>>,
    response: Result<Value, CommandError>,
) -> Duration {
    let mut pass = std::pin::pin!(reconciler.reconcile());
    let finished = tokio::time::timeout(MAX_RESPONSE_WAIT, &mut pass).await;
    let _ = answer.send(response);
    match finished {
        Ok(wait) => wait,
        Err(_) => pass.await,
    }
}
