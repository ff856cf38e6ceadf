//! Git sources against real servers. Names with `row_NN_` refer to the fault table, `docs/faults.md`.

mod faults;
mod formats;
mod reading;
mod servers;
mod signatures;
mod ssh;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use evenkeel::definition::environment::GitSource;
use evenkeel::source::git::{Budgets, Credentials, CredentialsProvider, Git, GitOptions, GitRepositories};
use evenkeel::source::{FetchError, FetchReason, Fetched, Source as _};
use serde_json::{Value, json};

use crate::git_server::{GitHttp, Repository};

/// A small definition.
pub const TENANT: &str = "apiVersion: evenkeel.dev/v1alpha1\nkind: Tenant\nmetadata: { name: acme }\nspec: {}\n";

/// A repository with its server, and the local copies.
pub struct Place {
    pub repository: Repository,
    pub server: GitHttp,
    pub repositories: Arc<GitRepositories>,
    pub cache: tempfile::TempDir,
}

impl Place {
    pub fn with(files: &[(&str, &str)]) -> Place {
        Place::of(Repository::with(files))
    }

    pub fn of(repository: Repository) -> Place {
        let server = GitHttp::start(repository.root());
        let cache = tempfile::tempdir().unwrap();
        let repositories = GitRepositories::open(cache.path()).unwrap();
        Place { repository, server, repositories, cache }
    }

    /// A source of the repository, with additional fields of its spec.
    pub fn source(&self, more: &Value) -> Git {
        self.try_source(more).unwrap()
    }

    pub fn try_source(&self, more: &Value) -> Result<Git, FetchError> {
        self.source_with(more, anonymous(), Budgets::default())
    }

    pub fn source_with(
        &self,
        more: &Value,
        credentials: CredentialsProvider,
        budgets: Budgets,
    ) -> Result<Git, FetchError> {
        source_at(&self.repositories, &self.server.url(), more, credentials, budgets)
    }
}

pub fn source_at(
    repositories: &GitRepositories,
    url: &str,
    more: &Value,
    credentials: CredentialsProvider,
    budgets: Budgets,
) -> Result<Git, FetchError> {
    let mut spec = json!({ "url": url });
    for (name, value) in more.as_object().unwrap() {
        spec[name] = value.clone();
    }
    let spec: GitSource = serde_json::from_value(spec).unwrap();
    let tls = Some(evenkeel::net::Tls::new().unwrap());
    Git::new(repositories, &spec, credentials, GitOptions { tls, allow_file: true, budgets })
}

pub fn anonymous() -> CredentialsProvider {
    Arc::new(|| Ok(Credentials::None))
}

/// A deadline that only a failing test reaches.
pub fn soon() -> Instant {
    Instant::now() + Duration::from_mins(2)
}

pub fn fetch(git: &Git) -> Result<Arc<Fetched>, FetchError> {
    git.fetch(soon())
}

pub fn reason(git: &Git) -> FetchReason {
    let error = fetch(git).map(|fetched| fetched.revision.clone()).expect_err("a failure");
    assert!(error.message.len() > 10 && !error.message.contains('\n'), "{error}");
    error.reason
}

pub fn paths(fetched: &Fetched) -> Vec<&str> {
    fetched.snapshot.files.iter().map(|file| &*file.path).collect()
}

pub fn text<'a>(fetched: &'a Fetched, path: &str) -> &'a str {
    let file = fetched.snapshot.files.iter().find(|file| &*file.path == path).unwrap();
    std::str::from_utf8(&file.bytes).unwrap()
}

/// All files below a folder whose names end with `end`.
pub fn files_below(folder: &Path, end: &str) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_below(&path, end));
        } else if path.to_string_lossy().ends_with(end) {
            found.push(path);
        }
    }
    found
}
