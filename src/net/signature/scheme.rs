//! The table of schemes, and the verifier that interprets a row of it.

use std::borrow::Cow;
use std::time::Duration;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use zeroize::Zeroizing;

use super::call::{MAX_SECRETS, MAX_SIGNATURES, SignatureError, SignedRequest, TOLERANCE};
use crate::definition::environment::WebhookProvider;
use crate::definition::event::{HmacSha256, SignatureEncoding, WebhookService};
use crate::text::{equal_in_constant_time, hmac_sha256};

/// One way of signing calls.
pub(super) struct Scheme<'a> {
    /// The header of the signature, in lower case.
    header: Cow<'a, str>,
    /// The header that is read if `header` is absent.
    other_header: Option<&'static str>,
    form: HeaderForm<'a>,
    proof: Proof,
    time: Option<Time<'a>>,
    /// The parts that are signed. They include [`Part::Time`] exactly if the scheme has a time.
    signed: &'static [Part],
}

/// The notation of the signature's header.
enum HeaderForm<'a> {
    /// One signature after a prefix.
    Single(&'a str),
    /// `name=value`, separated by commas. Signatures have this name; others belong to other versions.
    Fields(&'static str),
    /// Words separated by spaces. Signatures start with this; others belong to other versions.
    Words(&'static str),
}

/// The content of the signature's header.
enum Proof {
    /// An HMAC of the signed parts.
    Hmac(SignatureEncoding, KeyForm),
    /// The secret itself.
    Secret,
}

/// The time of a call, which is signed.
struct Time<'a> {
    /// Its header, in lower case. With [`HeaderForm::Fields`] it is the field `t` of that header.
    header: Cow<'a, str>,
    /// Its unit in milliseconds.
    unit: i128,
    tolerance: Duration,
    /// The parts that are signed if the header is absent; `None` if the header is required.
    signed_without: Option<&'static [Part]>,
}

/// A signed part of the call.
enum Part {
    Text(&'static str),
    /// The time as it was sent.
    Time,
    Body,
    Method,
    /// The URI with the characters of [`HUBSPOT_DECODES`] decoded.
    Uri,
    Header(&'static str),
}

/// The conversion of a secret to a key.
#[derive(Clone, Copy)]
enum KeyForm {
    /// The secret's bytes, including prefixes such as Stripe's `whsec_`.
    Raw,
    /// An optional `whsec_` and Base64.
    Whsec,
}

impl<'a> Scheme<'a> {
    /// The scheme of a service, from its documentation: GitHub "Validating webhook deliveries", Stripe "Verify webhook
    /// signatures manually", Slack "Verifying requests from Slack", Shopify "Validate the origin of your webhook",
    /// HubSpot "Validate the v3 request signature", Xero "Webhooks: security", and the specification 1.0.0 of Standard
    /// Webhooks.
    pub(super) fn of_service(service: WebhookService) -> Scheme<'static> {
        use HeaderForm::{Fields, Single, Words};
        use Part::{Body, Header, Method, Text, Uri};
        use SignatureEncoding::{Base64, Hex};
        match service {
            WebhookService::GitHub => Scheme::of_body("x-hub-signature-256", Single("sha256="), Hex),
            WebhookService::Shopify => Scheme::of_body("x-shopify-hmac-sha256", Single(""), Base64),
            WebhookService::Xero => Scheme::of_body("x-xero-signature", Single(""), Base64),
            WebhookService::Stripe => Scheme {
                time: Some(Time::seconds("stripe-signature")),
                signed: TIME_AND_BODY,
                ..Scheme::of_body("stripe-signature", Fields("v1"), Hex)
            },
            WebhookService::Slack => Scheme {
                time: Some(Time::seconds("x-slack-request-timestamp")),
                signed: &[Text("v0:"), Part::Time, Text(":"), Body],
                ..Scheme::of_body("x-slack-signature", Single("v0="), Hex)
            },
            WebhookService::HubSpot => Scheme {
                time: Some(Time { unit: 1, ..Time::seconds("x-hubspot-request-timestamp") }),
                signed: &[Method, Uri, Body, Part::Time],
                ..Scheme::of_body("x-hubspot-signature-v3", Single(""), Base64)
            },
            WebhookService::StandardWebhooks => Scheme {
                time: Some(Time::seconds("webhook-timestamp")),
                signed: &[Header("webhook-id"), Text("."), Part::Time, Text("."), Body],
                proof: Proof::Hmac(Base64, KeyForm::Whsec),
                ..Scheme::of_body("webhook-signature", Words("v1,"), Base64)
            },
        }
    }

    /// The scheme of a Git host, from its documentation.
    pub(super) fn of_provider(provider: WebhookProvider) -> Scheme<'static> {
        use HeaderForm::Single;
        use SignatureEncoding::Hex;
        match provider {
            WebhookProvider::GitHub => Scheme::of_service(WebhookService::GitHub),
            WebhookProvider::Bitbucket => Scheme::of_body("x-hub-signature", Single("sha256="), Hex),
            WebhookProvider::Gitea => Scheme {
                other_header: Some("x-forgejo-signature"),
                ..Scheme::of_body("x-gitea-signature", Single(""), Hex)
            },
            WebhookProvider::GitLab => Scheme::key("x-gitlab-token"),
            WebhookProvider::Generic => Scheme {
                time: Some(Time { signed_without: Some(BODY), ..Time::seconds("x-evenkeel-timestamp") }),
                signed: TIME_AND_BODY,
                ..Scheme::of_body("x-evenkeel-signature", Single("sha256="), Hex)
            },
        }
    }

    /// The scheme that a definition declares.
    pub(super) fn declared(hmac: &'a HmacSha256) -> Scheme<'a> {
        let (header, prefix) = (hmac.header.to_ascii_lowercase(), hmac.prefix.as_deref().unwrap_or_default());
        let tolerance = hmac.tolerance.map_or(TOLERANCE, |tolerance| tolerance.0);
        let time =
            hmac.timestamp_header.as_ref().map(|name| Time { tolerance, ..Time::seconds(name.to_ascii_lowercase()) });
        Scheme {
            signed: if time.is_some() { TIME_AND_BODY } else { BODY },
            time,
            ..Scheme::of_body(header, HeaderForm::Single(prefix), hmac.encoding)
        }
    }

    /// A header with the secret itself.
    pub(super) fn key(header: impl Into<Cow<'a, str>>) -> Scheme<'a> {
        Scheme { proof: Proof::Secret, ..Scheme::of_body(header, HeaderForm::Single(""), SignatureEncoding::Hex) }
    }

    /// A signature of the body with the secret's bytes, without a time.
    fn of_body(header: impl Into<Cow<'a, str>>, form: HeaderForm<'a>, encoding: SignatureEncoding) -> Scheme<'a> {
        let proof = Proof::Hmac(encoding, KeyForm::Raw);
        Scheme { header: header.into(), other_header: None, form, proof, time: None, signed: BODY }
    }

    pub(super) fn verify(&self, request: &SignedRequest<'_>, secret: &str, now: i64) -> Result<(), SignatureError> {
        match self.proof {
            Proof::Secret => self.verify_secret(request, secret),
            Proof::Hmac(encoding, form) => self.verify_hmac(request, &keys(form, secret)?, encoding, now),
        }
    }

    fn verify_secret(&self, request: &SignedRequest<'_>, secret: &str) -> Result<(), SignatureError> {
        let keys = keys(KeyForm::Raw, secret)?;
        let received = header(request, &self.header)?.as_bytes();
        // Both sides are hashed first, so that the time does not reveal the length of the secret.
        let same = |key: &[u8]| equal_in_constant_time(&hmac_sha256(key, &[received]), &hmac_sha256(key, &[key]));
        if keys.iter().fold(false, |matches, key| matches | same(key)) { Ok(()) } else { Err(SignatureError::WrongKey) }
    }

    fn verify_hmac(
        &self,
        request: &SignedRequest<'_>,
        keys: &[Zeroizing<Vec<u8>>],
        encoding: SignatureEncoding,
        now: i64,
    ) -> Result<(), SignatureError> {
        let name = self.header_of(request);
        let received = self.signatures(name, header(request, name)?, encoding)?;
        let time = self.time(request)?;
        let without = self.time.as_ref().and_then(|time| time.signed_without).filter(|_| time.is_none());
        let sent_time = time.as_ref().map_or("", |(text, _)| text);
        let uri = decode_for_hubspot(request.uri);
        let parts = without.unwrap_or(self.signed).iter().map(|part| {
            Ok(match part {
                Part::Text(text) => text.as_bytes(),
                Part::Time => sent_time.as_bytes(),
                Part::Body => request.body,
                Part::Method => request.method.as_bytes(),
                Part::Uri => uri.as_bytes(),
                Part::Header(name) => header(request, name)?.as_bytes(),
            })
        });
        let parts = parts.collect::<Result<Vec<&[u8]>, SignatureError>>()?;
        // No early return: the duration does not reveal which secret or signature matches.
        let matches = keys.iter().fold(false, |matches, key| {
            let mac = hmac_sha256(key, &parts);
            received.iter().fold(matches, |matches, received| matches | equal_in_constant_time(received, &mac))
        });
        if !matches {
            return Err(SignatureError::WrongSignature);
        }
        let (Some((_, at)), Some(Time { tolerance, .. })) = (time, &self.time) else { return Ok(()) };
        let now = i128::from(now) * 1000;
        match now.abs_diff(at) > tolerance.as_millis() {
            false => Ok(()),
            true if at < now => Err(SignatureError::TooOld),
            true => Err(SignatureError::InFuture),
        }
    }

    /// The header of the signature that the call has.
    fn header_of(&self, request: &SignedRequest<'_>) -> &str {
        let other = self.other_header.filter(|other| (request.header)(other).is_some());
        other.filter(|_| (request.header)(&self.header).is_none()).unwrap_or(&self.header)
    }

    /// The signatures in the header that have the scheme's version and 32 bytes: at least one.
    fn signatures(
        &self,
        header: &str,
        value: &str,
        encoding: SignatureEncoding,
    ) -> Result<Vec<Vec<u8>>, SignatureError> {
        let texts: Vec<&str> = match self.form {
            HeaderForm::Single(prefix) => value.strip_prefix(prefix).into_iter().collect(),
            HeaderForm::Fields(name) => {
                fields(value).filter(|(field, _)| *field == name).map(|(_, text)| text).collect()
            }
            HeaderForm::Words(start) => {
                value.split_ascii_whitespace().filter_map(|word| word.strip_prefix(start)).collect()
            }
        };
        let decode = |text| match encoding {
            SignatureEncoding::Hex => unhex(text),
            SignatureEncoding::Base64 => BASE64.decode(text).ok(),
        };
        let mac = |text| decode(text).filter(|mac| mac.len() == 32);
        let found: Vec<Vec<u8>> = texts.into_iter().take(MAX_SIGNATURES).filter_map(mac).collect();
        if found.is_empty() { Err(SignatureError::Malformed(header.to_owned())) } else { Ok(found) }
    }

    /// The time in the notation of the sender, which is signed, and in Unix milliseconds. `None` if no time is signed.
    fn time<'r>(&self, request: &SignedRequest<'r>) -> Result<Option<(&'r str, i128)>, SignatureError> {
        let Some(time) = &self.time else { return Ok(None) };
        let value = match header(request, &time.header) {
            Err(_) if time.signed_without.is_some() => return Ok(None),
            value => value?,
        };
        let mut times = fields(value).filter(|(name, _)| *name == "t").map(|(_, time)| time);
        let text = match self.form {
            // A second time would make it ambiguous which of them counts.
            HeaderForm::Fields(_) => times.next().filter(|_| times.next().is_none()),
            HeaderForm::Single(_) | HeaderForm::Words(_) => Some(value),
        };
        // Digits only: a number with a sign is not a time, and must not become part of the signed text.
        let text = text.filter(|text| text.bytes().all(|digit| digit.is_ascii_digit()));
        let parsed = text.and_then(|text| Some((text, text.parse::<i64>().ok()?)));
        let (text, number) = parsed.ok_or_else(|| SignatureError::Malformed(time.header.to_string()))?;
        Ok(Some((text, i128::from(number) * time.unit)))
    }
}

const BODY: &[Part] = &[Part::Body];
const TIME_AND_BODY: &[Part] = &[Part::Time, Part::Text("."), Part::Body];

impl<'a> Time<'a> {
    /// A required header with Unix seconds, within [`TOLERANCE`].
    fn seconds(header: impl Into<Cow<'a, str>>) -> Time<'a> {
        Time { header: header.into(), unit: 1000, tolerance: TOLERANCE, signed_without: None }
    }
}

/// A header's value without surrounding whitespace, which is not part of it (RFC 9110, 5.5).
fn header<'a>(request: &SignedRequest<'a>, name: &str) -> Result<&'a str, SignatureError> {
    (request.header)(name).map(str::trim).ok_or_else(|| SignatureError::MissingHeader(name.to_owned()))
}

/// The keys of a secret: at least one, and none of them empty.
fn keys(form: KeyForm, secret: &str) -> Result<Vec<Zeroizing<Vec<u8>>>, SignatureError> {
    let lines = || secret.lines().filter(|line| !line.trim().is_empty()).take(MAX_SECRETS);
    if lines().next().is_none() {
        return Err(SignatureError::NoSecret);
    }
    let key = |line: &str| match form {
        KeyForm::Raw => Some(line.as_bytes().to_vec()),
        KeyForm::Whsec => BASE64.decode(line.trim().trim_start_matches("whsec_")).ok(),
    };
    let keys: Vec<_> = lines().filter_map(key).filter(|key| !key.is_empty()).map(Zeroizing::new).collect();
    if keys.is_empty() { Err(SignatureError::UnusableSecret) } else { Ok(keys) }
}

/// Base64 (RFC 4648, 4). Some senders omit the padding.
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

/// The fields of `a=1,b=2`; an element without `=` is skipped.
fn fields(value: &str) -> impl Iterator<Item = (&str, &str)> {
    value.split(',').filter_map(|field| field.split_once('=')).map(|(name, value)| (name.trim(), value.trim()))
}

/// The characters of the URI that HubSpot decodes before it signs; all other codes stay.
const HUBSPOT_DECODES: &[u8] = b":/?@!$'()*,;";

pub(super) fn decode_for_hubspot(uri: &str) -> String {
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
