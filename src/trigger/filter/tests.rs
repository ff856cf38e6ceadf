use serde_json::json;

use super::*;

fn body() -> Value {
    serde_json::from_str(
        r#"{
            "type": "order.paid", "paid": true, "total": 120.5, "count": 3, "zero": 0, "none": null, "empty": "",
            "money": "120.50", "debt": "-3", "odd": "12a", "wide": " 5", "hex": "0x10", "infinite": "inf",
            "big": 9007199254740993, "bigger": 18446744073709551615, "least": -9223372036854775808,
            "bigText": "9007199254740993", "huge": 1e300, "whole": 3.0, "half": -0.5,
            "order": {"id": 7, "buyer": {"name": "Ada Lovelace", "tags": ["new", "vip", 5, null, true]}},
            "items": [{"sku": "A-1", "01": "x"}, {"sku": "B-2"}], "10": {"0": "ten"},
            "a.b": 1, "a": {"b": 2, "c": 3, "b.c": 4}, "x": {"y.z": {"w": 1}, "y": {"z": {"v": 2, "w": 3}}},
            "void": {"": {"k": 1}}, "headers.own": "literal"
        }"#,
    )
    .unwrap()
}

fn headers() -> BTreeMap<String, String> {
    let pairs = [("x-github-event", "issues"), ("x-attempt", "2"), ("x.dotted", "yes"), ("own", "header")];
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

#[test]
#[allow(clippy::too_many_lines, reason = "a table")]
fn evaluates_conditions() {
    let cases = [
        // Equality.
        ("type", json!("order.paid"), true),
        ("type", json!("Order.paid"), false),
        ("type", json!("order"), false),
        ("paid", json!(true), true),
        ("paid", json!(false), false),
        ("paid", json!("true"), false),
        ("count", json!(3), true),
        ("count", json!(3.0), true),
        ("whole", json!(3), true),
        ("count", json!("3"), false),
        ("zero", json!(false), false),
        ("zero", json!(-0.0), true),
        ("money", json!(120.5), false),
        ("money", json!("120.50"), true),
        ("empty", json!(""), true),
        ("none", json!(""), false),
        ("order", json!("7"), false),
        ("total", json!({"eq": 120.50}), true),
        ("total", json!({"eq": 120}), false),
        ("total", json!({"neq": 120}), true),
        ("total", json!({"neq": 120.5}), false),
        ("money", json!({"neq": 120.5}), true),
        // Beyond the exact range of 64-bit floats.
        ("big", json!(9007199254740993i64), true),
        ("big", json!(9007199254740992i64), false),
        ("big", json!(9007199254740992.0), false),
        ("big", json!({"gt": 9007199254740992.0}), true),
        ("big", json!({"lt": 9007199254740994.0}), true),
        ("bigText", json!({"gt": 9007199254740992i64}), true),
        ("bigText", json!({"gt": 9007199254740993i64}), false),
        ("bigger", json!(u64::MAX), true),
        ("bigger", json!({"gt": i64::MAX}), true),
        ("bigger", json!({"lt": 18446744073709551616.0}), true),
        ("least", json!({"lt": -1}), true),
        ("least", json!({"eq": -9223372036854775808.0}), true),
        ("huge", json!({"gt": u64::MAX}), true),
        ("bigger", json!({"lt": 1e300}), true),
        // Order.
        ("total", json!({"gt": 120}), true),
        ("total", json!({"gt": 120.5}), false),
        ("total", json!({"gte": 120.5}), true),
        ("total", json!({"lt": 121}), true),
        ("total", json!({"lt": 120.5}), false),
        ("total", json!({"lte": 120.5}), true),
        ("total", json!({"gte": 100, "lt": 120.5}), false),
        ("total", json!({"gte": 100, "lt": 121}), true),
        ("half", json!({"lt": 0}), true),
        ("half", json!({"gt": -1}), true),
        ("money", json!({"gt": 120}), true),
        ("money", json!({"gte": 120.5, "lte": 120.5}), true),
        ("money", json!({"lt": 120.5}), false),
        ("debt", json!({"lt": 0}), true),
        ("odd", json!({"gt": 0}), false),
        ("odd", json!({"lt": 100}), false),
        ("wide", json!({"gt": 0}), false),
        ("hex", json!({"gt": 0}), false),
        ("infinite", json!({"gt": 0}), false),
        ("empty", json!({"gte": 0}), false),
        ("paid", json!({"gt": 0}), false),
        ("none", json!({"lte": 0}), false),
        ("items", json!({"gt": 0}), false),
        // Lists of values.
        ("type", json!({"in": ["order.new", "order.paid"]}), true),
        ("type", json!({"in": ["order.new"]}), false),
        ("count", json!({"in": ["3", 3.0]}), true),
        ("count", json!({"in": ["3", true]}), false),
        ("type", json!({"notIn": ["order.new"]}), true),
        ("type", json!({"notIn": ["order.new", "order.paid"]}), false),
        // Parts.
        ("type", json!({"contains": "paid"}), true),
        ("type", json!({"contains": "Paid"}), false),
        ("type", json!({"contains": ""}), true),
        ("money", json!({"contains": 120}), false),
        ("total", json!({"contains": "120"}), false),
        ("order.buyer.tags", json!({"contains": "vip"}), true),
        ("order.buyer.tags", json!({"contains": "vi"}), false),
        ("order.buyer.tags", json!({"contains": 5.0}), true),
        ("order.buyer.tags", json!({"contains": true}), true),
        ("order.buyer.tags", json!({"contains": "5"}), false),
        ("order.buyer", json!({"contains": "name"}), true),
        ("order.buyer", json!({"contains": "Ada"}), false),
        ("type", json!({"startsWith": "order."}), true),
        ("type", json!({"startsWith": "paid"}), false),
        ("type", json!({"endsWith": ".paid"}), true),
        ("type", json!({"endsWith": "order"}), false),
        ("total", json!({"startsWith": "1"}), false),
        ("type", json!({"startsWith": "order", "endsWith": "new"}), false),
        // Existence.
        ("type", json!({"exists": true}), true),
        ("type", json!({"exists": false}), false),
        ("none", json!({"exists": true}), false),
        ("none", json!({"exists": false}), true),
        ("empty", json!({"exists": true}), true),
        ("order", json!({"exists": true}), true),
        ("none", json!({"neq": "x"}), true),
        ("none", json!({"notIn": ["x"]}), true),
        ("none", json!({"contains": ""}), false),
        ("missing", json!("x"), false),
        ("missing", json!({"eq": "x"}), false),
        ("missing", json!({"neq": "x"}), true),
        ("missing", json!({"in": ["x"]}), false),
        ("missing", json!({"notIn": ["x"]}), true),
        ("missing", json!({"gt": 0}), false),
        ("missing", json!({"gte": 0}), false),
        ("missing", json!({"lt": 0}), false),
        ("missing", json!({"lte": 0}), false),
        ("missing", json!({"contains": ""}), false),
        ("missing", json!({"startsWith": ""}), false),
        ("missing", json!({"endsWith": ""}), false),
        ("missing", json!({"exists": true}), false),
        ("missing", json!({"exists": false}), true),
        ("missing", json!({"exists": false, "neq": "x"}), true),
        ("missing", json!({"exists": true, "neq": "x"}), false),
        ("missing", json!({}), true),
        // Paths.
        ("order.id", json!(7), true),
        ("order.buyer.name", json!({"startsWith": "Ada"}), true),
        ("order.buyer.name.first", json!({"exists": false}), true),
        ("order.buyer.tags.1", json!("vip"), true),
        ("order.buyer.tags.5", json!({"exists": false}), true),
        ("items.0.sku", json!("A-1"), true),
        ("items.1.sku", json!("B-2"), true),
        ("items.01.sku", json!({"exists": false}), true),
        ("items.+1.sku", json!({"exists": false}), true),
        ("items.-1.sku", json!({"exists": false}), true),
        ("items.99999999999999999999.sku", json!({"exists": false}), true),
        ("items.sku", json!({"exists": false}), true),
        ("items.0.01", json!("x"), true),
        ("10.0", json!("ten"), true),
        ("a.b", json!(1), true),
        ("a.c", json!(3), true),
        ("a.b.c", json!(4), true),
        ("x.y.z.w", json!(1), true),
        ("x.y.z.v", json!(2), true),
        ("void..k", json!(1), true),
        ("", json!({"exists": false}), true),
        (".", json!({"exists": false}), true),
        // Headers.
        ("headers.x-github-event", json!("issues"), true),
        ("headers.X-GitHub-Event", json!({"in": ["issues", "push"]}), true),
        ("headers.x-attempt", json!(2), false),
        ("headers.x-attempt", json!({"gt": 1}), true),
        ("headers.x.dotted", json!("yes"), true),
        ("headers.x-none", json!({"exists": false}), true),
        ("headers.own", json!("literal"), true),
        ("headers", json!({"exists": false}), true),
        ("x-github-event", json!({"exists": false}), true),
    ];
    assert!(cases.len() >= 60);
    let (body, headers) = (body(), headers());
    for (path, wanted, expected) in cases {
        let filter: Filter = serde_json::from_value(json!({path: wanted})).unwrap();
        assert_eq!(matches(&filter, &body, &headers), expected, "{path}: {wanted}");
    }
}

#[test]
fn a_filter_requires_all_conditions() {
    let passes = |filter: Value| matches(&serde_json::from_value(filter).unwrap(), &body(), &headers());
    assert!(passes(json!({})));
    assert!(passes(json!({"type": "order.paid", "count": {"gt": 2}, "headers.x-github-event": "issues"})));
    assert!(!passes(json!({"type": "order.paid", "count": {"gt": 3}, "headers.x-github-event": "issues"})));
    assert!(!passes(json!({"type": "order.paid", "count": {"gt": 2}, "headers.x-github-event": "push"})));
}

#[test]
fn accepts_bodies_that_are_not_objects() {
    let passes = |filter: Value, body: Value| matches(&serde_json::from_value(filter).unwrap(), &body, &headers());
    let list = json!([{"subscriptionType": "contact.creation"}, [[1]]]);
    assert!(passes(json!({"0.subscriptionType": {"startsWith": "contact."}, "1.0.0": 1}), list));
    for body in [json!(null), json!("text"), json!(5), json!([])] {
        assert!(passes(json!({"a": {"exists": false}, "headers.own": "header"}), body.clone()), "{body}");
        assert!(!passes(json!({"a": 1}), body));
    }
}

#[test]
fn a_field_headers_of_the_body_hides_the_headers_of_the_call() {
    let passes = |filter: Value, body: &Value| matches(&serde_json::from_value(filter).unwrap(), body, &headers());
    let mail = json!({"headers": {"Subject": "Hello"}});
    assert!(passes(json!({"headers.Subject": "Hello", "headers.own": {"exists": false}}), &mail));
    assert!(passes(json!({"headers.own": {"exists": false}}), &json!({"headers": null})));
    assert!(passes(json!({"headers.own": "header"}), &json!({"a": {"headers": 1}})));
}

/// Exactly one of `lt`, `eq` and `gt` holds for two numbers.
#[test]
fn order_is_total_and_exact() {
    let texts = [
        "-1e300",
        "-9223372036854775809",
        "-9223372036854775808",
        "-9007199254740993",
        "-9007199254740992",
        "-1.5",
        "-1",
        "-0.5",
        "0",
        "5e-324",
        "0.5",
        "1",
        "1.5",
        "9007199254740991",
        "9007199254740992",
        "9007199254740993",
        "9223372036854775807",
        "9223372036854775808",
        "18446744073709551615",
        "1e20",
        "1e300",
    ];
    let numbers: Vec<Number> = texts.iter().map(|text| serde_json::from_str(text).unwrap()).collect();
    for (at, left) in numbers.iter().enumerate() {
        for (right_at, right) in numbers.iter().enumerate() {
            // The JSON parser rounds the integer below the minimum of 64 bits to that minimum.
            let same = at.min(right_at) == 1 && at.max(right_at) == 2;
            let expected = if same { Ordering::Equal } else { at.cmp(&right_at) };
            assert_eq!(compare(left, right), Some(expected), "{left} {right}");
        }
    }
}

/// Many dots and many keys with dots: the cost stays within the size of the body.
#[test]
fn bounds_the_cost_of_long_paths() {
    let mut body = json!(1);
    while body.to_string().len() < 1 << 19 {
        body = json!({"a": body.clone(), "a.a": body});
    }
    let path = |dots| vec!["a"; dots + 1].join(".");
    let passes = |dots, body: &Value| {
        let wanted = Operators { exists: Some(true), ..Operators::default() };
        matches(&Filter::from([(path(dots), Condition::Operators(Box::new(wanted)))]), body, &BTreeMap::new())
    };
    let started = std::time::Instant::now();
    assert!(!passes(MAX_DOTS, &body));
    assert!(!passes(100_000, &body));
    assert!(started.elapsed().as_secs() < 10, "{:?}", started.elapsed());
    for (dots, expected) in [(MAX_DOTS, true), (MAX_DOTS + 1, false)] {
        assert_eq!(passes(dots, &json!({path(dots): 1})), expected);
        let nested = (0..=dots).fold(json!(1), |body, _| json!({"a": body}));
        assert_eq!(passes(dots, &nested), expected);
    }
}
