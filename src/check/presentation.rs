//! The texts and images of connectors and widgets: one image for each theme, translations of actions that exist.

use crate::catalog::Entry;
use crate::definition::Spec;
use crate::definition::common::Image;
use crate::definition::connector::ConnectorSpec;
use crate::definition::schema_validator::{ValueFormat, nearest};
use crate::text::{Finding, codes, unescaped};

pub(super) fn check(entry: &Entry, findings: &mut Vec<Finding>) {
    match entry.spec() {
        Some(Spec::Connector(spec)) => {
            images(entry, &spec.images, findings);
            localization(entry, spec, findings);
        }
        Some(Spec::Widget(spec)) => images(entry, &spec.images, findings),
        _ => {}
    }
}

fn images(entry: &Entry, images: &[Image], findings: &mut Vec<Finding>) {
    for (at, image) in images.iter().enumerate() {
        let Some(first) = images[..at].iter().position(|other| other.theme == image.theme) else { continue };
        let message = format!("there are two images for the theme {:?}", image.theme);
        findings.push(
            Finding::new(&codes::IMAGE_THEME, entry.value_span(&format!("/spec/images/{at}")), message)
                .also(entry.value_span(&format!("/spec/images/{first}")), "the first one")
                .help("remove one of them, or give it another `theme`"),
        );
    }
}

/// Reports translations for actions that do not exist.
fn localization(entry: &Entry, spec: &ConnectorSpec, findings: &mut Vec<Finding>) {
    for marked in entry.facts.formatted.iter().filter(|marked| marked.format == ValueFormat::ConnectorAction) {
        let name = unescaped(marked.pointer.rsplit('/').next().unwrap_or_default());
        if spec.actions.contains_key(&*name) {
            continue;
        }
        let help = match nearest(&name, spec.actions.keys().map(String::as_str)) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "name one of the connector's actions".into(),
        };
        let message = format!("the connector has no action `{name}`");
        findings.push(Finding::new(&codes::UNKNOWN_REFERENCE, entry.key_span(&marked.pointer), message).help(help));
    }
}
