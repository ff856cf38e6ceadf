//! A document against its shape: every mistake with its place, and the facts.

use super::words::{listed, nearest};
use super::{Facts, Fields, Format, Marked, RefKind, Reference, SHAPES, Shape, Shapes, TemplateUse, What};
use crate::definition::Kind;
use crate::definition::common::Duration;
use crate::text::Kind as Value;
use crate::text::{Code, Document, Finding, Key, Node, Range, codes, escaped};

/// Checks a whole document of a kind. Findings and facts are both complete: a mistake in one field does not hide
/// what the others say.
pub fn check(document: &Document, kind: Kind, findings: &mut Vec<Finding>) -> Facts {
    let shapes: &'static Shapes = &SHAPES;
    let mut walk = Walk { shapes, document, findings, facts: Facts::default(), pointer: String::new(), code: None };
    walk.node(&document.root, shapes.roots[&kind], Marks::default(), "the document");
    let mut facts = walk.facts;
    facts.references.shrink_to_fit();
    facts.templates.shrink_to_fit();
    facts.marked.shrink_to_fit();
    facts
}

/// Marks of shapes further out, which hold for everything below.
#[derive(Clone, Copy, Default)]
struct Marks {
    site: Option<&'static str>,
    format: Option<Format>,
    reference: Option<RefKind>,
    code: Option<&'static Code>,
    duration: (Option<u64>, Option<u64>),
}

struct Walk<'a> {
    shapes: &'static Shapes,
    document: &'a Document,
    findings: &'a mut Vec<Finding>,
    facts: Facts,
    pointer: String,
    /// The code that an enclosing value gives to mistakes in it.
    code: Option<&'static Code>,
}

impl Walk<'_> {
    fn report(&mut self, code: &'static Code, span: Range, message: String) -> &mut Finding {
        let code = self.code.unwrap_or(code);
        self.findings.push(Finding::new(code, span.within(self.document.source), message));
        self.findings.last_mut().expect("just pushed")
    }

    fn inside(&mut self, part: impl std::fmt::Display, walk: impl FnOnce(&mut Self)) {
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

    fn node(&mut self, node: &Node, index: usize, outer: Marks, name: &str) {
        let shape: &'static Shape = &self.shapes.shapes[index];
        if node.is_null() && (shape.nullable || matches!(shape.what, What::Any)) {
            return;
        }
        let marks = Marks {
            site: outer.site.or(shape.site),
            format: outer.format.or(shape.format),
            reference: outer.reference.or(shape.reference),
            code: outer.code.or(shape.code),
            duration: (outer.duration.0.or(shape.duration.0), outer.duration.1.or(shape.duration.1)),
        };
        // A fact about a whole value, such as a schema, is told once and not for each of its parts.
        let below = match shape.format {
            Some(format) if format.is_fact() && !matches!(shape.what, What::Same(_)) => {
                self.facts.marked.push(Marked { format, pointer: self.pointer.clone() });
                Marks { format: None, ..marks }
            }
            _ => marks,
        };
        let enclosing = self.code;
        self.code = marks.code;
        self.value(node, shape, marks, below, name);
        self.code = enclosing;
    }

    fn value(&mut self, node: &Node, shape: &'static Shape, marks: Marks, below: Marks, name: &str) {
        match &shape.what {
            What::Same(index) => {
                let marks = match shape.format {
                    Some(format) if format.is_fact() => {
                        self.facts.marked.push(Marked { format, pointer: self.pointer.clone() });
                        Marks { format: None, ..marks }
                    }
                    _ => marks,
                };
                self.node(node, *index, marks, name);
            }
            What::Union(cases) => self.union(node, cases, below, name),
            What::Any => self.any(node, below.site),
            What::Bool => {
                if !matches!(node.kind, Value::Bool(_)) {
                    self.wrong_type(node, "true or false", name);
                }
            }
            What::Integer { min, max } => self.integer(node, *min, *max, name),
            What::Number { min, max } => self.number(node, *min, *max, name),
            What::Words(words) => self.words(node, words, name),
            What::Text { min, max, pattern } => {
                let Some(text) = node.as_str() else {
                    let expected =
                        if marks.format == Some(Format::Duration) { "a duration such as `15s`" } else { "a string" };
                    return self.wrong_type(node, expected, name);
                };
                self.text(node, text, (*min, *max), pattern.as_ref(), below, name);
            }
            What::List { items, min, max } => {
                let Value::List(list) = &node.kind else { return self.wrong_type(node, "a list", name) };
                self.count(node, list.len(), (*min, *max), "items", name);
                for (at, item) in list.iter().enumerate() {
                    self.inside(at, |walk| walk.node(item, *items, below, name));
                }
            }
            What::Map { values, keys, words, min, max } => {
                let Value::Map(entries) = &node.kind else { return self.wrong_type(node, "a map", name) };
                self.count(node, entries.len(), (*min, *max), "entries", name);
                for entry in entries {
                    self.key(&entry.key, *keys, words);
                    self.inside(&entry.key.name, |walk| walk.node(&entry.value, *values, below, &entry.key.name));
                }
            }
            What::Object(fields) => self.object(node, fields, below, name),
        }
    }

    fn union(&mut self, node: &Node, cases: &[usize], marks: Marks, name: &str) {
        let fits = |index: &&usize| takes(self.shapes, **index, node);
        if let Some(index) = cases.iter().find(fits) {
            self.node(node, *index, marks, name);
        } else {
            let expected: Vec<&str> = cases.iter().map(|index| expected(self.shapes, *index)).collect();
            self.wrong_type(node, &expected.join(" or "), name);
        }
    }

    /// A value of any shape; its strings are templates where a mark says so.
    fn any(&mut self, node: &Node, site: Option<&'static str>) {
        let Some(site) = site else { return };
        match &node.kind {
            Value::Text(_) => self.facts.templates.push(TemplateUse { site, pointer: self.pointer.clone() }),
            Value::List(items) => {
                for (at, item) in items.iter().enumerate() {
                    self.inside(at, |walk| walk.any(item, Some(site)));
                }
            }
            Value::Map(entries) => {
                for entry in entries {
                    self.inside(&entry.key.name, |walk| walk.any(&entry.value, Some(site)));
                }
            }
            _ => {}
        }
    }

    fn object(&mut self, node: &Node, fields: &'static Fields, marks: Marks, name: &str) {
        let Value::Map(entries) = &node.kind else { return self.wrong_type(node, "a map", name) };
        for entry in entries {
            match fields.by_name.get(&*entry.key.name) {
                Some(index) => {
                    let marks = Marks { format: None, reference: None, duration: (None, None), ..marks };
                    self.inside(&entry.key.name, |walk| walk.node(&entry.value, *index, marks, &entry.key.name));
                }
                None => self.unknown_field(&entry.key, fields, name),
            }
        }
        // An explicit null counts as left out, as it does for Kubernetes.
        let given = |field: &String| entries.iter().any(|entry| *entry.key.name == **field && !entry.value.is_null());
        for field in fields.required.iter().filter(|field| !given(field)) {
            self.report(&codes::MISSING_FIELD, start_of(node), format!("{} lacks `{field}`", quoted(name))).help =
                Some(format!("add `{field}`"));
        }
        for group in &fields.exactly_one {
            let there: Vec<&String> = group.iter().filter(|field| given(field)).collect();
            if there.len() != 1 {
                let (span, message) = match there.get(1) {
                    None => (start_of(node), format!("{} needs one of {}", quoted(name), listed(group))),
                    Some(second) => (
                        key_span(node, second),
                        format!("{} has {}, which exclude each other", quoted(name), listed(&there)),
                    ),
                };
                self.report(fields.one_code.unwrap_or(&codes::EXACTLY_ONE), span, message).help =
                    Some(format!("keep exactly one of {}", listed(group)));
            }
        }
        for group in &fields.at_most_one {
            let there: Vec<&String> = group.iter().filter(|field| given(field)).collect();
            if let Some(second) = there.get(1) {
                let message = format!("{} has {}, which exclude each other", quoted(name), listed(&there));
                self.report(&codes::AT_MOST_ONE, key_span(node, second), message).help =
                    Some("keep one of them".into());
            }
        }
        if fields.not_empty && entries.is_empty() {
            self.report(&codes::OUT_OF_RANGE, node.span, format!("{} is empty", quoted(name))).help =
                Some("give it at least one field".into());
        }
    }

    fn unknown_field(&mut self, key: &Key, fields: &Fields, name: &str) {
        let message = format!("unknown field `{}` in {}", key.name, quoted(name));
        let mut known: Vec<&str> = fields.by_name.keys().map(String::as_str).collect();
        known.sort_unstable();
        let help = match nearest(&key.name, known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("known fields: {}", listed(&known)),
        };
        self.report(&codes::UNKNOWN_FIELD, key.span, message).help = Some(help);
    }

    fn key(&mut self, key: &Key, format: Option<Format>, words: &[String]) {
        if !words.is_empty() && !words.iter().any(|word| **word == *key.name) {
            self.not_a_word(&key.name, key.span, words);
        }
        match format {
            Some(format) if format.is_fact() => {
                let pointer = format!("{}/{}", self.pointer, escaped(&key.name));
                self.facts.marked.push(Marked { format, pointer });
            }
            Some(format) => {
                if let Some((code, message, help)) = format.problem(&key.name) {
                    self.report(code, key.span, message).help = Some(help.into());
                }
            }
            None => {}
        }
    }

    fn words(&mut self, node: &Node, words: &[String], name: &str) {
        match node.as_str() {
            Some(text) if words.iter().any(|word| word == text) => {}
            Some(text) => self.not_a_word(text, node.span, words),
            None => self.wrong_type(node, &format!("one of {}", listed(words)), name),
        }
    }

    fn not_a_word(&mut self, text: &str, span: Range, words: &[String]) {
        let help = match nearest(text, words.iter().map(String::as_str)) {
            Some(near) if words.len() > 1 => format!("did you mean `{near}`? Allowed: {}", listed(words)),
            _ => format!("allowed: {}", listed(words)),
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

    fn count(&mut self, node: &Node, count: usize, (min, max): (usize, usize), what: &str, name: &str) {
        if count < min || count > max {
            let bound = if count < min { format!("at least {min}") } else { format!("at most {max}") };
            let message = format!("{} has {count} {what}", quoted(name));
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
        if let Some(site) = marks.site {
            self.facts.templates.push(TemplateUse { site, pointer: self.pointer.clone() });
        }
        if let Some(to) = marks.reference {
            let pointer = self.pointer.clone();
            self.facts.references.push(Reference { to, name: text.to_owned(), pointer, span: node.span });
        }
        if let Some(format) = marks.format {
            if format.is_fact() {
                self.facts.marked.push(Marked { format, pointer: self.pointer.clone() });
            } else if format == Format::Duration {
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
            let message = format!("`{text}` is not written as {} asks", quoted(name));
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
            (_, "a list") => "write each item on a line of its own after `- `, or `[a, b]`".to_owned(),
            _ => format!("write {expected}"),
        };
        self.report(&codes::WRONG_TYPE, node.span, message).help = Some(help);
    }
}

/// Could a node of this type be of this shape?
fn takes(shapes: &Shapes, index: usize, node: &Node) -> bool {
    match &shapes.shapes[index].what {
        What::Any => true,
        What::Same(index) => takes(shapes, *index, node),
        What::Union(cases) => cases.iter().any(|index| takes(shapes, *index, node)),
        What::Bool => matches!(node.kind, Value::Bool(_)),
        What::Integer { .. } | What::Number { .. } => matches!(node.kind, Value::Number(_)),
        What::Text { .. } | What::Words(_) => matches!(node.kind, Value::Text(_)),
        What::List { .. } => matches!(node.kind, Value::List(_)),
        What::Map { .. } | What::Object(_) => matches!(node.kind, Value::Map(_)),
    }
}

fn expected(shapes: &Shapes, index: usize) -> &'static str {
    match &shapes.shapes[index].what {
        What::Any => "anything",
        What::Same(index) => expected(shapes, *index),
        What::Union(_) => "one of several",
        What::Bool => "true or false",
        What::Integer { .. } => "a whole number",
        What::Number { .. } => "a number",
        What::Text { .. } | What::Words(_) => "a string",
        What::List { .. } => "a list",
        What::Map { .. } | What::Object(_) => "a map",
    }
}

fn quoted(name: &str) -> String {
    if name.contains(' ') { name.to_owned() } else { format!("`{name}`") }
}

/// The first key of a map, where a snippet of the whole map would fill the screen.
fn start_of(node: &Node) -> Range {
    node.entries().first().map_or(node.span, |entry| entry.key.span)
}

fn key_span(node: &Node, field: &str) -> Range {
    node.entry(field).map_or(node.span, |entry| entry.key.span)
}

fn pattern_help(pattern: &str) -> String {
    match pattern {
        "^[/?]" => "start it with `/`".into(),
        "^[A-Za-z_][A-Za-z0-9_]*$" => "use letters, digits and `_`, not starting with a digit".into(),
        "^[A-Z][A-Za-z0-9]{0,62}$" => "use UpperCamelCase letters and digits, such as `Subscription`".into(),
        "^[0-9a-f]{40}$" => "use all 40 hexadecimal digits of the commit".into(),
        _ => format!("it must match `{pattern}`"),
    }
}
