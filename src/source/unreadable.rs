//! A file or folder of a source that cannot be read, as a finding.

use crate::text::{Code, Finding, Format, SourceId, Span, codes};

/// Maximum number of shown characters of the target of a link.
const MAX_TARGET: usize = 200;

/// A file or folder that cannot be read.
#[derive(Clone, Debug)]
pub struct UnreadableFile {
    /// Path relative to the source's folder.
    pub path: String,
    /// The finding: cause and remedy.
    pub finding: Finding,
}

impl UnreadableFile {
    /// Creates a finding for a path, with the cause and the remedy.
    pub(super) fn new(path: String, code: &'static Code, message: String, help: &str) -> UnreadableFile {
        let nowhere = Span { source: SourceId::UNKNOWN, start: 0, end: 0 };
        UnreadableFile { path, finding: Finding::new(code, nowhere, message).help(help) }
    }

    /// A symbolic link that is not followed although it may stand for definitions: it has the extension of a definition, or
    /// may lead to a folder. `reason` completes the sentence "the link leads to `target`, …".
    pub(super) fn link(path: String, target: &str, reason: &str) -> Option<UnreadableFile> {
        let may_matter = Format::of(&path).is_some() || !path.rsplit('/').next().unwrap_or("").contains('.');
        let target: String = target.chars().take(MAX_TARGET).flat_map(char::escape_debug).collect();
        let message = format!("the symbolic link `{path}` leads to `{target}`, {reason}");
        let help = "copy what it points to into the folder, or remove it";
        may_matter.then(|| UnreadableFile::new(path, &codes::SYMLINK, message, help))
    }

    /// A folder that is a repository of its own: a submodule, or a clone in the checkout.
    pub(super) fn submodule(path: String) -> UnreadableFile {
        let message = format!("`{path}` is a submodule or another repository; its files are not read");
        let help =
            "declare it as a source of the environment, or list it in `.evenkeelignore` if it has no definitions";
        UnreadableFile::new(path, &codes::SUBMODULE, message, help)
    }

    /// A folder that is nested deeper than `max_depth`.
    pub(super) fn too_deep(path: String, max_depth: usize) -> UnreadableFile {
        let message = format!("folders are nested more than {max_depth} deep");
        UnreadableFile::new(path, &codes::LIMIT, message, "move its definitions up")
    }
}
