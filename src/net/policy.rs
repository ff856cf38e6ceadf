//! The policy of a client: the checks made before anything is sent.

use url::{Host, Url};

use super::error::{Error, host_of};

pub use crate::definition::egress::{HostPattern, HostPatternError, Policy};

/// Maximum length of a URL, in bytes. RFC 9110 section 4.1 requires at
/// least 8000; common servers stop between 8 and 16 KiB.
pub(super) const MAX_URL_BYTES: usize = 16 * 1024;

impl Policy {
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
        if !self.names(&host.to_string()) {
            return Err(Error::NotAllowedHost { host: host.to_string() });
        }
        if url.scheme() == "http" && !self.allow_http && !loopback {
            return Err(Error::Scheme { scheme: url.scheme().to_owned(), host: host_of(url) });
        }
        Ok(())
    }

    /// Checks IP literals and the names fixed to loopback; other names pass.
    /// Returns true if the host is loopback.
    fn check_host(&self, host: &Host<&str>) -> Result<bool, Error> {
        let refused = |(address, class)| Error::Refused { host: host.to_string(), address, class };
        self.permit_host(host).map_err(refused)
    }
}
