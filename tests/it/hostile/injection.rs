//! Row 35: values cannot break out of their position in a request. Property tests over arbitrary text.

use std::sync::LazyLock;

use evenkeel::connector::{Call, ErrorCode, PreparedRequest, Runtime};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::{input, prepare, probe, runtime};

const ACTIONS: &str = r#"
header:
  http:
    path: /x
    headers:
      X-Input: "{{ input.v }}"
      X-Joined: "a {{ input.v }} b"
      X-Given: { value: "", overridable: true }
      X-Empty: { value: "{{ input.v }}", omitEmpty: true }
body:
  http:
    method: POST
    path: /x
    body:
      same: "{{ input.v }}"
      text: "<{{ input.v }}>"
      list: ["{{ input.v }}", { deep: "{{ input }}" }]
path:
  http:
    path: "/before/{{ input.v }}/between/{{ pathParams.p }}/{{ input.v }}-{{ pathParams.p }}.json/after"
    pathParams: { p: {} }
query:
  http:
    path: "/x?fixed=1&inline={{ input.v }}&last=2"
    query:
      "a[b]&c": "{{ input.v }}"
      given: { value: "", overridable: true }
      joined: "{{ input.v }}&x=1"
form:
  http:
    method: POST
    path: /x
    form:
      plain: "{{ input.v }}"
      "na=me&": "{{ input.v }}"
      map: "{{ input.map }}"
      list: ["{{ input.v }}", x]
"#;

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| runtime(&probe(ACTIONS)));

fn send(action: &str, call: &Call) -> Result<PreparedRequest, evenkeel::connector::CallError> {
    prepare(&RUNTIME, action, call)
}

/// Arbitrary text, often with characters that have a special meaning in some format.
fn text() -> impl Strategy<Value = String> {
    let special = "\r\n\t \0./\\%?#&=+;:@,'\"<>{}[]()|^`~$*!-_\u{7f}\u{85}\u{a0}\u{2028}\u{feff}\u{ff0e}\u{ff0f}éa0";
    let special: Vec<char> = special.chars().collect();
    let tokens = prop::sample::select(vec![
        "..",
        "../",
        "%2e%2e",
        "%2F",
        "%00",
        "%0d%0a",
        "\r\nX-Evil: 1",
        "//evil.example",
        "@evil.example",
        "?a=b",
        "#f",
        "; DROP TABLE x",
        "{{ 7*7 }}",
        "\"}",
        "&x=1",
        "a",
        ".",
        "",
        "\u{202e}",
        "https://evil.example/",
        "é",
        "\t",
    ]);
    prop_oneof![
        prop::collection::vec(any::<char>(), 0..20).prop_map(String::from_iter),
        prop::collection::vec(prop::sample::select(special), 0..20).prop_map(String::from_iter),
        prop::collection::vec(tokens, 0..4).prop_map(|tokens| tokens.concat()),
        "[a-z0-9._~ -]{1,30}",
    ]
}

/// An arbitrary JSON value; floats are finite, as JSON requires.
fn value() -> impl Strategy<Value = Value> {
    let number = prop_oneof![
        any::<i64>().prop_map(|number| json!(number)),
        any::<u64>().prop_map(|number| json!(number)),
        any::<f64>().prop_filter("finite", |number| number.is_finite()).prop_map(|number| json!(number)),
        Just(json!(-0.0)),
    ];
    let leaf =
        prop_oneof![Just(Value::Null), any::<bool>().prop_map(Value::Bool), number, text().prop_map(Value::String)];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::Array),
            prop::collection::vec((text(), inner), 0..6).prop_map(|pairs| Value::Object(Map::from_iter(pairs))),
        ]
    })
}

fn config() -> ProptestConfig {
    ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() }
}

fn decoded(text: &str) -> String {
    percent_encoding::percent_decode_str(text).decode_utf8().unwrap().into_owned()
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn row_35_a_header_is_one_line(v in text(), given in text()) {
        let mut call = input(json!({"v": v}));
        call.headers.insert("x-given".into(), given.clone());
        let broken = |text: &str| text.chars().any(|c| c.is_ascii_control() && c != '\t');
        match send("header", &call) {
            Ok(request) => {
                prop_assert!(!broken(&v) && !broken(&given));
                prop_assert_eq!(request.header("x-input"), Some(&*v));
                let joined = format!("a {v} b");
                prop_assert_eq!(request.header("x-joined"), Some(&*joined));
                prop_assert_eq!(request.header("x-given"), Some(&*given));
                prop_assert_eq!(request.header("x-empty"), Some(&*v).filter(|v| !v.is_empty()));
                for (name, value) in &request.headers {
                    prop_assert!(http::HeaderName::from_bytes(name.as_bytes()).is_ok());
                    prop_assert!(http::HeaderValue::from_bytes(value.as_bytes()).is_ok());
                }
                // X-Input, X-Joined, X-Given, Accept, User-Agent, and X-Empty unless it is empty.
                prop_assert_eq!(request.headers.len(), 5 + usize::from(!v.is_empty()));
            }
            Err(error) => {
                prop_assert!(broken(&v) || broken(&given), "{:?}", error);
                prop_assert_eq!(error.code, ErrorCode::Template);
                prop_assert!(v.len() < 8 || !error.detail.contains(&v), "the value is not repeated");
            }
        }
    }

    #[test]
    fn row_35_a_body_is_the_value(v in value()) {
        let given = json!({"v": v});
        let request = send("body", &input(given.clone())).unwrap();
        let body: Value = serde_json::from_slice(&request.body).unwrap();
        // Compared as text, which distinguishes -0.0 from 0.0 and 1 from 1.0.
        prop_assert_eq!(body["same"].to_string(), v.to_string());
        prop_assert_eq!(body["list"][0].to_string(), v.to_string());
        prop_assert_eq!(body["list"][1]["deep"].to_string(), given.to_string());
        let shown = v.as_str().map_or_else(|| v.to_string(), str::to_owned);
        prop_assert_eq!(body["text"].as_str(), Some(&*format!("<{shown}>")));
        prop_assert_eq!(body.as_object().unwrap().len(), 3);
    }

    #[test]
    fn row_35_a_path_value_stays_in_its_segment(v in text(), p in text()) {
        let mut call = input(json!({"v": v}));
        call.path_params.insert("p".into(), p.clone());
        match send("path", &call) {
            Ok(request) => {
                let url = &request.url;
                prop_assert_eq!(url.origin().ascii_serialization(), "https://api.orbit.example");
                prop_assert_eq!((url.query(), url.fragment(), url.username()), (None, None, ""));
                let segments: Vec<String> = url.path_segments().unwrap().map(decoded).collect();
                let both = format!("{v}-{p}.json");
                prop_assert_eq!(segments, ["v1", "before", &v, "between", &p, &both, "after"]);
                prop_assert!(!p.contains(".."));
            }
            Err(error) => {
                let code = error.code;
                prop_assert!(matches!(code, ErrorCode::Template | ErrorCode::InvalidPathParameters), "{:?}", error);
                let refused = |text: &str| text.chars().any(|c| c.is_control() || c.is_whitespace() || "/\\?#%".contains(c));
                let dots = |text: &str| matches!(text, "" | ".") || text.contains("..");
                prop_assert!(dots(&v) || dots(&p) || refused(&v) || refused(&p), "{:?}", error);
            }
        }
    }

    #[test]
    fn row_35_query_values_round_trip(v in text(), given in text()) {
        let mut call = input(json!({"v": v}));
        call.query.insert("given".into(), given.clone());
        let request = send("query", &call).unwrap();
        let pairs: Vec<(String, String)> = request.url.query_pairs().into_owned().collect();
        let joined = format!("{v}&x=1");
        let expected = [
            ("fixed", "1"), ("inline", &*v), ("last", "2"), ("a[b]&c", &v), ("given", &given), ("joined", &joined),
        ];
        prop_assert_eq!(pairs, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
        prop_assert_eq!((request.url.path(), request.url.fragment()), ("/v1/x", None));
    }

    #[test]
    fn row_35_form_values_round_trip(v in text(), key in text(), inner in text()) {
        let call = input(json!({"v": v, "map": {&key: [inner, 5, null]}}));
        let request = send("form", &call).unwrap();
        prop_assert_eq!(request.header("content-type"), Some("application/x-www-form-urlencoded"));
        let pairs: Vec<(String, String)> = url::form_urlencoded::parse(&request.body).into_owned().collect();
        let mut expected = vec![
            ("plain".to_owned(), v.clone()),
            ("na=me&".to_owned(), v.clone()),
            (format!("map[{key}][0]"), inner),
            (format!("map[{key}][1]"), "5".to_owned()),
            (format!("map[{key}][2]"), String::new()),
            ("list[0]".to_owned(), v),
            ("list[1]".to_owned(), "x".to_owned()),
        ];
        expected.sort();
        let mut pairs = pairs;
        pairs.sort();
        prop_assert_eq!(pairs, expected);
    }
}

/// Known attacks on other systems, each with the expected result.
#[test]
fn row_35_known_attacks() {
    let refused = ["..", ".", "", "a/../b\r\n", "x\r\nX-Evil: 1", "a\0b", "\u{85}"];
    for v in refused {
        let mut call = input(json!({"v": v}));
        call.path_params.insert("p".into(), "p".into());
        assert_eq!(send("path", &call).map(|request| request.url).unwrap_err().code, ErrorCode::Template, "{v:?}");
    }
    for p in ["..", ".", "", "a/b", "a\\b", "a..b", "%2e%2e", "a?b", "a#b", "a b", "a\tb", "\u{2028}"] {
        let mut call = input(json!({"v": "v"}));
        call.path_params.insert("p".into(), p.into());
        assert_eq!(send("path", &call).unwrap_err().code, ErrorCode::InvalidPathParameters, "{p:?}");
    }
    for (v, encoded) in [
        ("../../etc/passwd", "..%2F..%2Fetc%2Fpasswd"),
        ("..\\..", "..%5C.."),
        ("%2e%2e", "%252e%252e"),
        ("a?b#c;d", "a%3Fb%23c%3Bd"),
        ("//evil.example", "%2F%2Fevil.example"),
        ("@evil.example:1", "%40evil.example%3A1"),
        ("'; DROP TABLE x --", "%27%3B%20DROP%20TABLE%20x%20--"),
    ] {
        let mut call = input(json!({"v": v}));
        call.path_params.insert("p".into(), "p".into());
        let url = send("path", &call).unwrap().url;
        assert_eq!(
            url.as_str(),
            format!("https://api.orbit.example/v1/before/{encoded}/between/p/{encoded}-p.json/after")
        );
    }
}
