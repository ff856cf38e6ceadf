//! JSON Schemas in definitions: valid, self-contained, free of expensive patterns and of keywords without effect.
//!
//! Walks the document itself, so that every error has a position in the file, which a meta-schema would not provide. Keywords and their forms: JSON Schema 2020-12, core and validation.

mod keywords;

use std::collections::HashSet;

use regex::RegexBuilder;

use self::keywords::{FORMATS, KEYWORDS, KeywordForm, TYPES};
use crate::catalog::Entry;
use crate::definition::Spec;
use crate::definition::json_schema::{self, Growth, PATTERN_BYTES};
use crate::definition::schema_validator::{ValueFormat, nearest, quoted_list};
use crate::text::{Code, Finding, Node, NodeKind as Value, Range, codes};

pub(super) fn check(entry: &Entry, findings: &mut Vec<Finding>) {
    for marked in &entry.facts.formatted {
        let Some(node) = entry.node(&marked.pointer) else { continue };
        match marked.format {
            ValueFormat::JsonSchema => {
                let before = findings.len();
                let mut walk = Walk { entry, root: node, anchors: None, refers: false, has_default: false, findings };
                walk.schema(node, 0);
                if walk.refers
                    && !walk.findings.iter().any(|finding| finding.code == &codes::SCHEMA_REF)
                    && let Growth::Endless(problem) = json_schema::growth(&node.to_json())
                {
                    let message = format!("this schema cannot be used: {problem}");
                    let span = entry.key_span(&marked.pointer);
                    let help = "let references reach each part of a value by one way only";
                    findings.push(Finding::new(&codes::SCHEMA, span, message).help(help));
                } else if walk.has_default && walk.findings.len() == before {
                    defaults(entry, &marked.pointer, node, findings);
                }
            }
            ValueFormat::Regex => {
                Walk { entry, root: node, anchors: None, refers: false, has_default: false, findings }.pattern(node);
            }
            _ => {}
        }
    }
}

/// Reports defaults that do not fit their own part of the schema.
fn defaults(entry: &Entry, pointer: &str, node: &Node, findings: &mut Vec<Finding>) {
    let entities = match entry.spec() {
        Some(Spec::Connector(spec)) => json_schema::entity_schemas(&spec.entities),
        _ => serde_json::Map::new(),
    };
    for problem in json_schema::default_problems(&node.to_json(), &entities) {
        let span = entry.value_span(&format!("{pointer}{}/default", problem.pointer));
        let message = format!("this default does not fit its schema: {}", problem.message);
        let help = "a missing value becomes this one and would be refused; correct the default or the schema";
        findings.push(Finding::new(&codes::SCHEMA, span, message).help(help));
    }
}

struct Walk<'a> {
    entry: &'a Entry,
    root: &'a Node,
    /// Anchors of the schema, collected at the first reference to one.
    anchors: Option<HashSet<&'a str>>,
    /// True if the schema holds a reference.
    refers: bool,
    /// True if the schema holds a default.
    has_default: bool,
    findings: &'a mut Vec<Finding>,
}

impl Walk<'_> {
    fn report(&mut self, code: &'static Code, range: Range, message: String, help: impl Into<String>) {
        self.findings.push(Finding::new(code, self.entry.span(range), message).help(help));
    }

    fn wrong(&mut self, node: &Node, keyword: &str, wants: &str, help: impl Into<String>) {
        let message = format!("`{keyword}` takes {wants}, and this is {}", node.kind_name());
        self.report(&codes::SCHEMA, node.span, message, help);
    }

    fn schema(&mut self, node: &Node, depth: usize) {
        match &node.kind {
            Value::Bool(_) => {}
            Value::Map(entries) => {
                for entry in entries {
                    self.keyword(&entry.key.name, entry.key.span, &entry.value, depth);
                }
                self.together(node);
            }
            _ => self.wrong(node, "a schema", "a map, `true` or `false`", "write `{ type: string }`"),
        }
    }

    /// Checks keywords that depend on each other.
    fn together(&mut self, node: &Node) {
        let number = |keyword: &str| match node.get(keyword).map(|value| &value.kind) {
            Some(Value::Number(number)) => number.as_f64(),
            _ => None,
        };
        let pairs = [
            ("minimum", "maximum"),
            ("minLength", "maxLength"),
            ("minItems", "maxItems"),
            ("minProperties", "maxProperties"),
        ];
        for (low, high) in pairs {
            if let (Some(min), Some(max)) = (number(low), number(high))
                && min > max
                && let Some(place) = node.get(high)
            {
                let message = format!("no value is at least {min} and at most {max}");
                self.report(&codes::SCHEMA, place.span, message, format!("swap `{low}` and `{high}`"));
            }
        }
        let closed = node.get("additionalProperties").is_some_and(|value| matches!(value.kind, Value::Bool(false)));
        let (Some(properties), Some(required)) = (node.get("properties"), node.get("required")) else { return };
        if closed && node.get("patternProperties").is_none() {
            let known: Vec<&str> = properties.entries().iter().map(|entry| &*entry.key.name).collect();
            for item in required.items() {
                let Some(name) = item.as_str().filter(|name| !known.contains(name)) else { continue };
                let help = match nearest(name, known.iter().copied()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("add `{name}` to `properties`"),
                };
                let message = format!("`{name}` is required, and no other properties are allowed");
                self.report(&codes::SCHEMA, item.span, message, help);
            }
        }
    }

    fn keyword(&mut self, name: &str, key: Range, value: &Node, depth: usize) {
        let Some((_, form)) = KEYWORDS.iter().find(|(keyword, _)| *keyword == name) else {
            if !name.starts_with("x-") {
                let help = match nearest(name, KEYWORDS.iter().map(|(keyword, _)| *keyword)) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => "remove it; keywords of your own start with `x-`".into(),
                };
                let message = format!("JSON Schema has no keyword `{name}`");
                self.report(&codes::SCHEMA_UNKNOWN_KEYWORD, key, message, help);
            }
            return;
        };
        match form {
            KeywordForm::Text if name == "$id" && depth > 0 => {
                let message = "an inner `$id` changes what every reference below it means".to_owned();
                self.report(
                    &codes::SCHEMA_REF,
                    key,
                    message,
                    "remove it, and refer to inner schemas by `#/$defs/name`",
                );
            }
            KeywordForm::Text
                if name == "format" && value.as_str().is_some_and(|format| !FORMATS.contains(&format)) =>
            {
                let format = value.as_str().unwrap_or_default();
                let help = match nearest(format, FORMATS.into_iter()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => "unknown formats check nothing; use `pattern`".into(),
                };
                let message = format!("JSON Schema has no format `{format}`");
                self.report(&codes::SCHEMA_UNKNOWN_KEYWORD, value.span, message, help);
            }
            KeywordForm::Number if name == "multipleOf" && is_not_positive(value) => {
                self.report(
                    &codes::SCHEMA,
                    value.span,
                    "`multipleOf` takes a number above 0".into(),
                    "write such as `0.01`",
                );
            }
            KeywordForm::List if name == "enum" && repeated(value).is_some() => {
                let span = repeated(value).map_or(value.span, |item| item.span);
                self.report(&codes::SCHEMA, span, "a value is listed twice".into(), "remove one");
            }
            KeywordForm::Any => self.has_default |= name == "default",
            KeywordForm::Schema => self.schema(value, depth + 1),
            KeywordForm::Schemas => match &value.kind {
                Value::List(items) if !items.is_empty() => items.iter().for_each(|item| self.schema(item, depth + 1)),
                _ => self.wrong(value, name, "a list of schemas", "give it at least one schema"),
            },
            KeywordForm::SchemaMap => match &value.kind {
                Value::Map(entries) => entries.iter().for_each(|entry| self.schema(&entry.value, depth + 1)),
                _ => self.wrong(value, name, "a map of schemas by name", "write `name: { type: string }`"),
            },
            KeywordForm::PatternMap => match &value.kind {
                Value::Map(entries) => {
                    for entry in entries {
                        self.regex(&entry.key.name, entry.key.span);
                        self.schema(&entry.value, depth + 1);
                    }
                }
                _ => self.wrong(value, name, "a map of schemas by pattern", "write `'^x-': { type: string }`"),
            },
            KeywordForm::Type => self.types(value),
            KeywordForm::Text if value.as_str().is_none() => self.wrong(value, name, "a string", "put it in quotes"),
            KeywordForm::Texts => self.texts(name, value),
            KeywordForm::TextLists => {
                if !matches!(&value.kind, Value::Map(_)) {
                    return self.wrong(value, name, "a map of lists of names", "write `name: [other]`");
                }
                value.entries().iter().for_each(|entry| self.texts(name, &entry.value));
            }
            KeywordForm::Bool if !matches!(value.kind, Value::Bool(_)) => {
                self.wrong(value, name, "true or false", "write `true` or `false`");
            }
            KeywordForm::Number if !matches!(value.kind, Value::Number(_)) => {
                self.wrong(value, name, "a number", "write a number without quotes");
            }
            KeywordForm::Count if !matches!(&value.kind, Value::Number(number) if number.is_u64()) => {
                self.wrong(value, name, "a whole number from 0 on", "write a whole number without quotes");
            }
            KeywordForm::List if !matches!(&value.kind, Value::List(items) if !items.is_empty()) => {
                self.wrong(value, name, "a list with at least one value", "write `[a, b]`");
            }
            KeywordForm::Pattern => self.pattern(value),
            KeywordForm::Reference => self.reference(name, value),
            KeywordForm::Text | KeywordForm::Bool | KeywordForm::Number | KeywordForm::Count | KeywordForm::List => {}
        }
    }

    fn types(&mut self, value: &Node) {
        let words = if let Value::List(items) = &value.kind { items.as_slice() } else { std::slice::from_ref(value) };
        if words.is_empty() {
            self.report(&codes::SCHEMA, value.span, "`type` lists no type".into(), "name one, or remove `type`");
        }
        if let Some(item) = repeated(value) {
            self.report(&codes::SCHEMA, item.span, "a type is listed twice".into(), "remove one");
        }
        for word in words {
            match word.as_str() {
                Some(text) if TYPES.contains(&text) => {}
                Some(text) => {
                    let help = match nearest(text, TYPES.into_iter()) {
                        Some(near) => format!("did you mean `{near}`?"),
                        None => format!("types are {}", quoted_list(&TYPES)),
                    };
                    self.report(&codes::SCHEMA, word.span, format!("JSON Schema has no type `{text}`"), help);
                }
                None if word.is_null() => {
                    let message = "the type `null` needs quotes".to_owned();
                    self.report(&codes::SCHEMA, word.span, message, "write `\"null\"`");
                }
                None => {
                    let help = format!("types are {}", quoted_list(&TYPES));
                    self.wrong(word, "type", "a word or a list of words", help);
                }
            }
        }
    }

    fn texts(&mut self, name: &str, value: &Node) {
        let names = value.items();
        if !matches!(value.kind, Value::List(_)) {
            let help = match (name, &value.kind) {
                ("required", Value::Bool(_)) => {
                    "list the names of required properties in `required` beside `properties`"
                }
                _ => "write `[name, other]`",
            };
            return self.wrong(value, name, "a list of names", help);
        }
        let mut seen = HashSet::new();
        for item in names {
            match item.as_str() {
                None => self.wrong(item, name, "names", "put it in quotes"),
                Some(text) if !seen.insert(text) => {
                    self.report(&codes::SCHEMA, item.span, format!("`{text}` is listed twice"), "remove one");
                }
                Some(_) => {}
            }
        }
    }

    fn pattern(&mut self, value: &Node) {
        match value.as_str() {
            Some(text) => self.regex(text, value.span),
            None => self.wrong(value, "pattern", "a regular expression", "put it in quotes"),
        }
    }

    fn regex(&mut self, pattern: &str, span: Range) {
        // Parsing finds every error in a fraction of the time of compiling.
        match regex_syntax::parse(pattern) {
            Ok(_) if pattern.len() < 64 && !pattern.contains('{') => {}
            Ok(_) => {
                if RegexBuilder::new(pattern).size_limit(PATTERN_BYTES).build().is_err() {
                    let message = "this pattern takes too much memory".to_owned();
                    self.report(&codes::SCHEMA_PATTERN, span, message, "use smaller repetitions");
                }
            }
            Err(error) => {
                let unsupported = pattern.contains("(?=")
                    || pattern.contains("(?!")
                    || pattern.contains("(?<=")
                    || pattern.contains("(?<!")
                    || error.to_string().contains("backreference");
                if unsupported {
                    let message = "look-around and back references are not supported".to_owned();
                    let help = "they can take exponential time on input from outside; write the pattern without them";
                    self.report(&codes::SCHEMA_PATTERN, span, message, help);
                } else {
                    let reason = match &error {
                        regex_syntax::Error::Parse(error) => error.kind().to_string(),
                        regex_syntax::Error::Translate(error) => error.kind().to_string(),
                        _ => "it cannot be read".into(),
                    };
                    let message = format!("not a regular expression: {reason}");
                    self.report(&codes::SCHEMA_PATTERN, span, message, "see the syntax of RE2");
                }
            }
        }
    }

    fn reference(&mut self, keyword: &str, value: &Node) {
        let Some(target) = value.as_str() else {
            return self.wrong(value, keyword, "a string", "write `\"#/$defs/name\"`; quotes are needed before `#`");
        };
        let Some(fragment) = target.strip_prefix('#') else {
            let message = format!("`{target}` leads out of this schema");
            let help = "write the schema here, under `$defs`, and refer to it as `#/$defs/name`";
            return self.report(&codes::SCHEMA_REF, value.span, message, help);
        };
        self.refers = true;
        let entity = fragment.strip_prefix("/entities/");
        let found = match entity {
            Some(rest) => {
                let parts: Vec<&str> = rest.split('/').collect();
                let entity = self.entry.node("/spec/entities").and_then(|entities| entities.get(parts[0]));
                match parts.as_slice() {
                    [_] => entity.is_some(),
                    [_, "properties", field] => entity.and_then(|entity| entity.get("fields")?.get(field)).is_some(),
                    _ => false,
                }
            }
            None if fragment.is_empty() || fragment.starts_with('/') => {
                let decoded = percent_encoding::percent_decode_str(fragment).decode_utf8_lossy();
                let target = self.root.pointer(&decoded);
                target.is_some_and(|target| matches!(target.kind, Value::Map(_) | Value::Bool(_)))
            }
            None => self.anchors.get_or_insert_with(|| anchors(self.root)).contains(fragment),
        };
        if !found {
            let candidates: Vec<String> = match entity {
                Some(_) => self.entry.node("/spec/entities").map_or(&[][..], Node::entries).iter(),
                None => self.root.get("$defs").map_or(&[][..], Node::entries).iter(),
            }
            .map(|entry| entry.key.name.to_string())
            .collect();
            let last = target.rsplit('/').next().unwrap_or(target);
            let help = match nearest(last, candidates.iter().map(String::as_str)) {
                Some(near) => format!("did you mean `{near}`?"),
                None if candidates.is_empty() => "there is nothing to refer to".into(),
                None => format!("there are {}", quoted_list(&candidates)),
            };
            self.report(&codes::SCHEMA_REF, value.span, format!("`{target}` refers to nothing"), help);
        }
    }
}

fn is_not_positive(value: &Node) -> bool {
    matches!(&value.kind, Value::Number(number) if number.as_f64().is_some_and(|number| number <= 0.0))
}

/// The second of two equal items.
fn repeated(list: &Node) -> Option<&Node> {
    let items = list.items();
    if items.len() < 2 {
        return None;
    }
    // Linear time: comparing each pair of a hundred thousand items would take minutes.
    let mut seen = HashSet::new();
    items.iter().find(|item| !seen.insert(item.to_json().to_string()))
}

fn anchors(root: &Node) -> HashSet<&str> {
    let mut found = HashSet::new();
    let mut stack = vec![root];
    while let Some(node) = stack.pop() {
        let named = ["$anchor", "$dynamicAnchor"].iter().filter_map(|keyword| node.get(keyword)?.as_str());
        found.extend(named);
        stack.extend(node.items());
        stack.extend(node.entries().iter().map(|entry| &entry.value));
    }
    found
}
