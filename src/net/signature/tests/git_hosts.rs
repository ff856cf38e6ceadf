//! The webhooks of Git hosts.

use super::super::*;
use crate::text::hmac_sha256;
use SignatureError::{InFuture, TooOld, WrongKey, WrongSignature};
use WebhookProvider::{Bitbucket, Generic, GitHub, GitLab, Gitea};

// Made with Python: `hmac.new(secret, body, "sha256").hexdigest()`; the first is in GitHub's own documentation.
const SECRET: &str = "It's a Secret to Everybody";
const BODY: &[u8] = b"Hello, World!";
const MAC: &str = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
/// Of `1700000000.Hello, World!`.
const TIMED: &str = "76c83fd0acdf22faed320674fe8e04d528cfe8a17905e720a9611e40677c03b7";
const NOW: i64 = 1_700_000_000;

fn check(provider: WebhookProvider, headers: &[(&str, &str)], body: &[u8], now: i64) -> Result<(), SignatureError> {
    let header = |name: &str| headers.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
    verify_git_host(provider, &request(&header, body), SECRET, now)
}

fn request<'a>(header: &'a dyn Fn(&str) -> Option<&'a str>, body: &'a [u8]) -> SignedRequest<'a> {
    SignedRequest { method: "POST", uri: "", header, body }
}

#[test]
fn accepts_the_scheme_of_each_provider() {
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
        // GitLab's token does not cover the body; all other schemes do.
        let changed = check(provider, headers, b"Hello, World?", NOW);
        assert_eq!(changed, if provider == GitLab { Ok(()) } else { Err(WrongSignature) }, "{provider:?}");
        assert!(matches!(check(provider, &[], BODY, NOW), Err(SignatureError::MissingHeader(_))), "{provider:?}");
    }
}

type Case<'a> = (WebhookProvider, &'a [(&'a str, &'a str)], SignatureError);

#[test]
fn rejects_other_signatures_with_the_reason() {
    let prefixed = format!("sha256={MAC}");
    let flipped = format!("sha256=8{}", &MAC[1..]);
    let malformed = |name: &str| SignatureError::Malformed(name.to_owned());
    let cases: [Case<'_>; 11] = [
        (GitHub, &[("x-hub-signature-256", &flipped)], WrongSignature),
        (GitHub, &[("x-hub-signature-256", MAC)], malformed("x-hub-signature-256")),
        (GitHub, &[("x-hub-signature-256", "sha256=")], malformed("x-hub-signature-256")),
        (GitHub, &[("x-hub-signature-256", &prefixed[..70])], malformed("x-hub-signature-256")),
        (GitHub, &[("x-hub-signature", &prefixed)], SignatureError::MissingHeader("x-hub-signature-256".to_owned())),
        (GitHub, &[("x-hub-signature-256", "sha1=757107ea")], malformed("x-hub-signature-256")),
        (GitLab, &[("x-gitlab-token", "")], WrongKey),
        (GitLab, &[("x-gitlab-token", "It's a Secret to Everybod")], WrongKey),
        (Gitea, &[("x-gitea-signature", &prefixed)], malformed("x-gitea-signature")),
        (Gitea, &[("x-gitea-signature", "é")], malformed("x-gitea-signature")),
        (Bitbucket, &[("x-hub-signature", "sha256=+1")], malformed("x-hub-signature")),
    ];
    for (provider, headers, expected) in cases {
        assert_eq!(check(provider, headers, BODY, NOW), Err(expected), "{provider:?} {headers:?}");
    }
}

#[test]
fn verifies_the_timestamp_and_its_age() {
    let timed = format!("sha256={TIMED}");
    let plain = format!("sha256={MAC}");
    let with = |signature: &str, timestamp: &str, now| {
        check(Generic, &[("x-evenkeel-signature", signature), ("x-evenkeel-timestamp", timestamp)], BODY, now)
    };
    assert_eq!(with(&timed, "1700000000", NOW + 300), Ok(()));
    assert_eq!(with(&timed, "1700000000", NOW - 300), Ok(()));
    assert_eq!(with(&timed, "1700000000", NOW + 301), Err(TooOld));
    assert_eq!(with(&timed, "1700000000", NOW - 301), Err(InFuture));
    // Neither another time nor a missing one makes an old signature valid again.
    assert_eq!(with(&timed, "1700000400", NOW + 400), Err(WrongSignature));
    assert_eq!(check(Generic, &[("x-evenkeel-signature", &timed)], BODY, NOW), Err(WrongSignature));
    assert_eq!(with(&plain, "1700000000", NOW), Err(WrongSignature));
    assert_eq!(with(&timed, "now", NOW), Err(SignatureError::Malformed("x-evenkeel-timestamp".to_owned())));
    assert_eq!(with(&timed, "1700000000", i64::MIN), Err(InFuture));
}

#[test]
fn rejects_every_call_if_the_secret_is_empty() {
    let mac: String = hmac_sha256(b"", &[BODY]).iter().map(|byte| format!("{byte:02x}")).collect();
    let prefixed = format!("sha256={mac}");
    for provider in [GitHub, GitLab, Gitea, Bitbucket, Generic] {
        let header = |name: &str| Some(if name.contains("gitea") { mac.as_str() } else { &prefixed });
        assert_eq!(
            verify_git_host(provider, &request(&header, BODY), "", NOW),
            Err(SignatureError::NoSecret),
            "{provider:?}"
        );
        assert_eq!(
            verify_git_host(provider, &request(&|_| Some(""), BODY), "", NOW),
            Err(SignatureError::NoSecret),
            "{provider:?}"
        );
    }
}
