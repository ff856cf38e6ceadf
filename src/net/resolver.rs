//! Name resolution that hands the connector permitted addresses only.
//!
//! reqwest connects to exactly what its resolver returns, so a check made here
//! leaves no gap between looking and connecting for DNS rebinding to use.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::sync::Semaphore;

use super::error::Error;
use super::policy::Policy;
use crate::definition::egress::is_localhost;

/// Maximum number of concurrent look-ups of a client. Each holds a thread of tokio's
/// blocking pool, for as long as the system resolver keeps trying.
const MAX_LOOKUPS: usize = 32;
/// Maximum number of addresses taken from one answer; a hostile zone can list thousands.
const MAX_ADDRESSES: usize = 32;

/// Source of addresses.
#[derive(Clone)]
pub(super) enum Lookup {
    /// The operating system's resolver.
    System,
    /// A table, so that tests need no DNS.
    #[cfg(test)]
    Table(Arc<Table>),
}

/// A host's addresses in a test.
#[cfg(test)]
pub(super) type Table = dyn Fn(&str) -> Vec<IpAddr> + Send + Sync;

/// The resolver given to reqwest.
pub(super) struct GuardedResolver {
    policy: Arc<Policy>,
    lookup: Lookup,
    semaphore: Arc<Semaphore>,
}

impl GuardedResolver {
    pub(super) fn new(policy: Arc<Policy>, lookup: Lookup) -> Self {
        GuardedResolver { policy, lookup, semaphore: Arc::new(Semaphore::new(MAX_LOOKUPS)) }
    }
}

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let host = name.as_str().to_owned();
        let policy = Arc::clone(&self.policy);
        let lookup = self.lookup.clone();
        let semaphore = Arc::clone(&self.semaphore);
        Box::pin(async move {
            let found = find(&host, lookup, semaphore).await.map_err(|_| {
                // The system's text does not help a caller.
                Error::Dns { host: host.clone() }
            })?;
            let permitted = filter(&policy, host, found)?;
            // Port 0 makes the connector put in the URL's own port.
            let addresses = permitted.into_iter().map(|ip| SocketAddr::new(ip, 0));
            Ok(Box::new(addresses) as Addrs)
        })
    }
}

/// Keeps the permitted addresses, in order.
///
/// # Errors
///
/// [`Error::Dns`] if there were none at all, [`Error::Refused`] naming the first
/// if all were refused.
fn filter(policy: &Policy, host: String, found: Vec<IpAddr>) -> Result<Vec<IpAddr>, Error> {
    let mut first_refused = None;
    let mut permitted = Vec::with_capacity(found.len());
    for ip in found {
        match policy.permit(ip) {
            Ok(()) => permitted.push(ip),
            Err(class) => {
                first_refused.get_or_insert((ip, class));
            }
        }
    }
    match first_refused {
        _ if !permitted.is_empty() => Ok(permitted),
        Some((ip, class)) => Err(Error::Refused { host, address: Some(ip), class }),
        None => Err(Error::Dns { host }),
    }
}

async fn find(host: &str, lookup: Lookup, semaphore: Arc<Semaphore>) -> io::Result<Vec<IpAddr>> {
    if is_localhost(host) {
        // RFC 6761 section 6.3: never sent to a name server.
        return Ok(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]);
    }
    match lookup {
        Lookup::System => system(host.to_owned(), semaphore).await,
        #[cfg(test)]
        Lookup::Table(table) => Ok(table(host)),
    }
}

async fn system(host: String, semaphore: Arc<Semaphore>) -> io::Result<Vec<IpAddr>> {
    let permit = semaphore.acquire_owned().await.map_err(io::Error::other)?;
    // A task of its own: when the caller's deadline passes, the blocking call
    // goes on regardless, and the permit must stay with it until it ends.
    tokio::spawn(async move {
        let found = tokio::net::lookup_host((host.as_str(), 0)).await;
        drop(permit);
        Ok(found?.map(|a| a.ip()).take(MAX_ADDRESSES).collect())
    })
    .await
    .map_err(io::Error::other)?
}
