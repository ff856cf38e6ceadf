//! Calls to verify, the reasons for rejecting them, and the limits of verification.

use std::time::Duration;

/// The default for the largest difference between a call's time and this process's clock, before or after: the value
/// that Stripe, Slack, HubSpot and Standard Webhooks recommend.
pub const TOLERANCE: Duration = Duration::from_mins(5);

/// The default header of `apiKey`.
pub const KEY_HEADER: &str = "x-evenkeel-key";

/// Maximum number of signatures of one call that are compared. Senders send two during a secret rotation.
pub const MAX_SIGNATURES: usize = 16;

/// Maximum number of secrets that are valid at the same time. Each costs one HMAC of the body.
pub const MAX_SECRETS: usize = 8;

/// The reason for rejecting a call. Contains names of headers only: no received value, and nothing of the expected one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// The definition declares no verification, not even `none`. Checked definitions always declare one.
    #[error("the webhook declares no `verify`, so no call is accepted")]
    NoRule,
    /// The secret is empty, so that anyone could sign.
    #[error("the webhook's secret is empty; set one here and at the sender")]
    NoSecret,
    /// No secret has the form that the service issues.
    #[error("the webhook's secret is not `whsec_` and Base64; copy it again from the sender")]
    UnusableSecret,
    /// A header is missing.
    #[error("header {0} is missing; set the secret at the sender")]
    MissingHeader(String),
    /// A header does not have the form of this scheme.
    #[error("header {0} is malformed; check that the declared service or provider is the sender's")]
    Malformed(String),
    /// The call was signed with another secret, or changed in transit.
    #[error("the signature does not match; check that both sides have the same secret")]
    WrongSignature,
    /// The key is not the secret.
    #[error("the key does not match; check that both sides have the same secret")]
    WrongKey,
    /// The signature is valid and too old: a replay, a late delivery, or a wrong clock.
    #[error("the call is genuine but too old; check the clocks of both sides, or send it again")]
    TooOld,
    /// The signature is valid and its time is too far in the future.
    #[error("the call is genuine but its time is in the future; check the clocks of both sides")]
    InFuture,
}

/// A call as it was received. Not `Debug`: headers may hold a key.
#[derive(Clone, Copy)]
pub struct SignedRequest<'a> {
    /// The method in upper case, such as `POST`.
    pub method: &'a str,
    /// The complete URI that the sender called, with scheme, host and query, percent-encoded as it was sent. Behind a
    /// proxy that is the public address. Only HubSpot signs it.
    pub uri: &'a str,
    /// Looks a header up by its name in lower case.
    pub header: &'a dyn Fn(&str) -> Option<&'a str>,
    /// The unparsed body.
    pub body: &'a [u8],
}
