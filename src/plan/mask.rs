//! Replaces possible secrets in documents by fingerprints while the documents are compared, and hides them then.
//!
//! Definitions should hold no secrets, and the check reports those that do. A plan has more readers than the definitions
//! and outlives them in logs and comments, so it shows no secret either way: it rather hides too much than shows a key.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::{Map, Value};

use super::change::Change;
use super::marker::marker;
use super::pattern;
use crate::definition::Kind;
use crate::text::{
    hmac_sha256, holds_parameters, is_generated_key, is_key_parameter, is_known_credential, url_holds_key,
};

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

/// Members that hold the value of the enclosing map: `X-Key: { value: … }`, `token: { default: … }` in a schema.
const HOLDERS: [&str; 6] = ["value", "default", "const", "enum", "example", "examples"];

/// Locations of secrets whose field name is not that of a credential.
const PLACES: [(Kind, &str); 7] = [
    (Kind::Connector, "spec/auth/methods/*/apiKey/value"),
    (Kind::Connector, "spec/auth/methods/*/jwt/key"),
    (Kind::Connector, "spec/auth/methods/*/oauth2/assertion/key"),
    (Kind::Connector, "spec/auth/methods/*/custom/headers/*"),
    (Kind::Connector, "spec/auth/methods/*/custom/query/*"),
    (Kind::Widget, "spec/connectors/*/auth/attributes/key"),
    // The unguessable part of the address.
    (Kind::Trigger, "spec/webhook/webhookId"),
];

/// A credential in a parameter of a URL.
static IN_URL: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"(?i)[?&](api[_-]?key|key|access[_-]?token|token|secret|password|pass|sig|signature)=[^&{\s]{4,}").ok()
});

/// A fingerprint in a masked document.
static FINGERPRINT: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new("hmac:[0-9a-f]{64}").ok());

/// The document with fingerprints in place of secrets. Equal secrets have equal fingerprints, so masked documents differ
/// exactly if the documents do. Call [`hide`] before showing anything derived from it.
pub(super) fn masked(kind: Kind, document: &Value) -> Value {
    let mut document = document.clone();
    for (_, place) in PLACES.iter().filter(|(owner, _)| *owner == kind) {
        pattern::each_mut(&mut document, place, &mut |value| leaf(value, true));
    }
    walk(&mut document, Names::default());
    document
}

/// Hides fingerprints: a plan is the same on every machine, so they have no secret key, and anyone could test guesses.
pub(super) fn hide(change: &mut Change) {
    let hide = |text: &mut String| {
        let Some(regex) = FINGERPRINT.as_ref().filter(|_| text.contains("hmac:")) else { return };
        *text = regex.replace_all(text, "hidden").into_owned();
    };
    hide(&mut change.pointer);
    hide(&mut change.path);
    texts(&mut change.before, &hide);
    texts(&mut change.after, &hide);
}

/// True if a text looks like a credential or may hold one.
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

/// Properties of a value that follow from the names of its ancestors.
#[derive(Clone, Copy, Default)]
struct Names {
    /// The nearest name is that of a credential.
    named: bool,
    /// Every value below is a credential.
    all: bool,
    /// The members are properties of a JSON Schema: their values are schemas.
    properties: bool,
    /// The members are headers or parameters of requests.
    parameters: bool,
}

fn walk(value: &mut Value, names: Names) {
    match value {
        Value::Object(map) => {
            if map.keys().any(|name| looks_secret(name)) {
                hide_keys(map);
            }
            // The default of a password field of a form.
            let password = map.get("type").and_then(Value::as_str) == Some("Password");
            for (name, value) in map.iter_mut() {
                let holder = (names.named || password) && HOLDERS.contains(&name.as_str());
                let below = Names {
                    named: holder
                        || is_name_of_secret(name)
                        || names.parameters && (is_key_parameter(name) || is_generated(name, value)),
                    // The name of a secret is not a secret.
                    all: name != "secretRef" && (names.all || name == "credentials" && !names.properties),
                    properties: name == "properties",
                    parameters: holds_parameters(name),
                };
                walk(value, below);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| walk(item, names)),
        _ => leaf(value, names.named || names.all),
    }
}

/// Hides a scalar that may be a secret.
fn leaf(value: &mut Value, named: bool) {
    let secret = match &*value {
        Value::String(text) => {
            looks_secret(text) || url_holds_key(text) || named && !text.is_empty() && !is_reference(text)
        }
        Value::Number(_) => named,
        _ => false,
    };
    if secret {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        *value = marker(&fingerprint(&text));
    }
}

/// True if the value of a header or parameter is a generated key: `X-Key: …` or `X-Key: { value: … }`.
fn is_generated(name: &str, value: &Value) -> bool {
    let text = value.as_str().or_else(|| value.get("value")?.as_str());
    text.is_some_and(|text| is_generated_key(name, text))
}

fn fingerprint(text: &str) -> String {
    let mac = hmac_sha256(&[0; 32], &[b"evenkeel plan secret\0", text.as_bytes()]);
    let digits: String = mac.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("hmac:{digits}")
}

fn hide_keys(map: &mut Map<String, Value>) {
    let hidden = |name: String| if looks_secret(&name) { format!("secret {}", fingerprint(&name)) } else { name };
    *map = std::mem::take(map).into_iter().map(|(name, value)| (hidden(name), value)).collect();
}

fn is_name_of_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase().replace(['-', '_'], "");
    NAMES.iter().any(|known| name.ends_with(known))
}

/// True for a template with at most a word such as `Bearer` beside its expressions, and for the placeholder of a secret in
/// a test.
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
        // A literal is not a reference: `{{ 'hunter2' }}`.
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
