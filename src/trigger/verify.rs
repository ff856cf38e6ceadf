//! Does a webhook call prove where it comes from? [`verify`] answers for each of the ways a definition may ask for.
//!
//! What services do is data (`Scheme`): where the signature and the time are, how they are written, what is signed.
//!
//! | way | header | signature | signed |
//! |---|---|---|---|
//! | GitHub | `X-Hub-Signature-256` | `sha256=` hexadecimal | body |
//! | Stripe | `Stripe-Signature` | `t=time,v1=` hexadecimal, several `v1` while a secret changes | `time.body` |
//! | Slack | `X-Slack-Signature` | `v0=` hexadecimal | `v0:time:body` |
//! | Shopify | `X-Shopify-Hmac-Sha256` | Base64 | body |
//! | HubSpot (v3) | `X-HubSpot-Signature-v3` | Base64 | method, URI, body, time (ms) in one |
//! | Xero | `X-Xero-Signature` | Base64 | body |
//! | Standard Webhooks | `webhook-signature` | `v1,` Base64, several with spaces between | `id.time.body` |
//! | `hmacSha256` | its own | its own prefix and encoding | body, or `time.body` with a `timestampHeader` |
//! | `apiKey` | its own | the secret itself | |
//!
//! All signatures are HMAC-SHA256 (RFC 2104, FIPS 180-4), and all comparisons take constant time.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use zeroize::Zeroizing;

use crate::definition::event::{HmacSha256, SignatureEncoding, Verify, WebhookService};
use crate::text::{equal_in_constant_time, hmac_sha256};

/// How far a call's time may be from our clock, before or after, unless a definition sets another: what Stripe, Slack,
/// HubSpot and Standard Webhooks ask for.
pub const TOLERANCE: Duration = Duration::from_mins(5);

/// The header that [`Verify::api_key`] reads unless it names another.
pub const KEY_HEADER: &str = "x-evenkeel-key";

/// Signatures of one call that are looked at. Senders give two while a secret changes.
pub const MAX_SIGNATURES: usize = 16;

/// Secrets that may be valid at once. Each costs one HMAC of the body.
pub const MAX_SECRETS: usize = 8;

/// Why a call is refused. Holds names of headers only: nothing that was sent, and nothing of what would have been
/// right.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The definition names no way at all, not even `none`. The checks do not let it come to this.
    #[error("the webhook does not say how a call proves where it comes from; nobody may call it")]
    NoProof,
    /// There is no secret, so that anyone could sign.
    #[error("the webhook's secret is empty; set one here and at the sender")]
    NoSecret,
    /// No secret is of the form that the service gives out.
    #[error("the webhook's secret is not `whsec_` and Base64; copy it again from the sender")]
    UnusableSecret,
    /// A header is missing.
    #[error("header {0} is missing")]
    MissingHeader(String),
    /// A header is not written as this way of signing has it.
    #[error("header {0} is not written as it must be")]
    Malformed(String),
    /// Signed with another secret, or changed on its way.
    #[error("the signature does not fit; do both sides have the same secret?")]
    WrongSignature,
    /// Another key.
    #[error("the key does not fit")]
    WrongKey,
    /// Signed as it must be, and too long ago: a replay, a late delivery, or a clock that is off.
    #[error("the call is genuine and too old")]
    TooOld,
    /// Signed as it must be, with a time that is too far ahead of our clock.
    #[error("the call is genuine and from the future; is a clock wrong?")]
    InFuture,
}

/// A call as it came in. Not `Debug`: headers may hold a key.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// `POST`, in upper case.
    pub method: &'a str,
    /// The whole address that the sender called, with scheme, host and query, percent-encoded as it was sent. Behind a
    /// proxy that is the public address. Only HubSpot signs it.
    pub uri: &'a str,
    /// Headers by their names in lower case.
    pub headers: &'a BTreeMap<String, String>,
    /// The body's bytes before anything reads them.
    pub body: &'a [u8],
}

/// The name of the secret that [`verify`] needs; `None` where everybody may call.
pub fn secret_of(verify: &Verify) -> Option<&str> {
    let hmac = verify.hmac_sha256.as_ref().map(|hmac| &hmac.secret_ref);
    let preset = verify.preset.as_ref().map(|preset| &preset.secret_ref);
    let key = verify.api_key.as_ref().map(|key| &key.secret_ref);
    hmac.or(preset).or(key).map(String::as_str)
}

/// Checks a call. `secret` holds one secret per line, of which any may fit, so that one can be exchanged without losing
/// calls; lines of nothing but spaces count for nothing, and so do those after the first [`MAX_SECRETS`]. `now` is the
/// time in unix seconds.
///
/// The signature is checked before the time: [`Refused::TooOld`] and [`Refused::InFuture`] are said of genuine calls
/// only. With several ways in one definition (which the checks refuse) the strongest decides, and `none` never does.
///
/// # Errors
/// Why it is refused.
pub fn verify(verify: &Verify, request: &Request<'_>, secret: &str, now: i64) -> Result<(), Refused> {
    if let Some(hmac) = &verify.hmac_sha256 {
        return Scheme::of(hmac).check(request, secret, now);
    }
    if let Some(preset) = &verify.preset {
        return Scheme::known(preset.service).check(request, secret, now);
    }
    if let Some(key) = &verify.api_key {
        let header = key.header.as_deref().unwrap_or(KEY_HEADER).to_ascii_lowercase();
        let given = request.header(&header)?.as_bytes();
        let keys = keys(KeyForm::Raw, secret)?;
        // Macs of both are compared, so that not even the length of the secret can be told from the time.
        let same = |key: &[u8]| equal_in_constant_time(&hmac_sha256(key, &[given]), &hmac_sha256(key, &[key]));
        return if keys.iter().fold(false, |fits, key| fits | same(key)) { Ok(()) } else { Err(Refused::WrongKey) };
    }
    if verify.none.is_some() { Ok(()) } else { Err(Refused::NoProof) }
}

impl<'a> Request<'a> {
    fn header(&self, name: &str) -> Result<&'a str, Refused> {
        // Whitespace around a header's value is not part of it (RFC 9110, 5.5).
        self.headers.get(name).map(|value| value.trim()).ok_or_else(|| Refused::MissingHeader(name.to_owned()))
    }
}

/// How calls are signed.
struct Scheme<'a> {
    /// The header with the signature, in lower case.
    header: Cow<'a, str>,
    form: Form<'a>,
    encoding: SignatureEncoding,
    /// The header with the time, in lower case (of [`Form::Fields`]: its own header's field `t`), and its unit in
    /// milliseconds.
    time: Option<(Cow<'a, str>, i128)>,
    tolerance: Duration,
    signed: &'static [Part],
    key: KeyForm,
}

/// How the header of the signature is written.
enum Form<'a> {
    /// One signature after a prefix.
    One(&'a str),
    /// `name=value` with commas between; signatures have this name, and others are of versions that are not ours.
    Fields(&'static str),
    /// Words with spaces between; signatures start with this, and others are of versions that are not ours.
    Words(&'static str),
}

/// A part of what is signed.
enum Part {
    Text(&'static str),
    /// As it was sent.
    Time,
    Body,
    Method,
    /// With the characters of [`HUBSPOT_DECODES`].
    Uri,
    Header(&'static str),
}

/// How a secret becomes a key.
#[derive(Clone, Copy)]
enum KeyForm {
    /// Its bytes as they are, prefixes such as Stripe's `whsec_` included.
    Raw,
    /// `whsec_`, which may be left out, and Base64.
    Whsec,
}

impl<'a> Scheme<'a> {
    /// What the services' documentation says: GitHub "Validating webhook deliveries", Stripe "Verify webhook signatures
    /// manually", Slack "Verifying requests from Slack", Shopify "Validate the origin of your webhook", HubSpot
    /// "Validate the v3 request signature", Xero "Webhooks: security", and the specification 1.0.0 of Standard
    /// Webhooks.
    fn known(service: WebhookService) -> Scheme<'static> {
        use Form::{Fields, One, Words};
        use Part::{Body, Header, Method, Text, Time, Uri};
        use SignatureEncoding::{Base64, Hex};
        let seconds = |header| Some((Cow::Borrowed(header), 1000));
        match service {
            WebhookService::GitHub => Scheme::plain("x-hub-signature-256", One("sha256="), Hex),
            WebhookService::Shopify => Scheme::plain("x-shopify-hmac-sha256", One(""), Base64),
            WebhookService::Xero => Scheme::plain("x-xero-signature", One(""), Base64),
            WebhookService::Stripe => Scheme {
                time: seconds("stripe-signature"),
                signed: &[Time, Text("."), Body],
                ..Scheme::plain("stripe-signature", Fields("v1"), Hex)
            },
            WebhookService::Slack => Scheme {
                time: seconds("x-slack-request-timestamp"),
                signed: &[Text("v0:"), Time, Text(":"), Body],
                ..Scheme::plain("x-slack-signature", One("v0="), Hex)
            },
            WebhookService::HubSpot => Scheme {
                time: Some((Cow::Borrowed("x-hubspot-request-timestamp"), 1)),
                signed: &[Method, Uri, Body, Time],
                ..Scheme::plain("x-hubspot-signature-v3", One(""), Base64)
            },
            WebhookService::StandardWebhooks => Scheme {
                time: seconds("webhook-timestamp"),
                signed: &[Header("webhook-id"), Text("."), Time, Text("."), Body],
                key: KeyForm::Whsec,
                ..Scheme::plain("webhook-signature", Words("v1,"), Base64)
            },
        }
    }

    /// What a definition says.
    fn of(hmac: &'a HmacSha256) -> Scheme<'a> {
        let (header, prefix) = (hmac.header.to_ascii_lowercase(), hmac.prefix.as_deref().unwrap_or_default());
        let time = hmac.timestamp_header.as_ref().map(|name| (name.to_ascii_lowercase().into(), 1000));
        Scheme {
            signed: if time.is_some() { &[Part::Time, Part::Text("."), Part::Body] } else { &[Part::Body] },
            time,
            tolerance: hmac.tolerance.map_or(TOLERANCE, |tolerance| tolerance.0),
            ..Scheme::plain(header, Form::One(prefix), hmac.encoding)
        }
    }

    /// The body, signed with the secret as it is, whenever that was.
    fn plain(header: impl Into<Cow<'a, str>>, form: Form<'a>, encoding: SignatureEncoding) -> Scheme<'a> {
        let (header, signed) = (header.into(), &[Part::Body]);
        Scheme { header, form, encoding, time: None, tolerance: TOLERANCE, signed, key: KeyForm::Raw }
    }

    fn check(&self, request: &Request<'_>, secret: &str, now: i64) -> Result<(), Refused> {
        let keys = keys(self.key, secret)?;
        let given = self.signatures(request.header(&self.header)?)?;
        let (time, at) = self.time(request)?;
        let uri = decoded(request.uri);
        let parts = self.signed.iter().map(|part| {
            Ok(match part {
                Part::Text(text) => text.as_bytes(),
                Part::Time => time.as_bytes(),
                Part::Body => request.body,
                Part::Method => request.method.as_bytes(),
                Part::Uri => uri.as_bytes(),
                Part::Header(name) => request.header(name)?.as_bytes(),
            })
        });
        let parts = parts.collect::<Result<Vec<&[u8]>, Refused>>()?;
        // No way out before the end: how long it takes says nothing of which secret or signature fits.
        let fits = keys.iter().fold(false, |fits, key| {
            let mac = hmac_sha256(key, &parts);
            given.iter().fold(fits, |fits, given| fits | equal_in_constant_time(given, &mac))
        });
        if !fits {
            return Err(Refused::WrongSignature);
        }
        let Some(at) = at else { return Ok(()) };
        let now = i128::from(now) * 1000;
        match now.abs_diff(at) > self.tolerance.as_millis() {
            false => Ok(()),
            true if at < now => Err(Refused::TooOld),
            true => Err(Refused::InFuture),
        }
    }

    /// The signatures in the header that are of our version and 32 bytes long: at least one.
    fn signatures(&self, value: &str) -> Result<Vec<Vec<u8>>, Refused> {
        let texts: Vec<&str> = match self.form {
            Form::One(prefix) => value.strip_prefix(prefix).into_iter().collect(),
            Form::Fields(ours) => fields(value).filter(|(name, _)| *name == ours).map(|(_, text)| text).collect(),
            Form::Words(ours) => value.split_ascii_whitespace().filter_map(|word| word.strip_prefix(ours)).collect(),
        };
        let decoded = |text| match self.encoding {
            SignatureEncoding::Hex => unhex(text),
            SignatureEncoding::Base64 => BASE64.decode(text).ok(),
        };
        let mac = |text| decoded(text).filter(|mac| mac.len() == 32);
        let found: Vec<Vec<u8>> = texts.into_iter().take(MAX_SIGNATURES).filter_map(mac).collect();
        if found.is_empty() { Err(Refused::Malformed(self.header.to_string())) } else { Ok(found) }
    }

    /// The time as it was sent, which is what is signed, and in unix milliseconds. Nothing where no time is signed.
    fn time<'r>(&self, request: &Request<'r>) -> Result<(&'r str, Option<i128>), Refused> {
        let Some((header, unit)) = &self.time else { return Ok(("", None)) };
        let value = request.header(header)?;
        let mut times = fields(value).filter(|(name, _)| *name == "t").map(|(_, time)| time);
        let text = match self.form {
            // Two times are one too many: nobody could say which of them counts.
            Form::Fields(_) => times.next().filter(|_| times.next().is_none()),
            Form::One(_) | Form::Words(_) => Some(value),
        };
        // Digits only: a number with a sign is no time, and must not become part of what is signed.
        let text = text.filter(|text| text.bytes().all(|digit| digit.is_ascii_digit()));
        let read = text.and_then(|text| Some((text, text.parse::<i64>().ok()?)));
        let (text, number) = read.ok_or_else(|| Refused::Malformed(header.to_string()))?;
        Ok((text, Some(i128::from(number) * unit)))
    }
}

/// The keys of a secret; at least one, and none is empty.
fn keys(form: KeyForm, secret: &str) -> Result<Vec<Zeroizing<Vec<u8>>>, Refused> {
    let lines = || secret.lines().filter(|line| !line.trim().is_empty()).take(MAX_SECRETS);
    if lines().next().is_none() {
        return Err(Refused::NoSecret);
    }
    let key = |line: &str| match form {
        KeyForm::Raw => Some(line.as_bytes().to_vec()),
        KeyForm::Whsec => BASE64.decode(line.trim().trim_start_matches("whsec_")).ok(),
    };
    let keys: Vec<_> = lines().filter_map(key).filter(|key| !key.is_empty()).map(Zeroizing::new).collect();
    if keys.is_empty() { Err(Refused::UnusableSecret) } else { Ok(keys) }
}

/// Base64 (RFC 4648, 4). Some senders leave the padding out.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Hexadecimal digits of either case.
fn unhex(text: &str) -> Option<Vec<u8>> {
    let value = |digit: u8| char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    rest.is_empty().then_some(())?;
    pairs.iter().map(|&[high, low]| Some(value(high)? << 4 | value(low)?)).collect()
}

/// `a=1,b=2`; what has no `=` is left out.
fn fields(value: &str) -> impl Iterator<Item = (&str, &str)> {
    value.split(',').filter_map(|field| field.split_once('=')).map(|(name, value)| (name.trim(), value.trim()))
}

/// What HubSpot has decoded in the URI before it signs it; all other codes stay.
const HUBSPOT_DECODES: &[u8] = b":/?@!$'()*,;";

fn decoded(uri: &str) -> String {
    let mut out = String::with_capacity(uri.len());
    let mut rest = uri;
    while let Some((before, after)) = rest.split_once('%') {
        out.push_str(before);
        let character = after.get(..2).and_then(unhex).and_then(|bytes| bytes.first().copied());
        (out, rest) = match (character.filter(|character| HUBSPOT_DECODES.contains(character)), after.get(2..)) {
            (Some(character), Some(after)) => (out + char::from(character).encode_utf8(&mut [0; 4]), after),
            _ => (out + "%", after),
        };
    }
    out + rest
}

#[cfg(test)]
mod tests;
