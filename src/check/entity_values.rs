//! Fields of records: transforms, maps of values and coercions that their values can pass.

use crate::catalog::Entry;
use crate::definition::entity::{ConnectorEntity, ConnectorField, FieldType, Transform};
use crate::definition::schema_validator::{nearest, quoted_list};
use crate::definition::{Spec, canonical};
use crate::text::{Finding, codes, escaped};

pub(super) fn check(entry: &Entry, findings: &mut Vec<Finding>) {
    let Some(Spec::Connector(spec)) = entry.spec() else { return };
    for (entity_name, entity) in &spec.entities {
        for (name, field) in &entity.fields {
            let base = format!("/spec/entities/{}/fields/{}", escaped(entity_name), escaped(name));
            transforms(entry, &base, field, findings);
            values_map(entry, &base, entity, field, findings);
            if let (Some(coercion), FieldType::Object | FieldType::Array) = (field.coerce, field.field_type) {
                let message =
                    format!("`{coercion:?}` takes one value, and this field is an {}", field.field_type.as_str());
                let span = entry.value_span(&format!("{base}/coerce"));
                let help = "remove `coerce`, or correct the type of the field";
                findings.push(Finding::new(&codes::ENTITY_VALUE, span, message).help(help));
            }
        }
    }
}

/// Reports transforms that take no value of the type of the field.
fn transforms(entry: &Entry, base: &str, field: &ConnectorField, findings: &mut Vec<Finding>) {
    let is_list = matches!(field.field_type, FieldType::Object | FieldType::Array);
    let mut is_text =
        !is_list && !matches!(field.field_type, FieldType::Integer | FieldType::Number | FieldType::Boolean);
    let mut is_number =
        matches!(field.field_type, FieldType::Integer | FieldType::Number | FieldType::Money | FieldType::String);
    for (at, transform) in field.transforms.iter().enumerate() {
        let Some((name, fits, wanted)) = demand(transform, is_text, is_number) else {
            // `concat` makes text of scalars, and `coalesce` takes a value of another field.
            (is_text, is_number) = (true, true);
            continue;
        };
        if !fits {
            let message =
                format!("`{name}` takes {wanted}, and this field is of the type `{}`", field.field_type.as_str());
            let span = entry.value_span(&format!("{base}/transforms/{at}"));
            let help = "remove the transform, or correct the type of the field";
            findings.push(Finding::new(&codes::ENTITY_VALUE, span, message).help(help));
        }
    }
}

/// The name of a transform, whether it takes such values, and what it takes; `None` if it takes others.
fn demand(transform: &Transform, is_text: bool, is_number: bool) -> Option<(&'static str, bool, &'static str)> {
    let texts = [("upper", &transform.upper), ("lower", &transform.lower), ("trim", &transform.trim)];
    let text = texts.into_iter().find(|(_, set)| set.is_some()).map(|(name, _)| (name, is_text, "text"));
    let numbers = [
        ("round", transform.round.is_some()),
        ("multiply", transform.multiply.is_some()),
        ("add", transform.add.is_some()),
    ];
    let number = || numbers.into_iter().find(|(_, set)| *set).map(|(name, _)| (name, is_number, "a number"));
    text.or_else(number)
}

/// Reports values that `valuesMap` lacks, and values that the canonical field does not allow.
fn values_map(
    entry: &Entry,
    base: &str,
    entity: &ConnectorEntity,
    field: &ConnectorField,
    findings: &mut Vec<Finding>,
) {
    if field.values_map.is_empty() {
        return;
    }
    let lacking: Vec<&String> = field.values.iter().filter(|value| !field.values_map.contains_key(*value)).collect();
    // Transforms change the values before they are looked up.
    if !lacking.is_empty() && field.transforms.is_empty() && !entry.partial {
        let message = format!("`valuesMap` has no entry for {}, which `enum` allows", quoted_list(&lacking));
        let span = entry.key_span(&format!("{base}/valuesMap"));
        let help = "add an entry for each value that the application sends";
        findings.push(Finding::new(&codes::ENTITY_VALUE, span, message).help(help));
    }
    let canonical = || canonical::find(entity.canonical.as_deref()?)?.field(field.canonical.as_deref()?);
    let Some(allowed) = canonical().map(|canonical| canonical.values).filter(|values| !values.is_empty()) else {
        return;
    };
    for (native, value) in field.values_map.iter().filter(|(_, value)| !allowed.contains(&value.as_str())) {
        let help = match nearest(value, allowed.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("its values are {}", quoted_list(allowed)),
        };
        let message = format!("the canonical field has no value `{value}`");
        let span = entry.value_span(&format!("{base}/valuesMap/{}", escaped(native)));
        findings.push(Finding::new(&codes::ENTITY_VALUE, span, message).help(help));
    }
}
