//! The network policy for addresses that the operator configures.

use anyhow::Context as _;

use crate::net;

/// Private networks that an operator may name; definitions reach public addresses only.
const PRIVATE_NETWORKS: [&str; 5] = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7"];

/// Allows public and private networks, and loopback addresses if `allow_loopback` is set.
///
/// # Errors
/// Never fails in practice: the networks are constants.
pub(super) fn private_policy(allow_loopback: bool) -> anyhow::Result<net::Policy> {
    let mut policy = net::Policy { allow_loopback, allow_http: true, ..net::Policy::default() };
    for network in PRIVATE_NETWORKS {
        policy.allowed_private.push(network.parse().with_context(|| network.to_owned())?);
    }
    Ok(policy)
}
