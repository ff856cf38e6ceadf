//! Sources that declare nothing: a wrong path, branch or repository looks like one that was emptied.

use super::live_generation::LiveGeneration;
use super::scope::Scope;
use super::sources::ONLY;
use super::validate::Validated;
use crate::definition::Kind;
use crate::definition::environment::{DirectorySource, GitSource, NamedSource};
use crate::store::manifest::{Item, Owner};

/// A sentence about the first source that no live definition comes from: where it was read and what it accepts. `None` if
/// each source declares something, or if the resources of a cluster are the source, which come one by one.
pub(super) fn describe(scope: &Scope, live: Option<&LiveGeneration>, validated: Option<&Validated>) -> Option<String> {
    let live = live?;
    let spec = &scope.document.spec;
    let is_cluster = |git: Option<&GitSource>, directory: Option<&DirectorySource>| {
        scope.context.source_context.cluster.is_some() && git.is_none() && directory.is_none()
    };
    let definitions = || live.items().map(|item| &**item).filter(|item| item.id.kind != Kind::Environment);
    if spec.sources.is_empty() {
        let (git, directory) = match &spec.source {
            Some(source) => (source.git.as_ref(), source.directory.as_ref()),
            None => (None, None),
        };
        // Without a source of its own, an environment may well have definitions from the API only.
        let counts = |item: &Item| is_from(item, ONLY) || git.is_none() && directory.is_none();
        if is_cluster(git, directory) || definitions().any(counts) {
            return None;
        }
        return Some(sentence(scope, &place(git, directory, ""), validated));
    }
    let is_empty = |source: &&NamedSource| {
        let folder = format!("{}/", source.name);
        // A source may hold only patches, or code of definitions of another source.
        let is_used = |item: &Item| {
            is_from(item, &source.name) || item.patches.iter().any(|patch| patch.path.starts_with(&folder))
        };
        !is_cluster(source.git.as_ref(), source.directory.as_ref())
            && !definitions().any(is_used)
            && !live.candidate.assets.keys().any(|path| path.starts_with(&folder))
    };
    let empty = spec.sources.iter().find(is_empty)?;
    let place = place(empty.git.as_ref(), empty.directory.as_ref(), &format!(" of source `{}`", empty.name));
    Some(sentence(scope, &place, validated))
}

/// True if an item comes from a source, also while an override stands in for it.
fn is_from(item: &Item, source: &str) -> bool {
    match &item.owner {
        Owner::Source { source: owner, .. } => owner == source,
        Owner::Api { until, .. } => until.is_some(),
    }
}

/// The folder that a source is read from.
fn place(git: Option<&GitSource>, directory: Option<&DirectorySource>, of_source: &str) -> String {
    match (git, directory) {
        (Some(git), _) => match git.path.as_deref().filter(|path| !matches!(*path, "" | "." | "/")) {
            Some(path) => format!("the folder `{path}` of the repository{of_source}"),
            None => format!("the repository{of_source}"),
        },
        (None, Some(directory)) => format!("the folder `{}`{of_source}", directory.path),
        (None, None) => "the folder of the Environment document".to_owned(),
    }
}

fn sentence(scope: &Scope, place: &str, validated: Option<&Validated>) -> String {
    let passed_over = validated.and_then(|validated| validated.foreign().iter().find(|file| file.is_passed_over));
    let passed_over = match passed_over {
        Some(file) => format!(" (`{}` belongs to another tool)", file.path),
        None => String::new(),
    };
    let selected = match scope.document.spec.selector.is_empty() {
        true => "",
        false => " and the labels of the environment's `selector`",
    };
    format!(
        "nothing is declared: {place} holds no definition{passed_over}; a definition is a document in a `.yaml`, `.yml` or \
         `.json` file with `apiVersion: evenkeel.dev/v1alpha1`, one of Evenkeel's kinds{selected}; check path and branch"
    )
}
