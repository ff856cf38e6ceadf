//! The policy of a client: the checks made before anything is sent.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use url::{Host, Url};

use super::address::{CLOUD_METADATA, Cidr, LOOPBACK, NEVER_OPENED, classify};
use super::error::{Error, host_of};

/// Maximum length of a URL, in bytes. RFC 9110 section 4.1 requires at
/// least 8000; common servers stop between 8 and 16 KiB.
pub(super) const MAX_URL_BYTES: usize = 16 * 1024;

/// The hosts and addresses that a client may reach.
///
/// The default is the strict production setting: any public host, https only.
/// Every rule applies to the first request and to each redirect.
#[derive(Clone, Debug, Default)]
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

    /// Checks a URL before a request for it is built. Addresses behind a host
    /// name are checked later, by the resolver.
    ///
    /// # Errors
    ///
    /// [`Error::Scheme`], [`Error::BadUrl`], [`Error::Refused`] or
    /// [`Error::NotAllowedHost`].
    pub fn check(&self, url: &Url) -> Result<(), Error> {
        // Before anything is read from the host: only http and https URLs have
        // their host parsed by WHATWG rules, which turns `0x7f.1` and
        // `2130706433` into addresses and lowercases names.
        if !matches!(url.scheme(), "http" | "https") {
            return Err(Error::Scheme { scheme: url.scheme().to_owned(), host: host_of(url) });
        }
        let bad = |reason| Error::BadUrl { host: host_of(url), reason };
        let Some(host) = url.host() else {
            return Err(bad("it names no host"));
        };
        if url.as_str().len() > MAX_URL_BYTES {
            return Err(bad("it is longer than 16 KiB"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(bad("it holds a user name or password; send credentials in a header"));
        }
        let loopback = self.check_host(&host)?;
        if !self.allowed_hosts.is_empty() {
            let name = host.to_string();
            if !self.allowed_hosts.iter().any(|p| p.matches(&name)) {
                return Err(Error::NotAllowedHost { host: name });
            }
        }
        if url.scheme() == "http" && !self.allow_http && !loopback {
            return Err(Error::Scheme { scheme: url.scheme().to_owned(), host: host_of(url) });
        }
        Ok(())
    }

    /// Checks IP literals and the names fixed to loopback; other names pass.
    /// Returns true if the host is loopback.
    fn check_host(&self, host: &Host<&str>) -> Result<bool, Error> {
        let refused = |address, class| Error::Refused { host: host.to_string(), address, class };
        let address = match *host {
            Host::Ipv4(ip) => IpAddr::V4(ip),
            Host::Ipv6(ip) => IpAddr::V6(ip),
            Host::Domain(name) if is_localhost(name) => {
                return if self.allow_loopback { Ok(true) } else { Err(refused(None, LOOPBACK)) };
            }
            Host::Domain(_) => return Ok(false),
        };
        self.permit(address).map_err(|class| refused(Some(address), class))?;
        Ok(address.to_canonical().is_loopback())
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
pub(super) fn is_localhost(name: &str) -> bool {
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
