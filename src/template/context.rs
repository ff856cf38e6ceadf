//! The values that a template can read.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use minijinja::value::{Enumerator, Object, Value};
use minijinja::{Error, ErrorKind};

use super::budget::Budget;
use super::containers::{Dict, Entries};
use super::convert;
use super::host::TemplateHost;

/// A value prepared for templates.  JSON is converted once; clones are cheap.
#[derive(Clone)]
pub struct ContextValue(Value);

impl ContextValue {
    /// Creates a value from bytes, which templates can encode or print as text.
    pub fn bytes(bytes: &[u8]) -> ContextValue {
        ContextValue(Value::from_bytes(bytes.to_vec()))
    }
}

impl fmt::Debug for ContextValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ContextValue({})", self.0.kind())
    }
}

impl From<&serde_json::Value> for ContextValue {
    fn from(json: &serde_json::Value) -> ContextValue {
        ContextValue(convert::frozen(json))
    }
}

impl From<serde_json::Value> for ContextValue {
    fn from(json: serde_json::Value) -> ContextValue {
        ContextValue::from(&json)
    }
}

impl From<&str> for ContextValue {
    fn from(text: &str) -> ContextValue {
        ContextValue(Value::from(text))
    }
}

impl From<String> for ContextValue {
    fn from(text: String) -> ContextValue {
        ContextValue(Value::from(text))
    }
}

impl From<i64> for ContextValue {
    fn from(number: i64) -> ContextValue {
        ContextValue(Value::from(number))
    }
}

impl From<bool> for ContextValue {
    fn from(yes: bool) -> ContextValue {
        ContextValue(Value::from(yes))
    }
}

/// The values that a template can read, and the host of its functions.  A clone
/// costs one reference count per value.
#[derive(Clone)]
pub struct Context {
    host: Arc<dyn TemplateHost>,
    roots: Vec<(&'static str, Value)>,
}

impl Context {
    /// Creates a context without values.
    pub fn new(host: Arc<dyn TemplateHost>) -> Context {
        Context { host, roots: Vec::new() }
    }

    /// Sets the value of a name.
    pub fn set(&mut self, name: &'static str, value: impl Into<ContextValue>) {
        let ContextValue(value) = value.into();
        self.set_value(name, value);
    }

    /// Sets raw bytes, for example `body_raw`.
    pub fn set_bytes(&mut self, name: &'static str, bytes: Bytes) {
        self.set_value(name, Value::from_bytes(Vec::from(bytes)));
    }

    /// Sets `response` with its `status_code`, `headers` (with lower-case names),
    /// `body` (none unless it is UTF-8) and `json`, which is parsed on first use.
    pub fn set_response(&mut self, status: u16, headers: BTreeMap<String, String>, body: Bytes) {
        let mut entries = Entries::default();
        for (name, value) in headers {
            entries.insert(Value::from(name), Value::from(value));
        }
        let text = std::str::from_utf8(&body).map_or_else(|_| Value::from(()), Value::from);
        self.set_value(
            "response",
            Value::from_object(Response {
                status: Value::from(status),
                headers: Dict::frozen(entries),
                text,
                body,
                json: OnceLock::new(),
            }),
        );
    }

    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        self.roots.iter().find(|(root, _)| *root == name).map(|(_, value)| value)
    }

    pub(super) fn host(&self) -> &Arc<dyn TemplateHost> {
        &self.host
    }

    /// The object in which the virtual machine looks up names.
    pub(super) fn root(&self) -> Value {
        Value::from_object(Root(self.roots.clone()))
    }

    fn set_value(&mut self, name: &'static str, value: Value) {
        match self.roots.iter_mut().find(|(root, _)| *root == name) {
            Some((_, old)) => *old = value,
            None => self.roots.push((name, value)),
        }
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Names only: values are user data and may be secret.
        f.debug_list().entries(self.roots.iter().map(|(name, _)| name)).finish()
    }
}

struct Root(Vec<(&'static str, Value)>);

impl fmt::Debug for Root {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{context}")
    }
}

impl Object for Root {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.get_value_by_str(key.as_str()?)
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        self.0.iter().find(|(name, _)| *name == key).map(|(_, value)| value.clone())
    }
}

/// The value of `response`.  Its JSON is parsed on demand and at most once.
struct Response {
    status: Value,
    headers: Value,
    text: Value,
    body: Bytes,
    json: OnceLock<Option<Value>>,
}

impl Response {
    fn json(&self) -> Value {
        if let Some(parsed) = self.json.get() {
            return parsed.clone().unwrap_or_else(|| Value::from(not_json()));
        }
        let budget = match Budget::current() {
            Ok(budget) => budget,
            Err(error) => return Value::from(error),
        };
        if let Ok(value) =
            convert::parse_json(&budget, self.body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&self.body), false)
        {
            self.json.get_or_init(|| Some(value)).clone().unwrap_or_default()
        } else {
            // `parse_json` recorded a failure.  Its message is meant for a filter and
            // is replaced, unless the body exceeds a limit.
            let failure = budget.take_failure();
            match failure {
                Some((super::RenderErrorKind::BadArgument, _)) | None => {
                    self.json.get_or_init(|| None);
                    Value::from(not_json())
                }
                Some((kind, message)) => Value::from(budget.fail(kind, message)),
            }
        }
    }
}

fn not_json() -> Error {
    match Budget::current() {
        Ok(_) => super::budget::bad_argument("the response body is not JSON"),
        Err(_) => Error::new(ErrorKind::InvalidOperation, "the response body is not JSON"),
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{response}")
    }
}

impl Object for Response {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.get_value_by_str(key.as_str()?)
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        match key {
            "body" => Some(self.text.clone()),
            "json" => Some(self.json()),
            "status_code" => Some(self.status.clone()),
            "headers" => Some(self.headers.clone()),
            _ => None,
        }
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Str(&["body", "json", "status_code", "headers"])
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{response}")
    }
}
