//! References to definitions, actions, events, forms, methods and files that do not exist.

use crate::catalog::references::{Resolution, beside, resolve};
use crate::catalog::{CatalogView, Entry};
use crate::definition::Kind;
use crate::definition::schema_validator::{ReferenceKind, nearest, quoted_list};
use crate::text::{Finding, Node, codes};

pub(super) fn check(catalog: CatalogView<'_>, entry: &Entry, findings: &mut Vec<Finding>) {
    for reference in &entry.facts.references {
        let span = entry.span(reference.span);
        match resolve(catalog, entry, reference) {
            Resolution::Found(_) => fits(catalog, entry, reference.to, &reference.name, &reference.pointer, findings),
            Resolution::Unknown => {}
            Resolution::Malformed(help) => {
                let message = format!("`{}` does not say which connector's action it is", reference.name);
                findings.push(Finding::new(&codes::UNKNOWN_REFERENCE, span, message).help(help));
            }
            Resolution::Outside => {
                let message = format!("`{}` leads out of the folder", reference.name);
                findings.push(
                    Finding::new(&codes::OUTSIDE, span, message)
                        .help("use a path relative to this file that stays inside the folder"),
                );
            }
            Resolution::Missing { what, candidates } => {
                let file = matches!(reference.to, ReferenceKind::File | ReferenceKind::Folder);
                let code = match reference.to {
                    ReferenceKind::File | ReferenceKind::Folder => &codes::UNKNOWN_FILE,
                    ReferenceKind::LocalAuthMethod if reference.pointer == "/spec/auth/default" => &codes::AUTH_DEFAULT,
                    _ => &codes::UNKNOWN_REFERENCE,
                };
                let help = match nearest(&reference.name, candidates.iter().map(String::as_str)) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None if candidates.is_empty() && file => "create it, or correct the path".into(),
                    None if candidates.is_empty() => "there are none; define it".into(),
                    None if candidates.len() <= 12 => format!("there are {}", quoted_list(&candidates)),
                    None => "define it, or correct the name".into(),
                };
                findings.push(Finding::new(code, span, format!("there is no {what}")).help(help));
            }
        }
    }
}

/// Reports references whose target exists and cannot be used here.
fn fits(
    catalog: CatalogView<'_>,
    entry: &Entry,
    to: ReferenceKind,
    name: &str,
    pointer: &str,
    findings: &mut Vec<Finding>,
) {
    if to != ReferenceKind::Definition(Kind::Connection) {
        return;
    }
    let wanted = beside(entry, pointer, "connector").or_else(|| {
        let action = beside(entry, pointer, "action")?;
        action.split_once('/').map(|(connector, _)| connector)
    });
    let found = catalog.find(Kind::Connection, name);
    let connector = found.and_then(|found| found.node("/spec/connector")).and_then(Node::as_str);
    if let (Some(wanted), Some(connector), Some(found)) = (wanted, connector, found)
        && wanted != connector
    {
        findings.push(
            Finding::new(
                &codes::WRONG_KIND,
                entry.value_span(pointer),
                format!("connection `{name}` is one of connector `{connector}`, and `{wanted}` is used here"),
            )
            .also(found.value_span("/spec/connector"), "its connector")
            .help(format!("name a connection of `{wanted}`")),
        );
    }
}
