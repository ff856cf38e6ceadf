//! Tests of the static check of partially known values.

use serde_json::{Map, Value, json};

use super::*;
use crate::text::{PartialValue, RestOfMap, ValueTypes};

/// A tree in which `"?"` is unknown, `"text?"` an unknown string, and `"int?"` an unknown integer. A key `"..."` makes a map
/// open.
fn partial(value: &Value) -> PartialValue {
    let string = |text: &str| match text {
        "?" => PartialValue::Unknown,
        "text?" => PartialValue::Typed(ValueTypes::STRING),
        "int?" => PartialValue::Typed(ValueTypes::INTEGER),
        text => PartialValue::Scalar(text.into()),
    };
    open(PartialValue::of_tree(value, &string))
}

fn open(value: PartialValue) -> PartialValue {
    match value {
        PartialValue::Map(mut map) => {
            let all = map.fields.len();
            map.fields.retain(|field| field.name != "...");
            if map.fields.len() < all {
                map.rest = RestOfMap::Unknown;
            }
            for field in &mut map.fields {
                field.value = open(field.value.clone());
            }
            PartialValue::Map(map)
        }
        other => other,
    }
}

fn found(schema: &Value, value: &Value) -> Vec<(MisfitKind, String)> {
    let scope = SchemaScope { root: schema, entities: &Map::new() };
    scope.misfits(&partial(value)).into_iter().map(|misfit| (misfit.kind, misfit.pointer)).collect()
}

/// A schema, a value, and the kinds and places of its misfits.
type Case<'a> = (&'a Value, Value, &'a [(MisfitKind, &'a str)]);

#[test]
fn reports_parts_that_are_wrong_for_every_possible_value() {
    use MisfitKind::{Missing, Misspelt, Refused, Value as Wrong};
    let object = |more: Value| {
        let mut schema = json!({"type": "object", "required": ["term"], "properties": {
            "term": {"type": "string"}, "limit": {"type": "integer", "maximum": 100},
            "order": {"enum": ["up", "down"]}, "tags": {"type": "array", "items": {"type": "string"}, "maxItems": 2},
            "page": {"type": "object", "required": ["size"], "properties": {"size": {"type": "integer", "default": 5}}},
        }});
        schema.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        schema
    };
    let (wide, closed) = (object(json!({})), object(json!({"additionalProperties": false})));
    let cases: [Case<'_>; 24] = [
        (&wide, json!({"term": "a"}), &[]),
        (&wide, json!({"term": "?", "...": 1}), &[]),
        (&wide, json!({}), &[(Missing, "/term")]),
        (&wide, json!({"...": 1}), &[]),
        (&wide, json!("?"), &[]),
        (&wide, json!("text?"), &[(Wrong, "")]),
        (&wide, json!([]), &[(Wrong, "")]),
        (&wide, json!({"term": 1}), &[(Wrong, "/term")]),
        (&wide, json!({"term": "int?"}), &[(Wrong, "/term")]),
        (&wide, json!({"term": "text?", "other": 1}), &[]),
        (&wide, json!({"term": "a", "limits": 1}), &[(Misspelt, "/limits")]),
        (&wide, json!({"term": "a", "limit": 1, "limits": 1}), &[]),
        (&closed, json!({"term": "a", "other": "?"}), &[(Refused, "/other")]),
        (&closed, json!({"q": "a"}), &[(Missing, "/term"), (Refused, "/q")]),
        (&wide, json!({"term": "a", "limit": 1.0}), &[]),
        (&wide, json!({"term": "a", "limit": 1.5}), &[(Wrong, "/limit")]),
        (&wide, json!({"term": "a", "limit": 500}), &[(Wrong, "/limit")]),
        (&wide, json!({"term": "a", "limit": "int?"}), &[]),
        (&wide, json!({"term": "a", "order": "upp"}), &[(Wrong, "/order")]),
        (&wide, json!({"term": "a", "order": "text?"}), &[]),
        (&wide, json!({"term": "a", "order": "int?"}), &[(Wrong, "/order")]),
        (&wide, json!({"term": "a", "tags": ["x", 1, "?"]}), &[(Wrong, "/tags/1"), (Wrong, "/tags")]),
        (&wide, json!({"term": "a", "page": {}}), &[]),
        (&wide, json!({"term": "a", "page": {"size": "x"}}), &[(Wrong, "/page/size")]),
    ];
    for (schema, value, expected) in cases {
        let expected: Vec<(MisfitKind, String)> = expected.iter().map(|(kind, at)| (*kind, (*at).to_owned())).collect();
        assert_eq!(found(schema, &value), expected, "{value}");
    }
}

#[test]
fn alternatives_are_wrong_only_if_none_is_possible() {
    let schema = json!({"anyOf": [{"type": "string"}, {"type": "object", "required": ["id"]}]});
    for (value, expected) in [
        (json!("a"), vec![]),
        (json!("?"), vec![]),
        (json!({"id": "?"}), vec![]),
        (json!({"...": 1}), vec![]),
        (json!(1), vec![(MisfitKind::Value, String::new())]),
        (json!({}), vec![(MisfitKind::Missing, "/id".to_owned())]),
    ] {
        assert_eq!(found(&schema, &value), expected, "{value}");
    }
    let not = json!({"not": {"required": ["a"]}});
    assert_eq!((found(&not, &json!({"a": 1})).len(), found(&not, &json!({"a": "?"})).len()), (1, 0));
}

#[test]
fn schemas_with_mistakes_and_references_without_end_accept_everything() {
    for schema in [
        json!({"type": "strng", "required": true, "properties": [], "enum": "x"}),
        json!({"$ref": "#"}),
        json!({"allOf": [{"$ref": "#"}, {"$ref": "#"}]}),
        json!({"$ref": "#name", "properties": {"a": {"$ref": "#/$defs/none"}}}),
        json!({"type": []}),
    ] {
        assert_eq!(found(&schema, &json!({"a": 1, "b": ["?"]})), [], "{schema}");
    }
}

#[test]
fn references_lead_to_definitions_and_entities() {
    let entities = Map::from_iter([("contact".to_owned(), json!({"type": "object", "required": ["email"]}))]);
    let root = json!({"$defs": {"n": {"type": "integer"}}, "properties": {
        "n": {"$ref": "#/$defs/n"}, "contact": {"$ref": "#/entities/contact"}}});
    let scope = SchemaScope { root: &root, entities: &entities };
    let misfits = scope.misfits(&PartialValue::of(&json!({"n": "x", "contact": {}})));
    let at: Vec<(&str, &str)> = misfits.iter().map(|misfit| (&*misfit.pointer, &*misfit.schema)).collect();
    assert_eq!(at, [("/n", "/$defs/n"), ("/contact/email", "/entities/contact")]);
}

#[test]
fn a_path_is_undeclared_where_its_first_unknown_name_is() {
    let root =
        json!({"properties": {"a": {"properties": {"b": {}}, "additionalProperties": false}, "c": {"allOf": []}}});
    let scope = SchemaScope { root: &root, entities: &Map::new() };
    let undeclared = |path: &[&str]| scope.undeclared(path, &|_| false).map(|found| (found.at, found.is_closed));
    assert_eq!(undeclared(&["a", "b", "x"]), None);
    assert_eq!(undeclared(&["a", "x"]), Some((1, true)));
    assert_eq!(undeclared(&["x"]), Some((0, false)));
    assert_eq!(undeclared(&["c", "x"]), None);
}

proptest::proptest! {
    /// A value that the validator accepts has no certain misfit, however little of it is known.
    #[test]
    fn an_accepted_value_is_never_reported(seed in proptest::prelude::any::<u64>(), hidden in 0..8u8) {
        let mut random = Random(seed);
        let schema = random.schema(0);
        let value = random.value(0);
        let Ok(compiled) = JsonSchema::compile(&schema, &Map::new()) else { return Ok(()) };
        if compiled.accepts(&value) {
            let shown = random.hide(PartialValue::of(&value), hidden);
            let misfits = SchemaScope { root: &schema, entities: &Map::new() }.misfits(&shown);
            let certain: Vec<&Misfit> = misfits.iter().filter(|misfit| misfit.kind.is_certain()).collect();
            proptest::prop_assert!(certain.is_empty(), "{schema} {value} {shown:?}: {certain:?}");
        } else {
            // A refused value that is known as a whole is reported.
            let whole = SchemaScope { root: &schema, entities: &Map::new() }.misfits(&PartialValue::of(&value));
            proptest::prop_assert!(whole.iter().any(|misfit| misfit.kind.is_certain()), "{schema} {value}");
        }
    }
}

/// A small generator of schemas and values that often meet.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }

    fn name(&mut self) -> &'static str {
        ["a", "b", "c"][self.below(3) as usize]
    }

    fn scalar(&mut self) -> Value {
        [json!(1), json!(2.5), json!("x"), json!("long text"), json!(true), json!(null), json!(1.0)]
            [self.below(7) as usize]
            .clone()
    }

    fn value(&mut self, depth: u64) -> Value {
        match self.below(if depth > 2 { 2 } else { 5 }) {
            0 | 1 => self.scalar(),
            2 => Value::Array((0..self.below(3)).map(|_| self.value(depth + 1)).collect()),
            _ => Value::Object((0..self.below(4)).map(|_| (self.name().to_owned(), self.value(depth + 1))).collect()),
        }
    }

    fn schema(&mut self, depth: u64) -> Value {
        let mut schema = Map::new();
        for _ in 0..=self.below(3) {
            let inner = depth < 3;
            match self.below(if inner { 16 } else { 8 }) {
                0 => schema.insert(
                    "type".into(),
                    ["string", "object", "array", "integer", "number", "null"][self.below(6) as usize].into(),
                ),
                1 => schema.insert("type".into(), json!(["object", "string", "boolean"])),
                2 => schema.insert("enum".into(), json!([self.scalar(), self.scalar()])),
                3 => schema.insert("const".into(), self.scalar()),
                4 => schema.insert("maxLength".into(), json!(3)),
                5 => schema.insert("minimum".into(), json!(2)),
                6 => schema.insert("required".into(), json!([self.name()])),
                7 => schema.insert("additionalProperties".into(), json!(false)),
                8 | 9 => {
                    let properties = (0..2).map(|_| (self.name().to_owned(), self.schema(depth + 1))).collect();
                    schema.insert("properties".into(), Value::Object(properties))
                }
                10 => schema.insert("items".into(), self.schema(depth + 1)),
                11 => schema.insert("anyOf".into(), json!([self.schema(depth + 1), self.schema(depth + 1)])),
                12 => schema.insert("oneOf".into(), json!([self.schema(depth + 1), self.schema(depth + 1)])),
                13 => schema.insert("allOf".into(), json!([self.schema(depth + 1)])),
                14 => schema.insert("not".into(), self.schema(depth + 1)),
                _ => schema.insert("maxItems".into(), json!(1)),
            };
        }
        Value::Object(schema)
    }

    fn hide(&mut self, value: PartialValue, part: u8) -> PartialValue {
        match (self.below(8) < u64::from(part), value) {
            (true, value) if self.below(2) == 0 => PartialValue::Typed(value.types()),
            (true, _) => PartialValue::Unknown,
            (false, PartialValue::List { items, .. }) => {
                PartialValue::List { items: items.into_iter().map(|item| self.hide(item, part)).collect(), more: false }
            }
            (false, PartialValue::Map(mut map)) => {
                for field in &mut map.fields {
                    field.value = self.hide(field.value.clone(), part);
                }
                PartialValue::Map(map)
            }
            (false, value) => value,
        }
    }
}
