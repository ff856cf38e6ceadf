//! Events of connectors: changes that exist and are delivered.

use crate::catalog::Entry;
use crate::definition::Spec;
use crate::definition::event::{Change, Event};
use crate::definition::schema_validator::{nearest, quoted_list};
use crate::text::{Finding, codes, escaped};

pub(super) fn check(entry: &Entry, findings: &mut Vec<Finding>) {
    let Some(Spec::Connector(spec)) = entry.spec() else { return };
    for (name, event) in &spec.events {
        changes(entry, &format!("/spec/events/{}", escaped(name)), event, findings);
    }
}

fn changes(entry: &Entry, base: &str, event: &Event, findings: &mut Vec<Finding>) {
    let Some(webhook) = &event.webhook else { return };
    let words = Change::ALL.map(|change| format!("{change:?}"));
    let Some(change) = &webhook.change else {
        // A partial definition may lack the template.
        if event.changes.len() > 1 && !entry.partial {
            let message = "nothing tells which of these changes a call reports";
            let span = entry.value_span(&format!("{base}/changes"));
            let help = "add `change` to the webhook: a template that renders to one of them";
            findings.push(Finding::new(&codes::EVENT_CHANGE, span, message).help(help));
        }
        return;
    };
    if change.contains("{{") || change.contains("{%") {
        return;
    }
    let span = entry.value_span(&format!("{base}/webhook/change"));
    let known = Change::ALL.into_iter().find(|known| format!("{known:?}") == change.trim());
    let finding = match known {
        None => {
            let help = match nearest(change.trim(), words.iter().map(String::as_str)) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("changes are {}; a template may read the change from the call", quoted_list(&words)),
            };
            Finding::new(&codes::EVENT_CHANGE, span, format!("`{change}` is not a change")).help(help)
        }
        Some(known) if !event.changes.is_empty() && !event.changes.contains(&known) => {
            let message = format!("`changes` does not list `{known:?}`, so this event is never delivered");
            Finding::new(&codes::EVENT_CHANGE, span, message).help("add it to `changes`, or correct it here")
        }
        Some(_) => return,
    };
    findings.push(finding);
}
