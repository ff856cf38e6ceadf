use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::*;
use crate::text::{ReadLimits, SourceMap, read};

fn node(text: &str) -> Node {
    let (mut sources, mut findings) = (SourceMap::default(), Vec::new());
    let mut documents = read(&mut sources, "a.yaml", text.as_bytes(), &ReadLimits::default(), &mut findings);
    assert_eq!(findings, []);
    documents.pop().unwrap().root
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Action {
    name: String,
    #[serde(default)]
    retries: Option<u8>,
    #[serde(default)]
    ratio: f64,
    #[serde(default)]
    kind: Vec<Shape>,
    #[serde(default)]
    codes: BTreeMap<u16, Wrapped>,
    #[serde(default)]
    pair: Option<(i64, u64)>,
}

#[derive(Debug, Deserialize, PartialEq)]
struct Wrapped(String);

#[derive(Debug, Deserialize, PartialEq)]
enum Shape {
    Plain,
    Number(i8),
    Point(i32, i32),
    Named { x: bool },
}

#[test]
fn deserialises_every_type() {
    let text = "name: a\nretries: ~\nratio: 2\nkind: [Plain, Number: -1, Point: [1, 2], {Named: {x: true}}, Plain: ]\n\
                codes: {'200': ok}\npair: [-9223372036854775808, 18446744073709551615]\n";
    let expected = Action {
        name: "a".into(),
        retries: None,
        ratio: 2.0,
        kind: vec![Shape::Plain, Shape::Number(-1), Shape::Point(1, 2), Shape::Named { x: true }, Shape::Plain],
        codes: BTreeMap::from([(200, Wrapped("ok".into()))]),
        pair: Some((i64::MIN, u64::MAX)),
    };
    assert_eq!(from_node::<Action>(&node(text)).unwrap(), expected);
}

#[test]
fn deserialises_arbitrary_json() {
    let node = node("a: [1, -2, 1.5, -0.0, 18446744073709551615, null, true, {b: c}]\n");
    let expected = json!({"a": [1, -2, 1.5, -0.0, u64::MAX, null, true, {"b": "c"}]});
    assert_eq!(from_node::<Value>(&node).unwrap(), expected);
    assert_eq!(node.to_json(), expected);
}

#[test]
fn errors_carry_the_position_of_the_value() {
    let cases = [
        ("name: 1\n", "1", "invalid type: integer `1`, expected a string"),
        ("name: a\nretries: 300\n", "300", "invalid value: integer `300`, expected u8"),
        ("name: a\nretries: x\n", "x", "invalid type: string \"x\", expected u8"),
        ("name: a\nbad: 1\n", "bad", "unknown field `bad`"),
        ("retries: 1\n", "retries: 1", "missing field `name`"),
        ("name: a\nkind: [Nope]\n", "Nope", "unknown variant `Nope`"),
        ("name: a\nkind: [Nope: 1]\n", "Nope", "unknown variant `Nope`"),
        ("name: a\nkind: [{Plain: 1}]\n", "1", "this variant takes no value, found a number"),
        ("name: a\nkind: [{Named: {x: 1}}]\n", "1", "invalid type: integer `1`, expected a boolean"),
        ("name: a\nkind: [{Named: {}}]\n", "{}", "missing field `x`"),
        ("name: a\nkind: [{Named: 1}]\n", "1", "invalid type: a number, expected struct variant"),
        (
            "name: a\nkind: [{Plain: , Number: }]\n",
            "{Plain: , Number: }",
            "expected a map with exactly one key, found 2",
        ),
        ("name: a\nkind: [1]\n", "1", "expected a string or a map with one key, found a number"),
        ("name: a\npair: [1, 2, three]\n", "three", "expected a list of 2, found 3"),
        ("name: a\npair: [1]\n", "[1]", "invalid length 1"),
        ("name: a\ncodes: {'70000': x}\n", "'70000'", "invalid value: integer `70000`, expected u16"),
        ("[]\n", "[]", "invalid length 0"),
    ];
    for (text, place, message) in cases {
        let (range, found) = from_node::<Action>(&node(text)).unwrap_err();
        assert_eq!(&text[range.start as usize..range.end as usize], place, "{text}: {found}");
        assert!(found.starts_with(message), "{text}: {found}");
    }
}
