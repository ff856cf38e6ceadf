use serde_json::json;

use super::*;
use crate::text::{Node, Source, parse as parse_source};

mod hostile;
mod positions;

fn read_with(text: &str, limits: &ReadLimits) -> (Vec<Node>, Vec<Finding>) {
    let (documents, findings) = parse_source(&Source::new("a.yaml", text), limits);
    (documents.into_iter().map(|document| document.root).collect(), findings)
}

fn read(text: &str) -> (Vec<Node>, Vec<Finding>) {
    read_with(text, &ReadLimits::default())
}

/// `EK0004 line:column message` of each finding.
fn messages(text: &str, findings: &[Finding]) -> Vec<String> {
    let source = Source::new("a.yaml", text);
    let messages = findings.iter().map(|finding| {
        let at = source.position(finding.span().unwrap().start);
        format!("{} {}:{} {}", finding.code.id, at.line, at.column, finding.message)
    });
    messages.collect()
}

#[track_caller]
fn values(text: &str) -> Vec<serde_json::Value> {
    let (roots, findings) = read(text);
    assert_eq!(messages(text, &findings), [""; 0], "{text}");
    roots.iter().map(Node::to_json).collect()
}

#[test]
fn reads_values_of_every_type() {
    let cases = [
        ("a: 1\nb: [x, {y: z}, ]\nc:\n- 1\n-\n", json!({"a": 1, "b": ["x", {"y": "z"}], "c": [1, null]})),
        (
            "a: NO\nb: on\nc: y\nd: 12:30:45\ne: 2024-01-31\nf: 1_000\n",
            json!({"a": "NO", "b": "on", "c": "y", "d": "12:30:45", "e": "2024-01-31", "f": "1_000"}),
        ),
        (
            "a: 0x1F\nb: 0o17\nc: 1e3\nd: -0.0\ne: 18446744073709551615\nf: True\ng: ~\nh:\n",
            json!({"a": 31, "b": 15, "c": 1000.0, "d": -0.0, "e": u64::MAX, "f": true, "g": null, "h": null}),
        ),
        ("a: \"1\"\nb: 'true'\nc: ''\nd: \"\\u00e9\\x41\"\n", json!({"a": "1", "b": "true", "c": "", "d": "éA"})),
        (
            "a: |\n  x\n   y\n\nb: >-\n  x\n  y\nc: |+\n  x\n\nd: |2-\n    x\n",
            json!({"a": "x\n y\n", "b": "x y", "c": "x\n\n", "d": "  x"}),
        ),
        (
            "a: !!str 123\nb: !!int \"5\"\nc: !!float 1\nd: !!bool 'true'\ne: !!null ''\nf: !!str\ng: !!map {}\nh: !!seq []\n",
            json!({"a": "123", "b": 5, "c": 1.0, "d": true, "e": null, "f": "", "g": {}, "h": []}),
        ),
        ("!!str 1: x\n'2': y\n\"<<\": z\n", json!({"1": "x", "2": "y", "<<": "z"})),
        (
            "a: &x {b: 1}\nc: *x\nd: &y\ne: [*y, *x]\n*z : 1\n".split("*z").next().unwrap(),
            json!({"a": {"b": 1}, "c": {"b": 1}, "d": null, "e": [null, {"b": 1}]}),
        ),
        ("&k a: 1\nb: *k\n", json!({"a": 1, "b": "a"})),
        (
            "a: http://x/y?z#f\nb: x:y\nc: -1\nd: - \n".split("d: ").next().unwrap(),
            json!({"a": "http://x/y?z#f", "b": "x:y", "c": -1}),
        ),
        ("a: 1\r\nb:\r\n  c: |\r\n    x\r\n    y\r\n", json!({"a": 1, "b": {"c": "x\ny\n"}})),
        ("a: |\n  all:\n  \tmake\n", json!({"a": "all:\n\tmake\n"})),
        ("? a\n: b\n", json!({"a": "b"})),
        ("%YAML 1.2\n---\na: 1\n", json!({"a": 1})),
    ];
    for (text, expected) in cases {
        assert_eq!(values(text), [expected], "{text}");
    }
}

#[test]
fn expands_merge_keys() {
    let cases = [
        ("a: &a {x: 1, y: 2}\nb: {y: 3, <<: *a, z: 4}\n", json!({"y": 3, "x": 1, "z": 4}), "[\"y\",\"x\",\"z\"]"),
        ("a: &a {x: 1}\nc: &c {x: 2, w: 5}\nb: {<<: [*a, *c]}\n", json!({"x": 1, "w": 5}), "[\"x\",\"w\"]"),
        ("a: &a {<<: {x: 1}, y: 2}\nb: {<<: *a}\n", json!({"x": 1, "y": 2}), "[\"x\",\"y\"]"),
    ];
    for (text, expected, order) in cases {
        let (roots, findings) = read(text);
        assert_eq!(messages(text, &findings), [""; 0]);
        let merged = roots[0].get("b").unwrap();
        assert_eq!(merged.to_json(), expected, "{text}");
        let keys: Vec<&str> = merged.entries().iter().map(|entry| &*entry.key.name).collect();
        assert_eq!(serde_json::to_string(&keys).unwrap(), order);
    }
    for (text, message) in [
        ("<<: 1\n", "EK0012 1:5 `<<` merges maps, and this is a number"),
        ("<<: [{a: 1}, 2]\n", "EK0012 1:5 `<<` merges maps, and this is a list that contains another type"),
        ("<<: {a: 1}\n<<: {b: 1}\n", "EK0005 2:1 the key `<<` occurs twice in one map"),
    ] {
        assert_eq!(messages(text, &read(text).1), [message]);
    }
}

#[test]
fn reads_several_documents() {
    let cases: &[(&str, &[serde_json::Value])] = &[
        ("", &[]),
        ("# only\n", &[]),
        ("---\n---\n# c\n---\nx\n...\n---\n~\n...\n", &[json!("x"), json!(null)]),
        ("a: 1\n---\nb: 2\n...\n", &[json!({"a": 1}), json!({"b": 2})]),
        ("---\na: 1\n...\n# end\n", &[json!({"a": 1})]),
    ];
    for (text, expected) in cases {
        assert_eq!(values(text), *expected, "{text}");
    }
}

/// Errors after which the document is still returned.
#[test]
fn keeps_the_document_after_recoverable_errors() {
    let cases = [
        ("a: 1\nb: 2\na: 3\n", json!({"a": 1, "b": 2}), "EK0005 3:1 the key `a` occurs twice in one map"),
        ("a: 0123\n", json!({"a": 123}), "EK0006 1:4 `0123` is read as different numbers by different YAML readers"),
        ("a: -012\n", json!({"a": -12}), "EK0006 1:4 `-012` is read as different numbers by different YAML readers"),
        ("a: .inf\n", json!({"a": 0}), "EK0008 1:4 `.inf` is a number that JSON cannot represent"),
        ("a: 1e400\n", json!({"a": 0}), "EK0008 1:4 `1e400` is a number that JSON cannot represent"),
        (
            "a: 18446744073709551616\n",
            json!({"a": 18446744073709551616.0}),
            "EK0105 1:4 the integer `18446744073709551616` does not fit into 64 bits",
        ),
        ("a: !foo 1\n", json!({"a": 1}), "EK0007 1:4 the tag `!foo` is not supported"),
        (
            "a: !!python/object:os.system {b: 1}\n",
            json!({"a": {"b": 1}}),
            "EK0007 1:4 the tag `!!python/object:os.system` is not supported",
        ),
        ("a: !!int x\n", json!({"a": "x"}), "EK0103 1:10 `x` does not match its tag"),
        ("a: !!seq {b: 1}\n", json!({"a": {"b": 1}}), "EK0103 1:4 the tag `!!seq` is on a map"),
        ("200: x\n", json!({"200": "x"}), "EK0014 1:1 the key `200` is a number, and keys are strings"),
        ("true: x\n", json!({"true": "x"}), "EK0014 1:1 the key `true` is a boolean, and keys are strings"),
        ("~: x\n", json!({"~": "x"}), "EK0014 1:1 the key `~` is null, and keys are strings"),
        (": x\n", json!({}), "EK0014 1:1 a key is missing before `:`"),
        ("[a]: x\n", json!({}), "EK0014 1:1 a list cannot be a key"),
        ("? {a: b}\n: x\n", json!({}), "EK0014 1:3 a map cannot be a key"),
        ("a: *nope\n", json!({"a": null}), "EK0004 1:4 the alias `*nope` has no anchor before it"),
        ("<<: *nope\n", json!({}), "EK0004 1:5 the alias `*nope` has no anchor before it"),
        ("*nope : 1\n", json!({}), "EK0004 1:1 the alias `*nope` has no anchor before it"),
        ("a: &x [*x]\n", json!({"a": [null]}), "EK0004 1:8 `*x` is within the value that it refers to"),
        (
            "url: {{ x }}\n",
            json!({"url": "{{ x }}"}),
            "EK0004 1:6 a value that starts with a template needs quotes around it",
        ),
        (
            "- [{{ x }}, b]\n",
            json!([["{{ x }}", "b"]]),
            "EK0004 1:4 a value that starts with a template needs quotes around it",
        ),
        ("\ta: 1\n", json!({"a": 1}), "EK0004 1:1 a tab is used for indentation; use spaces"),
        (
            "%YAML 1.1\n---\na: 1\n",
            json!({"a": 1}),
            "EK0004 1:1 only YAML 1.2 is supported; other versions interpret the same text differently",
        ),
        ("%FOO bar\n---\na: 1\n", json!({"a": 1}), "EK0004 1:1 the directive `%FOO bar` is not supported"),
    ];
    for (text, expected, message) in cases {
        let (roots, findings) = read(text);
        assert_eq!(messages(text, &findings), [message], "{text}");
        assert_eq!(roots.iter().map(Node::to_json).collect::<Vec<_>>(), [expected], "{text}");
        assert!(findings[0].help.is_some(), "{text}");
    }
}

#[test]
fn reports_both_positions_of_a_duplicate_key() {
    for count in [1, 20] {
        let text: String = (0..count).map(|number| format!("k{number}: 1\n")).collect::<String>() + "k0: 2\n";
        let (_, findings) = read(&text);
        let labels: Vec<_> = findings[0].labels.iter().map(|label| (label.span.start, &*label.text)).collect();
        assert_eq!(labels, [(text.len() as u32 - 6, "again here"), (0, "first here")]);
    }
}

/// Errors that discard the document, with one finding at the cause.
#[test]
fn reports_syntax_errors_at_the_cause() {
    let template = "a value that starts with a template needs quotes around it";
    let tab = "a tab is used for indentation; use spaces";
    let cases = [
        ("url: {{ x }}/foo\n", format!("1:6 {template}")),
        ("url: {{ a('b') | default(\"c\") }}/{{ d }}\n", format!("1:6 {template}")),
        ("a: {% if x %}\n", format!("1:4 {template}")),
        ("a:\n\tb: 1\n", format!("2:1 {tab}")),
        ("a:\n  b: 1\n\tc: 1\n", format!("3:1 {tab}")),
        ("a: |\n\tx\n", format!("2:1 {tab}")),
        ("a:b\nc: 1\n", "1:2 a space is missing after `:`".into()),
        ("a: 1\nb:c\n", "2:2 a space is missing after `:`".into()),
        ("a: 1\nb\n", "2:1 expected `key: value`".into()),
        ("a: b: c\n", "1:5 `: ` within unquoted text".into()),
        ("a: \"x\nb: 1\n", "1:4 a quoted string is not closed on its line".into()),
        ("a: 'x\n", "1:4 a quoted string is not closed on its line".into()),
        ("a: 'it's'\n", "1:8 text follows the closing quote".into()),
        ("a: \"x\" y\n", "1:8 text follows the closing quote".into()),
        ("a: \"b \\q\"\n", "1:7 an unknown or incomplete escape in double quotes".into()),
        ("a: @x\n", "1:4 a value without quotes cannot start with `@`".into()),
        ("a: `x`\n", "1:4 a value without quotes cannot start with a backquote".into()),
        ("a: %x\n", "1:4 a value without quotes cannot start with `%`".into()),
        ("a: *\n", "1:4 `*` and `&` start an alias or an anchor, and a name must follow them".into()),
        ("a:\n   b: 1\n  c: 2\n", "3:3 the indentation matches no line above".into()),
        ("a: 1\n b: 2\n", "2:2 this line is indented more than the line above, which already has a value".into()),
        ("a:\n  - b\n - c\n", "3:2 a list item is among the keys of a map".into()),
        ("- a\nb: c\n", "2:1 a key is among the items of a list".into()),
        ("a: - b\n", "1:4 a list item cannot start here".into()),
        ("a: [1, 2\nb: 1\n", "1:4 a list or map in brackets is not closed".into()),
        ("a: {b: 1\n", "1:4 a list or map in brackets is not closed".into()),
        ("a: ]\n", "1:4 a closing bracket that does not match the opening one".into()),
        ("foo\nbar: x\n", "1:1 this line has no `:` and is read as the start of the key below".into()),
        ("ü: é: x\n", "1:5 `: ` within unquoted text".into()),
    ];
    for (text, message) in cases {
        let (roots, findings) = read(text);
        assert_eq!(messages(text, &findings), [format!("EK0004 {message}")], "{text}");
        assert!(roots.is_empty(), "{text}");
        assert!(findings[0].help.is_some(), "{text}");
    }
}

#[test]
fn suggests_quotes_around_a_template() {
    for (text, help) in
        [("url: {{ x }}/foo # why\n", "write `\"{{ x }}/foo\"`"), ("url: {{ x(\"y\") }}\n", "write `'{{ x(\"y\") }}'`")]
    {
        assert_eq!(read(text).1[0].help.as_deref(), Some(help));
    }
}

#[test]
fn continues_after_a_document_with_a_syntax_error() {
    let text = "a: [\n---\nb: 0123\n---\n- @\n--- # c\nc: ü\n---\nd: \"\n---\ne: 01\n";
    let (roots, findings) = read(text);
    assert_eq!(
        roots.iter().map(Node::to_json).collect::<Vec<_>>(),
        [json!({"b": 123}), json!({"c": "ü"}), json!({"e": 1})]
    );
    assert_eq!(
        messages(text, &findings),
        [
            "EK0004 1:4 a list or map in brackets is not closed",
            "EK0006 3:4 `0123` is read as different numbers by different YAML readers",
            "EK0004 5:3 a value without quotes cannot start with `@`",
            "EK0004 9:4 a quoted string is not closed on its line",
            "EK0006 11:4 `01` is read as different numbers by different YAML readers",
        ]
    );
}
