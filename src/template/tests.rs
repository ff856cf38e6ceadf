//! Tests of templates.

mod analysis;
mod bombs;
mod dialect;
mod filters;
mod reference;
mod rendering;
mod tokens;

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};

use super::{Context, Limits, RenderError, RenderErrorKind, Template, TemplateHost};

struct TestHost;

impl TemplateHost for TestHost {
    fn secret(&self, name: &str) -> Result<String, String> {
        match name {
            "token" => Ok("s3cr3t-value".to_owned()),
            _ => Err("it is not set".to_owned()),
        }
    }

    fn variable(&self, name: &str) -> Option<String> {
        (name == "instance_url").then(|| "https://example.com".to_owned())
    }

    fn now(&self) -> i64 {
        1_700_000_000
    }
}

fn context() -> Context {
    let mut ctx = Context::new(Arc::new(TestHost));
    ctx.set(
        "input",
        json!({
            "name": "Ada Lovelace", "email": "ada@example.com", "n": 3, "f": 2.5, "yes": true,
            "no": null, "zero": -0.0, "big": u64::MAX, "empty": "",
            "tags": ["b", "a", "c"],
            "people": [
                {"name": "Zoe", "age": 30, "city": "Bern"},
                {"name": "bob", "age": 25, "city": "Oslo"},
                {"name": "Amy", "age": 35, "city": "Bern"},
            ],
            "map": {"z": 1, "a": 2},
        }),
    );
    ctx.set("user", json!({"id": "u1", "email": "u@example.com"}));
    ctx.set("body_text", "raw body");
    ctx.set_bytes("body_raw", Bytes::from_static(&[0xff, 0x00, 0x41]));
    ctx.set_response(
        200,
        BTreeMap::from([("content-type".to_owned(), "application/json".to_owned())]),
        Bytes::from_static(br#"{"z": 1, "a": [1, 2.0, -0.0], "items": [{"id": 7}]}"#),
    );
    ctx
}

fn render(source: &str) -> Result<String, RenderError> {
    let template = Template::compile(source).map_err(|problem| RenderError {
        kind: RenderErrorKind::Other,
        message: format!("does not compile: {problem:?}"),
        line: 0,
        range: None,
        pointer: None,
    })?;
    template.render_text(&context(), &Limits::default())
}

fn value(source: &str) -> Result<Value, RenderError> {
    Template::compile(source).unwrap().render_value(&context(), &Limits::default())
}

/// Checks a table of templates with the expected text.
#[track_caller]
fn check(table: &[(&str, &str)]) {
    let wrong: Vec<String> = table
        .iter()
        .filter_map(|(source, wanted)| match render(source) {
            Ok(got) if got == *wanted => None,
            got => Some(format!("{source}\n  wanted {wanted:?}\n  got    {got:?}")),
        })
        .collect();
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// Checks a table of templates with the kind of the expected error and a part
/// of its message.
#[track_caller]
fn fails(table: &[(&str, RenderErrorKind, &str)]) {
    let wrong: Vec<String> = table
        .iter()
        .filter_map(|(source, kind, part)| match render(source) {
            Err(error) if error.kind == *kind && error.message.contains(part) => None,
            got => Some(format!("{source}\n  wanted {kind:?} {part:?}\n  got    {got:?}")),
        })
        .collect();
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}
