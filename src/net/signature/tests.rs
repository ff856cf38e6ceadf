//! Published and computed vectors of every scheme.

mod git_hosts;

use std::collections::BTreeMap;

use super::scheme::decode_for_hubspot;
use super::*;
use crate::definition::event::WebhookService;
use SignatureError::{
    InFuture, Malformed, MissingHeader, NoRule, NoSecret, TooOld, UnusableSecret, WrongKey, WrongSignature,
};
use WebhookService::{GitHub, HubSpot, Shopify, Slack, StandardWebhooks, Stripe, Xero};

const SERVICES: [WebhookService; 7] = [GitHub, Stripe, Slack, Shopify, HubSpot, Xero, StandardWebhooks];

/// A genuine call.
struct Call {
    verify: Verify,
    secret: &'static str,
    /// A wrong secret of the same form.
    other: &'static str,
    headers: BTreeMap<String, String>,
    uri: &'static str,
    body: &'static [u8],
    /// The time of the signature; `None` if no time is signed.
    at: Option<i64>,
    signature: &'static str,
}

impl Call {
    fn check(&self, change: impl FnOnce(&mut BTreeMap<String, String>)) -> Result<(), SignatureError> {
        let mut headers = self.headers.clone();
        change(&mut headers);
        let request = SignedRequest {
            method: "POST",
            uri: self.uri,
            header: &|name| headers.get(name).map(String::as_str),
            body: self.body,
        };
        verify(&self.verify, &request, self.secret, self.at.unwrap_or_default())
    }

    fn at(&self, secret: &str, body: &[u8], now: i64) -> Result<(), SignatureError> {
        let request = SignedRequest {
            method: "POST",
            uri: self.uri,
            header: &|name| self.headers.get(name).map(String::as_str),
            body,
        };
        verify(&self.verify, &request, secret, now)
    }

    fn now(&self) -> i64 {
        self.at.unwrap_or_default()
    }
}

fn read(verify: serde_json::Value) -> Verify {
    serde_json::from_value(verify).unwrap()
}

fn preset(service: WebhookService) -> Verify {
    read(serde_json::json!({"preset": {"service": service, "secretRef": "hook"}}))
}

fn headers(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// Sources of the vectors. GitHub: "Validating webhook deliveries". Slack: "Verifying requests from Slack". Standard
/// Webhooks: the vector that its reference libraries share with Svix. HubSpot:
/// `tests/spec/utils/test_signature.py` of hubspot-api-python. Stripe, Shopify and Xero publish none; theirs are from Python: `h = hmac.new(secret, signed, "sha256")` and
/// `h.hexdigest()` or `base64.b64encode(h.digest())`.
fn published(service: WebhookService) -> Call {
    let (secret, other, pairs, body, at, signature): (_, _, &[(&str, &str)], &'static [u8], _, _) = match service {
        GitHub => (
            "It's a Secret to Everybody",
            "It's a Secret to Nobody",
            &[
                ("x-hub-signature-256", "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"),
                // The older SHA-1 header is ignored.
                ("x-hub-signature", "sha1=00"),
            ],
            b"Hello, World!",
            None,
            "x-hub-signature-256",
        ),
        Stripe => (
            "whsec_evenkeel",
            "evenkeel",
            &[(
                "stripe-signature",
                "t=1700000000,v1=f210f3997c73c87cbf73ff73ed18c2cccaf8b959c7e81b915a4956550be3ee82,v0=00",
            )],
            b"{\"id\":\"evt_1\"}",
            Some(1_700_000_000),
            "stripe-signature",
        ),
        Slack => (
            "8f742231b10e8888abcd99yyyzzz85a5",
            "8f742231b10e8888abcd99yyyzzz85a6",
            &[
                ("x-slack-signature", "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"),
                ("x-slack-request-timestamp", "1531420618"),
            ],
            b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V\
              &channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=\
              &response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F\
              96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c",
            Some(1_531_420_618),
            "x-slack-signature",
        ),
        Shopify => (
            "shpss_evenkeel",
            "shpss_oddkeel",
            &[("x-shopify-hmac-sha256", "kCBFI+sGdWLW2ooWIQkvsKJIsZUluukfwrKgkb2kxus=")],
            b"{\"id\":820982911946154508}",
            None,
            "x-shopify-hmac-sha256",
        ),
        HubSpot => (
            "yyyyyyyy-yyyy-yyyy-yyyy-yyyyyyyyyyyy",
            "yyyyyyyy-yyyy-yyyy-yyyy-yyyyyyyyyyyz",
            &[
                ("x-hubspot-signature-v3", "HPW73RUtKmcYoEDADG0s6MmGFWUzWJKAW07r8RDgcQw="),
                ("x-hubspot-request-timestamp", "15000000"),
            ],
            b"{'example_field':'example_value'}",
            Some(15_000),
            "x-hubspot-signature-v3",
        ),
        Xero => (
            "xero+key==",
            "xero+key=",
            &[("x-xero-signature", "lnNJ340cc8/kmFTOmBDN9Krr8djC+4AKNLYH9Sv6L90=")],
            b"{\"events\":[],\"firstEventSequence\":0,\"lastEventSequence\":0,\"entropy\":\"S0m3r4Nd0mt3xt\"}",
            None,
            "x-xero-signature",
        ),
        StandardWebhooks => (
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD",
            &[
                ("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek"),
                ("webhook-timestamp", "1614265330"),
                ("webhook-signature", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="),
            ],
            b"{\"test\": 2432232314}",
            Some(1_614_265_330),
            "webhook-signature",
        ),
    };
    let uri = "https://www.example.com/webhook_uri";
    Call { verify: preset(service), secret, other, headers: headers(pairs), uri, body, at, signature }
}

/// Calls of declared schemes, signed with Python as above.
fn declared() -> Vec<Call> {
    let call = |verify, pairs: &[(&str, &str)], at, signature| {
        let verify = read(verify);
        let (secret, other, uri) = ("evenkeel", "oddkeel", "https://example.com/");
        Call { verify, secret, other, headers: headers(pairs), uri, body: b"{\"a\":1}", at, signature }
    };
    let plain = "959440b0315c9507c00255da009eb6d6d0b896d291c160e7d2c851f02ab47494";
    let timed = "0acf4a6923f82abf47dff08b6440ddc707b29853070b0fbfac13f8b6a388ed4b";
    let (prefixed, upper) = (format!("sig:{plain}"), plain.to_uppercase());
    vec![
        call(
            serde_json::json!({"hmacSha256": {"header": "X-Signature", "secretRef": "hook"}}),
            &[("x-signature", plain)],
            None,
            "x-signature",
        ),
        call(
            serde_json::json!({"hmacSha256": {"header": "x-signature", "secretRef": "hook"}}),
            &[("x-signature", &upper)],
            None,
            "x-signature",
        ),
        call(
            serde_json::json!({"hmacSha256": {"header": "X-Sign", "secretRef": "hook", "prefix": "sig:"}}),
            &[("x-sign", &prefixed)],
            None,
            "x-sign",
        ),
        call(
            serde_json::json!({"hmacSha256": {"header": "X-Sign", "secretRef": "hook", "encoding": "Base64"}}),
            &[("x-sign", "lZRAsDFclQfAAlXaAJ621tC4ltKRwWDn0shR8Cq0dJQ")],
            None,
            "x-sign",
        ),
        call(
            serde_json::json!({"hmacSha256": {"header": "X-Sign", "secretRef": "hook", "timestampHeader": "X-Time"}}),
            &[("x-sign", timed), ("x-time", "1700000000")],
            Some(1_700_000_000),
            "x-sign",
        ),
    ]
}

fn all() -> Vec<Call> {
    SERVICES.into_iter().map(published).chain(declared()).collect()
}

#[test]
fn accepts_genuine_calls_and_rejects_changed_ones() {
    for call in all() {
        let case = format!("{:?}", call.verify);
        let now = call.now();
        assert_eq!(call.at(call.secret, call.body, now), Ok(()), "{case}");
        for at in 0..call.body.len() {
            let mut body = call.body.to_vec();
            body[at] ^= 1;
            assert_eq!(call.at(call.secret, &body, now), Err(WrongSignature), "byte {at}: {case}");
        }
        assert_eq!(call.at(call.secret, b"", now), Err(WrongSignature), "{case}");
        assert_eq!(call.at(call.other, call.body, now), Err(WrongSignature), "{case}");
    }
}

#[test]
fn accepts_any_of_several_secrets() {
    for call in all() {
        let (right, wrong, now) = (call.secret, call.other, call.now());
        for secret in
            [format!("{wrong}\n{right}"), format!("{right}\n{wrong}\n"), format!("\r\n{wrong}\r\n\r\n{right}\r\n")]
        {
            assert_eq!(call.at(&secret, call.body, now), Ok(()), "{:?}", call.verify);
        }
        assert_eq!(call.at(&format!("{wrong}\n{wrong}"), call.body, now), Err(WrongSignature));
        let late = format!("{}{right}", format!("{wrong}\n").repeat(MAX_SECRETS));
        assert_eq!(call.at(&late, call.body, now), Err(WrongSignature));
        // The lines are separate secrets, not one secret with a line break.
        assert_eq!(call.at("", call.body, now), Err(NoSecret));
        assert_eq!(call.at(" \n\n", call.body, now), Err(NoSecret));
    }
}

#[test]
fn rejects_calls_that_are_too_old_or_from_the_future() {
    for call in all() {
        let case = format!("{:?}", call.verify);
        let at = |away: i64| call.at(call.secret, call.body, call.now() + away);
        for away in [-300, -1, 1, 300] {
            assert_eq!(at(away), Ok(()), "{away}: {case}");
        }
        let timed = call.at.is_some();
        assert_eq!(at(301), if timed { Err(TooOld) } else { Ok(()) }, "{case}");
        assert_eq!(at(-301), if timed { Err(InFuture) } else { Ok(()) }, "{case}");
        assert_eq!(call.at(call.secret, call.body, i64::MAX), if timed { Err(TooOld) } else { Ok(()) }, "{case}");
        assert_eq!(call.at(call.secret, call.body, i64::MIN), if timed { Err(InFuture) } else { Ok(()) }, "{case}");
        if timed {
            // The age is reported for genuine calls only.
            assert_eq!(call.at(call.other, call.body, call.now() + 301), Err(WrongSignature), "{case}");
        }
    }
}

#[test]
fn applies_the_declared_tolerance() {
    let mut call = declared().pop().unwrap();
    call.verify.hmac_sha256.as_mut().unwrap().tolerance = Some("10s".parse().unwrap());
    assert_eq!(call.at(call.secret, call.body, call.now() + 10), Ok(()));
    assert_eq!(call.at(call.secret, call.body, call.now() + 11), Err(TooOld));
    assert_eq!(call.at(call.secret, call.body, call.now() - 11), Err(InFuture));
}

#[test]
fn rejects_missing_and_malformed_headers() {
    for call in all() {
        let case = format!("{:?}", call.verify);
        for name in call.headers.keys().filter(|name| *name != "x-hub-signature") {
            let gone = call.check(|headers| drop(headers.remove(name)));
            assert_eq!(gone, Err(MissingHeader(name.clone())), "{case}");
            if name != call.signature {
                let other = call.check(|headers| headers.get_mut(name).unwrap().push('1'));
                assert_eq!(other, Err(WrongSignature), "{name}: {case}");
            }
        }
        let right = &call.headers[call.signature];
        let short = right.strip_suffix("=").unwrap_or(right);
        for value in
            ["", " ", "sha256=", "v1,", "é", "sha256=é", "nonsense", "sha1=757107ea", &short[..short.len() - 2]]
        {
            let rejected = call.check(|headers| drop(headers.insert(call.signature.to_owned(), value.to_owned())));
            let cut = matches!(&rejected, Ok(()) | Err(WrongSignature | TooOld | InFuture));
            assert!(!cut || right.ends_with("v0=00"), "{value}: {rejected:?} {case}");
        }
        let spaced = call.check(|headers| drop(headers.insert(call.signature.to_owned(), format!(" {right}\t"))));
        assert_eq!(spaced, Ok(()), "{case}");
    }
}

#[test]
fn rejects_times_that_are_not_digits() {
    for (service, header) in [
        (Slack, "x-slack-request-timestamp"),
        (HubSpot, "x-hubspot-request-timestamp"),
        (StandardWebhooks, "webhook-timestamp"),
    ] {
        let call = published(service);
        for time in ["", "now", "-1", "+1", "1.5", "1e9", "99999999999999999999", "１"] {
            let rejected = call.check(|headers| drop(headers.insert(header.to_owned(), time.to_owned())));
            assert_eq!(rejected, Err(Malformed(header.to_owned())), "{time}");
        }
    }
}

#[test]
fn reads_several_signatures_and_one_time_from_stripes_header() {
    let call = published(Stripe);
    let right = "v1=f210f3997c73c87cbf73ff73ed18c2cccaf8b959c7e81b915a4956550be3ee82";
    let wrong = format!("v1={}", "0".repeat(64));
    let with =
        |value: &str| call.check(|headers| drop(headers.insert("stripe-signature".to_owned(), value.to_owned())));
    let malformed = || Err(Malformed("stripe-signature".to_owned()));
    assert_eq!(with(&format!("t=1700000000,{wrong},{right}")), Ok(()));
    assert_eq!(with(&format!("{right}, t=1700000000 ,odd,x=y")), Ok(()));
    assert_eq!(with(&format!("t=1700000000,v1=zz,{right}")), Ok(()));
    assert_eq!(with(&format!("t=1700000000,{wrong}")), Err(WrongSignature));
    assert_eq!(with(&format!("t=1700000001,{right}")), Err(WrongSignature));
    assert_eq!(with(right), malformed());
    assert_eq!(with(&format!("t=1700000000,t=1700000000,{right}")), malformed());
    assert_eq!(with(&format!("t=,{right}")), malformed());
    // A weaker version never counts.
    assert_eq!(with(&format!("t=1700000000,{}", right.replace("v1", "v0"))), malformed());
    let late = format!("t=1700000000,{}{right}", format!("{wrong},").repeat(MAX_SIGNATURES));
    assert_eq!(with(&late), Err(WrongSignature));
}

#[test]
fn reads_several_signatures_and_prefixed_secrets_of_standard_webhooks() {
    let call = published(StandardWebhooks);
    let right = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
    let wrong = format!("v1,{}=", "A".repeat(43));
    let with =
        |value: &str| call.check(|headers| drop(headers.insert("webhook-signature".to_owned(), value.to_owned())));
    assert_eq!(with(&format!("{wrong} {right}")), Ok(()));
    assert_eq!(with(&format!("v1a,AAAA v2,BBBB  {right} v1,%")), Ok(()));
    assert_eq!(with(&wrong), Err(WrongSignature));
    assert_eq!(with(&right.replace("v1", "v1a")), Err(Malformed("webhook-signature".to_owned())));
    assert_eq!(with(&right.replace("v1,", "")), Err(Malformed("webhook-signature".to_owned())));
    let at = |secret| call.at(secret, call.body, call.now());
    assert_eq!(at("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"), Ok(()));
    assert_eq!(at("whsec_"), Err(UnusableSecret));
    assert_eq!(at("whsec_not base64"), Err(UnusableSecret));
    assert_eq!(at("whsec_%\nwhsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"), Ok(()));
}

#[test]
fn verifies_the_method_and_the_partly_decoded_uri_of_hubspot() {
    let headers = headers(&[
        // Of `POSThttps://www.example.com/webhook_uri?to=a@b.c&x=%20(1)[]1700000000000`, with Python.
        ("x-hubspot-signature-v3", "RIrR2u5UEMG7AVqZ5ofnClkRR/FLIME0PvryY1NgqpE="),
        ("x-hubspot-request-timestamp", "1700000000000"),
    ]);
    let check = |method: &str, uri: &str| {
        let request = SignedRequest { method, uri, header: &|name| headers.get(name).map(String::as_str), body: b"[]" };
        verify(&preset(HubSpot), &request, "yyyyyyyy-yyyy-yyyy-yyyy-yyyyyyyyyyyy", 1_700_000_000)
    };
    let uri = "https://www.example.com/webhook_uri?to=a%40b.c&x=%20%281%29";
    assert_eq!(check("POST", uri), Ok(()));
    assert_eq!(check("PUT", uri), Err(WrongSignature));
    assert_eq!(check("POST", &uri.replace("https", "http")), Err(WrongSignature));
    assert_eq!(check("POST", &uri.replace("www", "internal")), Err(WrongSignature));
    let all = "%3A%2f%3F%40%21%24%27%28%29%2a%2C%3B %20%25%4 %é %";
    assert_eq!(decode_for_hubspot(all), ":/?@!$'()*,; %20%25%4 %é %");
}

#[test]
fn compares_whole_keys() {
    let default = read(serde_json::json!({"apiKey": {"secretRef": "hook"}}));
    let named = read(serde_json::json!({"apiKey": {"header": "Authorization", "secretRef": "hook"}}));
    let check = |rule: &Verify, name: &str, value: &str, secret| {
        let headers = headers(&[(name, value)]);
        let header = |name: &str| headers.get(name).map(String::as_str);
        verify(rule, &SignedRequest { method: "POST", uri: "", header: &header, body: b"" }, secret, 0)
    };
    assert_eq!(check(&default, "x-evenkeel-key", "one", "one"), Ok(()));
    assert_eq!(check(&default, "x-evenkeel-key", "two", "one\ntwo\n"), Ok(()));
    assert_eq!(check(&named, "authorization", "Bearer one", "Bearer one"), Ok(()));
    for value in ["", "on", "onee", "One", "one\ntwo"] {
        assert_eq!(check(&default, "x-evenkeel-key", value, "one\ntwo"), Err(WrongKey), "{value}");
    }
    assert_eq!(check(&default, "x-other", "one", "one"), Err(MissingHeader("x-evenkeel-key".to_owned())));
    assert_eq!(check(&default, "x-evenkeel-key", "", ""), Err(NoSecret));
}

#[test]
fn rejects_every_call_of_a_definition_without_a_rule() {
    let (none, nothing) = (read(serde_json::json!({"none": {}})), Verify::default());
    let headers: BTreeMap<String, String> = BTreeMap::new();
    let request =
        SignedRequest { method: "POST", uri: "", header: &|name| headers.get(name).map(String::as_str), body: b"" };
    assert_eq!(verify(&none, &request, "", 0), Ok(()));
    assert_eq!(verify(&nothing, &request, "", 0), Err(NoRule));
    let both = Verify { none: none.none.clone(), ..published(GitHub).verify };
    assert_eq!(verify(&both, &request, "a", 0), Err(MissingHeader("x-hub-signature-256".to_owned())));
    assert_eq!(secret_of(&none), None);
    assert_eq!(secret_of(&nothing), None);
    for call in all() {
        assert_eq!(secret_of(&call.verify), Some("hook"));
    }
    assert_eq!(secret_of(&read(serde_json::json!({"apiKey": {"secretRef": "key"}}))), Some("key"));
}

#[test]
fn errors_contain_neither_secrets_nor_signatures() {
    for call in all() {
        let rejections = [
            call.at(call.other, call.body, call.now()),
            call.at(call.secret, call.body, call.now() + 1000),
            call.at("", call.body, 0),
            call.check(|headers| drop(headers.insert(call.signature.to_owned(), "%1234567%".to_owned()))),
        ];
        for rejected in rejections.into_iter().filter_map(Result::err) {
            let shown = format!("{rejected} {rejected:?}");
            for hidden in [call.secret, call.other, "%1234567%", &call.headers[call.signature]] {
                assert!(!shown.contains(hidden), "{shown}");
            }
        }
    }
}
