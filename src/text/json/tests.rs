use super::*;
use crate::text::{Source, parse as parse_source};

fn read(text: &str, limits: &ReadLimits) -> (Option<Node>, Vec<(String, String)>) {
    let (documents, findings) = parse_source(&Source::new("a.json", text), limits);
    let findings = findings.iter().map(|finding| {
        let span = finding.span().unwrap();
        (format!("{} {}", finding.code.id, finding.message), text[span.start as usize..span.end as usize].to_owned())
    });
    (documents.into_iter().next().map(|document| document.root), findings.collect())
}

#[test]
fn agrees_with_serde_json() {
    for text in [
        "null",
        " true ",
        "[]",
        "{}",
        "[ ]",
        "{ }",
        "0",
        "-1",
        "1.5e+3",
        "1E2",
        "\"\"",
        "\"ü\"",
        "[[[]], {}]",
        "[1, 2.0, 18446744073709551615, -9223372036854775808, 9007199254740993]",
        r#"{"a": {"b": [1, {"c": null}]}, "": false, "é": "\u00e9\n\"\\\/\b\f\t\r"}"#,
        r#""\ud83c\udf89 x""#,
        "\r\n\t[\r\n1\r\n,\r\n2\r\n]\r\n",
    ] {
        let (root, findings) = read(text, &ReadLimits::default());
        assert_eq!(findings, [], "{text}");
        assert_eq!(root.unwrap().to_json(), serde_json::from_str::<serde_json::Value>(text).unwrap(), "{text}");
    }
    let zero = read("-0.0", &ReadLimits::default()).0.unwrap().to_json();
    assert!(zero.as_f64().unwrap().is_sign_negative());
}

#[test]
fn reports_syntax_errors_at_their_position() {
    let cases = [
        ("[1,]", ",", "a comma before `]`"),
        ("{\"a\": 1,}", ",", "a comma before `}`"),
        ("{\"a\" 1}", "1", "`:` after a key was expected, not `1`"),
        ("{a: 1}", "a", "a key in double quotes was expected, not `a`"),
        ("{'a': 1}", "'", "a key in double quotes was expected, not `'`"),
        ("{1: 1}", "1", "a key in double quotes was expected, not `1`"),
        ("[1 2]", "2", "`,` or `]` was expected, not `2`"),
        ("[1}", "}", "`,` or `]` was expected, not `}`"),
        ("[1", "", "the file ends, but `,` or `]` was expected"),
        ("{\"a\":", "", "the file ends, but a value was expected"),
        ("[,1]", ",", "a value was expected, not `,`"),
        ("// x\n1", "/", "JSON has no comments"),
        ("[1, # x\n2]", "#", "JSON has no comments"),
        ("1 /* x */", "/", "JSON has no comments"),
        ("1 2", "2", "text follows the value; a JSON file contains one value"),
        ("{}\n---\n{}", "-", "text follows the value; a JSON file contains one value"),
        ("01", "01", "the number `01` starts with a zero"),
        ("-012", "-012", "the number `-012` starts with a zero"),
        ("1.", "", "the file ends, but a digit after the decimal point was expected"),
        ("[.5]", ".", "a value was expected, not `.`"),
        ("+1", "+", "a value was expected, not `+`"),
        ("1e", "", "the file ends, but a digit of the exponent was expected"),
        ("NaN", "NaN", "`NaN` is not a JSON value"),
        ("-Infinity", "I", "a digit was expected, not `I`"),
        ("[True]", "True", "`True` is not a JSON value"),
        ("nullx", "nullx", "`nullx` is not a JSON value"),
        ("'a'", "'", "a value was expected, not `'`"),
        ("\"a", "\"", "a string is not closed on its line"),
        ("\"a\nb\"", "\"", "a string is not closed on its line"),
        ("\"a\tb\"", "\t", "a tab within a string"),
        (r#""\x""#, "\\x", "the escape `\\x` does not exist"),
        (r#""\ü""#, "\\ü", "the escape `\\ü` does not exist"),
        (r#""\u12""#, "\\u", "`\\u` takes four hexadecimal digits"),
        (r#""\u+123""#, "\\u", "`\\u` takes four hexadecimal digits"),
        (r#""\ud800""#, "\\ud800", "`\\ud800` is half of a surrogate pair"),
        (r#""\udc00""#, "\\udc00", "`\\udc00` is half of a surrogate pair"),
        (r#""\ud800\u0041""#, "\\ud800", "`\\ud800` is half of a surrogate pair"),
        (r#"{"a": {{ x }}}"#, "{", "a key in double quotes was expected, not `{`"),
        ("\u{a0}1", "\u{a0}", "a value was expected, not `\\u{a0}`"),
    ];
    for (text, place, message) in cases {
        let (root, findings) = read(text, &ReadLimits::default());
        assert!(root.is_none(), "{text}");
        assert_eq!(findings, [(format!("EK0004 {message}"), place.to_owned())], "{text}");
    }
}

#[test]
fn keeps_the_document_after_recoverable_errors() {
    let text = r#"{"a": 1, "b": 1e400, "a": 2, "c": 18446744073709551616}"#;
    let (root, findings) = read(text, &ReadLimits::default());
    assert_eq!(root.unwrap().to_json(), serde_json::json!({"a": 1, "b": 0, "c": 18446744073709551616.0}));
    let expected = [
        ("EK0008 `1e400` is beyond a 64-bit float", "1e400"),
        ("EK0005 the key `a` occurs twice in one map", "\"a\""),
        ("EK0105 the integer `18446744073709551616` does not fit into 64 bits", "18446744073709551616"),
    ];
    assert_eq!(findings, expected.map(|(message, place)| (message.to_owned(), place.to_owned())));
}

#[test]
fn enforces_limits() {
    let few = ReadLimits { nodes: 3, string_bytes: 5, depth: 2, ..ReadLimits::default() };
    let cases = [
        ("[1, 2, 3]", "EK0003 more than 3 values in one file"),
        ("[[[]]]", "EK0003 lists and maps are nested more than 2 deep"),
        ("[\"abc\", \"def\"]", "EK0003 more than 5 bytes of strings in one file"),
        ("{\"abcdef\": 1}", "EK0003 more than 5 bytes of strings in one file"),
    ];
    for (text, message) in cases {
        assert_eq!(read(text, &few).1[0].0, message);
    }
    assert_eq!(read("[\"abcde\", 1]", &few).1, []);
}

#[test]
fn stops_after_too_many_errors() {
    let text = format!("[{}1]", "1e999,".repeat(5000));
    let (root, findings) = read(&text, &ReadLimits::default());
    assert!(root.is_none());
    assert_eq!(findings.len(), MAX_FINDINGS + 1);
    assert!(findings.last().unwrap().0.starts_with("EK0003"));
}

#[test]
fn deep_nesting_needs_no_stack() {
    let limits = ReadLimits { depth: usize::MAX, ..ReadLimits::default() };
    for (limits, open) in [(ReadLimits::default(), "["), (ReadLimits::default(), "{\"a\":"), (limits, "[")] {
        let text = open.repeat(100_000);
        let read = move || {
            let (documents, findings) = parse_source(&Source::new("a.json", text), &limits);
            assert!(documents.is_empty());
            findings.into_iter().map(|finding| finding.code.id).collect::<Vec<_>>()
        };
        let found = std::thread::Builder::new().stack_size(256 << 10).spawn(read).unwrap().join().unwrap();
        assert!(matches!(&*found, ["EK0003" | "EK0004"]), "{found:?}");
    }
}

#[test]
fn positions_are_exact() {
    let text = "{\"ü\": [ 1, \"é\" ], \"b\": { } }";
    let root = read(text, &ReadLimits::default()).0.unwrap();
    let at = |node: &Node| text[node.span.start as usize..node.span.end as usize].to_owned();
    assert_eq!(at(&root), text);
    assert_eq!(at(root.pointer("/ü").unwrap()), "[ 1, \"é\" ]");
    assert_eq!(at(root.pointer("/ü/1").unwrap()), "\"é\"");
    assert_eq!(at(root.pointer("/b").unwrap()), "{ }");
    let span = root.entry("ü").unwrap().key.span;
    assert_eq!(&text[span.start as usize..span.end as usize], "\"ü\"");
}
