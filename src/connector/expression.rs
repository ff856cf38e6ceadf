//! Compilation and errors of templates in connectors.

use serde_json::Value;

use super::error::{CallError, ErrorCode};
use crate::template::{RenderError, RenderErrorKind, Template, Tree};

/// Compiles a template.
pub(super) fn template(source: &str) -> Result<Template, String> {
    Template::compile(source).map_err(|problem| problem.message)
}

/// Compiles a tree whose string leaves are templates.
pub(super) fn tree(value: &Value) -> Result<Tree, String> {
    Tree::compile(value).map_err(|(pointer, problem)| format!("{pointer}: {}", problem.message))
}

/// The error of a template of a request, with the field that holds it.
pub(super) fn failed(field: &str, error: &RenderError) -> CallError {
    let code = match error.kind {
        RenderErrorKind::Secret => ErrorCode::Credential,
        _ => ErrorCode::Template,
    };
    CallError::new(code, format!("{field}: {error}"))
}

/// True for values that are true in Jinja, except texts that mean false.
pub(super) fn is_true(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(value) => *value,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !matches!(text.trim(), "" | "false" | "False" | "0" | "null" | "none" | "None"),
        Value::Array(items) => !items.is_empty(),
        Value::Object(map) => !map.is_empty(),
    }
}
