//! The guarded outgoing HTTP client.
//!
//! URLs reach Evenkeel from people and from other servers, so every request is
//! treated as a possible attempt to reach something only this machine can see
//! (server-side request forgery, CWE-918). One [`Client`] holds one [`Policy`];
//! each exchange runs under one [`Limits`].
//!
//! The guards and their places:
//!
//! * **Addresses** ([`classify`]): only public ones are reached unless the
//!   operator opens more. Host names are checked by the addresses the connection
//!   really uses (inside the connector's own resolver, so a second DNS answer
//!   cannot differ from the checked one); IP literals, in any spelling, before
//!   the request is sent.
//! * **Redirects**: followed here and never by reqwest, so that each hop passes
//!   the same checks, credentials stay with their origin, and https never
//!   becomes http.
//! * **Size and time**: one deadline over the whole exchange; caps on redirects,
//!   response header bytes and response body bytes (counted after gzip decoding).
//! * **Environment**: proxy variables are ignored. `SSL_CERT_FILE` and
//!   `SSL_CERT_DIR` are honoured where the platform's root store is a directory
//!   of certificates (see `rustls-native-certs`).
//! * **Secrets**: [`Error`] and the `Debug` forms never show header values,
//!   query strings, fragments or userinfo.

mod client;
mod error;
mod headers;
mod message;
mod policy;
mod redirect;
mod resolver;
pub mod signature;
mod tls;

#[cfg(test)]
mod test_upstream;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_address;
#[cfg(test)]
mod tests_limits;
#[cfg(test)]
mod tests_policy;
#[cfg(test)]
mod tests_redirect;
#[cfg(test)]
mod tests_tls;

pub use crate::definition::address::{Cidr, CidrError, classify};
pub use client::Client;
pub use error::{BuildError, Error};
pub use message::{Limits, Request, Response};
pub use policy::{HostPattern, HostPatternError, Policy};
pub use tls::{Tls, TlsError, TlsStream};

/// Installs the ring provider as rustls' process-wide default.
///
/// Call it first in `main` and in tests; [`Client::new`] calls it too, because
/// reqwest's `rustls-no-provider` build panics without one. Idempotent: a
/// provider that is already installed stays.
pub fn install_crypto_provider() {
    // `Err` means that a provider is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
}
