//! Entities and capabilities: mappings to canonical fields that exist, and claims that actions and events fulfil.

use std::collections::{BTreeMap, BTreeSet};

use crate::catalog::{CatalogView, Entry};
use crate::definition::action::Operation;
use crate::definition::connector::{Capabilities, ConnectorSpec};
use crate::definition::entity::{ConnectorEntity, EntitySpec, Transform};
use crate::definition::event::Change;
use crate::definition::schema_validator::{nearest, quoted_list};
use crate::definition::{Kind, Spec, canonical};
use crate::text::{Finding, codes, escaped};

pub(super) fn check(catalog: CatalogView<'_>, entry: &Entry, findings: &mut Vec<Finding>) {
    match entry.spec() {
        Some(Spec::Connector(spec)) => {
            for (name, entity) in &spec.entities {
                connector_entity(catalog, entry, name, entity, findings);
            }
            // A partial definition may lack the action or event that fulfils a claim.
            if let Some(claimed) = spec.capabilities.as_ref().filter(|_| !entry.partial) {
                capabilities(entry, spec, claimed, findings);
            }
            operations(entry, spec, findings);
        }
        Some(Spec::Entity(spec)) => own_entity(entry, spec, findings),
        _ => {}
    }
}

/// Fields of a canonical entity, built-in ones and those of `Entity` definitions; true for required ones.
fn canonical_fields(catalog: CatalogView<'_>, name: &str) -> BTreeMap<String, bool> {
    let mut fields = BTreeMap::new();
    if let Some(entity) = canonical::find(name) {
        fields.extend(entity.fields.iter().map(|field| (field.name.to_owned(), field.required)));
    }
    for entry in catalog.of_kind(Kind::Entity) {
        if let Some(Spec::Entity(spec)) = entry.spec()
            && (spec.extends.as_deref() == Some(name) || spec.canonical_name.as_deref() == Some(name))
        {
            fields.extend(spec.fields.iter().map(|(name, field)| (name.clone(), field.required)));
        }
    }
    fields
}

fn connector_entity(
    catalog: CatalogView<'_>,
    entry: &Entry,
    name: &str,
    entity: &ConnectorEntity,
    findings: &mut Vec<Finding>,
) {
    let base = format!("/spec/entities/{name}");
    if let Some(key) = &entity.key
        && !entity.fields.contains_key(key)
    {
        let message = format!("the entity has no field `{key}`");
        findings.push(
            Finding::new(&codes::UNKNOWN_REFERENCE, entry.value_span(&format!("{base}/key")), message)
                .help("name the field that identifies a record"),
        );
    }
    for (field_name, field) in &entity.fields {
        let base = format!("{base}/fields/{}", escaped(field_name));
        for (at, transform) in field.transforms.iter().enumerate() {
            for other in other_fields(transform).filter(|other| !entity.fields.contains_key(*other)) {
                let help = match nearest(other, entity.fields.keys().map(String::as_str)) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => "name a field of this entity".into(),
                };
                let span = entry.value_span(&format!("{base}/transforms/{at}"));
                let message = format!("the entity has no field `{other}`");
                findings.push(Finding::new(&codes::UNKNOWN_REFERENCE, span, message).help(help));
            }
        }
        if let (Some(path), None) = (&field.canonical, &entity.canonical) {
            let message = format!("`{path}` is a field of no canonical entity: the entity names none");
            findings.push(
                Finding::new(&codes::ENTITY_FIELD, entry.value_span(&format!("{base}/canonical")), message)
                    .help(format!("add `canonical` to the entity `{name}`")),
            );
        }
    }
    let Some(canonical_name) = &entity.canonical else { return };
    let known = canonical_fields(catalog, canonical_name);
    if known.is_empty() {
        return;
    }
    let mut mapped = BTreeSet::new();
    for (field_name, field) in &entity.fields {
        let Some(path) = &field.canonical else { continue };
        let pointer = format!("{base}/fields/{}/canonical", escaped(field_name));
        let root = path.split(['.', '[']).next().unwrap_or(path);
        mapped.insert(root.to_owned());
        let built_in = canonical::find(canonical_name).is_some_and(|entity| entity.field(path).is_some());
        let added = known.contains_key(root)
            && canonical::find(canonical_name).is_none_or(|entity| entity.field(root).is_none());
        if !built_in && !added {
            let names: Vec<&String> = known.keys().collect();
            let last = path.rsplit('.').next().unwrap_or(path);
            let help = match nearest(last, names.iter().map(|name| name.as_str())) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("{canonical_name} has {}", quoted_list(&names)),
            };
            let message = format!("{canonical_name} has no field `{path}`");
            findings.push(Finding::new(&codes::ENTITY_FIELD, entry.value_span(&pointer), message).help(help));
        }
    }
    let lacking: Vec<&String> =
        known.iter().filter(|(name, required)| **required && !mapped.contains(*name)).map(|(name, _)| name).collect();
    if !lacking.is_empty() && !entry.partial {
        let verb = if lacking.len() == 1 { "field is" } else { "fields are" };
        let message = format!("{} of {canonical_name} {verb} not mapped", quoted_list(&lacking));
        findings.push(
            Finding::new(&codes::CANONICAL_MISSING, entry.value_span(&format!("{base}/canonical")), message)
                .help("map a field to each of them, with a `default` where the application has none"),
        );
    }
}

fn other_fields(transform: &Transform) -> impl Iterator<Item = &str> {
    let joined = transform.concat.iter().flat_map(|concat| &concat.fields);
    joined.chain(transform.coalesce.iter().flatten()).map(String::as_str)
}

/// Reports claims that no action or event fulfils, and operations that are not claimed.
fn capabilities(entry: &Entry, spec: &ConnectorSpec, claimed: &Capabilities, findings: &mut Vec<Finding>) {
    let mut operations: BTreeSet<(&str, Operation)> = BTreeSet::new();
    for action in spec.actions.values() {
        operations.extend(action.entity.as_deref().map(|entity| (entity, action.operation)));
    }
    let mut changes: BTreeSet<(&str, Change)> = BTreeSet::new();
    for event in spec.events.values() {
        let all = [Change::Created, Change::Updated, Change::Deleted];
        let reported = if event.changes.is_empty() { &all[..] } else { &event.changes };
        changes.extend(
            event.entity.as_deref().into_iter().flat_map(|entity| reported.iter().map(move |change| (entity, *change))),
        );
    }
    for (entity, wanted) in &claimed.actions {
        for (at, operation) in wanted.iter().enumerate() {
            if !operations.contains(&(entity.as_str(), *operation)) {
                let span = entry.value_span(&format!("/spec/capabilities/actions/{entity}/{at}"));
                let message = format!("no action does {operation:?} with `{entity}`");
                let help = format!(
                    "add an action with `entity: {entity}` and `operation: {operation:?}`, or remove the claim"
                );
                findings.push(Finding::new(&codes::CAPABILITY, span, message).help(help));
            }
        }
    }
    for (entity, wanted) in &claimed.events {
        for (at, change) in wanted.iter().enumerate() {
            if !changes.contains(&(entity.as_str(), *change)) {
                let span = entry.value_span(&format!("/spec/capabilities/events/{entity}/{at}"));
                let message = format!("no event reports that `{entity}` was {}", format!("{change:?}").to_lowercase());
                findings
                    .push(Finding::new(&codes::CAPABILITY, span, message).help("add the event, or remove the claim"));
            }
        }
    }
    if claimed.actions.is_empty() {
        return;
    }
    for (entity, operation) in operations {
        let named = claimed.actions.get(entity).is_some_and(|named| named.contains(&operation));
        if !named && operation != Operation::Other {
            let message = format!("an action does {operation:?} with `{entity}`, which is not claimed");
            findings.push(
                Finding::new(&codes::CAPABILITY, entry.key_span("/spec/capabilities/actions"), message)
                    .help("add it, or leave `capabilities` out: they are derived from actions and events"),
            );
        }
    }
}

/// Reports operations without an entity.
fn operations(entry: &Entry, spec: &ConnectorSpec, findings: &mut Vec<Finding>) {
    for (name, action) in &spec.actions {
        if action.operation != Operation::Other && action.entity.is_none() && !spec.entities.is_empty() {
            let message = format!("`{name}` does {:?} with no entity", action.operation);
            let names: Vec<&String> = spec.entities.keys().collect();
            findings.push(
                Finding::new(&codes::CAPABILITY, entry.value_span(&format!("/spec/actions/{name}/operation")), message)
                    .help(format!("add `entity` with one of {}, or remove `operation`", quoted_list(&names))),
            );
        }
    }
}

/// Reports fields of an `Entity` definition that redefine existing ones.
fn own_entity(entry: &Entry, spec: &EntitySpec, findings: &mut Vec<Finding>) {
    let Some(extended) = spec.extends.as_deref().and_then(canonical::find) else {
        if let Some(name) = spec.canonical_name.as_deref().filter(|name| canonical::find(name).is_some()) {
            let message = format!("`{name}` is a canonical entity already");
            findings.push(
                Finding::new(&codes::DUPLICATE_DEFINITION, entry.value_span("/spec/canonicalName"), message)
                    .help(format!("write `extends: {name}` to add fields to it, or use another name")),
            );
        }
        return;
    };
    for name in spec.fields.keys().filter(|name| extended.fields.iter().any(|field| field.name == **name)) {
        let message = format!("{} has a field `{name}` already", extended.name);
        findings.push(
            Finding::new(&codes::ENTITY_FIELD, entry.key_span(&format!("/spec/fields/{name}")), message)
                .help("use another name"),
        );
    }
}
