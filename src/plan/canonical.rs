//! The canonical form, in which definitions are compared.
//!
//! Two documents with the same meaning have the same canonical document: it has no comments, quotes or order of keys, one
//! spelling of each duration, and no fields that are set to their default. Lists whose order has no meaning are sorted
//! ([`sets`]); other lists keep their order.
//!
//! In JSON Schemas and conditions `1.0` equals `1`. Elsewhere a number is sent as written, so the header `X-Version: 1.0`
//! differs from `X-Version: 1`, and a plan must show such an edit. The line ends of code have no meaning.

mod json_schema;
mod numbers;
mod sets;

use serde::Serialize;
use serde_json::{Map, Value};

use super::pattern;
use crate::definition::{API_VERSION, Definition, Kind, Metadata, Spec};

/// Locations of JSON Schemas.
const SCHEMAS: [(Kind, &str); 7] = [
    (Kind::Connector, "spec/settings"),
    (Kind::Connector, "spec/actions/*/input"),
    (Kind::Connector, "spec/actions/*/output"),
    (Kind::Connector, "spec/events/*/payload"),
    (Kind::Connector, "spec/entities/*/fields/*/schema"),
    (Kind::Workflow, "spec/input"),
    (Kind::Workflow, "spec/output"),
];

/// Locations of conditions. Their numbers are compared by value.
const CONDITIONS: [(Kind, &str); 5] = [
    (Kind::Trigger, "spec/webhook/routes/*/when"),
    (Kind::Trigger, "spec/webhook/routes/*/whenAny"),
    (Kind::Trigger, "spec/appEvent/routes/*/when"),
    (Kind::Trigger, "spec/appEvent/routes/*/whenAny"),
    (Kind::Widget, "spec/forms/*/fields/*/visibleWhen"),
];

/// Locations of headers and query parameters. Their long form without options equals the short form.
const PARAMS: [&str; 9] = [
    "spec/defaults/headers/*",
    "spec/defaults/query/*",
    "spec/actions/*/http/headers/*",
    "spec/actions/*/http/query/*",
    "spec/actions/*/grpc/metadata/*",
    "spec/actions/*/steps/*/http/headers/*",
    "spec/actions/*/steps/*/http/query/*",
    "spec/events/*/webhook/subscribe/http/headers/*",
    "spec/events/*/webhook/unsubscribe/http/headers/*",
];

/// Documented defaults of optional fields, durations in their printed form. Excludes defaults that depend on another
/// field, such as that of an action's timeout, which is its connector's.
const DEFAULTS: [(Kind, &str, &str); 45] = [
    (Kind::Connector, "spec/defaults/timeout", r#""15s""#),
    (Kind::Connector, "spec/defaults/maxResponseBytes", "8388608"),
    (Kind::Connector, "spec/defaults/maxRedirects", "5"),
    (Kind::Connector, "spec/defaults/retry/initialInterval", r#""5s""#),
    (Kind::Connector, "spec/defaults/retry/backoffCoefficient", "2.0"),
    (Kind::Connector, "spec/defaults/retry/maxInterval", r#""1m""#),
    (Kind::Connector, "spec/actions/*/retry/initialInterval", r#""5s""#),
    (Kind::Connector, "spec/actions/*/retry/backoffCoefficient", "2.0"),
    (Kind::Connector, "spec/actions/*/retry/maxInterval", r#""1m""#),
    (Kind::Connector, "spec/actions/*/sql/maxRows", "1000"),
    (Kind::Connector, "spec/actions/*/pagination/maxPages", "100"),
    (Kind::Connector, "spec/actions/*/pagination/link/rel", r#""next""#),
    (Kind::Connector, "spec/auth/methods/*/oauth2/scopeSeparator", r#"" ""#),
    (Kind::Connector, "spec/auth/methods/*/oauth2/header", r#""Authorization""#),
    (Kind::Connector, "spec/auth/methods/*/oauth2/assertion/lifetime", r#""5m""#),
    (Kind::Connector, "spec/auth/methods/*/jwt/lifetime", r#""5m""#),
    (Kind::Connector, "spec/entities/*/key", r#""id""#),
    (Kind::Connector, "spec/entities/*/fields/*/transforms/*/concat/separator", r#"" ""#),
    (Kind::Connector, "spec/events/*/poll/remember", r#""7d""#),
    (Kind::Connector, "spec/events/*/webhook/verify/hmacSha256/tolerance", r#""5m""#),
    (Kind::Connector, "spec/events/*/webhook/verify/apiKey/header", r#""x-evenkeel-key""#),
    (Kind::Connector, "spec/health/interval", r#""1m""#),
    (Kind::Trigger, "spec/webhook/verify/hmacSha256/tolerance", r#""5m""#),
    (Kind::Trigger, "spec/webhook/verify/apiKey/header", r#""x-evenkeel-key""#),
    (Kind::Trigger, "spec/webhook/deduplicationWindow", r#""1d""#),
    (Kind::Trigger, "spec/webhook/deadLetters/enabled", "true"),
    (Kind::Trigger, "spec/webhook/deadLetters/retention", r#""30d""#),
    (Kind::Trigger, "spec/appEvent/deadLetters/enabled", "true"),
    (Kind::Trigger, "spec/appEvent/deadLetters/retention", r#""30d""#),
    (Kind::Trigger, "spec/schedule/timeZone", r#""UTC""#),
    (Kind::Trigger, "spec/schedule/routes/*/priority", r#""P3""#),
    (Kind::Widget, "spec/metrics/*/window", r#""30d""#),
    (Kind::Workflow, "spec/retry/initialInterval", r#""5s""#),
    (Kind::Workflow, "spec/retry/backoffCoefficient", "2.0"),
    (Kind::Workflow, "spec/retry/maxInterval", r#""1m""#),
    (Kind::Environment, "spec/interval", r#""1m""#),
    (Kind::Environment, "spec/secrets/*/vault/mount", r#""secret""#),
    (Kind::Environment, "spec/source/git/verify", r#""Head""#),
    (Kind::Environment, "spec/sources/*/git/verify", r#""Head""#),
    (Kind::Environment, "spec/sync/prune/enabled", "true"),
    (Kind::Environment, "spec/sync/prune/undoWindow", r#""7d""#),
    (Kind::Environment, "spec/history/keep", "20"),
    (Kind::Environment, "spec/history/maxAge", r#""30d""#),
    (Kind::Alert, "spec/window", r#""5m""#),
    (Kind::Alert, "spec/for", r#""0s""#),
];

/// Documented defaults of optional fields of a workflow's step.
const STEP_DEFAULTS: [(&str, &str); 5] = [
    ("retry/initialInterval", r#""5s""#),
    ("retry/backoffCoefficient", "2.0"),
    ("retry/maxInterval", r#""1m""#),
    ("loop/maxItems", "1000"),
    ("loop/concurrency", "1"),
];

/// The canonical document of a definition: envelope and spec without defaults, keys sorted. `None` only if the spec cannot
/// be serialized, which cannot happen for a definition that was read from a document.
pub fn document(definition: &Definition) -> Option<Value> {
    let kind = definition.spec.kind();
    let mut document = Map::new();
    document.insert("apiVersion".into(), API_VERSION.into());
    document.insert("kind".into(), kind.as_str().into());
    document.insert("metadata".into(), metadata(&definition.metadata)?);
    document.insert("spec".into(), spec(&definition.spec)?);
    let mut document = Value::Object(document);
    // Items of sets are compared as text, so that their keys come first.
    document.sort_all_objects();
    for (_, pattern) in SCHEMAS.iter().filter(|(owner, _)| *owner == kind) {
        pattern::each_mut(&mut document, pattern, &mut json_schema::canonical);
    }
    for (_, pattern) in CONDITIONS.iter().filter(|(owner, _)| *owner == kind) {
        pattern::each_mut(&mut document, pattern, &mut numbers::whole);
    }
    if kind == Kind::Connector {
        for pattern in PARAMS {
            pattern::each_mut(&mut document, pattern, &mut short);
        }
    }
    for (_, pattern, default) in DEFAULTS.iter().filter(|(owner, ..)| *owner == kind) {
        pattern::remove(&mut document, pattern, |value| is_value(value, default));
    }
    if kind == Kind::Workflow {
        let default = match document.pointer("/spec/tier").and_then(Value::as_str) {
            Some("Instant") => r#""1m""#,
            Some("Standard") => r#""15m""#,
            _ => r#""6h""#,
        };
        pattern::remove(&mut document, "spec/timeout", |value| is_value(value, default));
        pattern::each_mut(&mut document, "spec/source/inline", &mut unix_line_ends);
        pattern::each_mut(&mut document, "spec/steps", &mut steps);
    }
    // An optional map that held only defaults equals an absent one.
    pattern::remove(&mut document, "spec/defaults", |value| value.as_object().is_some_and(Map::is_empty));
    sets::sort(&mut document, kind);
    Some(document)
}

/// Brings the steps of a workflow, and the steps in them, into their canonical form.
fn steps(list: &mut Value) {
    for step in list.as_array_mut().into_iter().flatten() {
        for (pattern, default) in STEP_DEFAULTS {
            pattern::remove(step, pattern, |value| is_value(value, default));
        }
        for pattern in sets::STEP_SETS {
            pattern::each_mut(step, pattern, &mut sets::set);
        }
        for pattern in ["loop/steps", "parallel/*", "switch/*/steps"] {
            pattern::each_mut(step, pattern, &mut steps);
        }
    }
}

fn metadata(metadata: &Metadata) -> Option<Value> {
    serde_json::to_value(metadata).ok()
}

fn spec(spec: &Spec) -> Option<Value> {
    fn value(spec: &impl Serialize) -> Option<Value> {
        serde_json::to_value(spec).ok()
    }
    match spec {
        Spec::Connector(spec) => value(spec),
        Spec::Widget(spec) => value(spec),
        Spec::Trigger(spec) => value(spec),
        Spec::Workflow(spec) => value(spec),
        Spec::Environment(spec) => value(spec),
        Spec::Tenant(spec) => value(spec),
        Spec::Connection(spec) => value(spec),
        Spec::Entity(spec) => value(spec),
        Spec::Role(spec) => value(spec),
        Spec::Alert(spec) => value(spec),
    }
}

/// True if a value equals this JSON text.
fn is_value(value: &Value, json: &str) -> bool {
    match value {
        Value::String(text) => json.strip_prefix('"').and_then(|json| json.strip_suffix('"')) == Some(text),
        Value::Number(number) => number.to_string() == json,
        Value::Bool(value) => json == if *value { "true" } else { "false" },
        _ => false,
    }
}

/// Replaces the line ends of Windows in a text.
fn unix_line_ends(value: &mut Value) {
    if let Value::String(text) = value
        && text.contains("\r\n")
    {
        *text = text.replace("\r\n", "\n");
    }
}

/// Replaces `{ value: x, overridable: false, omitEmpty: false }` by `x`.
fn short(value: &mut Value) {
    let unset = |key: &str| value.get(key) == Some(&Value::Bool(false));
    if unset("overridable") && unset("omitEmpty") && value.as_object().is_some_and(|map| map.len() == 3) {
        *value = value.get("value").cloned().unwrap_or_default();
    }
}

#[cfg(test)]
mod tests;
