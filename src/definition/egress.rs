//! The network destinations that calls may reach: the openings of an environment over the classes of addresses. Pure: the
//! guarded client and `validate` decide by the same code.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use url::{Host, Url};

use super::address::{CLOUD_METADATA, Cidr, LOOPBACK, NEVER_OPENED, classify};
use super::environment::Egress;

/// The hosts and addresses that a client may reach.
///
/// The default is the strict production setting: any public host, https only.
/// Every rule applies to the first request and to each redirect.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// Lets 127.0.0.0/8 and `::1` be reached, over http too. Development only:
    /// it opens every service on this machine.
    pub allow_loopback: bool,
    /// Lets plain `http://` be used everywhere. Without it http works only
    /// towards loopback, and there only with `allow_loopback`.
    pub allow_http: bool,
    /// The only hosts that may be named; empty means any. This narrows and never
    /// opens: a listed name must still resolve to a permitted address.
    pub allowed_hosts: Vec<HostPattern>,
    /// Non-public ranges the operator opens, e.g. `10.1.0.0/16`.
    ///
    /// A cloud metadata address opens only when it is listed alone
    /// (`169.254.169.254/32`), never as a part of a wider range. Unspecified,
    /// "this network", multicast and broadcast addresses never open.
    pub allowed_private: Vec<Cidr>,
}

impl Policy {
    /// Checks one address: the only place that combines [`classify`] with the
    /// operator's openings.
    ///
    /// # Errors
    ///
    /// The address's class when it may not be reached.
    pub fn permit(&self, ip: IpAddr) -> Result<(), &'static str> {
        let Some(class) = classify(ip) else {
            return Ok(());
        };
        if self.allow_loopback && ip.to_canonical().is_loopback() {
            return Ok(());
        }
        let opens = |range: &Cidr| match class {
            _ if NEVER_OPENED.contains(&class) => false,
            CLOUD_METADATA => range.is_single() && range.contains(ip),
            _ => range.contains(ip),
        };
        if self.allowed_private.iter().any(opens) {
            return Ok(());
        }
        Err(class)
    }

    /// The policy of an environment.
    ///
    /// # Errors
    /// A host or network that cannot be read.
    pub fn of_environment(egress: &Egress, allow_loopback: bool) -> Result<Policy, String> {
        let mut policy = Policy { allow_loopback, ..Policy::default() };
        for host in &egress.hosts {
            policy.allowed_hosts.push(host.parse().map_err(|error| format!("egress host `{host}`: {error}"))?);
        }
        for network in &egress.private_networks {
            let range = network.parse().map_err(|error| format!("egress network `{network}`: {error}"))?;
            policy.allowed_private.push(range);
        }
        Ok(policy)
    }

    /// Checks IP literals and the names fixed to loopback; other names pass, as their addresses are not known yet.
    /// Returns true if the host is loopback.
    ///
    /// # Errors
    /// The address, unless it is named by `localhost`, and its class.
    pub fn permit_host(&self, host: &Host<&str>) -> Result<bool, (Option<IpAddr>, &'static str)> {
        let address = match *host {
            Host::Ipv4(ip) => IpAddr::V4(ip),
            Host::Ipv6(ip) => IpAddr::V6(ip),
            Host::Domain(name) if is_localhost(name) => {
                return if self.allow_loopback { Ok(true) } else { Err((None, LOOPBACK)) };
            }
            Host::Domain(_) => return Ok(false),
        };
        self.permit(address).map_err(|class| (Some(address), class))?;
        Ok(address.to_canonical().is_loopback())
    }

    /// True if the policy names the host, or any host.
    #[must_use]
    pub fn names(&self, host: &str) -> bool {
        self.allowed_hosts.is_empty() || self.allowed_hosts.iter().any(|pattern| pattern.matches(host))
    }

    /// The reason for which a URL would be refused before a request for it is sent, as far as the URL alone tells.
    #[must_use]
    pub fn refusal(&self, url: &Url) -> Option<String> {
        let host = url.host()?;
        match self.permit_host(&host) {
            Err((_, class)) => Some(format!("the address `{host}` is not public ({class})")),
            Ok(_) if !self.names(&host.to_string()) => Some(format!("`egress.hosts` does not name the host `{host}`")),
            Ok(_) => None,
        }
    }
}

/// A host an operator allows: `api.example.com`, or `*.example.com` for every
/// name below it at any depth, but not `example.com` itself.
///
/// Compared without regard to letter case or a trailing dot; names outside
/// ASCII are compared in their punycode form.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HostPattern {
    /// Lowercase ASCII without a trailing dot; an IPv6 address in brackets.
    name: String,
    subdomains: bool,
}

/// Error of parsing a [`HostPattern`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a host pattern; write it like api.example.com or *.example.com, without scheme or port")]
pub struct HostPatternError;

impl HostPattern {
    /// True if `host` (as [`Url::host_str`] writes it) matches the pattern.
    #[must_use]
    pub fn matches(&self, host: &str) -> bool {
        let host = without_dot(host);
        if !self.subdomains {
            return host.eq_ignore_ascii_case(&self.name);
        }
        // Bytes, as `host` may be cut anywhere when it is not ASCII.
        let (host, name) = (host.as_bytes(), self.name.as_bytes());
        match host.len().checked_sub(name.len()) {
            Some(at) if at >= 2 => host[at..].eq_ignore_ascii_case(name) && host[at - 1] == b'.',
            _ => false,
        }
    }
}

impl FromStr for HostPattern {
    type Err = HostPatternError;

    fn from_str(text: &str) -> Result<HostPattern, HostPatternError> {
        let (rest, subdomains) = match text.strip_prefix("*.") {
            Some(rest) => (rest, true),
            None => (text, false),
        };
        let host = Host::parse(rest).map_err(|_| HostPatternError)?;
        let name = host.to_string();
        let name = without_dot(&name);
        // `*.10.0.0.1` means nothing; a star elsewhere would match nothing.
        let is_name = matches!(host, Host::Domain(_));
        if name.is_empty() || name.contains('*') || (subdomains && !is_name) {
            return Err(HostPatternError);
        }
        Ok(HostPattern { name: name.to_owned(), subdomains })
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let star = if self.subdomains { "*." } else { "" };
        write!(f, "{star}{}", self.name)
    }
}

/// True if `name` is `localhost` or lies below it. RFC 6761 section 6.3 fixes
/// these to loopback, independent of DNS and the hosts file.
pub fn is_localhost(name: &str) -> bool {
    let name = without_dot(name).as_bytes();
    match name.len().checked_sub("localhost".len()) {
        Some(at) => name[at..].eq_ignore_ascii_case(b"localhost") && (at == 0 || name[at - 1] == b'.'),
        None => false,
    }
}

/// The name without the one trailing dot that marks it as fully qualified.
fn without_dot(name: &str) -> &str {
    name.strip_suffix('.').unwrap_or(name)
}
