//! Resources that the environments of a process share.

use std::sync::Arc;

use tokio::sync::watch;

use super::notifications::Notifier;
use super::sources::SourceContext;
use crate::quota::Limiter;
use crate::source::encrypted::Identities;
use crate::store::Store;
use crate::telemetry::metrics::Metrics;

/// Resources shared by all environments of a process.
pub struct Context {
    /// The store of generations, controls and statuses.
    pub store: Arc<dyn Store>,
    /// Resources that sources are created with.
    pub source_context: SourceContext,
    /// Keys of encrypted files.
    pub identities: Option<Arc<Identities>>,
    /// Sends notifications and commit statuses.
    pub notifier: Notifier,
    /// Metrics of the process.
    pub metrics: Metrics,
    /// Rate limits and quotas, shared with the other processes of the store.
    pub limiter: Arc<Limiter>,
    /// Name of this process, unique among all that use the store.
    pub replica: String,
    /// True if several processes may use this store, so that a lease elects the leader of each environment.
    pub shared: bool,
    /// Leadership that is decided elsewhere, such as by a Kubernetes lease; while it is `false`, this process only follows
    /// the active generation.
    pub is_leader: Option<watch::Receiver<bool>>,
    /// Address at which applications call this server; `None` if it is unknown.
    pub public_url: Option<String>,
    /// True if connectors may reach this machine.
    pub allow_loopback: bool,
}

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context").field("replica", &self.replica).field("store", &self.store).finish_non_exhaustive()
    }
}
