//! From a source to what runs: read, check, compile, activate; and follow changes.
//!
//! ```text
//! folder ──examine──► catalog + findings ──compile──► Runtime ──swap──► Active
//!    ▲                      │ errors: the last good one keeps serving      │
//!    └────── follow: file events, and a look at the folder now and then ◄──┘
//! ```

pub mod active;
pub mod announce;
pub mod examine;
pub mod follow;
pub mod metrics;

use anyhow::Context as _;

use crate::definition::environment::Egress;
use crate::net;

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
