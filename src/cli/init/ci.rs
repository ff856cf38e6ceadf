//! The CI job of a new project: it validates, tests, and plans the changes of a pull request.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::ValueEnum;

use super::files::NewFile;

/// A host of CI jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum CiHost {
    #[value(name = "github")]
    GitHub,
    #[value(name = "gitlab")]
    GitLab,
}

impl CiHost {
    /// The remark about settings that only the owner of the repository can make.
    pub(super) fn next_step(self) -> &'static str {
        match self {
            CiHost::GitHub => {
                "in the settings of the repository, set the variable EVENKEEL_ARCHIVE to the URL of a release's archive"
            }
            CiHost::GitLab => {
                "in the settings of the project, set the variable EVENKEEL_ARCHIVE to the URL of a release's archive;\nif \
                 .gitlab-ci.yml existed before, include .gitlab/evenkeel.yml in it"
            }
        }
    }
}

/// The files of a CI job, with paths that can be written to. They belong to the root of the repository.
///
/// # Errors
/// The current folder cannot be determined.
pub(super) fn files(host: CiHost, project: &Path) -> anyhow::Result<Vec<NewFile>> {
    let project = std::path::absolute(project).context("cannot determine the current folder")?;
    let current = std::env::current_dir().context("cannot determine the current folder")?;
    let root = root_of(&project, &current);
    let folder = project.strip_prefix(&root).unwrap_or(Path::new(""));
    let folder = folder.components().map(|part| part.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("/");
    let folder = if folder.is_empty() { ".".to_owned() } else { folder };
    let at = |path: &str, text: &str| {
        let path: PathBuf = root.join(path);
        let shown = path.strip_prefix(&current).unwrap_or(&path).to_string_lossy().into_owned();
        NewFile::new(shown, text.replace("FOLDER", &quoted(&folder)))
    };
    Ok(match host {
        CiHost::GitHub => vec![at(".github/workflows/evenkeel.yaml", include_str!("github.yaml"))],
        CiHost::GitLab => vec![
            at(".gitlab/evenkeel.yml", include_str!("gitlab.yaml")),
            at(".gitlab-ci.yml", "include:\n  - local: .gitlab/evenkeel.yml\n"),
        ],
    })
}

/// The root of the repository that holds a folder; without one the current folder, or the folder itself if it is
/// elsewhere.
fn root_of(project: &Path, current: &Path) -> PathBuf {
    let repository = project.ancestors().find(|parent| parent.join(".git").symlink_metadata().is_ok());
    let otherwise = if project.starts_with(current) { current } else { project };
    repository.unwrap_or(otherwise).to_owned()
}

/// A path as a word of a shell.
fn quoted(path: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-' | b'/');
    if path.bytes().all(plain) { path.to_owned() } else { format!("'{}'", path.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn belongs_to_the_root_of_the_repository() {
        let folder = tempfile::tempdir().unwrap();
        let path = std::fs::canonicalize(folder.path()).unwrap();
        let project = path.join("a/definitions");
        std::fs::create_dir_all(&project).unwrap();
        assert_eq!(root_of(&project, &path), path);
        assert_eq!(root_of(&project, &project.join("deeper")), project);
        std::fs::create_dir(path.join("a/.git")).unwrap();
        assert_eq!(root_of(&project, &path), path.join("a"));
        let written = files(CiHost::GitHub, &project).unwrap();
        assert!(written[0].path.ends_with("a/.github/workflows/evenkeel.yaml"), "{}", written[0].path);
        assert!(written[0].text.contains("evenkeel validate --strict -o github definitions\n"), "{}", written[0].text);
    }

    #[test]
    fn quotes_paths_for_the_shell() {
        assert_eq!(quoted("a/b-c_d.e"), "a/b-c_d.e");
        assert_eq!(quoted("our definitions"), "'our definitions'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
    }
}
