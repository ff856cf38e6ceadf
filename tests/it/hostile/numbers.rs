//! Row 38: numbers and bytes are passed on unchanged.

use std::sync::LazyLock;

use evenkeel::connector::{ActionOutput, Call, Runtime};
use proptest::prelude::*;
use serde_json::{Number, Value, json};

use super::{FixedResponse, assert_no_failures, call, input, prepare, probe, runtime};

const ACTIONS: &str = r#"
send: { http: { method: POST, path: /x, body: { n: "{{ input.n }}", l: "{{ [input.n] }}" } } }
plain: { http: { method: POST, path: "/{{ input.n }}", query: { n: "{{ input.n }}" }, form: { n: "{{ input.n }}" } } }
fixed:
  http:
    method: POST
    path: /x
    body: { a: 9007199254740993, b: -0.0, c: 18446744073709551615, d: -9223372036854775808, e: 0.1, f: 1e300, g: 1.0, h: 5e-324 }
json: { http: { path: /x }, response: { body: "{{ response.json }}" } }
field: { http: { path: /x }, response: { body: { n: "{{ response.json.n }}" } } }
made: { http: { path: /x }, response: { text: "{{ response.json | tojson }}" }, output: { type: object } }
typed: { http: { path: /x }, output: { type: object } }
raw: { http: { path: /x } }
steps:
  steps:
    - { name: one, http: { path: /x } }
    - { name: two, http: { method: POST, path: /x, body: "{{ steps.one.body }}" } }
"#;

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| runtime(&probe(ACTIONS)));

/// The sent form of a number as `body.n` and within a list.
fn sent(number: &Number) -> String {
    let request = prepare(&RUNTIME, "send", &input(json!({"n": number}))).unwrap();
    String::from_utf8(request.body.to_vec()).unwrap()
}

fn output(action: &str, body: &str) -> String {
    match call(&RUNTIME, &FixedResponse::new(200, body), action, Call::default()).result {
        Ok(ActionOutput::Json { value, .. }) => value.to_string(),
        Ok(ActionOutput::Raw { bytes, .. }) => String::from_utf8(bytes.to_vec()).unwrap(),
        Err(error) => format!("{error:?}"),
    }
}

/// The failures of a number on its paths through a call. `text` is the number as serde_json writes it.
fn ways(number: &Number) -> Vec<String> {
    let text = number.to_string();
    let body = format!("{{\"n\":{text}}}");
    let mut ways = vec![("sent", sent(number), format!("{{\"n\":{text},\"l\":[{text}]}}"))];
    ways.extend(["json", "field", "made", "typed", "raw"].map(|action| (action, output(action, &body), body.clone())));
    let wrong = ways.into_iter().filter(|(_, found, expected)| found != expected);
    wrong.map(|(way, found, expected)| format!("{text} {way}: {found} instead of {expected}")).collect()
}

#[test]
fn row_38_edges() {
    let integers = [0, 1, -1, i64::MAX, i64::MIN, 9_007_199_254_740_993, -9_007_199_254_740_993].map(Number::from);
    let large = [u64::MAX, u64::MAX - 1, 1 << 63].map(Number::from);
    let floats = [
        0.0,
        -0.0,
        1.0,
        -1.0,
        0.1,
        0.1 + 0.2,
        1e16,
        1e21,
        1e22,
        1e-7,
        5e-324,
        f64::MIN_POSITIVE,
        f64::MAX,
        f64::MIN,
        f64::EPSILON,
        9_007_199_254_740_992.0,
        1.797_693_134_862_315_7e308,
        2.225_073_858_507_201e-308,
    ];
    let floats = floats.into_iter().map(|float| Number::from_f64(float).unwrap());
    assert_no_failures(integers.into_iter().chain(large).chain(floats).flat_map(|number| ways(&number)).collect());
}

#[test]
fn row_38_numbers_of_a_definition() {
    let request = prepare(&RUNTIME, "fixed", &input(json!({}))).unwrap();
    assert_eq!(
        String::from_utf8(request.body.to_vec()).unwrap(),
        "{\"a\":9007199254740993,\"b\":-0.0,\"c\":18446744073709551615,\"d\":-9223372036854775808,\"e\":0.1,\"f\":1e+300,\"g\":1.0,\
         \"h\":5e-324}"
            .replace("1e+300", &json!(1e300).to_string())
    );
}

/// A number in text has the same form as in JSON.
#[test]
fn row_38_numbers_as_text() {
    for number in [json!(i64::MIN), json!(u64::MAX), json!(-0.0), json!(0.1), json!(1.0), json!(5e-324)] {
        let request = prepare(&RUNTIME, "plain", &input(json!({"n": number}))).unwrap();
        let text = number.to_string();
        assert_eq!(request.url.as_str(), format!("https://api.orbit.example/v1/{text}?n={text}"));
        assert_eq!(request.body, format!("n={text}"));
    }
}

/// Numbers beyond 64 bits become the nearest float in a transformation, and are unchanged without one.
#[test]
fn row_38_numbers_beyond_64_bits() {
    let body = "{\"n\":123456789012345678901234567890}";
    assert_eq!(output("raw", body), body);
    assert_eq!(output("typed", body), body);
    let nearest = json!({"n": 123_456_789_012_345_678_901_234_567_890_f64}).to_string();
    assert_eq!(output("field", body), nearest);
}

#[test]
fn row_38_bytes_pass_through() {
    let bodies: [&[u8]; 7] = [
        b"{ \"b\" : 1.0, \"a\":1.00, \"a\": 1E2,\r\n\"c\":\"\\u00e9\\/\" }\n",
        b"\xef\xbb\xbf{}",
        b"\xff\x00\xfe",
        b"",
        b"[1e400, 123456789012345678901234567890]",
        b"{\"n\":-0}",
        b"\r\n",
    ];
    for body in bodies {
        let result = call(&RUNTIME, &FixedResponse::new(200, body), "raw", Call::default()).result;
        let Ok(ActionOutput::Raw { bytes, content_type }) = result else { panic!("{result:?}") };
        assert_eq!((&*bytes, &*content_type), (body, "application/json"));
        let result = call(&RUNTIME, &FixedResponse::new(200, body), "steps", Call::default()).result;
        // The response of the last step, even if the first one is not JSON.
        let Ok(ActionOutput::Raw { bytes, .. }) = result else { panic!("{result:?}") };
        assert_eq!(&*bytes, body);
    }
    // Rebuilt values keep the order of keys.
    assert_eq!(output("json", "{\"z\":1,\"a\":{\"y\":2,\"b\":3}}"), "{\"z\":1,\"a\":{\"y\":2,\"b\":3}}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn row_38_any_number(
        number in prop_oneof![
            any::<i64>().prop_map(Number::from),
            any::<u64>().prop_map(Number::from),
            any::<u64>().prop_filter_map("finite", |bits| Number::from_f64(f64::from_bits(bits))),
            any::<f32>().prop_filter_map("finite", |float| Number::from_f64(f64::from(float))),
            (any::<i32>(), 0..12).prop_filter_map("finite", |(whole, places)| {
                Number::from_f64(f64::from(whole) / 10_f64.powi(places))
            }),
        ],
    ) {
        let wrong = ways(&number);
        prop_assert!(wrong.is_empty(), "{:?}", wrong);
    }

    #[test]
    fn row_38_any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let result = call(&RUNTIME, &FixedResponse::new(200, bytes.clone()), "raw", Call::default()).result;
        let Ok(ActionOutput::Raw { bytes: found, .. }) = result else { panic!("{result:?}") };
        prop_assert_eq!(&*found, &*bytes);
    }

    #[test]
    fn row_38_floats_are_read_exactly(float in any::<u64>().prop_map(f64::from_bits)) {
        prop_assume!(float.is_finite());
        let text = format!("{{\"n\":{float:?}}}");
        let found: Value = serde_json::from_str(&output("field", &text)).unwrap();
        prop_assert_eq!(found["n"].as_f64().map(f64::to_bits), Some(float.to_bits()));
    }
}
