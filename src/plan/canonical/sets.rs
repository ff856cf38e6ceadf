//! Lists whose order has no meaning: they are compared as sets.

use std::cmp::Ordering;

use serde_json::Value;

use crate::definition::Kind;
use crate::plan::pattern;

/// Locations of lists whose order has no meaning. Every other list keeps its order; a test requires a decision for each.
pub(super) const SETS: [(Kind, &str); 44] = [
    (Kind::Connector, "spec/actions/*/auth"),
    (Kind::Connector, "spec/actions/*/response/success"),
    (Kind::Connector, "spec/actions/*/steps/*/response/success"),
    (Kind::Connector, "spec/auth/methods/*/oauth2/scopes"),
    (Kind::Connector, "spec/capabilities/actions/*"),
    (Kind::Connector, "spec/capabilities/entities"),
    (Kind::Connector, "spec/capabilities/events/*"),
    (Kind::Connector, "spec/entities/*/fields/*/enum"),
    (Kind::Connector, "spec/events/*/changes"),
    (Kind::Connector, "spec/images"),
    (Kind::Widget, "spec/actions/*/connectors"),
    (Kind::Widget, "spec/forms/*/fields/*/picker/fileTypes"),
    (Kind::Widget, "spec/forms/*/fields/*/visibleWhen/*/in"),
    (Kind::Widget, "spec/forms/*/fields/*/visibleWhen/*/notIn"),
    (Kind::Widget, "spec/images"),
    (Kind::Widget, "spec/settings/tenants/except"),
    (Kind::Widget, "spec/settings/tenants/only"),
    (Kind::Trigger, "spec/appEvent/routes/*/when/*/in"),
    (Kind::Trigger, "spec/appEvent/routes/*/when/*/notIn"),
    (Kind::Trigger, "spec/appEvent/routes/*/whenAny/*/*/in"),
    (Kind::Trigger, "spec/appEvent/routes/*/whenAny/*/*/notIn"),
    (Kind::Trigger, "spec/schedule/monthly/days"),
    (Kind::Trigger, "spec/schedule/routes/*/tenants"),
    (Kind::Trigger, "spec/schedule/weekly/days"),
    (Kind::Trigger, "spec/webhook/routes/*/when/*/in"),
    (Kind::Trigger, "spec/webhook/routes/*/when/*/notIn"),
    (Kind::Trigger, "spec/webhook/routes/*/whenAny/*/*/in"),
    (Kind::Trigger, "spec/webhook/routes/*/whenAny/*/*/notIn"),
    (Kind::Workflow, "spec/connectors/*/actions"),
    (Kind::Workflow, "spec/secrets"),
    (Kind::Environment, "spec/egress/hosts"),
    (Kind::Environment, "spec/egress/privateNetworks"),
    (Kind::Environment, "spec/notifications/*/events"),
    (Kind::Environment, "spec/source/cluster/namespaces"),
    (Kind::Environment, "spec/source/git/auth/ssh/knownHosts"),
    (Kind::Environment, "spec/source/git/trustedKeys"),
    (Kind::Environment, "spec/sources/*/cluster/namespaces"),
    (Kind::Environment, "spec/sources/*/git/auth/ssh/knownHosts"),
    (Kind::Environment, "spec/sources/*/git/trustedKeys"),
    (Kind::Entity, "spec/fields/*/enum"),
    (Kind::Role, "spec/environments"),
    (Kind::Role, "spec/permissions/*"),
    (Kind::Alert, "spec/connectors"),
    (Kind::Alert, "spec/workflows"),
];

/// Locations of such lists in a step of a workflow.
pub(super) const STEP_SETS: [&str; 1] = ["approval/roles"];

/// Sorts the lists of a document whose order has no meaning, and drops repeated items.
pub(super) fn sort(document: &mut Value, kind: Kind) {
    for (_, pattern) in SETS.iter().filter(|(owner, _)| *owner == kind) {
        pattern::each_mut(document, pattern, &mut set);
    }
}

/// Sorts a list and drops repeated items: numbers by value, everything else by its text. Other values stay as they are.
pub(super) fn set(value: &mut Value) {
    let Value::Array(items) = value else { return };
    items.sort_by(|one, other| match (one.as_f64(), other.as_f64()) {
        (Some(left), Some(right)) if left != right => left.total_cmp(&right),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        _ => one.to_string().cmp(&other.to_string()),
    });
    items.dedup();
}
