//! From a source to what runs: read, check, compile, activate; and follow changes.
//!
//! ```text
//! folder ──examine──► catalog + findings ──compile──► Runtime ──swap──► Active
//!    ▲                      │ errors: the last good one keeps serving      │
//!    └────── follow: file events, and a look at the folder now and then ◄──┘
//! ```

pub mod active;
mod active_generation;
pub mod candidate;
pub mod clock;
pub mod commands;
pub mod context;
pub mod document;
mod drift_backoff;
pub mod engine;
pub mod environments;
pub mod heartbeat;
mod history;
mod lease_renewal;
pub mod live_environments;
mod manual_override;
pub mod notifications;
mod notify;
mod propose;
pub mod reason;
mod reconcile_loop;
mod rollback;
pub mod sources;
pub mod status;
mod status_writer;
#[cfg(test)]
mod tests;
pub mod validate;
pub mod view;
pub mod watch;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;

use crate::connector::Vault;
use crate::definition::environment::{Egress, SecretSource};
use crate::net;
use crate::source::directory;
use crate::source::encrypted::{Identities, MAX_SEALED_BYTES};

/// What connectors may reach, as the environment says.
///
/// # Errors
/// Where a host or network of the environment cannot be used.
pub fn policy(egress: &Egress, allow_loopback: bool) -> anyhow::Result<net::Policy> {
    let mut policy = net::Policy { allow_loopback, allow_http: false, ..net::Policy::default() };
    for host in &egress.hosts {
        policy.allowed_hosts.push(host.parse().with_context(|| format!("egress host `{host}`"))?);
    }
    for network in &egress.private_networks {
        policy.allowed_private.push(network.parse().with_context(|| format!("egress network `{network}`"))?);
    }
    Ok(policy)
}

/// The encrypted files that secrets are in, read from a folder of definitions (or the folder of one file), and the keys of
/// this process. A file that cannot be read is left out: the secrets in it say so when they are needed.
///
/// # Errors
/// Where the keys cannot be read.
pub fn vault(path: &Path, secrets: &BTreeMap<String, SecretSource>) -> anyhow::Result<Vault> {
    if Vault::paths(secrets).is_empty() {
        return Ok(Vault::default());
    }
    let identities = Identities::from_environment().map_err(anyhow::Error::msg)?.map(Arc::new);
    let folder = if path.is_file() { path.parent().unwrap_or(Path::new("")) } else { path };
    // One byte more than may be, so that one that is too large is told from one that just fits.
    let read = |file: &str| directory::read_inside(folder, file, MAX_SEALED_BYTES + 1).ok();
    Ok(Vault::load(secrets, identities, read))
}
