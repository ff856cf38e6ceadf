//! JSON Schemas as TypeScript types.

use std::fmt::Write as _;

use serde_json::{Map, Value};

/// Deepest nesting of a type.
const DEEPEST: usize = 24;
/// Most parts of one type: references are written out, and may stand for each other again and again.
const MOST: usize = 2_000;

/// One schema on its way to a type.
struct Writer<'a> {
    /// The whole schema, for `#/$defs/x`.
    root: &'a Value,
    /// The type of a record of the connector, by its name in `#/entities/x`.
    entity: &'a dyn Fn(&str) -> Option<String>,
    left: usize,
}

/// The type of what fits a schema; `unknown` where TypeScript has no words for it. `entity` names the types of
/// `#/entities/x`; lines after the first are indented by `indent` steps.
pub(super) fn type_of(schema: &Value, entity: &dyn Fn(&str) -> Option<String>, indent: usize) -> String {
    Writer { root: schema, entity, left: MOST }.of(schema, indent, 0)
}

/// May everything be left out of what fits a schema?
pub(super) fn fits_nothing(schema: &Value) -> bool {
    let none = |key: &str| schema.get(key).is_none();
    let required = schema.get("required").and_then(Value::as_array).is_some_and(|required| !required.is_empty());
    let is_object = schema.get("type").is_some_and(|name| name == "object");
    is_object
        && !required
        && ["$ref", "allOf", "anyOf", "oneOf", "const", "enum", "minProperties"].into_iter().all(none)
}

/// The type of a value that is known.
pub(super) fn type_of_value(value: &Value, indent: usize) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(_) => "boolean".to_owned(),
        Value::Number(_) => "number".to_owned(),
        Value::String(_) => "string".to_owned(),
        Value::Array(items) => {
            let types: Vec<String> = items.iter().take(MOST).map(|item| type_of_value(item, indent)).collect();
            format!("readonly {}[]", grouped(&joined(types, " | ").unwrap_or_else(|| "unknown".to_owned())))
        }
        Value::Object(fields) => {
            let mut text = String::from("{\n");
            for (name, value) in sorted(fields) {
                let inner = type_of_value(value, indent + 1);
                let _ = writeln!(text, "{}readonly {}: {inner};", pad(indent + 1), key(name));
            }
            format!("{text}{}}}", pad(indent))
        }
    }
}

impl Writer<'_> {
    fn of(&mut self, schema: &Value, indent: usize, depth: usize) -> String {
        let unknown = || "unknown".to_owned();
        if depth > DEEPEST || self.left == 0 {
            return unknown();
        }
        self.left -= 1;
        let map = match schema {
            Value::Bool(false) => return "never".to_owned(),
            Value::Object(map) => map,
            _ => return unknown(),
        };
        if let Some(value) = map.get("const") {
            return literal(value);
        }
        if let Some(values) = map.get("enum").and_then(Value::as_array) {
            return joined(values.iter().take(MOST).map(literal).collect(), " | ")
                .unwrap_or_else(|| "never".to_owned());
        }
        let mut parts = Vec::new();
        if let Some(to) = map.get("$ref").and_then(Value::as_str) {
            parts.push(self.reference(to, indent, depth));
        }
        let is_wide = |text: &String| text != "unknown";
        parts.extend(Some(self.base(map, indent, depth)).filter(is_wide));
        for part in list(map, "allOf") {
            parts.extend(Some(self.of(part, indent, depth + 1)).filter(is_wide));
        }
        for group in ["anyOf", "oneOf"] {
            let types: Vec<String> = list(map, group).iter().map(|part| self.of(part, indent, depth + 1)).collect();
            // A choice with something that can be anything is no choice. Parts of an object that only say what is
            // required are that.
            if types.iter().all(is_wide) {
                parts.extend(joined(types, " | "));
            }
        }
        let several = parts.len() > 1;
        let parts = parts.into_iter().map(|part| if several { grouped(&part) } else { part }).collect();
        let whole = joined(parts, " & ").unwrap_or_else(unknown);
        match map.get("nullable") {
            Some(Value::Bool(true)) if whole != "unknown" => {
                joined(vec![whole, "null".to_owned()], " | ").unwrap_or_else(unknown)
            }
            _ => whole,
        }
    }

    fn reference(&mut self, to: &str, indent: usize, depth: usize) -> String {
        if let Some(name) = to.strip_prefix("#/entities/") {
            return (self.entity)(name).unwrap_or_else(|| "unknown".to_owned());
        }
        let root = self.root;
        match to.strip_prefix('#').filter(|pointer| pointer.starts_with('/')).and_then(|at| root.pointer(at)) {
            // What refers to itself ends at the limits, early: a tree of records is readable to some depth.
            Some(schema) => self.of(schema, indent, depth + DEEPEST / 4),
            None => "unknown".to_owned(),
        }
    }

    /// By `type`, and by the keywords that imply one.
    fn base(&mut self, map: &Map<String, Value>, indent: usize, depth: usize) -> String {
        let names: Vec<&str> = match map.get("type") {
            Some(Value::String(name)) => vec![name],
            Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
            _ if map.contains_key("properties") => vec!["object"],
            _ if map.contains_key("items") || map.contains_key("prefixItems") => vec!["array"],
            _ => Vec::new(),
        };
        let types = names.into_iter().map(|name| match name {
            "string" | "boolean" | "null" => name.to_owned(),
            "integer" | "number" => "number".to_owned(),
            "array" => self.array(map, indent, depth),
            "object" => self.object(map, indent, depth),
            _ => "unknown".to_owned(),
        });
        joined(types.collect(), " | ").unwrap_or_else(|| "unknown".to_owned())
    }

    fn array(&mut self, map: &Map<String, Value>, indent: usize, depth: usize) -> String {
        let first = list(map, "prefixItems");
        let rest = map.get("items");
        if first.is_empty() {
            let item = rest.map_or_else(|| "unknown".to_owned(), |item| self.of(item, indent, depth + 1));
            return format!("{}[]", grouped(&item));
        }
        // Items may be left out, unless there must be as many.
        let least = map.get("minItems").and_then(Value::as_u64).unwrap_or(0);
        let mut types = Vec::new();
        for (at, item) in (0_u64..).zip(first) {
            let item = grouped(&self.of(item, indent, depth + 1));
            types.push(if at < least { item } else { format!("{item}?") });
        }
        match rest {
            Some(Value::Bool(false)) => {}
            rest => {
                let rest = rest.map_or_else(|| "unknown".to_owned(), |rest| self.of(rest, indent, depth + 1));
                types.push(format!("...{}[]", grouped(&rest)));
            }
        }
        format!("[{}]", types.join(", "))
    }

    fn object(&mut self, map: &Map<String, Value>, indent: usize, depth: usize) -> String {
        let more = map.get("additionalProperties");
        let empty = Map::new();
        let properties = map.get("properties").and_then(Value::as_object).unwrap_or(&empty);
        let required: Vec<&str> = list(map, "required").iter().filter_map(Value::as_str).collect();
        let beyond: Vec<&str> = required.iter().copied().filter(|name| !properties.contains_key(*name)).collect();
        if properties.is_empty() && beyond.is_empty() {
            return match more {
                Some(Value::Bool(false)) => "Record<string, never>".to_owned(),
                Some(schema @ Value::Object(_)) => {
                    format!("{{ [name: string]: {} }}", self.of(schema, indent, depth + 1))
                }
                _ => "{ [name: string]: unknown }".to_owned(),
            };
        }
        let mut text = String::from("{\n");
        for (name, schema) in sorted(properties) {
            doc(&mut text, &words_of(schema), indent + 1);
            let optional = if required.contains(&name.as_str()) { "" } else { "?" };
            let inner = self.of(schema, indent + 1, depth + 1);
            let _ = writeln!(text, "{}{}{optional}: {inner};", pad(indent + 1), key(name));
        }
        for name in beyond {
            let _ = writeln!(text, "{}{}: unknown;", pad(indent + 1), key(name));
        }
        // With a type of its own it would have to fit every property too.
        if matches!(more, Some(Value::Bool(true) | Value::Object(_))) {
            let _ = writeln!(text, "{}[name: string]: unknown;", pad(indent + 1));
        }
        format!("{text}{}}}", pad(indent))
    }
}

fn list<'a>(map: &'a Map<String, Value>, key: &str) -> &'a [Value] {
    map.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn sorted(map: &Map<String, Value>) -> Vec<(&String, &Value)> {
    let mut fields: Vec<(&String, &Value)> = map.iter().collect();
    fields.sort_by_key(|(name, _)| *name);
    fields
}

/// A value as a type that only it has.
fn literal(value: &Value) -> String {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::String(text) => quoted(text),
        Value::Array(_) | Value::Object(_) => "unknown".to_owned(),
    }
}

/// Types without repetitions; `unknown` where one of a union is.
fn joined(types: Vec<String>, by: &str) -> Option<String> {
    if by == " | " && types.iter().any(|one| one == "unknown") {
        return Some("unknown".to_owned());
    }
    let mut once: Vec<String> = Vec::with_capacity(types.len());
    for one in types {
        if !once.contains(&one) {
            once.push(one);
        }
    }
    (!once.is_empty()).then(|| once.join(by))
}

/// In brackets, where something binds less than what comes beside it.
fn grouped(text: &str) -> String {
    let mut depth = 0_i32;
    let mut inside = false;
    let mut before = ' ';
    for letter in text.chars() {
        match letter {
            '"' if before != '\\' => inside = !inside,
            '{' | '[' | '(' if !inside => depth += 1,
            '}' | ']' | ')' if !inside => depth -= 1,
            '|' | '&' if !inside && depth == 0 => return format!("({text})"),
            _ => {}
        }
        // A backslash that is escaped escapes nothing.
        before = if before == '\\' && letter == '\\' { ' ' } else { letter };
    }
    if text.starts_with("readonly ") { format!("({text})") } else { text.to_owned() }
}

/// The name of a property; quoted where it is no identifier.
pub(super) fn key(name: &str) -> String {
    let mut letters = name.chars();
    let starts = |c: char| c.is_ascii_alphabetic() || c == '_' || c == '$';
    let is_identifier = letters.next().is_some_and(starts) && letters.all(|c| starts(c) || c.is_ascii_digit());
    if is_identifier { name.to_owned() } else { quoted(name) }
}

/// Text as a literal.
pub(super) fn quoted(text: &str) -> String {
    Value::from(text).to_string().replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029")
}

pub(super) fn pad(indent: usize) -> String {
    "  ".repeat(indent)
}

/// What a schema says of itself.
fn words_of(schema: &Value) -> Vec<String> {
    let text = |key: &str| schema.get(key).and_then(Value::as_str).map(str::to_owned);
    let mut words: Vec<String> = text("title").into_iter().chain(text("description")).collect();
    if schema.get("deprecated") == Some(&Value::Bool(true)) {
        words.push("@deprecated".to_owned());
    }
    words
}

/// Writes paragraphs as a comment; nothing where there are none.
pub(super) fn doc(out: &mut String, paragraphs: &[String], indent: usize) {
    // The end of a comment would end this one.
    let clean = |text: &str| text.replace("*/", "*\\/").replace(|c: char| c.is_control(), " ").trim_end().to_owned();
    let lines: Vec<String> = paragraphs
        .iter()
        .filter(|paragraph| !paragraph.trim().is_empty())
        .enumerate()
        .flat_map(|(at, paragraph)| {
            let apart = (at > 0 && !paragraph.starts_with('@')).then(String::new);
            apart.into_iter().chain(paragraph.trim().lines().map(clean)).collect::<Vec<_>>()
        })
        .collect();
    let pad = pad(indent);
    match lines.as_slice() {
        [] => {}
        [line] => {
            let _ = writeln!(out, "{pad}/** {line} */");
        }
        lines => {
            let _ = writeln!(out, "{pad}/**");
            for line in lines {
                let _ = writeln!(out, "{}", format!("{pad} * {line}").trim_end());
            }
            let _ = writeln!(out, "{pad} */");
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(schema: &Value) -> String {
        let entity = |name: &str| (name == "contact").then(|| "Crm.ContactEntity".to_owned());
        type_of(schema, &entity, 0).split_whitespace().collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn schemas_become_types() {
        let cases = [
            (json!(true), "unknown"),
            (json!(false), "never"),
            (json!({}), "unknown"),
            (json!({"type": "integer"}), "number"),
            (json!({"type": ["string", "null"]}), "string | null"),
            (json!({"type": "string", "nullable": true}), "string | null"),
            (json!({"enum": ["a", "b\"|", 1, null]}), r#""a" | "b\"|" | 1 | null"#),
            (json!({"const": "x"}), r#""x""#),
            (json!({"const": {"a": 1}}), "unknown"),
            (json!({"type": "array", "items": {"type": ["string", "number"]}}), "(string | number)[]"),
            (json!({"type": "array", "items": {"enum": ["a|b"]}}), r#""a|b"[]"#),
            (json!({"type": "array"}), "unknown[]"),
            (json!({"prefixItems": [{"type": "string"}, {}], "minItems": 1}), "[string, unknown?, ...unknown[]]"),
            (json!({"type": "object"}), "{ [name: string]: unknown }"),
            (json!({"type": "object", "additionalProperties": {"type": "number"}}), "{ [name: string]: number }"),
            (
                json!({"required": ["b", "a-b"], "properties": {"b": {"type": "string"}, "a-b": {}, "a": {"type": "boolean"}}}),
                r#"{ a?: boolean; "a-b": unknown; b: string; }"#,
            ),
            (
                json!({"properties": {"a": {}}, "required": ["z"], "additionalProperties": true}),
                "{ a?: unknown; z: unknown; [name: string]: unknown; }",
            ),
            (json!({"$ref": "#/entities/contact"}), "Crm.ContactEntity"),
            (json!({"$ref": "#/entities/other"}), "unknown"),
            (json!({"$ref": "https://example.org/x"}), "unknown"),
            (json!({"$defs": {"x": {"type": "string"}}, "$ref": "#/$defs/x"}), "string"),
            (
                json!({"oneOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}),
                "string | string[]",
            ),
            (
                json!({"allOf": [{"$ref": "#/entities/contact"}, {"anyOf": [{"type": "string"}, {"type": "null"}]}]}),
                "Crm.ContactEntity & (string | null)",
            ),
            (
                json!({"type": "object", "properties": {"a": {"type": "string"}}, "anyOf": [{"required": ["a"]}, {"required": ["b"]}]}),
                "{ a?: string; }",
            ),
        ];
        for (schema, expected) in cases {
            assert_eq!(of(&schema), expected, "{schema}");
        }
    }

    #[test]
    fn what_refers_to_itself_ends() {
        let tree = json!({"$ref": "#/$defs/t", "$defs": {"t": {"properties": {"a": {"$ref": "#/$defs/t"}, "b": {"$ref": "#/$defs/t"}}}}});
        assert!(of(&tree).len() < 10_000);
        let bomb: Map<String, Value> = (0..20)
            .map(|at| {
                let next = json!({"$ref": format!("#/$defs/d{}", at + 1)});
                (format!("d{at}"), json!({"properties": {"a": next, "b": next, "c": next}}))
            })
            .collect();
        assert!(of(&json!({"$ref": "#/$defs/d0", "$defs": bomb})).len() < 100_000);
    }

    #[test]
    fn comments_cannot_be_left() {
        let mut text = String::new();
        doc(&mut text, &["Ends */ here\nand\u{7} goes on ".to_owned(), "@deprecated".to_owned()], 1);
        assert_eq!(text, "  /**\n   * Ends *\\/ here\n   * and  goes on\n   * @deprecated\n   */\n");
    }

    #[test]
    fn inputs_may_be_left_out_where_nothing_is_required() {
        assert!(fits_nothing(&json!({"type": "object", "properties": {"a": {}}})));
        assert!(!fits_nothing(&json!({"type": "object", "required": ["a"]})));
        assert!(!fits_nothing(&json!({"$ref": "#/entities/contact"})));
    }
}
