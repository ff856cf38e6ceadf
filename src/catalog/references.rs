//! Resolves references: definitions, parts of definitions, files and folders.

use super::entry::Entry;
use super::view::CatalogView;
use crate::definition::schema_validator::{Reference, ReferenceKind};
use crate::definition::{Id, Kind, canonical, role};
use crate::text::Node;

/// The result of resolving a reference.
#[derive(Debug, PartialEq, Eq)]
pub enum Resolution {
    /// The target exists; with the definition that it is or is a part of, if that is another one.
    Found(Option<Id>),
    /// The target does not exist.
    Missing {
        /// The target, such as "action `list` of connector `github`".
        what: String,
        /// Targets that exist.
        candidates: Vec<String>,
    },
    /// The reference has the wrong form; with the remedy.
    Malformed(String),
    /// A path that leaves the root.
    Outside,
    /// The target cannot be determined, because it depends on a definition that is missing or has errors, which is
    /// reported by itself.
    Unknown,
}

/// Resolves a reference of a definition. Secrets and canonical fields give [`Resolution::Unknown`]: the checks of
/// environments and entities handle them.
pub fn resolve(catalog: CatalogView<'_>, entry: &Entry, reference: &Reference) -> Resolution {
    let name = reference.name.as_str();
    let root = &entry.document.root;
    match reference.to {
        ReferenceKind::Definition(Kind::Role) if role::SYSTEM_ROLES.contains(&name) => Resolution::Found(None),
        ReferenceKind::Definition(Kind::Environment) if is_in_operator_document(entry, reference) => {
            operator_environment(catalog, name)
        }
        ReferenceKind::Definition(kind) => definition(catalog, kind, name),
        ReferenceKind::Action => action(catalog, entry, name),
        ReferenceKind::LocalAction => member(root.pointer("/spec/actions"), name, "action", None),
        ReferenceKind::LocalEntity => member(root.pointer("/spec/entities"), name, "entity", None),
        ReferenceKind::LocalAuthMethod => {
            member(root.pointer("/spec/auth/methods"), name, "authentication method", None)
        }
        ReferenceKind::LocalForm => member(root.pointer("/spec/forms"), name, "form", None),
        ReferenceKind::WidgetConnector => {
            let connectors = root.pointer("/spec/connectors").map_or(&[][..], Node::items);
            let names = connectors.iter().filter_map(|connector| connector.get("connector")?.as_str());
            among(names.map(str::to_owned).collect(), name, "connector", "of this widget", None)
        }
        ReferenceKind::AuthMethod => {
            of_connector(catalog, entry, reference, "/spec/auth/methods", "authentication method")
        }
        ReferenceKind::Event => of_connector(catalog, entry, reference, "/spec/events", "event"),
        ReferenceKind::UsedAction => of_connector(catalog, entry, reference, "/spec/actions", "action"),
        ReferenceKind::CanonicalEntity => canonical_entity(catalog, name),
        ReferenceKind::File => file(catalog, entry, reference),
        ReferenceKind::Folder => folder(catalog, entry, reference),
        ReferenceKind::Secret | ReferenceKind::CanonicalField => Resolution::Unknown,
    }
}

/// A path in a file, translated to a path from the root of the source; `None` if it leaves the root.
pub fn resolve_path(file: &str, path: &str) -> Option<String> {
    if path.starts_with('/') || path.contains(['\\', '\0']) {
        return None;
    }
    let mut parts: Vec<&str> = file.split('/').collect();
    parts.pop();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    (!parts.is_empty()).then(|| parts.join("/"))
}

/// The string under `key` in the nearest enclosing map of a pointer that has the key.
pub fn beside<'a>(entry: &'a Entry, pointer: &str, key: &str) -> Option<&'a str> {
    let mut pointer = pointer;
    while let Some((parent, _)) = pointer.rsplit_once('/') {
        if let Some(text) = entry.node(parent).and_then(|node| node.get(key)).and_then(Node::as_str) {
            return Some(text);
        }
        pointer = parent;
    }
    None
}

fn definition(catalog: CatalogView<'_>, kind: Kind, name: &str) -> Resolution {
    match catalog.find(kind, name) {
        Some(found) => Resolution::Found(Some(found.id.clone())),
        None if catalog.is_alone() || catalog.is_nameless(name) => Resolution::Unknown,
        None => Resolution::Missing {
            what: format!("{kind} `{name}`"),
            candidates: catalog
                .of_kind(kind)
                .map(|entry| entry.id.name.clone())
                .filter(|name| !name.is_empty())
                .collect(),
        },
    }
}

/// True if the reference is in the operator's document, whose paths start at the root.
fn is_in_operator_document(entry: &Entry, reference: &Reference) -> bool {
    entry.source.base_path_at(reference.span.start).is_empty()
}

/// An environment that an operator's document names. It is another document of the operator, which need not be in the
/// source.
fn operator_environment(catalog: CatalogView<'_>, name: &str) -> Resolution {
    match definition(catalog, Kind::Environment, name) {
        Resolution::Missing { .. } => Resolution::Unknown,
        found => found,
    }
}

fn action(catalog: CatalogView<'_>, entry: &Entry, name: &str) -> Resolution {
    match name.split_once('/') {
        Some((connector, action)) => in_connector(catalog, connector, action, "/spec/actions", "action"),
        None if entry.id.kind == Kind::Connector => member(entry.node("/spec/actions"), name, "action", None),
        None => Resolution::Malformed("write it as `connector/action`".into()),
    }
}

fn of_connector(catalog: CatalogView<'_>, entry: &Entry, reference: &Reference, group: &str, what: &str) -> Resolution {
    match beside(entry, &reference.pointer, "connector") {
        Some(connector) if catalog.find(Kind::Connector, connector).is_some() => {
            in_connector(catalog, connector, &reference.name, group, what)
        }
        _ => Resolution::Unknown,
    }
}

fn in_connector(catalog: CatalogView<'_>, connector: &str, name: &str, group: &str, what: &str) -> Resolution {
    match catalog.find(Kind::Connector, connector) {
        Some(found) => member(found.node(group), name, what, Some(&found.id)),
        None => definition(catalog, Kind::Connector, connector),
    }
}

fn member(group: Option<&Node>, name: &str, what: &str, owner: Option<&Id>) -> Resolution {
    let names = group.map_or(&[][..], Node::entries).iter().map(|entry| entry.key.name.to_string()).collect();
    let place = owner.map_or("here".to_owned(), |owner| format!("of connector `{}`", owner.name));
    among(names, name, what, &place, owner)
}

fn among(candidates: Vec<String>, name: &str, what: &str, place: &str, owner: Option<&Id>) -> Resolution {
    if candidates.iter().any(|candidate| candidate == name) {
        Resolution::Found(owner.cloned())
    } else {
        Resolution::Missing { what: format!("{what} `{name}` {place}"), candidates }
    }
}

fn canonical_entity(catalog: CatalogView<'_>, name: &str) -> Resolution {
    if canonical::find(name).is_some() {
        return Resolution::Found(None);
    }
    let own = |entry: &Entry| entry.node("/spec/canonicalName").and_then(Node::as_str).map(str::to_owned);
    if let Some(found) = catalog.of_kind(Kind::Entity).find(|entry| own(entry).as_deref() == Some(name)) {
        return Resolution::Found(Some(found.id.clone()));
    }
    if catalog.is_alone() {
        return Resolution::Unknown;
    }
    let mut candidates: Vec<String> = canonical::ALL.iter().map(|entity| entity.name.to_owned()).collect();
    candidates.extend(catalog.of_kind(Kind::Entity).filter_map(own));
    Resolution::Missing { what: format!("canonical entity `{name}`"), candidates }
}

/// The path from the root that a reference to a file or folder names; `None` if it leaves the root. The reference is
/// relative to the file that it is written in, which may be an overlay of the definition.
pub fn path_of(entry: &Entry, reference: &Reference) -> Option<String> {
    resolve_path(entry.source.base_path_at(reference.span.start), &reference.name)
}

fn file(catalog: CatalogView<'_>, entry: &Entry, reference: &Reference) -> Resolution {
    match path_of(entry, reference) {
        None => Resolution::Outside,
        Some(resolved) if catalog.has_file(&resolved) => Resolution::Found(None),
        Some(resolved) => {
            let folder = resolved.rsplit_once('/').map_or("", |(folder, _)| folder);
            let beside = |name: &&String| name.rsplit_once('/').map_or("", |(folder, _)| folder) == folder;
            let name = |path: &String| path.rsplit('/').next().unwrap_or(path).to_owned();
            let candidates = catalog.all_files().filter(beside).map(name).collect();
            Resolution::Missing { what: format!("file `{}`", reference.name), candidates }
        }
    }
}

fn folder(catalog: CatalogView<'_>, entry: &Entry, reference: &Reference) -> Resolution {
    match path_of(entry, reference) {
        None => Resolution::Outside,
        Some(resolved) if catalog.has_folder(&resolved) => Resolution::Found(None),
        Some(_) => Resolution::Missing { what: format!("folder `{}`", reference.name), candidates: Vec::new() },
    }
}
