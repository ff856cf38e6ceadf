//! Types that several kinds share.

use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Json;

/// A duration such as `15s`, `5m`, `2h30m`, `7d` or `250ms`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Duration(pub std::time::Duration);

const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

impl Duration {
    /// Creates a duration from seconds.
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
            // Units must descend, each at most once: `30m2h` is most likely a mistake.
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
            "description": "A duration such as `15s`, `5m`, `2h30m`, `7d` or `250ms`.",
            "type": "string",
            "pattern": "^([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?$",
            "minLength": 2,
            "x-evenkeel-type": "duration"
        })
    }
}

/// An inline JSON Schema (2020-12). References point into the schema (`#/$defs/x`) or to an entity of the connector
/// (`#/entities/contact`); nothing is fetched.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SchemaValue(pub Json);

impl JsonSchema for SchemaValue {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "JsonSchema".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A JSON Schema (2020-12). References point into the schema (`#/$defs/x`) or to an entity of the connector (`#/entities/x`).",
            "type": ["object", "boolean"],
            "x-kubernetes-preserve-unknown-fields": true,
            "x-evenkeel-type": "jsonSchema"
        })
    }
}

/// A credential: a reference to a secret, or a template that reads one. Never the secret value itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Credential {
    /// Reference to a secret.
    Reference(SecretRef),
    /// Template such as `{{ get_secret('token') }}`, or text that is not secret.
    Template(#[schemars(extend("x-evenkeel-template" = "auth", "x-evenkeel-type" = "credential"))] String),
}

/// A reference to a secret of the environment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SecretRef {
    /// Name of the secret in `secrets` of the Environment.
    #[schemars(extend("x-evenkeel-ref" = "Secret"))]
    pub secret_ref: String,
}

/// An image for a theme.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Image {
    /// Absolute `https://` URL.
    #[schemars(extend("x-evenkeel-type" = "httpsUrl"))]
    pub url: String,
    /// Theme of the image. `Default` is used for every theme without an image of its own. Default: `Default`.
    #[serde(default)]
    pub theme: Theme,
}

/// A theme of the integration hub.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs, reason = "the names are self-explanatory")]
pub enum Theme {
    #[default]
    Default,
    Light,
    Dark,
}

/// Retries after transient failures: network errors and the HTTP statuses 429 and 5xx.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Retry {
    /// Maximum number of attempts, including the first, from 1 to 20. Default: `3`.
    #[serde(default = "three")]
    #[schemars(range(min = 1, max = 20))]
    pub max_attempts: u32,
    /// Delay before the second attempt. Default: `5s`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub initial_interval: Option<Duration>,
    /// Factor by which the delay grows after each attempt, from 1 to 10. Default: `2`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1.0, max = 10.0))]
    pub backoff_coefficient: Option<f64>,
    /// Maximum delay between attempts. Default: `60s`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_interval: Option<Duration>,
}

fn three() -> u32 {
    3
}

/// A header or query parameter: its value, or an object with the value and settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Param {
    /// A template.
    Text(String),
    /// A number, sent as written.
    Number(serde_json::Number),
    /// `true` or `false`.
    Bool(bool),
    /// A value with settings.
    Detailed(DetailedParam),
}

/// A header or query parameter with settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DetailedParam {
    /// A template.
    pub value: String,
    /// Allows the caller to override the value. Default: `false`.
    #[serde(default)]
    pub overridable: bool,
    /// Omits the parameter if the value renders to an empty string. Default: `false`.
    #[serde(default)]
    pub omit_empty: bool,
}

impl Param {
    /// The template of the value.
    pub fn value(&self) -> std::borrow::Cow<'_, str> {
        match self {
            Param::Text(text) => text.as_str().into(),
            Param::Number(number) => number.to_string().into(),
            Param::Bool(value) => value.to_string().into(),
            Param::Detailed(detailed) => detailed.value.as_str().into(),
        }
    }

    /// True if the caller may override the value.
    pub fn overridable(&self) -> bool {
        matches!(self, Param::Detailed(DetailedParam { overridable: true, .. }))
    }

    /// True if the parameter is omitted when its value is empty.
    pub fn omit_empty(&self) -> bool {
        matches!(self, Param::Detailed(DetailedParam { omit_empty: true, .. }))
    }
}

/// An HTTP method (RFC 9110, RFC 5789).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
#[allow(missing_docs, reason = "the names are those of the RFC")]
pub enum Method {
    #[default]
    Get,
    Post,
    Put,
    Patch,
    Delete,
    Head,
    Options,
}

impl Method {
    /// The name of the method in requests.
    pub fn as_str(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Patch => "PATCH",
            Method::Delete => "DELETE",
            Method::Head => "HEAD",
            Method::Options => "OPTIONS",
        }
    }
}

/// JavaScript or TypeScript code. Set exactly one of `file`, `inline`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("oneOf" = [{"required": ["file"]}, {"required": ["inline"]}]))]
pub struct Code {
    /// Path of a `.js` or `.ts` file, relative to the definition.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-ref" = "File"))]
    pub file: Option<String>,
    /// Source code.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 262_144))]
    pub inline: Option<String>,
}

/// The default of flags that are enabled unless set to `false`.
pub(super) fn yes() -> bool {
    true
}
