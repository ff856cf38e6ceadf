//! The decision which documents are definitions, which belong to other tools, and which are definitions that lost their
//! head. `evenkeel explain EK0111` states the same rule for authors.
//!
//! A document of another tool is passed over silently, so that a `docker-compose.yaml`, a chart or a JSON Schema may be
//! stored beside definitions. A definition must never be passed over: the reconciler would take it for removed. So the
//! decision needs positive evidence of another tool, and every near miss is an error:
//!
//! | document | decision |
//! |---|---|
//! | `apiVersion: evenkeel.dev/v1alpha1` | definition |
//! | another `apiVersion` that mentions Evenkeel, resembles its group, or has no group and a kind of ours | near miss (EK0108) |
//! | an `apiVersion` that is not a string, and a kind of ours or a mention of Evenkeel in it | near miss (EK0108) |
//! | any other `apiVersion` | another tool |
//! | no `apiVersion`, and the file holds a definition or a near miss | near miss (EK0111) |
//! | no `apiVersion`, and a kind of ours | near miss (EK0111) |
//! | no `apiVersion`, `metadata.name` and `spec` | near miss (EK0111) |
//! | no `apiVersion`, a misspelt key for it with a value of ours, or a misspelt kind with `metadata` or `spec` | near miss (EK0111) |
//! | `metadata` or `spec`, and nothing else than fields of a definition | near miss (EK0111) |
//! | a secret encrypted by SOPS; anything else | another tool |
//!
//! Definitions in a file below a folder named `overlays` are patches of others. The path alone decides, so a document means the
//! same whichever environments are visible, and the environments of several operators share one repository.
//!
//! Errors in the text of a file are reported unless all of its documents belong to other tools and its text mentions
//! neither `evenkeel.dev`, nor an `apiVersion` of ours, nor, without any `apiVersion`, a kind of ours. Errors that hide
//! the content (a file that is too large, or stored in Git LFS) are always reported.

use std::borrow::Cow;

use super::input::File;
use crate::definition::schema_validator::nearest;
use crate::definition::{API_GROUP, API_VERSION, Kind};
use crate::text::{self, Document, Finding, Node, NodeKind, ReadLimits, Source, codes};

/// The owner of a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ownership {
    /// A definition.
    Definition,
    /// A definition with an `apiVersion` that this version does not know.
    UnknownVersion,
    /// A definition without an `apiVersion`.
    NoVersion,
    /// A document of another tool.
    Foreign,
}

/// The owners of the documents of a file.
pub(super) fn of_documents(documents: &[Document]) -> Vec<Ownership> {
    let mut owners: Vec<Ownership> = documents.iter().map(|document| of_document(&document.root)).collect();
    // A document without `apiVersion` between definitions is one of them.
    if owners.iter().any(|owner| *owner != Ownership::Foreign) {
        for (owner, document) in owners.iter_mut().zip(documents) {
            let is_other = document.root.get("apiVersion").is_some() || is_encrypted(&document.root);
            if *owner == Ownership::Foreign && !is_other {
                *owner = Ownership::NoVersion;
            }
        }
    }
    owners
}

/// Name of the folders whose files hold patches, at any depth.
pub const OVERLAYS: &str = "overlays";

/// True if the definitions of a file are patches, by its path from the root of the source.
pub fn is_patch(path: &str) -> bool {
    path.rsplit_once('/').is_some_and(|(folder, _)| is_overlay_folder(folder))
}

/// True if the files of a folder hold patches, by its path from the root of the source.
pub(super) fn is_overlay_folder(folder: &str) -> bool {
    folder.split('/').any(|part| part == OVERLAYS)
}

/// True for files of other tools by their name. They are not read.
pub fn is_foreign(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    matches!(name, "package.json" | "package-lock.json" | "pnpm-lock.yaml" | "deno.json" | "jsconfig.json")
        || name.starts_with("tsconfig") && name.ends_with(".json")
        || path.split('/').any(|part| part == "node_modules")
}

/// Number of documents of a file that belong to other tools; a file that cannot be read and belongs to another tool, or
/// that is blank, counts as one.
pub fn foreign_documents(file: &File) -> usize {
    let limits = ReadLimits::default();
    let (source, mut findings) = text::decode(&file.path, &file.bytes, &limits);
    let (documents, found) = text::parse(&source, &limits);
    findings.extend(found);
    count_foreign(&of_documents(&documents), &findings, &searchable(&source, &file.bytes))
}

/// The content of a file that is not ours, as a phrase such as ``a document of `example.com/v1` ``, and the remedy if it held a
/// definition before.
pub fn describe_foreign(bytes: &[u8]) -> (String, &'static str) {
    const RESTORE: &str = "restore its `apiVersion` and `kind`";
    let limits = ReadLimits::default();
    let (source, _) = text::decode("", bytes, &limits);
    let text = searchable(&source, bytes);
    let (documents, _) = text::parse(&source, &limits);
    let roots =
        || documents.iter().map(|document| &document.root).filter(|root| of_document(root) == Ownership::Foreign);
    let version = |root: &Node| root.get("apiVersion").and_then(Node::as_str).map(str::to_owned);
    if text.trim().is_empty() {
        return ("nothing".to_owned(), "restore it");
    }
    if text.lines().any(|line| line.starts_with("<<<<<<< ") || line.starts_with(">>>>>>> ")) {
        return ("the markers of a merge conflict".to_owned(), "resolve the conflict");
    }
    let is_armor = ["age-encryption.org/", "-----BEGIN "].iter().any(|head| text.trim_start().starts_with(head));
    if is_armor || roots().any(|root| is_encrypted(root) || version(root).is_some_and(|it| it.starts_with("ENC["))) {
        return (
            "an encrypted document".to_owned(),
            "store the definition as text, and encrypt only the secrets that it names",
        );
    }
    let is_list = |root: &Node| {
        let kind = root.get("kind").and_then(Node::as_str);
        kind.is_some_and(|kind| kind.ends_with("List")) && root.get("items").is_some()
    };
    if roots().any(is_list) {
        let remedy = "write each definition as a document of its own, with `---` between them";
        return ("a list that wraps other documents".to_owned(), remedy);
    }
    match roots().find_map(version) {
        Some(version) => (format!("a document of `{}`", version.chars().take(100).collect::<String>()), RESTORE),
        None => ("a document of another tool".to_owned(), RESTORE),
    }
}

/// The text of a file to search for mentions of definitions: its content also if that could not be decoded.
pub(super) fn searchable<'a>(source: &'a Source, bytes: &'a [u8]) -> Cow<'a, str> {
    match source.text().is_empty() {
        false => Cow::Borrowed(source.text()),
        // UTF-16 has zeros between the letters.
        true => Cow::Owned(String::from_utf8_lossy(bytes).replace('\0', "")),
    }
}

/// See [`foreign_documents`].
pub(super) fn count_foreign(owners: &[Ownership], findings: &[Finding], text: &str) -> usize {
    let foreign = owners.iter().filter(|owner| **owner == Ownership::Foreign).count();
    let lost = owners.is_empty() && (text.trim().is_empty() || is_foreign_text(owners, findings, text));
    foreign + usize::from(lost)
}

/// True if the findings about the text of a file are those of another tool's file.
pub(super) fn is_foreign_text(owners: &[Ownership], findings: &[Finding], text: &str) -> bool {
    let hides = [&codes::LFS_POINTER, &codes::UNREADABLE];
    !findings.is_empty()
        && owners.iter().all(|owner| *owner == Ownership::Foreign)
        && !findings.iter().any(|finding| hides.contains(&finding.code))
        && text.len() <= ReadLimits::default().file_bytes
        && !mentions_definitions(text)
}

fn of_document(root: &Node) -> Ownership {
    if let Some(version) = root.get("apiVersion") {
        return match version.as_str() {
            Some(API_VERSION) => Ownership::Definition,
            Some(written) if is_near_version(written) || !written.contains('/') && has_own_kind(root) => {
                Ownership::UnknownVersion
            }
            Some(_) => Ownership::Foreign,
            None if has_own_kind(root) || is_near_version(&version.to_json().to_string()) => Ownership::UnknownVersion,
            None => Ownership::Foreign,
        };
    }
    let has = |key: &str| root.get(key).is_some();
    let is_near = !is_encrypted(root)
        && (has_own_kind(root)
            || root.pointer("/metadata/name").is_some() && has("spec")
            || has_misspelt_version(root)
            || (has("metadata") || has("spec")) && (has_misspelt_kind(root) || has_only_own_fields(root)));
    if is_near { Ownership::NoVersion } else { Ownership::Foreign }
}

/// True for an `apiVersion` that mentions Evenkeel, or whose group resembles ours.
pub(super) fn is_near_version(written: &str) -> bool {
    let (group, _) = written.split_once('/').unwrap_or(("", written));
    written.to_ascii_lowercase().contains("evenkeel")
        || !group.is_empty() && strsim::levenshtein(&group.to_ascii_lowercase(), API_GROUP) <= 3
}

/// Secrets encrypted by SOPS are stored beside the environments that name them.
fn is_encrypted(root: &Node) -> bool {
    root.pointer("/sops/mac").is_some()
}

fn has_own_kind(root: &Node) -> bool {
    root.get("kind").and_then(Node::as_str).is_some_and(|kind| kind.parse::<Kind>().is_ok())
}

fn has_misspelt_kind(root: &Node) -> bool {
    let kind = root.get("kind").and_then(Node::as_str);
    kind.is_some_and(|kind| nearest(kind, Kind::ALL.map(Kind::as_str).into_iter()).is_some())
}

/// True if a key resembles `apiVersion` and has a value of ours.
fn has_misspelt_version(root: &Node) -> bool {
    root.entries().iter().any(|entry| {
        nearest(&entry.key.name, ["apiVersion"].into_iter()).is_some()
            && entry.value.as_str().is_some_and(is_near_version)
    })
}

fn has_only_own_fields(root: &Node) -> bool {
    let own = ["apiVersion", "kind", "metadata", "spec", "status"];
    matches!(&root.kind, NodeKind::Map(entries) if entries.iter().all(|entry| own.contains(&&*entry.key.name)))
}

/// True if a text that cannot be read may hold a definition.
fn mentions_definitions(text: &str) -> bool {
    if text.contains("evenkeel.dev") {
        return true;
    }
    let value = |line: &str, key: &str| {
        let line = line.trim_start_matches([' ', '\t', '-', '{', '"', '\'']);
        let rest = line.strip_prefix(key)?.trim_start_matches(['"', '\'']).trim_start().strip_prefix(':')?;
        Some(rest.trim().trim_matches([',', '"', '\'']).to_owned())
    };
    let mut versions = text.lines().filter_map(|line| value(line, "apiVersion")).peekable();
    if versions.peek().is_some() {
        return versions.any(|version| is_near_version(&version));
    }
    text.lines().filter_map(|line| value(line, "kind")).any(|kind| kind.parse::<Kind>().is_ok())
}

#[cfg(test)]
mod tests;
