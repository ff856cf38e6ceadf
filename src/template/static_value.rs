//! The part of a template's value that is known before it is rendered.

use minijinja::machinery::ast::{BinOpKind, Expr, UnaryOpKind};
use serde_json::Value;

use super::name_path::name_path;
use super::parser;
use crate::text::{MAX_PARTIAL_DEPTH, PartialMap, PartialValue, ValueTypes};

/// A function from a path of the context, as its root and names, to the known part of its value.
pub type PathValue<'a> = dyn Fn(&str, &[&str]) -> PartialValue + 'a;

/// The known part of the value of a leaf of a tree (`Template::render_value`): a text without Jinja is itself, a template
/// that is one expression has the type of its value, and every other template renders a string.
pub fn static_value(source: &str, path: &PathValue<'_>) -> PartialValue {
    if parser::is_plain(source) {
        return PartialValue::Scalar(source.into());
    }
    // A syntax error is reported by the check of templates.
    let Ok(template) = parser::parse(source) else { return PartialValue::Unknown };
    match parser::single_expression(&template) {
        Some(expression) => of_expression(expression, path, 0),
        None => PartialValue::Typed(ValueTypes::STRING),
    }
}

fn of_expression(expression: &Expr<'_>, path: &PathValue<'_>, depth: usize) -> PartialValue {
    if depth > MAX_PARTIAL_DEPTH {
        return PartialValue::Unknown;
    }
    if let Some(read) = name_path(expression) {
        return path(read.root, &read.names);
    }
    match expression {
        Expr::Const(literal) => match serde_json::to_value(&literal.value) {
            Ok(Value::Array(_) | Value::Object(_)) | Err(_) => PartialValue::Unknown,
            Ok(scalar) => PartialValue::Scalar(scalar),
        },
        Expr::List(list) => PartialValue::List {
            items: list.items.iter().map(|item| of_expression(item, path, depth + 1)).collect(),
            more: false,
        },
        Expr::Map(map) => {
            let mut known = PartialMap::default();
            for (key, value) in map.keys.iter().zip(&map.values) {
                match key {
                    Expr::Const(key) if key.value.as_str().is_some() => {
                        let name = key.value.as_str().unwrap_or_default().to_owned();
                        known.set(name, of_expression(value, path, depth + 1));
                    }
                    _ => return PartialValue::Typed(ValueTypes::MAP),
                }
            }
            PartialValue::Map(known)
        }
        Expr::IfExpr(choice) => match &choice.false_expr {
            Some(other) => of_expression(&choice.true_expr, path, depth + 1).or(of_expression(other, path, depth + 1)),
            None => PartialValue::Unknown,
        },
        Expr::UnaryOp(operation) if matches!(operation.op, UnaryOpKind::Not) => PartialValue::Typed(ValueTypes::BOOL),
        Expr::Test(_) | Expr::Compare(_) => PartialValue::Typed(ValueTypes::BOOL),
        Expr::BinOp(operation) => match operation.op {
            BinOpKind::Concat => PartialValue::Typed(ValueTypes::STRING),
            BinOpKind::Eq
            | BinOpKind::Ne
            | BinOpKind::Lt
            | BinOpKind::Lte
            | BinOpKind::Gt
            | BinOpKind::Gte
            | BinOpKind::In => PartialValue::Typed(ValueTypes::BOOL),
            _ => PartialValue::Unknown,
        },
        Expr::Filter(filter) => match filter.name {
            "string" | "upper" | "lower" | "trim" | "title" | "capitalize" | "tojson" | "json_encode"
            | "base64_encode" => PartialValue::Typed(ValueTypes::STRING),
            "length" | "count" => PartialValue::Typed(ValueTypes::INTEGER),
            "bool" => PartialValue::Typed(ValueTypes::BOOL),
            _ => PartialValue::Unknown,
        },
        _ => PartialValue::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::template::{Context, Limits, Template, TemplateHost};

    struct NoHost;

    impl TemplateHost for NoHost {
        fn secret(&self, _: &str) -> Result<String, String> {
            Err(String::new())
        }

        fn variable(&self, _: &str) -> Option<String> {
            None
        }

        fn now(&self) -> i64 {
            0
        }
    }

    #[test]
    fn knows_the_type_of_what_a_template_renders() {
        let unknown: &PathValue<'_> = &|_, _| PartialValue::Unknown;
        for (source, expected) in [
            ("plain", PartialValue::of(&json!("plain"))),
            ("a {{ 1 }}", PartialValue::Typed(ValueTypes::STRING)),
            ("{{ 1 }}", PartialValue::of(&json!(1))),
            ("{{ 'x' }}", PartialValue::of(&json!("x"))),
            ("{{ none }}", PartialValue::of(&json!(null))),
            ("{{ [1, 'x'] | length }}", PartialValue::Typed(ValueTypes::INTEGER)),
            ("{{ not true }}", PartialValue::Typed(ValueTypes::BOOL)),
            ("{{ 1 if true else 'x' }}", PartialValue::Typed(ValueTypes::INTEGER | ValueTypes::STRING)),
            ("{{ 1 ~ 2 }}", PartialValue::Typed(ValueTypes::STRING)),
            ("{{ {'a': 1} }}", PartialValue::of(&json!({"a": 1}))),
            ("{{ 3 | string }}", PartialValue::Typed(ValueTypes::STRING)),
            ("{{ 'x' | upper }}", PartialValue::Typed(ValueTypes::STRING)),
            ("{{ [1] | tojson }}", PartialValue::Typed(ValueTypes::STRING)),
            ("{{ 'a' == 'b' }}", PartialValue::Typed(ValueTypes::BOOL)),
            ("{% if true %}1{% endif %}", PartialValue::Typed(ValueTypes::STRING)),
            ("{{ 1 + 2 }}", PartialValue::Unknown),
            ("{{ input.x }}", PartialValue::Unknown),
            ("{{ broken", PartialValue::Unknown),
        ] {
            let value = static_value(source, unknown);
            assert_eq!(value, expected, "{source}");
            // The rendered value is of this type.
            if let Ok(template) = Template::compile(source)
                && let Ok(rendered) = template.render_value(&Context::new(Arc::new(NoHost)), &Limits::default())
            {
                assert!(!value.types().excludes(ValueTypes::of(&rendered)), "{source} renders {rendered}");
            }
        }
        let typed: &PathValue<'_> = &|root, names| match (root, names) {
            ("input", ["x", "y"]) => PartialValue::Typed(ValueTypes::INTEGER),
            _ => PartialValue::Unknown,
        };
        assert_eq!(static_value("{{ input.x['y'] }}", typed), PartialValue::Typed(ValueTypes::INTEGER));
    }
}
