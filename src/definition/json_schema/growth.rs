//! Schemas whose work grows without bound: a few lines can ask for more evaluations than there are atoms.
//!
//! A validator applies, at each place of a value, all schemas that reach it. Two ways lead to too many: definitions that
//! double each other at one place (`allOf: [next, next]`, forty deep), and recursion that reaches one place of the value
//! by two ways, so that each level of the value doubles the work. Both are found by counting, for every place that a value
//! can have, how often each schema is applied there.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::Value;

/// Applications of schemas at one place of a value.
const MOST_APPLICATIONS: u64 = 10_000;
/// Places that are looked at: more than that is taken for growth.
const MOST_PLACES: usize = 20_000;

/// Why a schema cannot be evaluated in bounded time; `None` where it can.
pub(super) fn problem(root: &Value) -> Option<&'static str> {
    let mut graph = Graph { root, nodes: Vec::new(), known: HashMap::new() };
    let start = graph.id(root);
    let mut places: Vec<Vec<(usize, u64)>> = vec![vec![(start, 1)]];
    let mut seen: BTreeSet<Vec<(usize, u64)>> = BTreeSet::new();
    while let Some(place) = places.pop() {
        if !seen.insert(place.clone()) {
            continue;
        }
        if seen.len() > MOST_PLACES {
            return Some("it is too complex to be evaluated in bounded time");
        }
        let applied = match graph.applied(&place) {
            Ok(applied) => applied,
            Err(problem) => return Some(problem),
        };
        if applied.values().fold(0_u64, |sum, count| sum.saturating_add(*count)) > MOST_APPLICATIONS {
            return Some("it applies schemas more and more often to one value");
        }
        places.extend(graph.below(&applied));
    }
    None
}

struct Graph<'a> {
    root: &'a Value,
    nodes: Vec<&'a Value>,
    known: HashMap<*const Value, usize>,
}

impl<'a> Graph<'a> {
    fn id(&mut self, node: &'a Value) -> usize {
        *self.known.entry(std::ptr::from_ref(node)).or_insert_with(|| {
            self.nodes.push(node);
            self.nodes.len() - 1
        })
    }

    /// Schemas applied at the same place as this one.
    fn beside(&self, node: usize) -> Vec<&'a Value> {
        let Value::Object(map) = self.nodes[node] else { return Vec::new() };
        let mut found = Vec::new();
        for (keyword, value) in map {
            match (keyword.as_str(), value) {
                ("allOf" | "anyOf" | "oneOf", Value::Array(items)) => found.extend(items),
                ("not" | "if" | "then" | "else", schema) => found.push(schema),
                ("dependentSchemas", Value::Object(schemas)) => found.extend(schemas.values()),
                ("$ref" | "$dynamicRef", Value::String(target)) => found.extend(self.target(target)),
                _ => {}
            }
        }
        found
    }

    fn target(&self, target: &str) -> Option<&'a Value> {
        let fragment = target.strip_prefix('#')?;
        if fragment.is_empty() || fragment.starts_with('/') {
            let decoded = percent_encoding::percent_decode_str(fragment).decode_utf8_lossy();
            return self.root.pointer(&decoded);
        }
        let mut stack = vec![self.root];
        while let Some(node) = stack.pop() {
            if node["$anchor"] == fragment || node["$dynamicAnchor"] == fragment {
                return Some(node);
            }
            match node {
                Value::Object(map) => stack.extend(map.values()),
                Value::Array(items) => stack.extend(items),
                _ => {}
            }
        }
        None
    }

    /// How often each schema is applied at a place, with those that others bring along.
    fn applied(&mut self, place: &[(usize, u64)]) -> Result<BTreeMap<usize, u64>, &'static str> {
        // Each schema comes after all that bring it along, so that its count is known when it is passed on.
        let mut order = Vec::new();
        let mut state: HashMap<usize, bool> = HashMap::new();
        let mut stack: Vec<(usize, bool)> = place.iter().map(|(node, _)| (*node, false)).collect();
        while let Some((node, leaving)) = stack.pop() {
            if leaving {
                state.insert(node, true);
                order.push(node);
                continue;
            }
            match state.get(&node) {
                Some(true) => continue,
                Some(false) => return Err("it refers to itself without end"),
                None => {}
            }
            state.insert(node, false);
            stack.push((node, true));
            for schema in self.beside(node) {
                let next = self.id(schema);
                match state.get(&next) {
                    Some(true) => {}
                    Some(false) => return Err("it refers to itself without end"),
                    None => stack.push((next, false)),
                }
            }
        }
        let mut counts: BTreeMap<usize, u64> = BTreeMap::new();
        for (node, count) in place {
            let sum = counts.entry(*node).or_default();
            *sum = sum.saturating_add(*count);
        }
        for node in order.into_iter().rev() {
            let count = counts.get(&node).copied().unwrap_or(0);
            for schema in self.beside(node) {
                let next = self.id(schema);
                let sum = counts.entry(next).or_default();
                *sum = sum.saturating_add(count);
            }
        }
        Ok(counts)
    }

    /// The places below one: each property by name, any other property, and items.
    fn below(&mut self, applied: &BTreeMap<usize, u64>) -> Vec<Vec<(usize, u64)>> {
        let mut named: BTreeMap<&'a str, BTreeMap<usize, u64>> = BTreeMap::new();
        let (mut any, mut other, mut items) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        for (&node, &count) in applied {
            let Value::Object(map) = self.nodes[node] else { continue };
            for (keyword, value) in map {
                let add = |graph: &mut Self, place: &mut BTreeMap<usize, u64>, schema: &'a Value| {
                    let sum = place.entry(graph.id(schema)).or_default();
                    *sum = sum.saturating_add(count);
                };
                match (keyword.as_str(), value) {
                    ("properties", Value::Object(schemas)) => {
                        for (name, schema) in schemas {
                            add(self, named.entry(name).or_default(), schema);
                        }
                    }
                    ("patternProperties", Value::Object(schemas)) => {
                        for schema in schemas.values() {
                            add(self, &mut any, schema);
                        }
                    }
                    ("additionalProperties" | "unevaluatedProperties" | "propertyNames", schema) => {
                        add(self, &mut other, schema);
                    }
                    ("items" | "contains" | "unevaluatedItems", schema) => add(self, &mut items, schema),
                    ("prefixItems", Value::Array(schemas)) => {
                        for schema in schemas {
                            add(self, &mut items, schema);
                        }
                    }
                    _ => {}
                }
            }
        }
        let with_any = |mut place: BTreeMap<usize, u64>| {
            for (node, count) in &any {
                let sum = place.entry(*node).or_default();
                *sum = sum.saturating_add(*count);
            }
            place
        };
        let places = named.into_values().chain([other]).map(with_any).chain([items]);
        places.filter(|place| !place.is_empty()).map(|place| place.into_iter().collect()).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::problem;

    fn doubled(levels: usize) -> Value {
        let mut defs = serde_json::Map::new();
        for level in 0..levels {
            let next = json!({"$ref": format!("#/$defs/l{}", level + 1)});
            defs.insert(format!("l{level}"), json!({"allOf": [next, next]}));
        }
        defs.insert(format!("l{levels}"), json!({"type": "object"}));
        json!({"$defs": defs, "$ref": "#/$defs/l0"})
    }

    #[test]
    fn growth_is_found() {
        let again = json!({"properties": {"a": {"$ref": "#"}}});
        for (name, schema) in [
            ("doubled at one place", doubled(40)),
            ("doubled by each level of the value", json!({"allOf": [again, again]})),
            ("itself", json!({"$ref": "#"})),
            (
                "each other",
                json!({"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"}),
            ),
            (
                "by a dynamic reference",
                json!({"$dynamicAnchor": "n", "allOf": [
                    {"properties": {"a": {"$dynamicRef": "#n"}}}, {"properties": {"a": {"$dynamicRef": "#n"}}}
                ]}),
            ),
        ] {
            assert!(problem(&schema).is_some(), "{name}");
        }
    }

    #[test]
    fn ordinary_recursion_is_fine() {
        for schema in [
            json!(true),
            json!({"properties": {"left": {"$ref": "#"}, "right": {"$ref": "#"}}}),
            json!({"items": {"$ref": "#"}, "additionalProperties": {"$ref": "#"}}),
            json!({"$defs": {"node": {"properties": {"children": {"items": {"$ref": "#/$defs/node"}}}}}, "$ref": "#/$defs/node"}),
            doubled(5),
        ] {
            assert_eq!(problem(&schema), None, "{schema}");
        }
    }
}
