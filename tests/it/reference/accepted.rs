//! The page about declarations that are accepted and not in effect yet.

use evenkeel::definition::planned::Planned;
use evenkeel::definition::{Kind, schema};
use serde_json::Value;

use super::markdown::head;

/// The page.
pub fn page() -> String {
    let mut text = head(
        "Accepted, not in effect yet",
        "The language has more than this version does. These kinds and fields are accepted and validated, and nothing acts on \
         them. `evenkeel validate`, the plan and the status of a definition warn of each use with \
         [EK0115](findings.md#EK0115).",
    );
    text += "| declaration | instead | until then |\n|---|---|---|\n";
    for (name, planned) in declarations() {
        text += &format!("| {name} | {} | {} |\n", planned.0, planned.1);
    }
    text
}

/// The marked declarations: a kind, or the path of a field, with what happens instead and what to do.
fn declarations() -> Vec<(String, (String, String))> {
    let mut found = Vec::new();
    for kind in Kind::ALL {
        let document = schema::of_kind(kind);
        let spec = &document["properties"]["spec"];
        if let Some(planned) = planned(spec) {
            found.push((format!("the kind {kind}"), planned));
        } else {
            let mut walk = Walk { defs: &document["$defs"], within: Vec::new(), found: &mut found };
            walk.schema(spec, &format!("{kind}.spec"));
        }
    }
    found
}

fn planned(schema: &Value) -> Option<(String, String)> {
    let Planned { instead, remedy } = Planned::of_schema(schema)??;
    Some((instead.to_owned(), remedy.to_owned()))
}

struct Walk<'a> {
    defs: &'a Value,
    /// Names of the enclosing types: a type may contain itself.
    within: Vec<&'a str>,
    found: &'a mut Vec<(String, (String, String))>,
}

impl<'a> Walk<'a> {
    fn schema(&mut self, schema: &'a Value, path: &str) {
        if let Some(planned) = planned(schema) {
            return self.found.push((format!("`{path}`"), planned));
        }
        if let Some(name) = schema["$ref"].as_str().and_then(|target| target.rsplit('/').next()) {
            if !self.within.contains(&name) {
                self.within.push(name);
                self.schema(&self.defs[name], path);
                self.within.pop();
            }
            return;
        }
        for (name, field) in schema["properties"].as_object().into_iter().flatten() {
            self.schema(field, &format!("{path}.{name}"));
        }
        for (keyword, mark) in [("items", "[]"), ("additionalProperties", ".*")] {
            if schema[keyword].is_object() {
                self.schema(&schema[keyword], &format!("{path}{mark}"));
            }
        }
        for case in ["anyOf", "oneOf"].iter().flat_map(|case| schema[case].as_array().into_iter().flatten()) {
            self.schema(case, path);
        }
    }
}

#[test]
fn the_page_lists_kinds_and_fields() {
    let page = page();
    for part in [
        "the kind Widget",
        "`Connector.spec.actions.*.pagination`",
        "`Environment.spec.secrets.*.vault`",
        "NOT_RUNNABLE",
    ] {
        assert!(page.contains(part), "{part}:\n{page}");
    }
}
