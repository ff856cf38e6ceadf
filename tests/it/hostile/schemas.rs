//! Row 27: schemas that fetch, loop or do not terminate.

use std::io::ErrorKind;
use std::net::TcpListener;
use std::time::Duration;

use evenkeel::catalog::{self, Snapshot};
use evenkeel::connector::{ErrorCode, Runtime};
use evenkeel::definition::json_schema::JsonSchema;
use serde_json::{Map, Value, json};

use super::{
    FixedResponse, PROBE_LINES, assert_no_failures, call, child, errors, folder, input, prepare, print_line, probe,
};

/// A connector whose action `check` has a schema, written as JSON on one line, and a test with an input.
fn with_schema(schema: &Value, value: &Value) -> String {
    probe(&format!(
        "check:\n  input: {schema}\n  output: {schema}\n  http: {{ path: /x }}\n  tests:\n    - {{ name: one, input: {value}, \
         respond: {{ body: 1 }}, expectOutput: {value} }}\n"
    ))
}

/// The line of the input schema in [`with_schema`].
const SCHEMA_LINE: usize = PROBE_LINES + 2;

#[test]
fn row_27_nothing_is_fetched() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let at = format!("http://{}", listener.local_addr().unwrap());
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "{\"type\": \"string\"}").unwrap();
    let path = file.path().display();
    let schemas = [
        json!({"$ref": format!("{at}/a.json")}),
        json!({"properties": {"a": {"$ref": format!("{at}/a.json#/$defs/b")}}}),
        json!({"$dynamicRef": format!("{at}/a.json#x")}),
        json!({"$ref": format!("file://{path}")}),
        json!({"$ref": path.to_string()}),
        json!({"$ref": "other.json"}),
        json!({"$id": format!("{at}/root.json"), "$ref": "other.json"}),
        json!({"$ref": "//evil.example/a.json"}),
        json!({"$ref": "urn:uuid:deadbeef-4321-4321-4321-1234567890ab"}),
    ];
    let mut wrong = Vec::new();
    for schema in schemas {
        let reported = errors(&folder(&[("p.yaml", with_schema(&schema, &json!({"a": 1})))]));
        let reference = schema.to_string();
        // The value of the reference, in the input and in the output.
        let found = ["\"$ref\":", "\"$dynamicRef\":"].iter().find_map(|key| Some(reference.find(key)? + key.len()));
        let column = found.unwrap() + 1;
        let expected = [
            format!("EK0702 p.yaml:{SCHEMA_LINE}:{}", column + "      input: ".len()),
            format!("EK0702 p.yaml:{}:{}", SCHEMA_LINE + 1, column + "      output: ".len()),
        ];
        if reported != expected {
            wrong.push(format!("{schema}: {reported:?} instead of {expected:?}"));
        }
        if let Ok(compiled) = JsonSchema::compile(&schema, &Map::new()) {
            wrong.push(format!("{schema} was compiled: {:?}", compiled.violations(&json!({"a": 1}), 1)));
        }
    }
    // Two schemas that name an address without a reference to it.
    for schema in [json!({"$schema": format!("{at}/meta")}), json!({"$id": format!("{at}/a.json"), "type": "string"})] {
        let _either = JsonSchema::compile(&schema, &Map::new()).map(|schema| schema.accepts(&json!(1)));
        errors(&folder(&[("p.yaml", with_schema(&schema, &json!("a")))]));
    }
    assert_no_failures(wrong);
    assert_eq!(listener.accept().map(|_| ()).unwrap_err().kind(), ErrorKind::WouldBlock, "a connection was opened");
}

/// A schema that passes validation is enforced: a schema that cannot be compiled is reported or rejects every call, and
/// never silently accepts any input.
#[test]
fn row_27_a_schema_that_passes_is_enforced() {
    let words = "\\w".repeat(31);
    // Each schema rejects the number 5 within a list, apart from its other keywords.
    let schemas = [
        json!({"items": {"type": "string"}}),
        json!({"$schema": "https://json-schema.org/draft/2020-12/schema", "items": {"type": "string"}}),
        json!({"$schema": "http://json-schema.org/draft-07/schema#", "items": {"type": "string"}}),
        json!({"$schema": "http://evil.example/meta", "items": {"type": "string"}}),
        json!({"$schema": "", "items": {"type": "string"}}),
        json!({"$id": "http://x.example/a", "items": {"$ref": "#/$defs/s"}, "$defs": {"s": {"type": "string"}}}),
        json!({"items": {"$id": "http://x.example/a", "$ref": "#/$defs/s"}, "$defs": {"s": {"type": "string"}}}),
        json!({"items": {"$id": "a", "$ref": "#s"}, "$defs": {"s": {"$anchor": "s", "type": "string"}}}),
        json!({"$id": "#x", "items": {"type": "string"}}),
        json!({"$id": "::", "items": {"type": "string"}}),
        json!({"$anchor": "1 x", "items": {"type": "string"}}),
        json!({"items": {"type": "string"}, "multipleOf": 0}),
        json!({"items": {"type": "string"}, "multipleOf": -1}),
        json!({"items": {"type": "string"}, "contains": {"type": []}}),
        json!({"items": {"type": "string"}, "contains": {"type": ["null", "null", "number"]}}),
        json!({"items": {"type": "string"}, "enum": [[5], [5]]}),
        json!({"items": {"type": "string", "pattern": words}}),
        json!({"items": {"type": "string", "pattern": "(?i)a\\z"}}),
        json!({"items": {"type": "string", "pattern": "\\A(?P<n>[[:alpha:]&&[^b]]+)\\x{41}$"}}),
        json!({"items": {"type": "string", "pattern": "(?x) a # b"}}),
        json!({"items": {"type": "string", "pattern": "\\p{Greek}\\pL\\C"}}),
        json!({"items": {"type": "string", "pattern": "\\a\\cA\\/\\-\\Q"}}),
        json!({"items": {"type": "string", "pattern": "[^]"}}),
        json!({"items": {"type": "string", "format": "no-such-format"}}),
        json!({"items": {"type": "string"}, "maxItems": 18_446_744_073_709_551_615_u64}),
        json!({"items": {"type": "string"}, "minItems": 1.0}),
        json!({"items": {"type": "string"}, "definitions": {"a": {"$ref": "#/definitions/a"}}}),
        json!({"items": {"type": "string"}, "$defs": {"a": {"type": "text"}}}),
        json!({"items": {"$ref": "#/$defs/a%25b~1c"}, "$defs": {"a%b/c": {"type": "string"}}}),
        json!({"items": {"$ref": "#/properties/x/default"}, "properties": {"x": {"default": {"type": "string"}}}}),
        json!({"items": {"$ref": "#/enum/0"}, "enum": [{"type": "string"}]}),
        json!({"items": {"$ref": "#/x-own"}, "x-own": {"type": "string"}}),
        json!({"items": {"$ref": "#/required"}, "required": ["a"]}),
    ];
    let mut wrong = Vec::new();
    for schema in schemas {
        let text = probe(&format!("check:\n  input: {schema}\n  http: {{ path: /x }}\n"));
        let validated = folder(&[("p.yaml", text)]);
        if !errors(&validated).is_empty() {
            continue;
        }
        let Ok(runtime) = Runtime::compile(&validated.catalog, None, String::new(), None) else { continue };
        match prepare(&runtime, "check", &input(json!([5]))) {
            Err(_) => {}
            Ok(_) => wrong.push(format!("{schema} passes validation and accepts anything")),
        }
    }
    assert_no_failures(wrong);
}

/// Patterns and lists that take exponential or quadratic time in other engines.
#[test]
fn row_27_patterns_and_long_lists_end() {
    let long = "a".repeat(50_000) + "!";
    let patterns = ["(a+)+$", "(a|aa)+$", "(a|a)*$", "^(([a-z])+.)+[A-Z]([a-z])+$", "(.*a){20}", "(x+x+)+y"];
    for pattern in patterns {
        let schema = json!({"type": "string", "pattern": pattern, "maxLength": 60_000});
        let validated = folder(&[("p.yaml", with_schema(&schema, &json!(long)))]);
        assert!(
            errors(&validated).iter().all(|reported| reported.starts_with("EK070")),
            "{pattern}: {:?}",
            errors(&validated)
        );
        let compiled = JsonSchema::compile(&schema, &Map::new()).unwrap();
        assert!(compiled.accepts(&json!("a".repeat(40))) || pattern.contains(['!', 'A', 'y']), "{pattern}");
        compiled.violations(&json!(long), 20);
    }
    for pattern in ["(?=a)b", "(a)\\1", "(?<!a)b", "((a{0,100}){0,100}){0,100}", "(", "a{2,1}", "(?P<a>x)(?P<a>y)"] {
        let schema = json!({"type": "string", "pattern": pattern});
        let reported = errors(&folder(&[("p.yaml", with_schema(&schema, &json!("a")))]));
        let column = "      input: ".len() + schema.to_string().find(&json!(pattern).to_string()).unwrap() + 1;
        assert!(reported.contains(&format!("EK0703 p.yaml:{SCHEMA_LINE}:{column}")), "{pattern}: {reported:?}");
    }
    let words: Vec<String> = (0..100_000).map(|at| format!("w{at}")).collect();
    let schema = json!({"enum": words});
    let text = probe(&format!(
        "check:\n  input: {schema}\n  http: {{ path: /x }}\n  tests: [{{ name: one, input: w99999 }}]\n"
    ));
    let validated = folder(&[("p.yaml", text)]);
    assert_eq!(errors(&validated), [""; 0]);
    let runtime = Runtime::compile(&validated.catalog, None, String::new(), None).unwrap();
    assert!(prepare(&runtime, "check", &input(json!("w5"))).is_ok());
    let error = prepare(&runtime, "check", &input(json!("no"))).unwrap_err();
    assert_eq!(error.code, ErrorCode::InvalidInput);
    assert!(error.detail.len() < 1000, "the message does not repeat the list");
}

/// Schemas that refer to themselves or double at each level, and long lists of names. The validation of each terminates,
/// with a finding or with a rejection.
#[test]
fn row_27_cycles_end() {
    let ended = |number: usize| {
        let variables = [("EVENKEEL_LOOP", &*number.to_string())];
        let out = child("exec \"$0\" \"$@\"", "hostile::schemas::worker_27", &variables, Duration::from_mins(5))?;
        if out.contains("\nended\n") { Ok(()) } else { Err(out) }
    };
    let wrong: Vec<String> = std::thread::scope(|scope| {
        let runs: Vec<_> = (0..loops().len()).map(|number| scope.spawn(move || ended(number))).collect();
        runs.into_iter().filter_map(|run| run.join().unwrap().err()).collect()
    });
    assert_no_failures(wrong);
}

fn loops() -> Vec<(&'static str, Value, Value)> {
    let mut doubled = Map::new();
    for level in 0..40 {
        let next = json!({"$ref": format!("#/$defs/l{}", level + 1)});
        doubled.insert(format!("l{level}"), json!({"allOf": [next, next]}));
    }
    doubled.insert("l40".into(), json!({"type": "string"}));
    let bomb = json!({
        "$dynamicAnchor": "n", "anyOf": [{"type": "string"}],
        "properties": {"a": {"allOf": [{"$dynamicRef": "#n"}, {"$dynamicRef": "#n"}]}},
    });
    let again = json!({"properties": {"a": {"$ref": "#"}}});
    let nested = (0..30).fold(json!(1), |value, _| json!({"a": value}));
    let names: Vec<String> = (0..100_000).map(|at| format!("n{at}")).collect();
    vec![
        ("itself", json!({"$ref": "#"}), json!({})),
        ("a part of itself", json!({"items": {"$ref": "#/items"}}), json!([5])),
        (
            "two",
            json!({"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}}),
            json!(1),
        ),
        ("through allOf", json!({"allOf": [{"$ref": "#"}]}), json!(1)),
        ("through anyOf", json!({"anyOf": [{"type": "string"}, {"$ref": "#"}]}), json!(1)),
        ("through not", json!({"not": {"$ref": "#"}}), json!(1)),
        ("through if", json!({"if": {"$ref": "#"}, "then": true}), json!(1)),
        ("dynamic", json!({"$dynamicAnchor": "n", "$dynamicRef": "#n"}), json!(1)),
        ("dynamic bomb", bomb, nested.clone()),
        ("a tree, which is fine", json!({"properties": {"a": {"$ref": "#"}}}), json!({"a": {"a": {}}})),
        ("recursion doubled", json!({"allOf": [again, again]}), nested),
        ("doubled", json!({"$ref": "#/$defs/l0", "$defs": doubled}), json!("text")),
        ("many names", json!({"required": names}), json!({})),
    ]
}

#[test]
#[ignore = "run by another test in separate processes"]
fn worker_27() {
    let number: usize = std::env::var("EVENKEEL_LOOP").unwrap().parse().unwrap();
    let (name, schema, value) = loops().swap_remove(number);
    print_line(&format!("\n{name}\n"));
    let text = with_schema(&schema, &value);
    print_line(&format!("{:.1000}\n", format!("{:?}", errors(&folder(&[("p.yaml", &text)])))));
    let (catalog, _) = catalog::load(&Snapshot::of([("p.yaml", text.as_bytes())]));
    if let Ok(runtime) = Runtime::compile(&catalog, None, String::new(), None)
        && runtime.connectors.contains_key("probe")
    {
        let prepared = prepare(&runtime, "check", &input(value.clone())).map(|_| ());
        print_line(&format!("{:.300}\n", format!("{prepared:?}")));
        let outcome = call(&runtime, &FixedResponse::new(200, value.to_string()), "check", input(value));
        print_line(&format!("{:.300}\n", format!("{:?}", outcome.result)));
    }
    print_line("\nended\n");
}
