//! Values that several kinds share.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Json;

/// Text by locale, such as `{ en: Contacts, de: Kontakte }`; keys are BCP 47 language tags.
pub type ByLocale = BTreeMap<String, String>;

/// A length of time: `15s`, `5m`, `2h30m`, `7d`, `250ms`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Duration(pub std::time::Duration);

const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

impl Duration {
    /// A number of seconds.
    pub const fn seconds(seconds: u64) -> Duration {
        Duration(std::time::Duration::from_secs(seconds))
    }
}

impl FromStr for Duration {
    type Err = String;

    fn from_str(text: &str) -> Result<Duration, String> {
        let wrong = || format!("`{text}` is not a duration; write it like `15s`, `5m`, `2h30m` or `7d`");
        let mut rest = text;
        let mut total: u64 = 0;
        let mut smallest = u64::MAX;
        if rest.is_empty() {
            return Err(wrong());
        }
        while !rest.is_empty() {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            let number: u64 = rest[..digits].parse().map_err(|_| wrong())?;
            rest = &rest[digits..];
            let letters = rest.bytes().take_while(u8::is_ascii_alphabetic).count();
            let unit = &rest[..letters];
            rest = &rest[letters..];
            let (_, milliseconds) = UNITS.into_iter().find(|(name, _)| *name == unit).ok_or_else(wrong)?;
            // Units go from large to small, each once: `30m2h` is more likely a slip than meant.
            if milliseconds >= smallest {
                return Err(wrong());
            }
            smallest = milliseconds;
            total = number.checked_mul(milliseconds).and_then(|part| total.checked_add(part)).ok_or_else(wrong)?;
        }
        // A century bounds every later sum far below overflow.
        if total > 100 * 366 * 86_400_000 {
            return Err(wrong());
        }
        Ok(Duration(std::time::Duration::from_millis(total)))
    }
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0.as_millis() as u64;
        if rest == 0 {
            return f.write_str("0s");
        }
        for (unit, milliseconds) in UNITS {
            if rest >= milliseconds {
                write!(f, "{}{unit}", rest / milliseconds)?;
                rest %= milliseconds;
            }
        }
        Ok(())
    }
}

impl Serialize for Duration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Duration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Duration {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A length of time: `15s`, `5m`, `2h30m`, `7d`, `250ms`.",
            "type": "string",
            "pattern": "^([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?$",
            "minLength": 2,
            "x-evenkeel-type": "duration"
        })
    }
}

/// A JSON Schema (2020-12), written in place. References stay within it (`#/$defs/x`) or name an entity of the
/// connector (`#/entities/contact`); nothing is ever fetched.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SchemaValue(pub Json);

impl JsonSchema for SchemaValue {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "JsonSchema".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A JSON Schema (2020-12). References stay within it (`#/$defs/x`) or name an entity of the connector (`#/entities/x`).",
            "type": ["object", "boolean"],
            "x-kubernetes-preserve-unknown-fields": true,
            "x-evenkeel-type": "jsonSchema"
        })
    }
}

/// A credential's value: a template that names its secret, or a reference to it. Never the value itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Credential {
    /// The name of a secret.
    Reference(SecretRef),
    /// A template such as `{{ get_secret('token') }}`, or text that is not secret.
    Template(#[schemars(extend("x-evenkeel-template" = "auth", "x-evenkeel-type" = "credential"))] String),
}

/// The name of a secret that the environment provides.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SecretRef {
    /// Name of the secret in the Environment's `secrets`.
    #[schemars(extend("x-evenkeel-ref" = "Secret"))]
    pub secret_ref: String,
}

/// An image for one of the themes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Image {
    /// Absolute `https://` URL.
    #[schemars(extend("x-evenkeel-type" = "httpsUrl"))]
    pub url: String,
    /// The theme it is for; `Default` serves every theme that has no image of its own.
    #[serde(default)]
    pub theme: Theme,
}

/// A theme of the hub.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Theme {
    #[default]
    Default,
    Light,
    Dark,
}

/// When to try again after a failure that may pass: network errors, 429 and 5xx.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Retry {
    /// Attempts, the first one included: 1 to 20, 3 unless set.
    #[serde(default = "three")]
    #[schemars(range(min = 1, max = 20))]
    pub max_attempts: u32,
    /// Wait before the second attempt, `5s` unless set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub initial_interval: Option<Duration>,
    /// Factor from one wait to the next: 1 to 10, 2 unless set.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1.0, max = 10.0))]
    pub backoff_coefficient: Option<f64>,
    /// Longest wait, `60s` unless set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_interval: Option<Duration>,
}

fn three() -> u32 {
    3
}

/// A header or query parameter: its value, or an object with the value and how it may change.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Param {
    /// A template.
    Text(String),
    /// A number, sent as it is written.
    Number(serde_json::Number),
    /// `true` or `false`.
    Bool(bool),
    /// A value with settings.
    Detailed(DetailedParam),
}

/// A parameter with settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DetailedParam {
    /// A template.
    pub value: String,
    /// May the caller send another value? `false` unless set.
    #[serde(default)]
    pub overridable: bool,
    /// Leave the parameter out where the value renders to nothing. `false` unless set.
    #[serde(default)]
    pub omit_empty: bool,
}

impl Param {
    /// The template.
    pub fn value(&self) -> std::borrow::Cow<'_, str> {
        match self {
            Param::Text(text) => text.as_str().into(),
            Param::Number(number) => number.to_string().into(),
            Param::Bool(value) => value.to_string().into(),
            Param::Detailed(detailed) => detailed.value.as_str().into(),
        }
    }

    /// May the caller send another value?
    pub fn overridable(&self) -> bool {
        matches!(self, Param::Detailed(DetailedParam { overridable: true, .. }))
    }

    /// Left out where the value renders to nothing?
    pub fn omit_empty(&self) -> bool {
        matches!(self, Param::Detailed(DetailedParam { omit_empty: true, .. }))
    }
}

/// JavaScript or TypeScript: exactly one of `file`, `inline`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("oneOf" = [{"required": ["file"]}, {"required": ["inline"]}]))]
pub struct Code {
    /// A `.js` or `.ts` file beside the definition.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-ref" = "File"))]
    pub file: Option<String>,
    /// The source itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 262_144))]
    pub inline: Option<String>,
}

/// What serde takes for a flag that is on unless it is set.
pub(super) fn yes() -> bool {
    true
}
