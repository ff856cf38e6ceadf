//! Widgets: one primary connector, reachable actions with an effect, and forms that can be filled in.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::catalog::Entry;
use crate::definition::form::{FieldOptions, Form, FormField, FormFieldType};
use crate::definition::schema_validator::{ValueFormat, nearest};
use crate::definition::widget::{Visibility, WidgetActionType, WidgetSpec};
use crate::definition::{Json, Spec};
use crate::text::{Finding, codes, unescaped};

pub(super) fn check(entry: &Entry, findings: &mut Vec<Finding>) {
    let Some(Spec::Widget(spec)) = entry.spec() else { return };
    primary(entry, spec, findings);
    actions(entry, spec, findings);
    reachable(entry, spec, findings);
    for (name, form) in &spec.forms {
        form_fields(entry, &format!("/spec/forms/{name}"), form, findings);
        let opened = spec.actions.iter().any(|action| action.form.as_deref() == Some(name));
        if !opened {
            let message = format!("no action opens the form `{name}`");
            let span = entry.key_span(&format!("/spec/forms/{name}"));
            findings.push(Finding::new(&codes::UNUSED, span, message).help("name it in a Configuration action"));
        }
    }
    localization(entry, spec, findings);
}

fn primary(entry: &Entry, spec: &WidgetSpec, findings: &mut Vec<Finding>) {
    let primaries: Vec<usize> =
        spec.connectors.iter().enumerate().filter(|(_, connector)| connector.primary).map(|(at, _)| at).collect();
    match primaries.as_slice() {
        [] if spec.connectors.len() > 1 => findings.push(
            Finding::new(&codes::PRIMARY, entry.key_span("/spec/connectors"), "none of several connectors is primary")
                .help("add `primary: true` to the one that decides the first prompt"),
        ),
        [first, second, ..] => findings.push(
            Finding::new(
                &codes::PRIMARY,
                entry.key_span(&format!("/spec/connectors/{second}/primary")),
                format!("{} connectors are primary", primaries.len()),
            )
            .also(entry.key_span(&format!("/spec/connectors/{first}/primary")), "the first one")
            .help("keep `primary: true` on one of them"),
        ),
        _ => {}
    }
    let mut seen = BTreeSet::new();
    for (at, connector) in spec.connectors.iter().enumerate() {
        if !seen.insert(&connector.connector) {
            let message = format!("connector `{}` is listed twice", connector.connector);
            let span = entry.value_span(&format!("/spec/connectors/{at}/connector"));
            findings.push(Finding::new(&codes::WIDGET_ACTION, span, message).help("remove one"));
        }
    }
}

fn actions(entry: &Entry, spec: &WidgetSpec, findings: &mut Vec<Finding>) {
    let mut names = BTreeSet::new();
    for (at, action) in spec.actions.iter().enumerate() {
        let base = format!("/spec/actions/{at}");
        let name = entry.value_span(&format!("{base}/name"));
        if !names.insert(&action.name) {
            let message = format!("there are two actions named `{}`", action.name);
            findings.push(Finding::new(&codes::WIDGET_ACTION, name, message).help("give one of them another name"));
        }
        let runs = action.workflow.is_some() || action.action.is_some();
        match action.action_type {
            WidgetActionType::Configuration if action.form.is_none() => {
                let message = format!("the Configuration action `{}` opens no form", action.name);
                let help = match spec.forms.keys().next() {
                    Some(form) => format!("add `form: {form}`"),
                    None => "add a form under `forms` and name it in `form`".into(),
                };
                findings.push(Finding::new(&codes::CONFIGURATION_FORM, name, message).help(help));
            }
            WidgetActionType::Configuration => {}
            _ if action.form.is_some() => {
                let message = format!(
                    "only a Configuration action opens a form, and `{}` is {:?}",
                    action.name, action.action_type
                );
                let span = entry.key_span(&format!("{base}/form"));
                findings.push(
                    Finding::new(&codes::WIDGET_ACTION, span, message)
                        .help("use `type: Configuration`, or remove `form`"),
                );
            }
            _ if !runs => {
                let message = format!("the action `{}` runs nothing", action.name);
                findings.push(Finding::new(&codes::WIDGET_ACTION, name, message).help("name a `workflow`"));
            }
            WidgetActionType::MultiConnector if spec.connectors.len() < 2 => {
                let message = format!(
                    "`{}` works on several connectors, and the widget has {}",
                    action.name,
                    spec.connectors.len()
                );
                findings.push(
                    Finding::new(&codes::WIDGET_ACTION, name, message).help("add connectors, or use `type: None`"),
                );
            }
            _ => {}
        }
    }
}

/// Reports actions that are shown in no state that a user can reach with the actions of the widget.
fn reachable(entry: &Entry, spec: &WidgetSpec, findings: &mut Vec<Finding>) {
    // A widget without connectors needs no authentication: its user is always authenticated.
    let mut states = BTreeSet::from([(spec.connectors.is_empty(), false)]);
    loop {
        let mut next = states.clone();
        for &(authenticated, configured) in &states {
            let shown = spec.actions.iter().filter(|action| action.visibility.shown(authenticated, configured));
            next.extend(shown.map(|action| match action.action_type {
                WidgetActionType::Activation => (true, configured),
                WidgetActionType::Deactivation => (spec.connectors.is_empty(), configured),
                WidgetActionType::Configuration => (authenticated, true),
                WidgetActionType::MultiConnector | WidgetActionType::None => (authenticated, configured),
            }));
            // Without an activation action the prompt of the connectors authenticates.
            let has = |wanted| spec.actions.iter().any(|action| action.action_type == wanted);
            if !has(WidgetActionType::Activation) && !spec.connectors.is_empty() {
                next.insert((true, configured));
            }
        }
        if next == states {
            break;
        }
        states = next;
    }
    for (at, action) in spec.actions.iter().enumerate() {
        if !states.iter().any(|&(authenticated, configured)| action.visibility.shown(authenticated, configured)) {
            let missing = match action.visibility {
                Visibility::PreAuth | Visibility::PreAuthConfigured | Visibility::PreAuthNotConfigured
                    if spec.connectors.is_empty() =>
                {
                    "a widget without connectors is never in a state before authentication"
                }
                Visibility::PreAuthConfigured => "no user is configured and not authenticated",
                Visibility::PostAuthConfigured => "no action makes the widget configured",
                _ => "no action leads to that state",
            };
            let at = ["visibility", "name"].map(|field| format!("/spec/actions/{at}/{field}"));
            let at = at.iter().find(|pointer| entry.node(pointer).is_some());
            let message = format!("no user can ever see `{}`: {missing}", action.name);
            findings.push(
                Finding::new(&codes::UNREACHABLE, entry.value_span(at.map_or("", |at| at)), message)
                    .help("correct its visibility, or add the action that leads there"),
            );
        }
    }
    let position = |wanted| spec.actions.iter().position(|action| action.action_type == wanted);
    let (activation, deactivation) = (position(WidgetActionType::Activation), position(WidgetActionType::Deactivation));
    if let (Some(at), None) | (None, Some(at)) = (activation, deactivation) {
        let (has, lacks) =
            if activation.is_some() { ("Activation", "Deactivation") } else { ("Deactivation", "Activation") };
        let span = entry.value_span(&format!("/spec/actions/{at}/type"));
        let message = format!("there is an {has} action and no {lacks}").replace("an Deact", "a Deact");
        findings.push(Finding::new(&codes::DEAD_END, span, message).help(format!("add an action of `type: {lacks}`")));
    }
}

fn form_fields(entry: &Entry, base: &str, form: &Form, findings: &mut Vec<Finding>) {
    let names: Vec<&str> = form.fields.iter().map(|field| field.name.as_str()).collect();
    for (at, field) in form.fields.iter().enumerate() {
        let base = format!("{base}/fields/{at}");
        let mut report = |pointer: &str, message: String, help: String| {
            let span = if pointer.ends_with("/name") { entry.value_span(pointer) } else { entry.key_span(pointer) };
            findings.push(Finding::new(&codes::FORM_FIELD, span, message).help(help));
        };
        let name = format!("{base}/name");
        if names[..at].contains(&field.name.as_str()) {
            report(&name, format!("there are two fields named `{}`", field.name), "rename one of them".into());
        }
        for other in field.visible_when.keys() {
            let root = other.split('.').next().unwrap_or(other);
            let pointer = format!("{base}/visibleWhen/{other}");
            if root == field.name {
                let message = format!("`{root}` decides about itself");
                report(&pointer, message, "name another field".into());
            } else if !names.contains(&root) {
                let help = match nearest(root, names.iter().copied()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => "name another field of this form".into(),
                };
                report(&pointer, format!("the form has no field `{root}`"), help);
            }
        }
        settings(field, &base, &mut report);
    }
    for (at, field) in form.fields.iter().enumerate() {
        super::triggers::filter(entry, &field.visible_when, &format!("{base}/fields/{at}/visibleWhen"), findings);
    }
}

fn settings(field: &FormField, base: &str, report: &mut impl FnMut(&str, String, String)) {
    use FormFieldType::{Files, Mapping, MultiSelect, Number, Select};
    let kind = field.field_type;
    let name = format!("{base}/name");
    let needs = [
        (matches!(kind, Select | MultiSelect), field.options.is_some(), "options"),
        (kind == Files, field.picker.is_some(), "picker"),
        (kind == Mapping, field.mapping.is_some(), "mapping"),
    ];
    for (needed, given, setting) in needs {
        if needed && !given {
            report(
                &name,
                format!("the {kind:?} field `{}` has no `{setting}`", field.name),
                format!("add `{setting}`"),
            );
        } else if given && !needed {
            let message = format!("a field of type {kind:?} takes no `{setting}`");
            report(&format!("{base}/{setting}"), message, "remove it, or change the type".into());
        }
    }
    let default = field.default.as_ref().map(Json::value);
    if let (Some(FieldOptions::Static(options)), Some(default)) = (&field.options, &default) {
        let values: Vec<Value> = options.iter().filter_map(|option| serde_json::to_value(&option.value).ok()).collect();
        let chosen = default.as_array().map_or(std::slice::from_ref(default), Vec::as_slice);
        if chosen.iter().any(|value| !values.contains(value)) {
            report(
                &format!("{base}/default"),
                "the default is not one of the options".into(),
                "name one of them".into(),
            );
        }
    }
    if let Some(default) = &default {
        let fits = match kind {
            FormFieldType::Checkbox => default.is_boolean(),
            Number => default.is_number(),
            MultiSelect | Files => default.is_array(),
            Mapping => default.is_object(),
            Select => !default.is_array() && !default.is_object(),
            _ => default.is_string(),
        };
        if !fits {
            let message = format!("the default does not fit the type {kind:?}");
            report(&format!("{base}/default"), message, "correct the default, or the type".into());
        }
    }
    if let Some(rules) = &field.validation {
        let base = format!("{base}/validation");
        let backwards =
            |low: Option<f64>, high: Option<f64>| matches!((low, high), (Some(low), Some(high)) if low > high);
        if backwards(rules.min_length.map(f64::from), rules.max_length.map(f64::from)) {
            report(&format!("{base}/maxLength"), "no text is that long and that short".into(), "swap the two".into());
        }
        if backwards(rules.minimum, rules.maximum) {
            report(&format!("{base}/maximum"), "no number is in this range".into(), "swap the two".into());
        }
        let of_text = rules.min_length.is_some() || rules.max_length.is_some() || rules.pattern.is_some();
        let is_text = !matches!(kind, Number | FormFieldType::Checkbox | Select | MultiSelect | Files | Mapping);
        if of_text && !is_text {
            let message = format!("a field of type {kind:?} has no length or pattern");
            report(&base, message, "remove it, or use `type: Text`".into());
        }
        if (rules.minimum.is_some() || rules.maximum.is_some()) && kind != Number {
            let message = format!("a field of type {kind:?} has no smallest or largest number");
            report(&base, message, "use `minLength` and `maxLength`, or `type: Number`".into());
        }
    }
    if field.required && field.hidden && field.default.is_none() {
        let message = format!("`{}` must be filled in and is not shown", field.name);
        report(&name, message, "give it a default, or show it".into());
    }
}

/// Reports translations for actions that do not exist.
fn localization(entry: &Entry, spec: &WidgetSpec, findings: &mut Vec<Finding>) {
    for marked in entry.facts.formatted.iter().filter(|marked| marked.format == ValueFormat::WidgetAction) {
        let name = unescaped(marked.pointer.rsplit('/').next().unwrap_or_default());
        if !spec.actions.iter().any(|action| action.name == name) {
            let help = match nearest(&name, spec.actions.iter().map(|action| action.name.as_str())) {
                Some(near) => format!("did you mean `{near}`?"),
                None => "name one of the widget's actions".into(),
            };
            let message = format!("the widget has no action `{name}`");
            findings.push(Finding::new(&codes::UNKNOWN_REFERENCE, entry.key_span(&marked.pointer), message).help(help));
        }
    }
}
