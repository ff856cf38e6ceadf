//! From sources to what runs: fetch, validate, plan, decide, activate, and follow changes.
//!
//! ```text
//! sources ──fetch──► MergedSources ──propose──► Candidate + Plan ──decide──► activate ──► Active
//!    ▲                    │ errors: the last good generation keeps serving                 │
//!    └──── interval, push notifications and requests (environment_task) ◄── status ◄───────┘
//! ```
//!
//! Between the decision and the activation, [`preflight`] makes sure that the candidate can work: its secrets can be
//! resolved and the engine compiles its code. [`decide`] is pure; the actor [`reconciler`] performs the IO around it. `evenkeel dev` follows one folder without
//! generations instead ([`watch`]).

pub mod active;
mod active_generation;
pub mod candidate;
mod candidate_builder;
mod change_plan;
pub mod clock;
mod command_handler;
pub mod commands;
mod composition;
mod connector_probes;
pub mod context;
mod decide;
pub mod desired;
pub mod document;
mod drift_backoff;
mod empty_source;
mod environment_task;
pub mod environments;
mod handle;
pub mod heartbeat;
mod leadership;
mod lease_renewal;
pub mod live_environments;
mod live_generation;
pub mod lost_definitions;
mod manual_override;
pub mod notifications;
mod notify;
mod obstacles;
mod override_end;
mod preflight;
mod propose;
pub mod readiness;
pub mod reason;
mod reconcile_loop;
mod reconciler;
mod retention;
mod rollback;
mod schedule;
mod scope;
mod secret_check;
mod secret_monitor;
mod secret_watch;
mod source_reader;
pub mod sources;
pub mod status;
mod status_log;
mod status_writer;
mod store_inbox;
#[cfg(test)]
mod tests;
pub mod validate;
pub mod view;
pub mod watch;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use crate::connector::Vault;
use crate::definition::environment::{Egress, SecretSource};
use crate::net;
use crate::source::directory;
use crate::source::encrypted::{Identities, MAX_ENCRYPTED_BYTES};

/// The egress policy of an environment as a policy of the HTTP client.
///
/// # Errors
/// A host or network of the environment is invalid.
pub fn policy(egress: &Egress, allow_loopback: bool) -> anyhow::Result<net::Policy> {
    net::Policy::of_environment(egress, allow_loopback).map_err(anyhow::Error::msg)
}

/// The vault of a folder of definitions, or of the folder of one file: its encrypted files and the keys of this process.
/// A file that cannot be read is absent from the vault; resolving its secrets fails.
///
/// # Errors
/// The keys cannot be read.
pub fn vault(path: &Path, secrets: &BTreeMap<String, SecretSource>) -> anyhow::Result<Vault> {
    if Vault::paths(secrets).is_empty() {
        return Ok(Vault::default());
    }
    let identities = Identities::from_environment().map_err(anyhow::Error::msg)?.map(Arc::new);
    let folder = if path.is_file() { path.parent().unwrap_or(Path::new("")) } else { path };
    // One byte more than the limit, so that a file over the limit is recognised.
    let read = |file: &str| directory::read_inside(folder, file, MAX_ENCRYPTED_BYTES + 1).ok();
    Ok(Vault::load(secrets, identities, read))
}
