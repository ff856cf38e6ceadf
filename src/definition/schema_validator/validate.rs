//! The validation of a document: every violation with its position, and the facts.

use std::sync::LazyLock;

use super::compile;
use super::facts::{Facts, FormattedValue, PlannedUse, Reference, ReferenceKind, TemplateUse};
use super::format::ValueFormat;
use super::model::{CompiledSchema, CompiledSchemas, ValueType};
use super::suggestions::{keys_of, nearest, quoted, quoted_list};
use super::types::{accepts_type, expected_type, object_fields, pattern_help};
use crate::definition::Kind;
use crate::definition::common::Duration;
use crate::text::NodeKind as Value;
use crate::text::{Code, Document, Finding, Key, Node, Range, codes, escaped};

/// The compiled schemas of all kinds.
static SCHEMAS: LazyLock<CompiledSchemas> = LazyLock::new(compile::compile_all);

/// Validates a document of a kind. Findings and facts are complete: an error in one field does not hide the others.
pub fn validate(document: &Document, kind: Kind, findings: &mut Vec<Finding>) -> Facts {
    let schemas: &'static CompiledSchemas = &SCHEMAS;
    let (facts, pointer) = (Facts::default(), String::new());
    let mut walk = Walk { schemas, document, findings, facts, pointer, code: None, in_planned: false };
    walk.node(&document.root, schemas.roots[&kind], Marks::default(), "the document");
    let mut facts = walk.facts;
    facts.references.shrink_to_fit();
    facts.templates.shrink_to_fit();
    facts.formatted.shrink_to_fit();
    facts.planned.shrink_to_fit();
    facts
}

/// Marks of enclosing schemas, which apply to all nested values.
#[derive(Clone, Copy, Default)]
pub(super) struct Marks {
    pub(super) template: Option<&'static str>,
    pub(super) format: Option<ValueFormat>,
    pub(super) reference: Option<ReferenceKind>,
    pub(super) code: Option<&'static Code>,
    pub(super) duration: (Option<u64>, Option<u64>),
}

pub(super) struct Walk<'a> {
    schemas: &'static CompiledSchemas,
    document: &'a Document,
    findings: &'a mut Vec<Finding>,
    facts: Facts,
    pointer: String,
    /// Code of findings that an enclosing value prescribes.
    code: Option<&'static Code>,
    /// True within a value that is accepted and not in effect.
    in_planned: bool,
}

impl Walk<'_> {
    pub(super) fn report(&mut self, code: &'static Code, span: Range, message: String) -> &mut Finding {
        let code = self.code.unwrap_or(code);
        self.findings.push(Finding::new(code, span.within(self.document.source), message));
        self.findings.last_mut().expect("just pushed")
    }

    pub(super) fn inside(&mut self, part: impl std::fmt::Display, walk: impl FnOnce(&mut Self)) {
        use std::fmt::Write as _;
        let length = self.pointer.len();
        let start = length + 1;
        let _ = write!(self.pointer, "/{part}");
        if self.pointer[start..].contains(['~', '/']) {
            let escaped = escaped(&self.pointer[start..]).into_owned();
            self.pointer.replace_range(start.., &escaped);
        }
        walk(self);
        self.pointer.truncate(length);
    }

    pub(super) fn node(&mut self, node: &Node, index: usize, outer: Marks, name: &str) {
        let schema: &'static CompiledSchema = &self.schemas.schemas[index];
        if node.is_null() && (schema.nullable || matches!(schema.value_type, ValueType::Any)) {
            return;
        }
        let marks = Marks {
            template: outer.template.or(schema.template),
            format: outer.format.or(schema.format),
            reference: outer.reference.or(schema.reference),
            code: outer.code.or(schema.code),
            duration: (outer.duration.0.or(schema.duration.0), outer.duration.1.or(schema.duration.1)),
        };
        // A fact about a whole value, such as a schema, is recorded once and not for each of its parts.
        let below = match schema.format {
            Some(format) if format.is_validated_later() && !matches!(schema.value_type, ValueType::Alias(_)) => {
                self.facts.formatted.push(FormattedValue { format, pointer: self.pointer.clone() });
                Marks { format: None, ..marks }
            }
            _ => marks,
        };
        let enclosing = (self.code, self.in_planned);
        self.code = marks.code;
        if let Some(planned) = schema.planned.filter(|_| !self.in_planned)
            && schema.default.is_none_or(|default| node.to_json() != *default)
        {
            self.facts.planned.push(PlannedUse { planned, pointer: self.pointer.clone() });
            self.in_planned = true;
        }
        self.value(node, schema, marks, below, name);
        (self.code, self.in_planned) = enclosing;
    }

    fn value(&mut self, node: &Node, schema: &'static CompiledSchema, marks: Marks, below: Marks, name: &str) {
        match &schema.value_type {
            ValueType::Alias(index) => {
                let marks = match schema.format {
                    Some(format) if format.is_validated_later() => {
                        self.facts.formatted.push(FormattedValue { format, pointer: self.pointer.clone() });
                        Marks { format: None, ..marks }
                    }
                    _ => marks,
                };
                self.node(node, *index, marks, name);
            }
            ValueType::Union(cases) => self.union(node, cases, below, name),
            ValueType::Any => self.any(node, below.template),
            ValueType::Bool => {
                if !matches!(node.kind, Value::Bool(_)) {
                    self.wrong_type(node, "true or false", name);
                }
            }
            ValueType::Integer { min, max } => self.integer(node, *min, *max, name),
            ValueType::Number { min, max } => self.number(node, *min, *max, name),
            ValueType::Enum(values) => self.enumeration(node, values, name),
            ValueType::Text { min, max, pattern } => {
                let Some(text) = node.as_str() else {
                    let expected = if marks.format == Some(ValueFormat::Duration) {
                        "a duration such as `15s`"
                    } else {
                        "a string"
                    };
                    return self.wrong_type(node, expected, name);
                };
                self.text(node, text, (*min, *max), pattern.as_ref(), below, name);
            }
            ValueType::List { items, min, max } => {
                let Value::List(list) = &node.kind else { return self.wrong_type(node, "a list", name) };
                self.count(node, list.len(), (*min, *max), "items", name);
                for (at, item) in list.iter().enumerate() {
                    self.inside(at, |walk| walk.node(item, *items, below, name));
                }
            }
            ValueType::Map { values, keys, key_values, min, max } => {
                let Value::Map(entries) = &node.kind else { return self.wrong_type(node, "a map", name) };
                self.count(node, entries.len(), (*min, *max), "entries", name);
                for entry in entries {
                    self.key(&entry.key, *keys, key_values);
                    self.inside(&entry.key.name, |walk| walk.node(&entry.value, *values, below, &entry.key.name));
                }
            }
            ValueType::Object(fields) => self.object(node, fields, below, name),
        }
    }

    fn union(&mut self, node: &Node, cases: &[usize], marks: Marks, name: &str) {
        let fits = |index: &&usize| accepts_type(self.schemas, **index, node);
        if let Some(index) = cases.iter().find(fits) {
            self.node(node, *index, marks, name);
        } else {
            let expected: Vec<&str> = cases.iter().map(|index| expected_type(self.schemas, *index)).collect();
            let fields = cases.iter().find_map(|index| object_fields(self.schemas, *index));
            let expected = expected.join(" or ");
            let remedy = fields.map(|fields| format!("write {expected}; a map has {}", keys_of(fields)));
            self.wrong_value(node, &expected, name, remedy);
        }
    }

    /// Validates an arbitrary value. Its strings are templates if `location` is set.
    fn any(&mut self, node: &Node, location: Option<&'static str>) {
        let Some(location) = location else { return };
        match &node.kind {
            Value::Text(_) => self.facts.templates.push(TemplateUse { location, pointer: self.pointer.clone() }),
            Value::List(items) => {
                for (at, item) in items.iter().enumerate() {
                    self.inside(at, |walk| walk.any(item, Some(location)));
                }
            }
            Value::Map(entries) => {
                for entry in entries {
                    self.inside(&entry.key.name, |walk| walk.any(&entry.value, Some(location)));
                }
            }
            _ => {}
        }
    }

    fn key(&mut self, key: &Key, format: Option<ValueFormat>, values: &[String]) {
        if !values.is_empty() && !values.iter().any(|value| **value == *key.name) {
            self.not_allowed(&key.name, key.span, values);
        }
        match format {
            Some(format) if format.is_validated_later() => {
                let pointer = format!("{}/{}", self.pointer, escaped(&key.name));
                self.facts.formatted.push(FormattedValue { format, pointer });
            }
            Some(format) => {
                if let Some((code, message, help)) = format.problem(&key.name) {
                    self.report(code, key.span, message).help = Some(help.into());
                }
            }
            None => {}
        }
    }

    fn enumeration(&mut self, node: &Node, values: &[String], name: &str) {
        match node.as_str() {
            Some(text) if values.iter().any(|value| value == text) => {}
            Some(text) => self.not_allowed(text, node.span, values),
            None => self.wrong_type(node, &format!("one of {}", quoted_list(values)), name),
        }
    }

    fn not_allowed(&mut self, text: &str, span: Range, values: &[String]) {
        let help = match nearest(text, values.iter().map(String::as_str)) {
            Some(near) if values.len() > 1 => format!("did you mean `{near}`? Allowed: {}", quoted_list(values)),
            _ => format!("allowed: {}", quoted_list(values)),
        };
        self.report(&codes::NOT_ALLOWED, span, format!("`{text}` is not allowed here")).help = Some(help);
    }

    fn integer(&mut self, node: &Node, min: Option<i128>, max: Option<i128>, name: &str) {
        let Value::Number(number) = &node.kind else { return self.wrong_type(node, "a whole number", name) };
        let whole = number.as_i64().map(i128::from).or(number.as_u64().map(i128::from));
        let Some(value) = whole else { return self.wrong_type(node, "a whole number", name) };
        self.range(node, min.is_some_and(|min| value < min), max.is_some_and(|max| value > max), min, max, name);
    }

    fn number(&mut self, node: &Node, min: Option<f64>, max: Option<f64>, name: &str) {
        let Value::Number(number) = &node.kind else { return self.wrong_type(node, "a number", name) };
        let value = number.as_f64().unwrap_or(f64::MAX);
        self.range(node, min.is_some_and(|min| value < min), max.is_some_and(|max| value > max), min, max, name);
    }

    fn range<T: std::fmt::Display>(
        &mut self,
        node: &Node,
        low: bool,
        high: bool,
        min: Option<T>,
        max: Option<T>,
        name: &str,
    ) {
        if low || high {
            let help = match (min, max) {
                (Some(min), Some(max)) => format!("use a number from {min} to {max}"),
                (Some(min), None) => format!("use {min} or more"),
                (None, Some(max)) => format!("use {max} or less"),
                (None, None) => return,
            };
            let message = format!("{} is too {}", quoted(name), if low { "small" } else { "large" });
            self.report(&codes::OUT_OF_RANGE, node.span, message).help = Some(help);
        }
    }

    fn count(&mut self, node: &Node, count: usize, (min, max): (usize, usize), noun: &str, name: &str) {
        if count < min || count > max {
            let bound = if count < min { format!("at least {min}") } else { format!("at most {max}") };
            let message = format!("{} has {count} {noun}", quoted(name));
            self.report(&codes::OUT_OF_RANGE, node.span, message).help = Some(format!("it takes {bound}"));
        }
    }

    fn text(
        &mut self,
        node: &Node,
        text: &str,
        (min, max): (usize, usize),
        pattern: Option<&regex::Regex>,
        marks: Marks,
        name: &str,
    ) {
        if let Some(location) = marks.template {
            self.facts.templates.push(TemplateUse { location, pointer: self.pointer.clone() });
        }
        if let Some(to) = marks.reference {
            let pointer = self.pointer.clone();
            self.facts.references.push(Reference { to, name: text.to_owned(), pointer, span: node.span });
        }
        if let Some(format) = marks.format {
            if format.is_validated_later() {
                self.facts.formatted.push(FormattedValue { format, pointer: self.pointer.clone() });
            } else if format == ValueFormat::Duration {
                return self.duration(node, text, marks.duration, name);
            } else if let Some((code, message, help)) = format.problem(text) {
                self.report(code, node.span, message).help = Some(help.into());
                return;
            }
        }
        let length = text.chars().count();
        if length < min || length > max {
            let (problem, bound) = match length {
                0 => ("is empty".into(), format!("at least {min}")),
                _ if length < min => (format!("has only {length} characters"), format!("at least {min}")),
                _ => (format!("has {length} characters"), format!("at most {max}")),
            };
            self.report(&codes::OUT_OF_RANGE, node.span, format!("{} {problem}", quoted(name))).help =
                Some(format!("it takes {bound}"));
        } else if let Some(pattern) = pattern.filter(|pattern| !pattern.is_match(text)) {
            let message = format!("`{text}` does not have the format of {}", quoted(name));
            self.report(&codes::BAD_FORMAT, node.span, message).help = Some(pattern_help(pattern.as_str()));
        }
    }

    fn duration(&mut self, node: &Node, text: &str, (min, max): (Option<u64>, Option<u64>), name: &str) {
        let shown = |milliseconds: u64| Duration(std::time::Duration::from_millis(milliseconds)).to_string();
        match text.parse::<Duration>() {
            Err(message) => {
                self.report(&codes::BAD_FORMAT, node.span, message).help =
                    Some("units are `d`, `h`, `m`, `s` and `ms`, from large to small".into());
            }
            Ok(duration) => {
                let value = duration.0.as_millis() as u64;
                let (low, high) = (min.is_some_and(|min| value < min), max.is_some_and(|max| value > max));
                self.range(node, low, high, min.map(shown), max.map(shown), name);
            }
        }
    }

    fn wrong_type(&mut self, node: &Node, expected: &str, name: &str) {
        self.wrong_value(node, expected, name, None);
    }

    /// Reports a value of the wrong type. `remedy` is the help for a value of another type than null.
    pub(super) fn wrong_value(&mut self, node: &Node, expected: &str, name: &str, remedy: Option<String>) {
        let message = format!("{} takes {expected}, and this is {}", quoted(name), node.kind_name());
        let help = match (&node.kind, expected) {
            (Value::Text(text), "true or false")
                if matches!(&*text.value, "yes" | "on" | "Yes" | "On" | "\"true\"" | "true") =>
            {
                "write `true` without quotes".to_owned()
            }
            (Value::Text(text), "true or false")
                if matches!(&*text.value, "no" | "off" | "No" | "Off" | "NO" | "false") =>
            {
                "write `false` without quotes".to_owned()
            }
            (Value::Text(text), "a whole number" | "a number") if text.value.parse::<f64>().is_ok() => {
                "remove the quotes".to_owned()
            }
            (Value::Number(_) | Value::Bool(_), "a string") => "put it in quotes".to_owned(),
            (Value::Null, _) => format!("give it a value, or remove {}", quoted(name)),
            _ if remedy.is_some() => remedy.unwrap_or_default(),
            (_, "a list") => "write each item on a line of its own after `- `, or `[a, b]`".to_owned(),
            _ => format!("write {expected}"),
        };
        self.report(&codes::WRONG_TYPE, node.span, message).help = Some(help);
    }
}
