//! The state that all handlers share.

use std::sync::Arc;

use tokio::sync::Semaphore;

use super::access::{Access, Anonymous};
use crate::connector::Mocking;
use crate::reconcile::active::Pointer;
use crate::reconcile::environments::Environments;
use crate::reconcile::live_environments::LiveEnvironments;
use crate::workflow::Dispatcher;

/// Largest request body, in bytes.
pub const MAX_BODY: usize = 8 << 20;
/// Maximum number of concurrent calls of actions; others get 503 with `Retry-After`.
const MAX_CALLS: usize = 1024;
/// Maximum number of concurrent webhook requests; they are small and wait at most for a disk.
const MAX_HOOKS: usize = 4096;

/// A server and the state of its handlers.
#[derive(Clone, Debug)]
pub struct Server {
    /// The active generation of a server of one folder (`dev`).
    pub pointer: Pointer,
    /// The environments of `serve` and `operator`; `None` for `dev`.
    pub environments: Option<Environments>,
    /// Access to environments by token.
    pub access: Access,
    /// Calls that mocks answer.
    pub mocking: Mocking,
    /// Execution of workflows; `None` if this server runs none.
    pub workflows: Option<WorkflowService>,
    pub(super) public_metrics: bool,
    pub(super) allowed_hosts: Arc<[String]>,
    pub(super) call_permits: Arc<Semaphore>,
    pub(super) hook_permits: Arc<Semaphore>,
}

/// Execution of workflows.
#[derive(Clone, Debug)]
pub struct WorkflowService {
    /// Queue of executions.
    pub dispatcher: Arc<Dispatcher>,
    /// Definitions that are live.
    pub live: LiveEnvironments,
    /// Public address of this server, such as `https://hooks.example.com`.
    pub public_url: String,
}

impl Server {
    /// A server of one folder.
    ///
    /// `allowed_hosts` are accepted host names besides addresses and `localhost`; `*` accepts any.
    pub fn new(pointer: Pointer, mocking: Mocking, allowed_hosts: Vec<String>) -> Server {
        Server {
            pointer,
            environments: None,
            access: Access::without_tokens(Anonymous::Local),
            mocking,
            workflows: None,
            public_metrics: false,
            allowed_hosts: allowed_hosts.into(),
            call_permits: Arc::new(Semaphore::new(MAX_CALLS)),
            hook_permits: Arc::new(Semaphore::new(MAX_HOOKS)),
        }
    }

    /// A server of environments.
    pub fn with_environments(environments: Environments, access: Access, allowed_hosts: Vec<String>) -> Server {
        let server = Server::new(Pointer::empty(), Mocking::None, allowed_hosts);
        Server { environments: Some(environments), access, ..server }
    }

    /// Adds the execution of workflows.
    #[must_use]
    pub fn with_workflows(self, workflows: WorkflowService) -> Server {
        Server { workflows: Some(workflows), ..self }
    }

    /// Replaces the access rules.
    #[must_use]
    pub fn with_access(self, access: Access) -> Server {
        Server { access, ..self }
    }

    /// Serves `/metrics` to callers without a token too.
    #[must_use]
    pub fn with_public_metrics(self, public_metrics: bool) -> Server {
        Server { public_metrics, ..self }
    }

    /// The public address of a path.
    pub(super) fn address(&self, path: &str) -> String {
        let base = self.workflows.as_ref().map_or("", |workflows| workflows.public_url.trim_end_matches('/'));
        format!("{base}{path}")
    }
}
