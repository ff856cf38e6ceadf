//! Repositories that cannot be read like others, named as what they are: other formats, partial and shallow clones.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use git2::{Config, Repository};

use super::error::printable;

/// Maximum size of a file that names another folder, in bytes.
const MAX_POINTER_BYTES: u64 = 4096;

/// The remedy for a format that only Git itself reads.
const OTHER_READER: &str =
    "let Git read it: `evenkeel plan` compares two folders, and a `directory` source reads a checkout";

/// The remedy for a shallow clone.
pub(super) const UNSHALLOW: &str = "run `git fetch --unshallow`, or clone with the whole history (`fetch-depth: 0` of \
                                    actions/checkout, `GIT_DEPTH: 0` of GitLab)";

/// The reason why the repository of a folder cannot be read, with the remedy; `None` if its format is not the reason.
pub(super) fn unsupported(folder: &Path) -> Option<String> {
    let config = Config::open(&common_folder(&git_folder(folder)?).join("config")).ok()?;
    let extension = |name: &str| config.get_string(&format!("extensions.{name}")).ok();
    let shown = folder.display();
    let is = |value: Option<String>, wanted: &str| value.is_some_and(|value| value.eq_ignore_ascii_case(wanted));
    if is(extension("objectformat"), "sha256") {
        return Some(sha256(&format!("the repository at {shown}")));
    }
    if is(extension("refstorage"), "reftable") {
        return Some(format!(
            "the repository at {shown} stores its branches and tags in the format reftable, which Evenkeel cannot read; run \
             `git refs migrate --ref-format=files` in it, or {OTHER_READER}"
        ));
    }
    if extension("partialclone").is_some() || is_partial(&config) {
        return Some(format!(
            "the clone at {shown} is partial: it was made with `--filter`, and Evenkeel cannot fetch the objects that it \
             lacks; clone without `--filter` (without `filter` of actions/checkout)"
        ));
    }
    let version = config.get_i32("core.repositoryformatversion").unwrap_or_default();
    let other = first_extension(&config).filter(|_| version > 0);
    match other {
        Some(name) => Some(format!(
            "the repository at {shown} uses the extension `{}`, which Evenkeel cannot read; {OTHER_READER}",
            printable(&name, 100)
        )),
        None if version > 1 => {
            Some(format!("the repository at {shown} has the format version {version}, which Evenkeel cannot read"))
        }
        None => None,
    }
}

/// The sentence about a repository that names its objects by SHA-256.
pub(super) fn sha256(subject: &str) -> String {
    format!(
        "{subject} names its objects by SHA-256, and Evenkeel reads repositories with SHA-1 names only; use one of those, or \
         {OTHER_READER}"
    )
}

/// The reason why a part of a repository that was opened is missing, with the remedy; `None` if it is whole.
pub(super) fn incomplete(repository: &Repository) -> Option<String> {
    if repository.is_shallow() {
        return Some(format!("this clone is shallow; {UNSHALLOW}"));
    }
    unsupported(repository.path())
}

/// The sentence about a shallow clone in a folder, with the remedy; `None` if it is whole.
pub(super) fn shallow(folder: &Path) -> Option<String> {
    let is_shallow = common_folder(&git_folder(folder)?).join("shallow").is_file();
    is_shallow.then(|| format!("the clone at {} is shallow; {UNSHALLOW}", folder.display()))
}

/// True if a remote promises objects that the clone lacks.
fn is_partial(config: &Config) -> bool {
    let Ok(mut entries) = config.entries(Some(r"remote\..*\.promisor")) else { return false };
    let mut is_partial = false;
    while let Some(Ok(entry)) = entries.next() {
        is_partial |= entry.value().is_ok_and(|value| value == "true");
    }
    is_partial
}

/// The first extension that is not known to be harmless.
fn first_extension(config: &Config) -> Option<String> {
    const READ: [&str; 5] = ["noop", "objectformat", "worktreeconfig", "preciousobjects", "relativeworktrees"];
    let mut entries = config.entries(Some(r"extensions\..*")).ok()?;
    while let Some(Ok(entry)) = entries.next() {
        let name = entry.name().ok().and_then(|name| name.strip_prefix("extensions."));
        if let Some(name) = name.filter(|name| !READ.contains(name)) {
            return Some(name.to_owned());
        }
    }
    None
}

/// The folder that holds the data of the repository that contains a folder: `.git`, what a `.git` file names, or the folder
/// of a bare repository.
fn git_folder(folder: &Path) -> Option<PathBuf> {
    let found = |folder: &Path| {
        let inside = folder.join(".git");
        if inside.is_dir() {
            return Some(inside);
        }
        if inside.is_file() {
            let target = first_line(&inside)?;
            return Some(folder.join(target.strip_prefix("gitdir:")?.trim()));
        }
        (folder.join("HEAD").is_file() && folder.join("objects").is_dir()).then(|| folder.to_owned())
    };
    folder.ancestors().find_map(found)
}

/// The folder that the worktrees of a repository share.
fn common_folder(git_folder: &Path) -> PathBuf {
    first_line(&git_folder.join("commondir")).map_or_else(|| git_folder.to_owned(), |common| git_folder.join(common))
}

fn first_line(path: &Path) -> Option<String> {
    let mut text = String::new();
    File::open(path).ok()?.take(MAX_POINTER_BYTES).read_to_string(&mut text).ok()?;
    text.lines().next().map(str::to_owned)
}
