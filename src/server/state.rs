//! The state that all handlers share.

use std::sync::Arc;

use tokio::sync::Semaphore;

use super::access::Access;
use crate::connector::{CallError, ErrorCode, Mocking};
use crate::reconcile::active::{Active, Pointer};
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
            access: Access::default(),
            mocking,
            workflows: None,
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

    /// The active generation of the named environment, or of the only one.
    ///
    /// # Errors
    /// Fails if the environment does not exist, is ambiguous, or has no active generation.
    pub(super) fn active(&self, environment: Option<&str>) -> Result<Arc<Active>, CallError> {
        let pointer = match &self.environments {
            None => self.pointer.clone(),
            Some(environments) => {
                let handle = environments.find(environment).ok_or_else(|| match environment {
                    Some(name) => CallError::new(ErrorCode::NotFound, format!("unknown environment `{name}`")),
                    None => CallError::new(
                        ErrorCode::BadRequest,
                        "there are several environments; select one with the header `x-evenkeel-environment`",
                    ),
                })?;
                handle.pointer
            }
        };
        pointer.load().ok_or_else(|| CallError::new(ErrorCode::Unavailable, "no generation is active yet"))
    }

    /// The same, with the name of the environment.
    pub(super) fn active_with_name(&self, environment: Option<&str>) -> Result<(String, Arc<Active>), CallError> {
        let active = self.active(environment)?;
        Ok((active.runtime.environment.clone(), active))
    }

    /// The execution of workflows.
    ///
    /// # Errors
    /// Fails if this server runs none.
    pub(super) fn workflow_service(&self) -> Result<&WorkflowService, CallError> {
        self.workflows.as_ref().ok_or_else(|| CallError::new(ErrorCode::Unavailable, "this server runs no workflows"))
    }
}
