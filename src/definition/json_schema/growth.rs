//! Detection of schemas whose cost grows without bound: a few lines can require more evaluations than there are atoms.
//!
//! At each position of a value, a validator applies all schemas that reach it. There are two ways to too many
//! applications: definitions that double each other at one position (`allOf: [next, next]`, 40 levels deep), and
//! recursion that reaches one position of the value by two paths, so that each level of the value doubles the cost.
//! Both are found by counting, for every possible position of a value, the applications of each schema.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::Value;

/// Maximum number of applications of schemas at one position of a value.
const MAX_APPLICATIONS: u64 = 10_000;
/// Maximum number of schemas that are analysed over all positions; more counts as growth.
const MAX_WORK: u64 = 500_000;
/// Minimum nesting that a schema must support; a lower bound makes the schema invalid.
const MIN_LEVELS: usize = 4;

/// The growth of a schema's cost with the size of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Growth {
    /// Linear in the size of the value.
    Bounded,
    /// Multiplied by each level. The number is the supported nesting of values.
    Deepest(usize),
    /// Unbounded, with the reason.
    Endless(&'static str),
}

/// Determines the growth of a schema's cost.
pub(super) fn analyse(root: &Value) -> Growth {
    if leads_outside(root) {
        return Growth::Endless("the schema refers to another document");
    }
    let mut graph = Graph { root, nodes: Vec::new(), known: HashMap::new(), anchors: None };
    let start = graph.id(root);
    let mut places: Vec<Vec<(usize, u64)>> = vec![vec![(start, 1)]];
    let mut seen: BTreeSet<Vec<(usize, u64)>> = BTreeSet::new();
    let mut work: u64 = 0;
    // The analysis proceeds by levels of the value, to distinguish growth from a schema that is merely large.
    for depth in 0_usize.. {
        let mut next = Vec::new();
        for place in std::mem::take(&mut places) {
            if !seen.insert(place.clone()) {
                continue;
            }
            let applied = match graph.applied(&place) {
                Ok(applied) => applied,
                Err(problem) => return Growth::Endless(problem),
            };
            let here = applied.values().fold(0_u64, |sum, count| sum.saturating_add(*count));
            work = work.saturating_add(applied.len() as u64);
            if here > MAX_APPLICATIONS || work > MAX_WORK {
                let grows = "the schema applies subschemas to one value exponentially often";
                return if depth > MIN_LEVELS { Growth::Deepest(depth - 1) } else { Growth::Endless(grows) };
            }
            next.extend(graph.children(&applied));
        }
        if next.is_empty() {
            break;
        }
        places = next;
    }
    Growth::Bounded
}

/// True if a reference points outside of the schema.
fn leads_outside(schema: &Value) -> bool {
    match schema {
        Value::Object(map) => map.iter().any(|(key, value)| {
            let reference = (key == "$ref" || key == "$dynamicRef")
                && value.as_str().is_some_and(|target| !target.starts_with('#'));
            reference || leads_outside(value)
        }),
        Value::Array(items) => items.iter().any(leads_outside),
        _ => false,
    }
}

struct Graph<'a> {
    root: &'a Value,
    nodes: Vec<&'a Value>,
    known: HashMap<*const Value, usize>,
    /// Schemas by anchor name, collected on first use.
    anchors: Option<HashMap<&'a str, &'a Value>>,
}

impl<'a> Graph<'a> {
    fn id(&mut self, node: &'a Value) -> usize {
        *self.known.entry(std::ptr::from_ref(node)).or_insert_with(|| {
            self.nodes.push(node);
            self.nodes.len() - 1
        })
    }

    /// The schemas that apply at the same position as this one.
    fn siblings(&mut self, node: usize) -> Vec<&'a Value> {
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

    fn target(&mut self, target: &str) -> Option<&'a Value> {
        let fragment = target.strip_prefix('#')?;
        if fragment.is_empty() || fragment.starts_with('/') {
            let decoded = percent_encoding::percent_decode_str(fragment).decode_utf8_lossy();
            return self.root.pointer(&decoded);
        }
        let root = self.root;
        let anchors = self.anchors.get_or_insert_with(|| {
            let mut found = HashMap::new();
            let mut stack = vec![root];
            while let Some(node) = stack.pop() {
                let names = ["$anchor", "$dynamicAnchor"].into_iter().filter_map(|keyword| node[keyword].as_str());
                found.extend(names.map(|name| (name, node)));
                match node {
                    Value::Object(map) => stack.extend(map.values()),
                    Value::Array(items) => stack.extend(items),
                    _ => {}
                }
            }
            found
        });
        anchors.get(fragment).copied()
    }

    /// Counts the applications of each schema at a position, including those caused by other schemas.
    fn applied(&mut self, place: &[(usize, u64)]) -> Result<BTreeMap<usize, u64>, &'static str> {
        // Topological order: each schema follows all schemas that apply it, so that its count is complete when it is passed on.
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
                Some(false) => return Err("the schema refers to itself without end"),
                None => {}
            }
            state.insert(node, false);
            stack.push((node, true));
            for schema in self.siblings(node) {
                let next = self.id(schema);
                match state.get(&next) {
                    Some(true) => {}
                    Some(false) => return Err("the schema refers to itself without end"),
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
            for schema in self.siblings(node) {
                let next = self.id(schema);
                let sum = counts.entry(next).or_default();
                *sum = sum.saturating_add(count);
            }
        }
        Ok(counts)
    }

    /// The positions below a position: each named property, any other property, and items.
    fn children(&mut self, applied: &BTreeMap<usize, u64>) -> Vec<Vec<(usize, u64)>> {
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

    use super::{Growth, analyse};

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
    fn detects_unbounded_growth() {
        let each_other =
            json!({"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"});
        for (name, schema) in [
            ("doubled at one place", doubled(40)),
            ("itself", json!({"$ref": "#"})),
            ("each other", each_other),
            ("outside", json!({"$id": "urn:x", "allOf": [{"$ref": "urn:x"}, {"$ref": "urn:x"}]})),
        ] {
            assert!(matches!(analyse(&schema), Growth::Endless(_)), "{name}: {:?}", analyse(&schema));
        }
    }

    #[test]
    fn accepts_ordinary_recursion() {
        let node = json!({"properties": {"children": {"items": {"$ref": "#/$defs/node"}}}});
        for schema in [
            json!(true),
            json!({"properties": {"left": {"$ref": "#"}, "right": {"$ref": "#"}}}),
            json!({"items": {"$ref": "#"}, "additionalProperties": {"$ref": "#"}}),
            json!({"$defs": {"node": node}, "$ref": "#/$defs/node"}),
            doubled(5),
        ] {
            assert_eq!(analyse(&schema), Growth::Bounded, "{schema}");
        }
    }

    #[test]
    fn limits_the_levels_if_the_cost_grows_with_each() {
        let twice = |part: Value| json!({"$dynamicAnchor": "n", "allOf": [part, part]});
        for part in [json!({"properties": {"a": {"$ref": "#"}}}), json!({"properties": {"a": {"$dynamicRef": "#n"}}})] {
            let growth = analyse(&twice(part));
            assert!(matches!(growth, Growth::Deepest(5..=20)), "{growth:?}");
        }
        // Blocks of rich text, as several applications define them.
        let children = json!({"items": {"$ref": "#/$defs/node"}});
        let block = |kind: &str| json!({"properties": {"type": {"const": kind}, "children": children}});
        let node = json!({"oneOf": [block("paragraph"), block("list"), block("quote")]});
        let growth = analyse(&json!({"$defs": {"node": node}, "$ref": "#/$defs/node"}));
        assert!(matches!(growth, Growth::Deepest(8..)), "{growth:?}");
    }
}
