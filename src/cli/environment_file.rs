//! The environment of a command that works on files: one of the definitions, or the operator's own document.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::Args;

use crate::catalog::EnvironmentSelection;
use crate::reconcile::document::{EnvironmentDocument, documents};

/// The operator's Environment document.
#[derive(Clone, Debug, Default, Args)]
pub(super) struct EnvironmentFile {
    /// Environment document outside of the definitions, as `evenkeel serve` takes it
    #[arg(long, value_name = "FILE")]
    environment_file: Option<PathBuf>,
}

/// An environment that a command chose.
#[derive(Clone, Debug)]
pub(super) struct ChosenEnvironment {
    /// Name among the environments of a server, such as `live` or `integrations.live`.
    pub(super) key: String,
    /// The environment for validation.
    pub(super) selection: EnvironmentSelection,
    /// Folder of its repository that the operator's document reads; `None` if it does not say so.
    pub(super) source_folder: Option<String>,
    /// True if the operator's document reads several sources.
    pub(super) has_sources: bool,
}

impl EnvironmentFile {
    /// True if a document is given.
    pub(super) fn is_given(&self) -> bool {
        self.environment_file.is_some()
    }

    /// The environment of a name, with the operator's document if there is one; without a name the one of the document.
    /// `None` if neither is given.
    ///
    /// # Errors
    /// Fails if the document cannot be read or has errors, or no document has the name.
    pub(super) fn choose(&self, name: Option<&str>) -> anyhow::Result<Option<ChosenEnvironment>> {
        let key = name.map(|name| name.replacen('/', ".", 1));
        let Some(path) = &self.environment_file else {
            return Ok(key.map(|key| {
                let selection = EnvironmentSelection { name: local_name(&key).to_owned(), document: None };
                ChosenEnvironment { key, selection, source_folder: None, has_sources: false }
            }));
        };
        let document = document_of(path, key.as_deref().map(local_name))?;
        let key = key.unwrap_or_else(|| document.name.clone());
        let git = document.spec.source.as_ref().and_then(|source| source.git.as_ref());
        Ok(Some(ChosenEnvironment {
            key,
            selection: document.selection(),
            source_folder: git.map(|git| git.path.clone().unwrap_or_default()),
            has_sources: !document.spec.sources.is_empty(),
        }))
    }
}

/// The document of a name in a file or folder; without a name the only one.
fn document_of(path: &Path, name: Option<&str>) -> anyhow::Result<EnvironmentDocument> {
    let shown = path.display();
    let mut documents = documents(path).with_context(|| format!("cannot read the environment file {shown}"))?;
    let names: Vec<String> = documents.iter().map(|document| document.name.clone()).collect();
    documents.retain(|document| name.is_none_or(|name| document.name == name));
    match (documents.pop(), documents.len(), name) {
        (Some(document), 0, _) => Ok(document),
        (None, _, Some(name)) if !names.is_empty() => {
            bail!("{shown} has no Environment `{name}`; expected one of {}", names.join(", "))
        }
        (None, ..) => bail!("{shown} holds no Environment"),
        _ => bail!("{shown} has several Environments; choose one with `-e NAME`: {}", names.join(", ")),
    }
}

/// The name of an environment in its document: its key without the namespace.
fn local_name(key: &str) -> &str {
    key.rsplit('.').next().unwrap_or(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(name: &str) -> String {
        format!("apiVersion: evenkeel.dev/v1alpha1\nkind: Environment\nmetadata: {{ name: {name} }}\nspec: {{}}\n")
    }

    #[test]
    fn the_operators_document_is_found_by_name_or_is_the_only_one() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| EnvironmentFile { environment_file: Some(folder.path().join(name)) };
        std::fs::write(folder.path().join("one.yaml"), environment("live")).unwrap();
        std::fs::write(folder.path().join("two.yaml"), [environment("eu"), environment("us")].join("---\n")).unwrap();
        std::fs::write(folder.path().join("none.yaml"), "kind: ConfigMap\napiVersion: v1\n").unwrap();
        let only = file("one.yaml").choose(None).unwrap().unwrap();
        assert_eq!((only.key.as_str(), only.selection.name.as_str()), ("live", "live"));
        assert_eq!(&*only.selection.document.unwrap().path, "one.yaml");
        let cluster = file("one.yaml").choose(Some("integrations/live")).unwrap().unwrap();
        assert_eq!((cluster.key.as_str(), cluster.selection.name.as_str()), ("integrations.live", "live"));
        let error = |file: EnvironmentFile, name: Option<&str>| format!("{:#}", file.choose(name).unwrap_err());
        assert!(error(file("two.yaml"), None).ends_with("choose one with `-e NAME`: eu, us"));
        assert!(error(file("two.yaml"), Some("live")).ends_with("expected one of eu, us"));
        assert!(error(file("none.yaml"), None).ends_with("holds no Environment"));
        assert!(error(file("missing.yaml"), None).contains("missing.yaml"));
        assert_eq!(file("").choose(Some("us")).unwrap().unwrap().selection.name, "us", "a folder of documents");
        assert!(EnvironmentFile::default().choose(None).unwrap().is_none());
        let named = EnvironmentFile::default().choose(Some("live")).unwrap().unwrap();
        assert!(named.selection.document.is_none());
    }
}
