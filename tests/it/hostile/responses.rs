//! Row 37: responses that violate the API's contract. Each has a documented result, and none causes a panic.
//!
//! Compression, size and time are handled by `net`, which passes on a decoded body within the limit; its own tests
//! cover that.

use std::sync::LazyLock;

use evenkeel::api::Problem;
use evenkeel::connector::{ActionOutput, Call, ErrorCode, Runtime};
use serde_json::{Value, json};

use super::{FixedResponse, assert_no_failures, call, probe, runtime};

const ACTIONS: &str = r#"
raw: { http: { path: /x } }
typed: { http: { path: /x }, output: { type: object, required: [a] } }
json: { http: { path: /x }, response: { body: "{{ response.json }}" } }
field: { http: { path: /x }, response: { body: { a: "{{ response.json.a }}" } } }
text: { http: { path: /x }, response: { text: "<{{ response.body }}>", contentType: text/plain } }
string: { http: { path: /x }, response: { body: "{{ response.body }}" } }
made: { http: { path: /x }, response: { text: "{{ response.body }}" }, output: { type: object } }
when: { http: { path: /x }, response: { successWhen: "{{ response.json.ok }}" } }
twice:
  steps:
    - { name: one, http: { path: /x } }
    - { name: two, http: { path: /x }, if: "{{ steps.one.body is none or true }}" }
  response: { body: { one: "{{ steps.one.body }}", two: "{{ steps.two.status_code }}" } }
"#;

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| runtime(&probe(ACTIONS)));

/// The result of an action: JSON, bytes as `raw: …`, or the code of an error.
fn outcome(action: &str, status: u16, body: &[u8]) -> String {
    let outcome = call(&RUNTIME, &FixedResponse::new(status, body), action, Call::default());
    match outcome.result {
        Ok(ActionOutput::Json { value, .. }) => value.to_string(),
        Ok(ActionOutput::Raw { bytes, .. }) => format!("raw: {}", bytes.escape_ascii()),
        Err(error) => {
            // The error does not quote the response, which may contain personal data.
            let repeated = body.len() > 8 && error.detail.as_bytes().windows(body.len()).any(|part| part == body);
            assert!(!repeated, "{}", error.detail);
            error.code.as_str().to_owned()
        }
    }
}

/// The error code of a failed response transformation.
const BAD: &str = "RESPONSE_TEMPLATE_ERROR";

/// Name, body, validity for the schema of `typed`, the body as JSON, and the value of `a` in it.
type Case = (&'static str, &'static [u8], bool, &'static str, &'static str);

const BODIES: [Case; 18] = [
    ("object", b"{\"a\": 1}", true, "{\"a\":1}", "{\"a\":1}"),
    ("nothing", b"", false, BAD, BAD),
    ("blank", b" \n", false, BAD, BAD),
    ("HTML", b"<html>502</html>", false, BAD, BAD),
    ("null", b"null", false, "null", BAD),
    ("text", b"\"a\"", false, "\"a\"", BAD),
    ("NaN", b"NaN", false, BAD, BAD),
    ("NaN within", b"{\"a\": NaN}", false, BAD, BAD),
    ("infinite", b"[-Infinity]", false, BAD, BAD),
    ("too large a number", b"{\"a\":1e400}", false, BAD, BAD),
    ("not UTF-8", b"\xff\xfe{}", false, BAD, BAD),
    ("not UTF-8 in a string", b"{\"a\":\"\xe9\"}", false, BAD, BAD),
    ("unannounced gzip", &[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3], false, BAD, BAD),
    ("NUL", br#"{"a":"\u0000"}"#, true, r#"{"a":"\u0000"}"#, r#"{"a":"\u0000"}"#),
    ("lone surrogate", br#"{"a":"\ud800"}"#, false, BAD, BAD),
    ("two values", b"{\"a\":1}{}", false, BAD, BAD),
    ("the last of two", b"{\"a\":1,\"a\":2}", true, "{\"a\":2}", "{\"a\":2}"),
    ("cut off", b"{\"a\": [1, 2", false, BAD, BAD),
];

#[test]
fn row_37_bodies() {
    let mut wrong = Vec::new();
    for (name, body, fits, json, field) in BODIES {
        let text = std::str::from_utf8(body).ok();
        let raw = format!("raw: {}", body.escape_ascii());
        let between = format!("<{}>", text.unwrap_or("null"));
        let expected = [
            ("raw", raw.clone()),
            ("typed", if fits { raw } else { "INVALID_OUTPUT".to_owned() }),
            ("json", json.to_owned()),
            ("field", field.to_owned()),
            // A body that is not text is null in templates.
            ("text", format!("raw: {}", between.as_bytes().escape_ascii())),
            ("string", json!(text).to_string()),
        ];
        for (action, expected) in expected {
            let outcome = outcome(action, 200, body);
            if outcome != expected {
                wrong.push(format!("{name}, {action}: {outcome} instead of {expected}"));
            }
        }
        // Any failed response is passed on within the error.
        for action in ["raw", "typed", "json", "field", "text", "string", "made", "when"] {
            let outcome = outcome(action, 500, body);
            if outcome != "UPSTREAM_ERROR" {
                wrong.push(format!("{name}, {action}, status 500: {outcome}"));
            }
        }
    }
    assert_no_failures(wrong);
}

#[test]
fn row_37_deep_bodies() {
    for body in ["[".repeat(100_000), "[".repeat(100_000) + &"]".repeat(100_000)] {
        for (action, expected) in [("json", BAD), ("field", BAD), ("typed", "INVALID_OUTPUT")] {
            let outcome = outcome(action, 200, body.as_bytes());
            assert_eq!(outcome, expected, "{action}");
        }
        assert_eq!(outcome("raw", 200, body.as_bytes()), format!("raw: {body}"));
    }
    let levels = "[".repeat(60) + &"]".repeat(60);
    assert_eq!(outcome("json", 200, levels.as_bytes()), levels);
}

#[test]
fn row_37_text_that_is_to_be_json() {
    assert_eq!(outcome("made", 200, b"{\"a\": [1]}"), "{\"a\":[1]}");
    assert_eq!(outcome("made", 200, b"[1]"), "INVALID_OUTPUT");
    assert_eq!(outcome("made", 200, b"{\"a\": "), "RESPONSE_TEMPLATE_ERROR");
    assert_eq!(outcome("made", 200, b""), "RESPONSE_TEMPLATE_ERROR");
    assert_eq!(outcome("made", 200, b"\xff"), "INVALID_OUTPUT");
    // If success cannot be determined, the call failed, and the error contains the response.
    assert_eq!(outcome("when", 200, b"{\"ok\": true}"), "raw: {\\\"ok\\\": true}");
    assert_eq!(outcome("when", 200, b"{\"ok\": false}"), "UPSTREAM_ERROR");
    assert_eq!(outcome("when", 200, b"<html>"), "UPSTREAM_ERROR");
    assert_eq!(outcome("when", 200, b"{}"), "UPSTREAM_ERROR");
}

#[test]
fn row_37_steps_and_errors_carry_the_response() {
    for (body, expected) in [
        (&b""[..], json!(null)),
        (b"{\"a\":1}", json!({"a": 1})),
        (b"<html>", json!("<html>")),
        (b"caf\xe9", json!("caf\u{fffd}")),
        (b"1e400", json!("1e400")),
    ] {
        let step: Value = serde_json::from_str(&outcome("twice", 200, body)).unwrap();
        assert_eq!(step, json!({"one": expected, "two": 200}));
        let failed = call(&RUNTIME, &FixedResponse::new(418, body), "json", Call::default());
        let error = failed.result.unwrap_err();
        assert_eq!((failed.status, error.code, error.upstream_status), (502, ErrorCode::Upstream, Some(418)));
        assert_eq!(error.upstream.as_deref(), Some(&expected), "{}", body.escape_ascii());
        let problem = serde_json::to_value(Problem::from(error)).unwrap();
        assert_eq!(problem["upstream"], json!({"status": 418, "body": expected}));
    }
}

/// A list that is small as text and large as values causes an error and does not exhaust the process.
#[test]
fn row_37_many_values() {
    let many = format!("[{}1]", "1,".repeat(4_000_000));
    let outcome = outcome("json", 200, many.as_bytes());
    assert!(outcome == "RESPONSE_TEMPLATE_ERROR" || outcome == many, "{outcome:.100}");
}
