//! Documents without their secrets: what may be one is replaced by its fingerprint before anything is compared.
//!
//! Definitions should hold no secrets, and the check reports those that do. A plan is read by more people than the
//! definitions are, and outlives them in logs and comments, so it shows none all the same: rather too little than a key.

use std::sync::LazyLock;

use regex::{Captures, Regex};
use serde_json::{Map, Value, json};

use super::{Change, PlanOptions, pattern};
use crate::definition::Kind;
use crate::text::{hmac_sha256, is_known_credential};

/// Ends of the names of fields, headers and parameters that hold credentials, in lower case without `-` and `_`.
const NAMES: [&str; 18] = [
    "password",
    "passwd",
    "passphrase",
    "secret",
    "token",
    "apikey",
    "accesskey",
    "privatekey",
    "signingkey",
    "encryptionkey",
    "clientsecret",
    "authorization",
    "credential",
    "credentials",
    "cookie",
    "cookie2",
    "xauth",
    "signature",
];

/// Members that hold the value of what they are in: `X-Key: { value: … }`, `token: { default: … }` in a schema.
const HOLDERS: [&str; 6] = ["value", "default", "const", "enum", "example", "examples"];

/// Where secrets stand whose field's name does not say so.
const PLACES: [(Kind, &str); 7] = [
    (Kind::Connector, "spec/auth/methods/*/apiKey/value"),
    (Kind::Connector, "spec/auth/methods/*/jwt/key"),
    (Kind::Connector, "spec/auth/methods/*/oauth2/assertion/key"),
    (Kind::Connector, "spec/auth/methods/*/custom/headers/*"),
    (Kind::Connector, "spec/auth/methods/*/custom/query/*"),
    (Kind::Widget, "spec/connectors/*/auth/attributes/key"),
    // The part of the address that nobody may guess.
    (Kind::Trigger, "spec/webhook/webhookId"),
];

/// A credential as a parameter of a URL.
static IN_URL: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"(?i)[?&](api[_-]?key|key|access[_-]?token|token|secret|password|pass|sig|signature)=[^&{\s]{4,}").ok()
});

/// A fingerprint as it stands in a masked document.
static FINGERPRINT: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new("hmac:([0-9a-f]{8})[0-9a-f]{56}").ok());

/// The document with whole fingerprints in place of secrets. Equal secrets have equal fingerprints, so masked documents
/// differ where the documents do. [`shorten`] makes fit to be shown what is made of it.
pub(super) fn masked(kind: Kind, document: &Value, options: &PlanOptions<'_>) -> Value {
    let mut document = document.clone();
    let key = options.fingerprint.map_or(&[0; 32], |key| key);
    for (_, place) in PLACES.iter().filter(|(of, _)| *of == kind) {
        pattern::each_mut(&mut document, place, &mut |value| leaf(value, true, key));
    }
    walk(&mut document, Names::default(), key);
    document
}

/// Fingerprints with 8 of their 64 digits; none without a key of one's own, as anybody could then try guesses.
pub(super) fn shorten(change: &mut Change, keyed: bool) {
    let shorten = |text: &mut String| {
        let Some(regex) = FINGERPRINT.as_ref().filter(|_| text.contains("hmac:")) else { return };
        let short = |found: &Captures<'_>| match (keyed, found.get(1)) {
            (true, Some(digits)) => format!("hmac:{}", digits.as_str()),
            _ => "hidden".to_owned(),
        };
        *text = regex.replace_all(text, short).into_owned();
    };
    shorten(&mut change.pointer);
    shorten(&mut change.path);
    texts(&mut change.before, &shorten);
    texts(&mut change.after, &shorten);
}

/// Is it what stands in place of a secret?
pub(super) fn is_marker(value: &Value) -> bool {
    let secret = value.as_object().filter(|map| map.len() == 1).and_then(|map| map.get("secret"));
    secret.and_then(Value::as_str).is_some_and(|secret| secret.starts_with("hmac:"))
}

/// Is it, or may it hold, a credential by its looks alone?
pub(super) fn looks_secret(text: &str) -> bool {
    is_known_credential(text) || IN_URL.as_ref().is_none_or(|regex| text.contains('=') && regex.is_match(text))
}

fn texts(value: &mut Value, change: &dyn Fn(&mut String)) {
    match value {
        Value::String(text) => change(text),
        Value::Array(items) => items.iter_mut().for_each(|item| texts(item, change)),
        Value::Object(map) => {
            if map.keys().any(|key| key.contains("hmac:")) {
                let renamed = std::mem::take(map).into_iter().map(|(mut key, value)| {
                    change(&mut key);
                    (key, value)
                });
                *map = renamed.collect();
            }
            map.values_mut().for_each(|value| texts(value, change));
        }
        _ => {}
    }
}

/// What the names above a value say about it.
#[derive(Clone, Copy, Default)]
struct Names {
    /// The nearest one is that of a credential.
    named: bool,
    /// Everything here is a credential.
    all: bool,
    /// These are the properties of a JSON Schema: their names are followed by schemas, not by values.
    properties: bool,
}

fn walk(value: &mut Value, names: Names, key: &[u8; 32]) {
    match value {
        Value::Object(map) => {
            if map.keys().any(|name| looks_secret(name)) {
                hide_keys(map, key);
            }
            // The default of a password that a user is to enter.
            let password = map.get("type").and_then(Value::as_str) == Some("Password");
            for (name, value) in map.iter_mut() {
                let holder = (names.named || password) && HOLDERS.contains(&name.as_str());
                let below = Names {
                    named: holder || is_name_of_secret(name),
                    // The name of a secret is none.
                    all: name != "secretRef" && (names.all || name == "credentials" && !names.properties),
                    properties: name == "properties",
                };
                walk(value, below, key);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| walk(item, names, key)),
        _ => leaf(value, names.named || names.all, key),
    }
}

/// A single value: hidden where it may be a secret.
fn leaf(value: &mut Value, named: bool, key: &[u8; 32]) {
    let secret = match &*value {
        Value::String(text) => looks_secret(text) || named && !text.is_empty() && !is_reference(text),
        Value::Number(_) => named,
        _ => false,
    };
    if secret {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        *value = json!({ "secret": fingerprint(&text, key) });
    }
}

fn fingerprint(text: &str, key: &[u8; 32]) -> String {
    let mac = hmac_sha256(key, &[b"evenkeel plan secret\0", text.as_bytes()]);
    let digits: String = mac.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("hmac:{digits}")
}

fn hide_keys(map: &mut Map<String, Value>, key: &[u8; 32]) {
    let hidden = |name: String| if looks_secret(&name) { format!("secret {}", fingerprint(&name, key)) } else { name };
    *map = std::mem::take(map).into_iter().map(|(name, value)| (hidden(name), value)).collect();
}

fn is_name_of_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase().replace(['-', '_'], "");
    NAMES.iter().any(|known| name.ends_with(known))
}

/// Is it a template with at most a word such as `Bearer` beside its expressions, or what a test writes for a secret?
fn is_reference(text: &str) -> bool {
    if text.starts_with("[secret ") || text.starts_with("[credential ") {
        return text.ends_with(']');
    }
    let mut beside = String::new();
    let mut rest = text;
    let mut expressions = 0;
    while let Some((before, inside)) = rest.split_once("{{") {
        beside += before;
        let Some((expression, after)) = inside.split_once("}}") else { return false };
        // A literal alone is no reference: `{{ 'hunter2' }}`.
        if expression.trim().trim_matches('-').trim().starts_with(['\'', '"']) {
            return false;
        }
        rest = after;
        expressions += 1;
    }
    beside += rest;
    let plain = |character: char| character.is_ascii_alphabetic() || " :=,;\"{}".contains(character);
    expressions > 0 && beside.len() <= 16 && beside.chars().all(plain)
}
