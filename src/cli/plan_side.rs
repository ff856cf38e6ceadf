//! One side of `evenkeel plan`: the definitions of a folder or of a Git revision.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, bail};

use crate::catalog;
use crate::plan::{Inventory, Object, inventory};
use crate::reconcile::candidate::with_files;
use crate::reconcile::validate::{self, Validated};
use crate::source::{MAX_ASSET_BYTES, directory, git};

/// Source name of the objects on both sides: two folders are two states of one source.
const SOURCE: &str = "definitions";

/// One side of a comparison.
pub(super) struct PlanSide {
    /// Folder or revision, as people read it.
    pub(super) name: String,
    pub(super) validated: Validated,
    /// Contents of the files that definitions refer to.
    assets: BTreeMap<String, Arc<[u8]>>,
}

impl PlanSide {
    fn new(
        name: String,
        validated: Validated,
        read: impl Fn(&str) -> anyhow::Result<Vec<u8>>,
    ) -> anyhow::Result<PlanSide> {
        let read = |file: String| {
            let bytes = read(&file).with_context(|| format!("cannot read {file}"))?;
            Ok((file, bytes.into()))
        };
        let assets: anyhow::Result<_> = catalog::assets(&validated.catalog).into_iter().map(read).collect();
        Ok(PlanSide { name, validated, assets: assets? })
    }

    /// The definitions with their file contents.
    pub(super) fn inventory(&self) -> Inventory {
        let catalog = &self.validated.catalog;
        let mut inventory = inventory(catalog, SOURCE, &self.name);
        for entry in catalog.entries.iter().filter(|entry| catalog::assets_of(entry).next().is_some()) {
            if let Some(object) = inventory.get_mut(&entry.id) {
                *object = Arc::new(with_files(Object::clone(object), entry, &self.assets));
            }
        }
        inventory
    }
}

/// Reads and validates a folder or file.
pub(super) fn read_folder(path: &Path) -> anyhow::Result<PlanSide> {
    let validated = validate::folder(path).with_context(|| format!("cannot read {}", path.display()))?;
    let root = if path.is_dir() { path } else { path.parent().unwrap_or(path) };
    let read = |file: &str| {
        let bytes = directory::read_inside(root, file, MAX_ASSET_BYTES + 1)?;
        if bytes.len() > MAX_ASSET_BYTES {
            bail!("the file has more than {MAX_ASSET_BYTES} bytes");
        }
        Ok(bytes)
    };
    PlanSide::new(path.display().to_string(), validated, read)
}

/// Reads and validates a folder at a revision of the repository that contains it.
pub(super) fn read_revision(folder: &Path, revision: &str) -> anyhow::Result<PlanSide> {
    let (repository, path) = repository_of(folder)?;
    let fetched = git::local(&repository, revision, path.as_deref())?;
    let validated = validate::with(&fetched.snapshot, fetched.unreadable);
    let read = |file: &str| Ok(git::local_file(&repository, &fetched.revision.commit, path.as_deref(), file)?);
    PlanSide::new(fetched.revision.name.clone(), validated, read)
}

/// Root of the repository that contains a folder, and the folder's path in it with `/` separators (`None` for the root).
fn repository_of(folder: &Path) -> anyhow::Result<(PathBuf, Option<String>)> {
    let folder = folder.canonicalize().with_context(|| format!("cannot read {}", folder.display()))?;
    // `.git` is a file in worktrees and submodules.
    let Some(root) = folder.ancestors().find(|folder| folder.join(".git").exists()) else {
        bail!("{} is not in a Git repository; compare two folders instead", folder.display())
    };
    let inside = folder.strip_prefix(root).unwrap_or(Path::new(""));
    let parts: Option<Vec<&str>> = inside.iter().map(|part| part.to_str()).collect();
    let path = parts.with_context(|| format!("the path of {} is not UTF-8", folder.display()))?.join("/");
    Ok((root.to_owned(), Some(path).filter(|path| !path.is_empty())))
}
