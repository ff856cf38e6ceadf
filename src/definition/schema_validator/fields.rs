//! Maps with a fixed set of fields: unknown, missing and contradicting fields, one finding for each mistake.

use super::model::ObjectFields;
use super::suggestions::{keys_help, nearest_field, possible_fields, quoted, quoted_list};
use super::validate::{Marks, Walk};
use crate::text::NodeKind as Value;
use crate::text::{Key, Node, Range, codes};

impl Walk<'_> {
    pub(super) fn object(&mut self, node: &Node, fields: &'static ObjectFields, marks: Marks, name: &str) {
        let Value::Map(entries) = &node.kind else {
            return self.wrong_value(node, "a map", name, Some(keys_help(fields)));
        };
        let unknown: Vec<&Key> =
            entries.iter().map(|entry| &entry.key).filter(|key| !fields.by_name.contains_key(&*key.name)).collect();
        for entry in entries {
            if let Some(index) = fields.by_name.get(&*entry.key.name) {
                let marks = Marks { format: None, reference: None, duration: (None, None), ..marks };
                self.inside(&entry.key.name, |walk| walk.node(&entry.value, *index, marks, &entry.key.name));
            }
        }
        // An explicit null counts as omitted, as on Kubernetes.
        let given = |field: &String| entries.iter().any(|entry| *entry.key.name == **field && !entry.value.is_null());
        let is_missing = |group: &&Vec<String>| !group.iter().any(given);
        let missing: Vec<&String> = fields.required.iter().filter(|field| !given(field)).collect();
        let missing_groups: Vec<&Vec<String>> = fields.exactly_one.iter().filter(is_missing).collect();
        // One mistake, one finding: a misspelt field is not reported as missing too, and neither is anything else if
        // the field is unlike all others, since the author had another form of this map in mind.
        let is_misspelt = |field: &String| {
            let near = |key: &&Key| nearest_field(&key.name, fields) == Some(field.as_str());
            unknown.iter().any(near)
        };
        let is_unlike = unknown.iter().any(|key| nearest_field(&key.name, fields).is_none());
        let possible = match is_unlike {
            true => possible_fields(fields, &missing, &missing_groups),
            false => possible_fields(fields, &[], &[]),
        };
        for key in &unknown {
            self.unknown_field(key, fields, name, &possible);
        }
        for field in missing.into_iter().filter(|field| !is_unlike && !is_misspelt(field)) {
            self.report(&codes::MISSING_FIELD, start_of(node), format!("{} lacks `{field}`", quoted(name))).help =
                Some(format!("add `{field}`"));
        }
        for group in &fields.exactly_one {
            let present: Vec<&String> = group.iter().filter(|field| given(field)).collect();
            if present.is_empty() && (is_unlike || group.iter().any(is_misspelt)) {
                continue;
            }
            if present.len() != 1 {
                let (span, message) = match present.get(1) {
                    None => (start_of(node), format!("{} needs one of {}", quoted(name), quoted_list(group))),
                    Some(second) => (
                        key_span(node, second),
                        format!("{} has {}, which exclude each other", quoted(name), quoted_list(&present)),
                    ),
                };
                self.report(fields.exactly_one_code.unwrap_or(&codes::EXACTLY_ONE), span, message).help =
                    Some(format!("keep exactly one of {}", quoted_list(group)));
            }
        }
        for group in &fields.at_most_one {
            let present: Vec<&String> = group.iter().filter(|field| given(field)).collect();
            if let Some(second) = present.get(1) {
                let message = format!("{} has {}, which exclude each other", quoted(name), quoted_list(&present));
                self.report(&codes::AT_MOST_ONE, key_span(node, second), message).help =
                    Some("keep one of them".into());
            }
        }
        if fields.not_empty && entries.is_empty() {
            self.report(&codes::OUT_OF_RANGE, node.span, format!("{} is empty", quoted(name))).help =
                Some("give it at least one field".into());
        }
    }

    /// Reports an unknown field. `possible` is the help if no field has a similar name.
    fn unknown_field(&mut self, key: &Key, fields: &ObjectFields, name: &str, possible: &str) {
        let message = format!("unknown field `{}` in {}", key.name, quoted(name));
        let help = match nearest_field(&key.name, fields) {
            Some(near) => format!("did you mean `{near}`?"),
            None => possible.to_owned(),
        };
        self.report(&codes::UNKNOWN_FIELD, key.span, message).help = Some(help);
    }
}

/// The position of the first key of a map, as a snippet of the whole map would be too long.
fn start_of(node: &Node) -> Range {
    node.entries().first().map_or(node.span, |entry| entry.key.span)
}

fn key_span(node: &Node, field: &str) -> Range {
    node.entry(field).map_or(node.span, |entry| entry.key.span)
}
