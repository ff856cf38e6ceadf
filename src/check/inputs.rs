//! Inputs that templates read: that they are declared, and that they exist if they are optional.

use std::collections::BTreeSet;

use crate::catalog::Entry;
use crate::definition::Kind;
use crate::definition::schema_validator::{TemplateUse, nearest};
use crate::template::{Analysis, FieldLocation, analyse};
use crate::text::{Finding, Node, NodeKind, codes};

/// Methods that templates call on a map.
pub(super) const METHODS: [&str; 7] = ["get", "items", "keys", "values", "update", "pop", "copy"];

/// The action or workflow whose `input` a template reads.
pub(super) fn owner(entry: &Entry, template: &TemplateUse) -> Option<String> {
    match entry.id.kind {
        Kind::Connector => {
            let rest = template.pointer.strip_prefix("/spec/actions/")?;
            Some(format!("/spec/actions/{}", rest.split('/').next()?))
        }
        Kind::Workflow => Some("/spec".into()),
        _ => None,
    }
}

/// Names that a schema declares; `None` if it declares none, or allows others on purpose.
pub(super) fn properties(schema: &Node) -> Option<Vec<&str>> {
    let open = ["$ref", "allOf", "anyOf", "oneOf", "patternProperties", "if", "propertyNames"];
    let open = open.iter().any(|keyword| schema.get(keyword).is_some());
    let additional = schema.get("additionalProperties");
    let additional = additional.is_some_and(|value| !matches!(value.kind, NodeKind::Bool(false)));
    let properties = schema.get("properties")?;
    if open || additional {
        return None;
    }
    Some(properties.entries().iter().map(|entry| &*entry.key.name).collect())
}

/// Warns of templates that fail if an optional input is absent, once for each input of an action or workflow. A condition
/// of the same action or workflow that tests the input counts as a guard, and so does a page setting that fills it in.
#[derive(Default)]
pub(super) struct OptionalInputs {
    reported: BTreeSet<(String, String)>,
}

impl OptionalInputs {
    /// Checks the reads of one template.
    pub(super) fn check(
        &mut self,
        entry: &Entry,
        template: &TemplateUse,
        node: &Node,
        analysis: &Analysis,
        findings: &mut Vec<Finding>,
    ) {
        let reads = analysis.unguarded.iter().filter_map(|(path, range)| Some((path.strip_prefix("input.")?, range)));
        for (path, range) in reads {
            let Some(owner) = owner(entry, template) else { return };
            let Some(schema) = entry.node(&format!("{owner}/input")) else { return };
            let Some(optional) = optional(schema, path) else { continue };
            if is_guarded(entry, &owner, optional) || !self.reported.insert((owner, optional.to_owned())) {
                continue;
            }
            let span = entry.span(node.locate(entry.text(), range.clone()));
            let field = optional.rsplit('.').next().unwrap_or(optional);
            let message = format!("the input schema does not require `{field}`, and this fails without it");
            let help = format!(
                "write `input.{optional} | default(none)` or another default here, or add `{field}` to `required` or a \
                 `default` to its schema"
            );
            findings.push(Finding::new(&codes::TEMPLATE_OPTIONAL, span, message).help(help));
        }
    }
}

/// The start of a path that ends at the first property that may be absent.
fn optional<'p>(schema: &Node, path: &'p str) -> Option<&'p str> {
    let mut schema = schema;
    let mut end = 0;
    for part in path.split('.') {
        let declared = properties(schema)?;
        if METHODS.contains(&part) || !declared.contains(&part) {
            return None;
        }
        end += part.len() + usize::from(end > 0);
        let required = schema.get("required").map_or(&[][..], Node::items);
        let is_required = required.iter().any(|name| name.as_str() == Some(part));
        // A misspelt or misplaced `required` is reported itself.
        let is_misspelt = |key: &str| key != "required" && nearest(key, ["required"].into_iter()).is_some();
        if schema.entries().iter().any(|entry| is_misspelt(&entry.key.name)) {
            return None;
        }
        schema = schema.get("properties")?.get(part)?;
        if schema.get("default").is_some() || schema.get("required").is_some_and(|node| node.items().is_empty()) {
            return None;
        }
        if !is_required {
            return path.get(..end);
        }
    }
    None
}

/// True if a condition of the owner tests the input, or paging sets it.
fn is_guarded(entry: &Entry, owner: &str, optional: &str) -> bool {
    let input = format!("input.{optional}");
    let pages = entry.node(&format!("{owner}/pagination")).map_or(&[][..], Node::entries);
    let is_paged = pages.iter().any(|page| {
        ["input", "limitInput"].iter().any(|field| page.value.get(field).and_then(Node::as_str) == Some(optional))
    });
    let conditions = entry.facts.templates.iter().filter(|template| template.location == "condition");
    let mut within = conditions.filter(|template| template.pointer.starts_with(&format!("{owner}/")));
    is_paged
        || within.any(|template| {
            let text = entry.node(&template.pointer).and_then(Node::as_str).unwrap_or_default();
            let analysis = analyse(text, FieldLocation::Condition, false);
            analysis.reads.contains_key(&input) && !analysis.unguarded.contains_key(&input)
        })
}
