//! Row 31: templates that try to exhaust memory or time, in a process with little memory.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use evenkeel::template::{Context, Limits, Template};
use serde_json::json;

use super::{child, print_line, templates::Fixed};

const BOMBS: &str = include_str!("../bombs.txt");

/// Expands `§repeat 3000 (§` to 3000 brackets, which keeps the file readable.
fn expand(bomb: &str) -> String {
    let mut out = String::new();
    for (at, part) in bomb.split('§').enumerate() {
        let repeated = (at % 2 == 1).then(|| part.strip_prefix("repeat ")?.split_once(' ')).flatten();
        match repeated {
            Some((times, unit)) => out.push_str(&unit.repeat(times.parse().unwrap())),
            None => out.push_str(part),
        }
    }
    out
}

#[test]
fn row_31_template_bombs_in_512_mebibytes() {
    let out =
        child("ulimit -v 524288 && exec \"$0\" \"$@\"", "hostile::bombs::worker_31", &[], Duration::from_mins(10))
            .unwrap();
    let count = BOMBS.split("\n----\n").count();
    assert!(count > 40, "the file is there");
    assert!(out.contains(&format!("\n{count} bombs ended with an error\n")), "{out}");
}

#[test]
#[ignore = "run by another test in a separate process"]
fn worker_31() {
    let mut context = Context::new(Arc::new(Fixed::default()));
    let people = json!([{"name": "Zoe", "age": 30}, {"name": "bob", "age": 25}, {"name": "Amy", "age": 35}]);
    context.set(
        "input",
        json!({
            "name": "Ada Lovelace", "email": "ada@example.com", "n": 3, "f": 2.5, "yes": true, "no": null,
            "tags": ["b", "a", "c"], "people": people, "map": {"z": 1, "a": 2}, "big": u64::MAX, "empty": "",
        }),
    );
    context.set("user", json!({"id": "u1", "email": "u@example.com"}));
    context.set("body_text", "raw body");
    context.set_bytes("body_raw", bytes::Bytes::from_static(&[0xff, 0x00, 0x41]));
    context.set_response(200, BTreeMap::new(), bytes::Bytes::from_static(br#"{"items": [{"id": 7}]}"#));
    let mut ended = 0;
    for bomb in BOMBS.split("\n----\n").map(expand) {
        let name: String = bomb.chars().take(120).collect();
        // Identifies the template if the process is killed.
        print_line(&format!("\n{name}\n"));
        if let Ok(template) = Template::compile(&bomb) {
            let text = template.render_text(&context, &Limits::default()).map(|text| text.len());
            assert!(text.is_err(), "{name}: rendered {text:?} bytes");
            let value = template.render_value(&context, &Limits::default()).map(|value| value.to_string().len());
            assert!(value.is_err(), "{name}: made a value of {value:?} bytes");
        }
        ended += 1;
    }
    print_line(&format!("\n{ended} bombs ended with an error\n"));
}
