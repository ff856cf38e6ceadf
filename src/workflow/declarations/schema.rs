//! TypeScript types of JSON Schemas.

use std::fmt::Write as _;

use serde_json::{Map, Value};

/// Maximum nesting of a type.
const MAX_DEPTH: usize = 24;
/// Maximum number of parts of a type. References are expanded, and may be recursive.
const MAX_PARTS: usize = 2_000;

/// The writer of the type of one schema.
struct Writer<'a> {
    /// The root schema, for `#/$defs/x`.
    root: &'a Value,
    /// The name of the type of an entity `#/entities/x`.
    entity: &'a dyn Fn(&str) -> Option<String>,
    /// Number of parts that may still be written.
    left: usize,
}

/// The type of the valid values of a schema; `unknown` if TypeScript cannot express it. `entity` names the types of
/// `#/entities/x`. Lines after the first are indented by `indent` steps.
pub(super) fn type_of(schema: &Value, entity: &dyn Fn(&str) -> Option<String>, indent: usize) -> String {
    Writer { root: schema, entity, left: MAX_PARTS }.type_of(schema, indent, 0)
}

/// True if a schema accepts an empty object.
pub(super) fn is_fully_optional(schema: &Value) -> bool {
    let none = |key: &str| schema.get(key).is_none();
    let required = schema.get("required").and_then(Value::as_array).is_some_and(|required| !required.is_empty());
    let is_object = schema.get("type").is_some_and(|name| name == "object");
    is_object
        && !required
        && ["$ref", "allOf", "anyOf", "oneOf", "const", "enum", "minProperties"].into_iter().all(none)
}

/// The type of a known value.
pub(super) fn type_of_value(value: &Value, indent: usize) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(_) => "boolean".to_owned(),
        Value::Number(_) => "number".to_owned(),
        Value::String(_) => "string".to_owned(),
        Value::Array(items) => {
            let types: Vec<String> = items.iter().take(MAX_PARTS).map(|item| type_of_value(item, indent)).collect();
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
    fn type_of(&mut self, schema: &Value, indent: usize, depth: usize) -> String {
        let unknown = || "unknown".to_owned();
        if depth > MAX_DEPTH || self.left == 0 {
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
            return joined(values.iter().take(MAX_PARTS).map(literal).collect(), " | ")
                .unwrap_or_else(|| "never".to_owned());
        }
        let mut parts = Vec::new();
        if let Some(to) = map.get("$ref").and_then(Value::as_str) {
            parts.push(self.reference(to, indent, depth));
        }
        let is_wide = |text: &String| text != "unknown";
        parts.extend(Some(self.base(map, indent, depth)).filter(is_wide));
        for part in list(map, "allOf") {
            parts.extend(Some(self.type_of(part, indent, depth + 1)).filter(is_wide));
        }
        for group in ["anyOf", "oneOf"] {
            let types: Vec<String> =
                list(map, group).iter().map(|part| self.type_of(part, indent, depth + 1)).collect();
            // A union with an unknown type is unknown. Alternatives that only list required properties are unknown types.
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
            // Recursive schemas end early at the depth limit, which keeps the type readable.
            Some(schema) => self.type_of(schema, indent, depth + MAX_DEPTH / 4),
            None => "unknown".to_owned(),
        }
    }

    /// The type by `type`, or by the keywords that imply one.
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
            let item = rest.map_or_else(|| "unknown".to_owned(), |item| self.type_of(item, indent, depth + 1));
            return format!("{}[]", grouped(&item));
        }
        // Items beyond `minItems` are optional.
        let min_items = map.get("minItems").and_then(Value::as_u64).unwrap_or(0);
        let mut types = Vec::new();
        for (at, item) in (0_u64..).zip(first) {
            let item = grouped(&self.type_of(item, indent, depth + 1));
            types.push(if at < min_items { item } else { format!("{item}?") });
        }
        match rest {
            Some(Value::Bool(false)) => {}
            rest => {
                let rest = rest.map_or_else(|| "unknown".to_owned(), |rest| self.type_of(rest, indent, depth + 1));
                types.push(format!("...{}[]", grouped(&rest)));
            }
        }
        format!("[{}]", types.join(", "))
    }

    fn object(&mut self, map: &Map<String, Value>, indent: usize, depth: usize) -> String {
        let additional = map.get("additionalProperties");
        let empty = Map::new();
        let properties = map.get("properties").and_then(Value::as_object).unwrap_or(&empty);
        let required: Vec<&str> = list(map, "required").iter().filter_map(Value::as_str).collect();
        let undeclared: Vec<&str> = required.iter().copied().filter(|name| !properties.contains_key(*name)).collect();
        if properties.is_empty() && undeclared.is_empty() {
            return match additional {
                Some(Value::Bool(false)) => "Record<string, never>".to_owned(),
                Some(schema @ Value::Object(_)) => {
                    format!("{{ [name: string]: {} }}", self.type_of(schema, indent, depth + 1))
                }
                _ => "{ [name: string]: unknown }".to_owned(),
            };
        }
        let mut text = String::from("{\n");
        for (name, schema) in sorted(properties) {
            doc(&mut text, &documentation_of(schema), indent + 1);
            let optional = if required.contains(&name.as_str()) { "" } else { "?" };
            let inner = self.type_of(schema, indent + 1, depth + 1);
            let _ = writeln!(text, "{}{}{optional}: {inner};", pad(indent + 1), key(name));
        }
        for name in undeclared {
            let _ = writeln!(text, "{}{}: unknown;", pad(indent + 1), key(name));
        }
        // An index signature with a narrower type would have to match every property.
        if matches!(additional, Some(Value::Bool(true) | Value::Object(_))) {
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

/// The literal type of a value.
fn literal(value: &Value) -> String {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::String(text) => quoted(text),
        Value::Array(_) | Value::Object(_) => "unknown".to_owned(),
    }
}

/// Joins distinct types. A union with `unknown` is `unknown`.
fn joined(types: Vec<String>, separator: &str) -> Option<String> {
    if separator == " | " && types.iter().any(|name| name == "unknown") {
        return Some("unknown".to_owned());
    }
    let mut distinct: Vec<String> = Vec::with_capacity(types.len());
    for name in types {
        if !distinct.contains(&name) {
            distinct.push(name);
        }
    }
    (!distinct.is_empty()).then(|| distinct.join(separator))
}

/// Adds parentheses to unions, intersections and `readonly` types.
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
        // An escaped backslash does not escape the next character.
        before = if before == '\\' && letter == '\\' { ' ' } else { letter };
    }
    if text.starts_with("readonly ") { format!("({text})") } else { text.to_owned() }
}

/// The name of a property, quoted unless it is an identifier.
pub(super) fn key(name: &str) -> String {
    let mut letters = name.chars();
    let starts = |c: char| c.is_ascii_alphabetic() || c == '_' || c == '$';
    let is_identifier = letters.next().is_some_and(starts) && letters.all(|c| starts(c) || c.is_ascii_digit());
    if is_identifier { name.to_owned() } else { quoted(name) }
}

/// A text as a literal.
pub(super) fn quoted(text: &str) -> String {
    Value::from(text).to_string().replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029")
}

pub(super) fn pad(indent: usize) -> String {
    "  ".repeat(indent)
}

/// The documentation of a schema.
fn documentation_of(schema: &Value) -> Vec<String> {
    let text = |key: &str| schema.get(key).and_then(Value::as_str).map(str::to_owned);
    let mut words: Vec<String> = text("title").into_iter().chain(text("description")).collect();
    if schema.get("deprecated") == Some(&Value::Bool(true)) {
        words.push("@deprecated".to_owned());
    }
    words
}

/// Writes paragraphs as a comment, if there are any.
pub(super) fn doc(out: &mut String, paragraphs: &[String], indent: usize) {
    // `*/` would end the comment.
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

    fn type_text(schema: &Value) -> String {
        let entity = |name: &str| (name == "contact").then(|| "Crm.ContactEntity".to_owned());
        type_of(schema, &entity, 0).split_whitespace().collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn converts_schemas_to_types() {
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
            assert_eq!(type_text(&schema), expected, "{schema}");
        }
    }

    #[test]
    fn recursive_schemas_are_limited() {
        let tree = json!({"$ref": "#/$defs/t", "$defs": {"t": {"properties": {"a": {"$ref": "#/$defs/t"}, "b": {"$ref": "#/$defs/t"}}}}});
        assert!(type_text(&tree).len() < 10_000);
        let bomb: Map<String, Value> = (0..20)
            .map(|at| {
                let next = json!({"$ref": format!("#/$defs/d{}", at + 1)});
                (format!("d{at}"), json!({"properties": {"a": next, "b": next, "c": next}}))
            })
            .collect();
        assert!(type_text(&json!({"$ref": "#/$defs/d0", "$defs": bomb})).len() < 100_000);
    }

    #[test]
    fn text_cannot_end_a_comment() {
        let mut text = String::new();
        doc(&mut text, &["Ends */ here\nand\u{7} goes on ".to_owned(), "@deprecated".to_owned()], 1);
        assert_eq!(text, "  /**\n   * Ends *\\/ here\n   * and  goes on\n   * @deprecated\n   */\n");
    }

    #[test]
    fn inputs_without_required_properties_are_optional() {
        assert!(is_fully_optional(&json!({"type": "object", "properties": {"a": {}}})));
        assert!(!is_fully_optional(&json!({"type": "object", "required": ["a"]})));
        assert!(!is_fully_optional(&json!({"$ref": "#/entities/contact"})));
    }
}
