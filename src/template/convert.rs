//! Conversion between JSON, text and template values.

use std::borrow::Cow;
use std::fmt::{self, Write as _};

use minijinja::Error;
use minijinja::value::{Value, ValueKind};
use serde::de::{DeserializeSeed, MapAccess, SeqAccess, Visitor};

use super::RenderErrorKind;
use super::budget::{Budget, UNIT, bad_argument, fail};
use super::containers::{Dict, ENTRY_BYTES, Entries, ITEM_BYTES, List};
use super::cost::{self, MAX_DEPTH, defined, too_deep};

/// Maximum nesting of JSON from outside.
const MAX_FROZEN_DEPTH: usize = 128;

/// Converts JSON from outside to a frozen value.
pub(super) fn frozen(json: &serde_json::Value) -> Value {
    frozen_at(json, 0)
}

fn frozen_at(json: &serde_json::Value, depth: usize) -> Value {
    use serde_json::Value as Json;
    if depth > MAX_FROZEN_DEPTH {
        // Reading it fails; the rest of the value stays usable.
        return Value::from(Error::new(minijinja::ErrorKind::InvalidOperation, "the value is nested too deeply"));
    }
    match json {
        Json::Null => Value::from(()),
        Json::Bool(yes) => Value::from(*yes),
        Json::Number(number) => from_number(number),
        Json::String(text) => Value::from(text.as_str()),
        Json::Array(items) => List::frozen(items.iter().map(|item| frozen_at(item, depth + 1)).collect()),
        Json::Object(map) => {
            let mut entries = Entries::default();
            for (key, value) in map {
                entries.insert(Value::from(key.as_str()), frozen_at(value, depth + 1));
            }
            Dict::frozen(entries)
        }
    }
}

fn from_number(number: &serde_json::Number) -> Value {
    if let Some(number) = number.as_i64() {
        Value::from(number)
    } else if let Some(number) = number.as_u64() {
        Value::from(number)
    } else {
        Value::from(number.as_f64().unwrap_or(f64::NAN))
    }
}

/// Parses JSON directly into template values and charges while they grow.
///
/// `mutable` values belong to the running render, and the template can change
/// them; frozen values may outlive the render.
pub(super) fn parse_json(budget: &Budget, text: &[u8], mutable: bool) -> Result<Value, Error> {
    budget.charge_work(text.len())?;
    let mut parser = serde_json::Deserializer::from_slice(text);
    let parsed = JsonSeed { budget, mutable }.deserialize(&mut parser).and_then(|value| parser.end().map(|()| value));
    // serde_json's message may quote the input, so only the position is used.
    parsed.map_err(|error| {
        bad_argument(format!("the text is not JSON (line {}, column {})", error.line(), error.column()))
    })
}

struct JsonSeed<'a> {
    budget: &'a Budget,
    mutable: bool,
}

impl JsonSeed<'_> {
    fn hold<E: serde::de::Error>(&self, bytes: usize) -> Result<(), E> {
        // The budget records the failure, so its kind is not lost.
        self.budget.charge_memory(bytes).map_err(E::custom)
    }
}

impl<'de> DeserializeSeed<'de> for JsonSeed<'_> {
    type Value = Value;

    fn deserialize<D: serde::Deserializer<'de>>(self, parser: D) -> Result<Value, D::Error> {
        parser.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for JsonSeed<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<Value, E> {
        Ok(Value::from(()))
    }

    fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Value, E> {
        Ok(i64::try_from(value).map_or_else(|_| Value::from(value), Value::from))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<Value, E> {
        self.hold(value.len())?;
        Ok(Value::from(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element_seed(JsonSeed { ..self })? {
            // A growing vector doubles, so up to half of it is unused.
            self.hold(ITEM_BYTES)?;
            items.push(item);
        }
        if self.mutable {
            List::mutable(self.budget, items).map_err(serde::de::Error::custom)
        } else {
            Ok(List::frozen(items))
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut entries = Entries::default();
        while let Some(key) = map.next_key::<String>()? {
            let value = map.next_value_seed(JsonSeed { ..self })?;
            self.hold(key.len().saturating_add(ENTRY_BYTES))?;
            entries.insert(Value::from(key), value);
        }
        if self.mutable {
            Dict::mutable(self.budget, entries).map_err(serde::de::Error::custom)
        } else {
            Ok(Dict::frozen(entries))
        }
    }
}

/// Converts a value to JSON and charges for it.
pub(super) fn to_json(budget: &Budget, value: &Value) -> Result<serde_json::Value, Error> {
    to_json_at(budget, value, 0)
}

fn to_json_at(budget: &Budget, value: &Value, depth: usize) -> Result<serde_json::Value, Error> {
    use serde_json::Value as Json;
    if depth > MAX_DEPTH {
        return Err(too_deep());
    }
    budget.charge_memory(UNIT * 2)?;
    Ok(match value.kind() {
        ValueKind::Undefined => return Err(cost::undefined()),
        ValueKind::None => Json::Null,
        ValueKind::Bool => Json::Bool(value.is_true()),
        ValueKind::Number => Json::Number(to_number(value)?),
        ValueKind::String | ValueKind::Bytes => {
            let text = text(budget, value)?;
            budget.charge_memory(text.len())?;
            Json::String(text.into_owned())
        }
        ValueKind::Map => {
            let mut map = serde_json::Map::new();
            for (key, item) in pairs(budget, value)? {
                let key = key_text(budget, &key)?;
                budget.charge_memory(key.len().saturating_add(ENTRY_BYTES))?;
                map.insert(key, to_json_at(budget, &item, depth + 1)?);
            }
            Json::Object(map)
        }
        ValueKind::Seq | ValueKind::Iterable => Json::Array(
            cost::collect_items(budget, value)?
                .iter()
                .map(|item| to_json_at(budget, item, depth + 1))
                .collect::<Result<_, _>>()?,
        ),
        kind => return Err(bad_argument(format!("a {kind} cannot become JSON"))),
    })
}

fn to_number(value: &Value) -> Result<serde_json::Number, Error> {
    if value.is_integer() {
        if let Ok(number) = i64::try_from(value.clone()) {
            return Ok(number.into());
        }
        if let Ok(number) = u64::try_from(value.clone()) {
            return Ok(number.into());
        }
        return Err(bad_argument("the number does not fit into 64 bits"));
    }
    f64::try_from(value.clone())
        .ok()
        .and_then(serde_json::Number::from_f64)
        .ok_or_else(|| fail(RenderErrorKind::NotFinite, "the number is not finite"))
}

/// Copies the entries of a map and charges for them.
pub(super) fn pairs(budget: &Budget, value: &Value) -> Result<Vec<(Value, Value)>, Error> {
    defined(value)?;
    let count = cost::charge_iteration(budget, value)?;
    budget.charge_memory(count.saturating_mul(2 * size_of::<Value>()))?;
    if let Some(dict) = value.downcast_object_ref::<Dict>() {
        return Ok(dict.pairs());
    }
    let kind = value.kind();
    match value.as_object() {
        Some(object) if kind == ValueKind::Map => Ok(object.try_iter_pairs().into_iter().flatten().collect()),
        _ => Err(bad_argument(format!("a {kind} is not a map"))),
    }
}

fn key_text(budget: &Budget, key: &Value) -> Result<String, Error> {
    Ok(text(budget, key)?.into_owned())
}

/// The printed text of a value.  Strings are not charged.
pub(super) fn text<'v>(budget: &Budget, value: &'v Value) -> Result<Cow<'v, str>, Error> {
    if let Some(text) = value.as_str() {
        return Ok(Cow::Borrowed(text));
    }
    Ok(match value.kind() {
        ValueKind::Undefined => return Err(cost::undefined()),
        ValueKind::None => Cow::Borrowed("null"),
        ValueKind::Bool => Cow::Borrowed(if value.is_true() { "true" } else { "false" }),
        ValueKind::Number if value.is_integer() => Cow::Owned(value.to_string()),
        ValueKind::Bytes => {
            let bytes = value.as_bytes().unwrap_or_default();
            // Each invalid byte becomes a replacement character of three.
            budget.charge_memory(bytes.len().saturating_mul(3))?;
            String::from_utf8_lossy(bytes)
        }
        _ => Cow::Owned(json_text(budget, value, None)?),
    })
}

/// Formats a value as JSON text, compact or with an indentation.
pub(super) fn json_text(budget: &Budget, value: &Value, indent: Option<usize>) -> Result<String, Error> {
    let mut writer = JsonWriter { budget, out: String::new(), indent };
    writer.value(value, 0)?;
    Ok(writer.out)
}

struct JsonWriter<'a> {
    budget: &'a Budget,
    out: String,
    indent: Option<usize>,
}

impl JsonWriter<'_> {
    fn raw(&mut self, text: &str) -> Result<(), Error> {
        self.budget.charge_memory(text.len())?;
        self.out.push_str(text);
        Ok(())
    }

    fn value(&mut self, value: &Value, depth: usize) -> Result<(), Error> {
        if depth > MAX_DEPTH {
            return Err(too_deep());
        }
        match value.kind() {
            ValueKind::Undefined => Err(cost::undefined()),
            ValueKind::None => self.raw("null"),
            ValueKind::Bool => self.raw(if value.is_true() { "true" } else { "false" }),
            ValueKind::Number => {
                let number = to_number(value)?;
                self.raw(&number.to_string())
            }
            ValueKind::String | ValueKind::Bytes => {
                let text = text(self.budget, value)?;
                self.string(&text)
            }
            ValueKind::Map => {
                let pairs = pairs(self.budget, value)?;
                self.raw("{")?;
                for (at, (key, item)) in pairs.iter().enumerate() {
                    self.separate(at > 0, depth + 1)?;
                    let key = text(self.budget, key)?;
                    self.string(&key)?;
                    self.raw(if self.indent.is_some() { ": " } else { ":" })?;
                    self.value(item, depth + 1)?;
                }
                self.close(!pairs.is_empty(), depth, "}")
            }
            ValueKind::Seq | ValueKind::Iterable => {
                let items = cost::collect_items(self.budget, value)?;
                self.raw("[")?;
                for (at, item) in items.iter().enumerate() {
                    self.separate(at > 0, depth + 1)?;
                    self.value(item, depth + 1)?;
                }
                self.close(!items.is_empty(), depth, "]")
            }
            kind => Err(bad_argument(format!("a {kind} cannot be printed"))),
        }
    }

    fn separate(&mut self, comma: bool, depth: usize) -> Result<(), Error> {
        if comma {
            self.raw(",")?;
        }
        self.line(depth)
    }

    fn close(&mut self, filled: bool, depth: usize, bracket: &str) -> Result<(), Error> {
        if filled {
            self.line(depth)?;
        }
        self.raw(bracket)
    }

    fn line(&mut self, depth: usize) -> Result<(), Error> {
        let Some(indent) = self.indent else {
            return Ok(());
        };
        let width = indent.saturating_mul(depth);
        self.budget.charge_memory(width.saturating_add(1))?;
        self.out.push('\n');
        self.out.extend(std::iter::repeat_n(' ', width));
        Ok(())
    }

    fn string(&mut self, text: &str) -> Result<(), Error> {
        self.budget.charge_memory(text.len().saturating_add(2))?;
        self.out.push('"');
        let mut rest = text;
        while let Some(at) = rest.find(|c: char| c < ' ' || c == '"' || c == '\\') {
            self.out.push_str(&rest[..at]);
            // All of these characters have one byte.
            let byte = rest.as_bytes()[at];
            self.budget.charge_memory(6)?;
            match byte {
                b'"' => self.out.push_str("\\\""),
                b'\\' => self.out.push_str("\\\\"),
                b'\n' => self.out.push_str("\\n"),
                b'\r' => self.out.push_str("\\r"),
                b'\t' => self.out.push_str("\\t"),
                other => write!(self.out, "\\u{other:04x}").map_err(Error::from)?,
            }
            rest = &rest[at + 1..];
        }
        self.out.push_str(rest);
        self.out.push('"');
        Ok(())
    }
}
