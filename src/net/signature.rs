//! Is a webhook from whom it says? Each forge signs the raw body in its own way.
//!
//! | provider | header | value |
//! |---|---|---|
//! | GitHub | `X-Hub-Signature-256` | `sha256=` and the HMAC-SHA256 of the body, hexadecimal |
//! | GitLab | `X-Gitlab-Token` | the secret itself |
//! | Gitea, Forgejo | `X-Gitea-Signature` or `X-Forgejo-Signature` | the HMAC-SHA256 of the body, hexadecimal |
//! | Bitbucket | `X-Hub-Signature` | as GitHub |
//! | others | `X-Evenkeel-Signature` | as GitHub; with `X-Evenkeel-Timestamp` (unix seconds) it is that of `timestamp.body` |

use crate::definition::environment::WebhookProvider;
use crate::text::{equal_in_constant_time, hmac_sha256};

/// How far a timestamp may be from our clock, in seconds, before or after: what Standard Webhooks and Stripe allow.
pub const TOLERANCE_SECONDS: u64 = 300;

/// Why a webhook is refused. Says nothing of what would have been right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// The receiver has no secret, so that nobody's signature could be told from another's.
    #[error("the webhook's secret is empty; set one here and at the sender")]
    NoSecret,
    /// The header is missing.
    #[error("the webhook is not signed: header {0} is missing; set the secret at the sender")]
    Unsigned(&'static str),
    /// The header does not hold what it must.
    #[error("header {0} is not written as it must be; check that the provider is the right one")]
    Malformed(&'static str),
    /// It was signed with another secret, or changed on its way.
    #[error("the webhook's signature does not fit; check that both sides have the same secret")]
    Mismatch,
    /// It is too old, or from the future.
    #[error("the webhook's timestamp is more than 5 minutes off; check the sender's clock, or send it again")]
    Expired,
}

/// Checks a webhook. `header` looks a header up by its name in lower case; `now` is the time in unix seconds. Compares in
/// constant time.
///
/// # Errors
/// Why it is refused.
pub fn verify<'a>(
    provider: WebhookProvider,
    secret: &[u8],
    header: impl Fn(&str) -> Option<&'a str>,
    body: &[u8],
    now: i64,
) -> Result<(), SignatureError> {
    if secret.is_empty() {
        return Err(SignatureError::NoSecret);
    }
    let signed = |name: &'static str, prefix: &str, parts: &[&[u8]]| {
        let value = header(name).ok_or(SignatureError::Unsigned(name))?;
        let digits = value.trim().strip_prefix(prefix).ok_or(SignatureError::Malformed(name))?;
        let mac = unhex(digits).ok_or(SignatureError::Malformed(name))?;
        same(&mac, &hmac_sha256(secret, parts))
    };
    match provider {
        WebhookProvider::GitHub => signed("x-hub-signature-256", "sha256=", &[body]),
        WebhookProvider::Bitbucket => signed("x-hub-signature", "sha256=", &[body]),
        WebhookProvider::Gitea if header("x-gitea-signature").is_none() && header("x-forgejo-signature").is_some() => {
            signed("x-forgejo-signature", "", &[body])
        }
        WebhookProvider::Gitea => signed("x-gitea-signature", "", &[body]),
        WebhookProvider::GitLab => {
            let token = header("x-gitlab-token").ok_or(SignatureError::Unsigned("x-gitlab-token"))?;
            // Macs of both are compared, so that not even the length of the secret can be told from the time.
            same(&hmac_sha256(secret, &[token.as_bytes()]), &hmac_sha256(secret, &[secret]))
        }
        WebhookProvider::Generic => {
            let Some(timestamp) = header("x-evenkeel-timestamp") else {
                return signed("x-evenkeel-signature", "sha256=", &[body]);
            };
            signed("x-evenkeel-signature", "sha256=", &[timestamp.as_bytes(), b".", body])?;
            let at: i64 = timestamp.parse().map_err(|_| SignatureError::Malformed("x-evenkeel-timestamp"))?;
            if now.abs_diff(at) > TOLERANCE_SECONDS { Err(SignatureError::Expired) } else { Ok(()) }
        }
    }
}

fn same(one: &[u8], other: &[u8]) -> Result<(), SignatureError> {
    if equal_in_constant_time(one, other) { Ok(()) } else { Err(SignatureError::Mismatch) }
}

/// 64 hexadecimal digits of either case.
fn unhex(digits: &str) -> Option<[u8; 32]> {
    let digits = digits.as_bytes();
    if digits.len() != 64 {
        return None;
    }
    let value = |digit: u8| char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = value(*pair.first()?)? << 4 | value(*pair.get(1)?)?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use WebhookProvider::{Bitbucket, Generic, GitHub, GitLab, Gitea};

    // Made with Python: `hmac.new(secret, body, "sha256").hexdigest()`; the first is in GitHub's own documentation.
    const SECRET: &[u8] = b"It's a Secret to Everybody";
    const BODY: &[u8] = b"Hello, World!";
    const MAC: &str = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
    /// Of `1700000000.Hello, World!`.
    const TIMED: &str = "76c83fd0acdf22faed320674fe8e04d528cfe8a17905e720a9611e40677c03b7";
    const NOW: i64 = 1_700_000_000;

    fn check(provider: WebhookProvider, headers: &[(&str, &str)], body: &[u8], now: i64) -> Result<(), SignatureError> {
        let header = |name: &str| headers.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
        verify(provider, SECRET, header, body, now)
    }

    #[test]
    fn each_provider_is_understood_in_its_own_way() {
        let prefixed = format!("sha256={MAC}");
        let timed = format!("sha256={TIMED}");
        let upper = format!("sha256={}", MAC.to_uppercase());
        let cases: [(WebhookProvider, &[(&str, &str)]); 8] = [
            (GitHub, &[("x-hub-signature-256", &prefixed)]),
            (GitHub, &[("x-hub-signature-256", &upper)]),
            (GitLab, &[("x-gitlab-token", "It's a Secret to Everybody")]),
            (Gitea, &[("x-gitea-signature", MAC)]),
            (Gitea, &[("x-forgejo-signature", MAC)]),
            (Bitbucket, &[("x-hub-signature", &prefixed)]),
            (Generic, &[("x-evenkeel-signature", &prefixed)]),
            (Generic, &[("x-evenkeel-signature", &timed), ("x-evenkeel-timestamp", "1700000000")]),
        ];
        for (provider, headers) in cases {
            assert_eq!(check(provider, headers, BODY, NOW), Ok(()), "{provider:?} {headers:?}");
            // The token of GitLab does not cover the body; all others do.
            let changed = check(provider, headers, b"Hello, World?", NOW);
            assert_eq!(
                changed,
                if provider == GitLab { Ok(()) } else { Err(SignatureError::Mismatch) },
                "{provider:?}"
            );
            assert!(matches!(check(provider, &[], BODY, NOW), Err(SignatureError::Unsigned(_))), "{provider:?}");
        }
    }

    type Case<'a> = (WebhookProvider, &'a [(&'a str, &'a str)], SignatureError);

    #[test]
    fn what_does_not_fit_is_refused_with_its_reason() {
        let prefixed = format!("sha256={MAC}");
        let flipped = format!("sha256=8{}", &MAC[1..]);
        let malformed = SignatureError::Malformed;
        let cases: [Case<'_>; 11] = [
            (GitHub, &[("x-hub-signature-256", &flipped)], SignatureError::Mismatch),
            (GitHub, &[("x-hub-signature-256", MAC)], malformed("x-hub-signature-256")),
            (GitHub, &[("x-hub-signature-256", "sha256=")], malformed("x-hub-signature-256")),
            (GitHub, &[("x-hub-signature-256", &prefixed[..70])], malformed("x-hub-signature-256")),
            (GitHub, &[("x-hub-signature", &prefixed)], SignatureError::Unsigned("x-hub-signature-256")),
            (GitHub, &[("x-hub-signature-256", "sha1=757107ea")], malformed("x-hub-signature-256")),
            (GitLab, &[("x-gitlab-token", "")], SignatureError::Mismatch),
            (GitLab, &[("x-gitlab-token", "It's a Secret to Everybod")], SignatureError::Mismatch),
            (Gitea, &[("x-gitea-signature", &prefixed)], malformed("x-gitea-signature")),
            (Gitea, &[("x-gitea-signature", "é")], malformed("x-gitea-signature")),
            (Bitbucket, &[("x-hub-signature", "sha256=+1")], malformed("x-hub-signature")),
        ];
        for (provider, headers, refusal) in cases {
            assert_eq!(check(provider, headers, BODY, NOW), Err(refusal), "{provider:?} {headers:?}");
        }
    }

    #[test]
    fn a_timestamp_is_signed_and_expires() {
        let timed = format!("sha256={TIMED}");
        let plain = format!("sha256={MAC}");
        let with = |signature: &str, timestamp: &str, now| {
            check(Generic, &[("x-evenkeel-signature", signature), ("x-evenkeel-timestamp", timestamp)], BODY, now)
        };
        assert_eq!(with(&timed, "1700000000", NOW + 300), Ok(()));
        assert_eq!(with(&timed, "1700000000", NOW - 300), Ok(()));
        assert_eq!(with(&timed, "1700000000", NOW + 301), Err(SignatureError::Expired));
        assert_eq!(with(&timed, "1700000000", NOW - 301), Err(SignatureError::Expired));
        // Neither another time, nor leaving it out, makes an old one good again.
        assert_eq!(with(&timed, "1700000400", NOW + 400), Err(SignatureError::Mismatch));
        assert_eq!(check(Generic, &[("x-evenkeel-signature", &timed)], BODY, NOW), Err(SignatureError::Mismatch));
        assert_eq!(with(&plain, "1700000000", NOW), Err(SignatureError::Mismatch));
        assert_eq!(with(&timed, "now", NOW), Err(SignatureError::Mismatch));
        assert_eq!(with(&timed, "1700000000", i64::MIN), Err(SignatureError::Expired));
    }

    #[test]
    fn an_empty_secret_accepts_nothing() {
        let mac: String = hmac_sha256(b"", &[BODY]).iter().map(|byte| format!("{byte:02x}")).collect();
        let prefixed = format!("sha256={mac}");
        for provider in [GitHub, GitLab, Gitea, Bitbucket, Generic] {
            let header = |name: &str| Some(if name.contains("gitea") { mac.as_str() } else { &prefixed });
            assert_eq!(verify(provider, b"", header, BODY, NOW), Err(SignatureError::NoSecret), "{provider:?}");
            assert_eq!(verify(provider, b"", |_| Some(""), BODY, NOW), Err(SignatureError::NoSecret), "{provider:?}");
        }
    }
}
