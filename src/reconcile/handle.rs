//! The handle of an environment, by which other tasks read its state and send it requests.

use std::sync::Arc;

use arc_swap::{ArcSwap, ArcSwapOption};
use serde_json::Value;
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::task::JoinSet;

use super::active::Pointer;
use super::commands::{Command, CommandError, Request};
use super::document::EnvironmentDocument;
use super::heartbeat::Heartbeat;
use super::status::Status;
use super::view::EnvironmentView;
use crate::store::Generation;

/// An environment of this process. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Handle {
    /// Key of the environment.
    pub name: String,
    /// The generation that serves.
    pub pointer: Pointer,
    /// The status.
    pub status: watch::Receiver<Arc<Status>>,
    /// Sign of life.
    pub heartbeat: Arc<Heartbeat>,
    /// Manifest, findings and document.
    pub view: Arc<ArcSwap<EnvironmentView>>,
    /// The operator's present document.
    pub document: Arc<ArcSwap<EnvironmentDocument>>,
    /// Errors of a newer document, which is not in effect.
    pub document_error: Arc<ArcSwapOption<String>>,
    /// Number of finished passes and requests.
    pub passes: watch::Receiver<u64>,
    pub(super) commands: mpsc::Sender<Command>,
    pub(super) push: Arc<Notify>,
    pub(super) serving: Arc<ArcSwapOption<Generation>>,
    pub(super) tasks: Arc<ArcSwapOption<Tasks>>,
}

/// The tasks of an environment, which end when this is dropped.
pub(super) type Tasks = std::sync::Mutex<JoinSet<()>>;

impl Handle {
    /// Requests a pass soon, as a source may have changed.
    pub fn reconcile_soon(&self) {
        self.heartbeat.queued();
        self.push.notify_one();
    }

    /// Sets or clears the errors of a newer document, and requests a pass that shows them in the status.
    pub(super) fn set_document_error(&self, error: Option<String>) {
        if self.document_error.load().as_deref() != error.as_ref() {
            self.document_error.store(error.map(Arc::new));
            self.reconcile_soon();
        }
    }

    /// Sends a request and waits for the response.
    ///
    /// # Errors
    /// The request is not carried out.
    pub async fn send(&self, request: Request, actor: &str) -> Result<Value, CommandError> {
        let (answer, response) = oneshot::channel();
        self.heartbeat.queued();
        let busy = || CommandError::new(503, "BUSY", "too many requests wait for the environment; try again");
        self.commands.try_send(Command { request, actor: actor.to_owned(), answer }).map_err(|_| busy())?;
        response.await.map_err(|_| CommandError::new(500, "FAILED", "the request failed unexpectedly; see the log"))?
    }
}
