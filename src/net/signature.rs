//! Verification of webhook signatures, for Git hosts and for triggers.
//!
//! Each service's way of signing is data (`Scheme`): the header of the signature and of the time, how both are written,
//! and which parts of the call are signed. One verifier serves all of them.
//!
//! | scheme | header | signature | signed |
//! |---|---|---|---|
//! | GitHub (Git host and trigger) | `X-Hub-Signature-256` | `sha256=` hexadecimal | body |
//! | Bitbucket (Git host) | `X-Hub-Signature` | `sha256=` hexadecimal | body |
//! | Gitea, Forgejo (Git host) | `X-Gitea-Signature` or `X-Forgejo-Signature` | hexadecimal | body |
//! | GitLab (Git host) | `X-Gitlab-Token` | the secret itself | |
//! | Generic (Git host) | `X-Evenkeel-Signature` | `sha256=` hexadecimal | body; `time.body` with `X-Evenkeel-Timestamp` |
//! | Stripe | `Stripe-Signature` | `t=time,v1=` hexadecimal; several `v1` during a secret rotation | `time.body` |
//! | Slack | `X-Slack-Signature` | `v0=` hexadecimal | `v0:time:body` |
//! | Shopify | `X-Shopify-Hmac-Sha256` | Base64 | body |
//! | HubSpot (v3) | `X-HubSpot-Signature-v3` | Base64 | method, URI, body and time (ms), concatenated |
//! | Xero | `X-Xero-Signature` | Base64 | body |
//! | Standard Webhooks | `webhook-signature` | `v1,` Base64; several, separated by spaces | `id.time.body` |
//! | `hmacSha256` | declared | declared prefix and encoding | body; `time.body` with a `timestampHeader` |
//! | `apiKey` | declared | the secret itself | |
//!
//! All signatures are HMAC-SHA256 (RFC 2104, FIPS 180-4). All comparisons take constant time.

mod call;
mod scheme;

pub use self::call::{KEY_HEADER, MAX_SECRETS, MAX_SIGNATURES, SignatureError, SignedRequest, TOLERANCE};
use self::scheme::Scheme;
use crate::definition::environment::WebhookProvider;
use crate::definition::event::Verify;

/// The name of the secret that [`verify`] needs; `None` if the definition accepts every call.
pub fn secret_of(rule: &Verify) -> Option<&str> {
    let hmac = rule.hmac_sha256.as_ref().map(|hmac| &hmac.secret_ref);
    let preset = rule.preset.as_ref().map(|preset| &preset.secret_ref);
    let key = rule.api_key.as_ref().map(|key| &key.secret_ref);
    hmac.or(preset).or(key).map(String::as_str)
}

/// Verifies a call of a trigger or an application's event against the definition's `verify`.
///
/// `secret` holds one secret per line, of which any may match, so that a secret can be rotated without losing calls.
/// Blank lines are ignored, and so are lines after the first [`MAX_SECRETS`]. `now` is the time in Unix seconds.
///
/// The signature is checked before the time: [`SignatureError::TooOld`] and [`SignatureError::InFuture`] are reported
/// for genuine calls only. If a definition declares several ways (which the checks reject), the strongest decides, and
/// `none` never does.
///
/// # Errors
/// The reason for rejecting the call.
pub fn verify(rule: &Verify, request: &SignedRequest<'_>, secret: &str, now: i64) -> Result<(), SignatureError> {
    let scheme = if let Some(hmac) = &rule.hmac_sha256 {
        Scheme::declared(hmac)
    } else if let Some(preset) = &rule.preset {
        Scheme::of_service(preset.service)
    } else if let Some(key) = &rule.api_key {
        Scheme::key(key.header.as_deref().unwrap_or(KEY_HEADER).to_ascii_lowercase())
    } else if rule.none.is_some() {
        return Ok(());
    } else {
        return Err(SignatureError::NoRule);
    };
    scheme.verify(request, secret, now)
}

/// Verifies the webhook of a Git host. Secrets and `now` are those of [`verify`].
///
/// # Errors
/// The reason for rejecting the call.
pub fn verify_git_host(
    provider: WebhookProvider,
    request: &SignedRequest<'_>,
    secret: &str,
    now: i64,
) -> Result<(), SignatureError> {
    Scheme::of_provider(provider).verify(request, secret, now)
}

#[cfg(test)]
mod tests;
