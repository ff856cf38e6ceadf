//! Sources whose repository has a format that cannot be read.

use std::path::Path;
use std::process::Command;

use evenkeel::source::FetchReason;
use evenkeel::source::git::{Budgets, GitRepositories};
use serde_json::json;

use super::{TENANT, anonymous, fetch, paths, source_at};
use crate::git_server::{GitHttp, Repository};
use crate::support::{folder, write};

fn git(folder: &Path, args: &[&str]) {
    let mut command = Command::new("git");
    command.args(["-c", "user.name=a", "-c", "user.email=a@b.example", "-c", "protocol.file.allow=always"]);
    assert!(command.args(args).current_dir(folder).output().unwrap().status.success(), "git {args:?}");
}

/// The error of a source at a URL.
fn refused(url: &str) -> (FetchReason, String) {
    let cache = tempfile::tempdir().unwrap();
    let repositories = GitRepositories::open(cache.path()).unwrap();
    let source = source_at(&repositories, url, &json!({"branch": "main"}), anonymous(), Budgets::default()).unwrap();
    let error = fetch(&source).map(|fetched| fetched.revision.clone()).expect_err("a failure");
    (error.reason, error.message)
}

#[test]
fn a_repository_with_sha256_names_is_named() {
    let root = folder(&[]);
    let work = root.path().join("work");
    write(&work.join("a.yaml"), TENANT);
    git(&work, &["init", "--quiet", "--initial-branch=main", "--object-format=sha256"]);
    git(&work, &["add", "."]);
    git(&work, &["commit", "--quiet", "-m", "one"]);
    git(root.path(), &["clone", "--quiet", "--bare", work.to_str().unwrap(), "repo.git"]);
    let server = GitHttp::start(root.path());
    for url in [server.url(), format!("file://{}", root.path().join("repo.git").display())] {
        let (reason, message) = refused(&url);
        assert!(message.contains("SHA-256") && message.contains("`directory` source"), "{url}: {message}");
        assert_eq!(reason, FetchReason::Unreadable, "{message}");
    }
}

/// A shallow clone as a source: its commits, or an error that names the reason.
#[test]
fn a_shallow_repository_is_read_or_named() {
    let origin = Repository::with(&[("a.yaml", TENANT)]);
    let first = origin.head();
    origin.commit(&[("b.yaml", "a: 1\n")], "second");
    let root = folder(&[]);
    let url = format!("file://{}", origin.git_dir().display());
    git(root.path(), &["clone", "--quiet", "--bare", "--depth=1", &url, "repo.git"]);
    let server = GitHttp::start(root.path());
    let on_disk = format!("file://{}", root.path().join("repo.git").display());
    for url in [server.url(), on_disk] {
        let cache = tempfile::tempdir().unwrap();
        let repositories = GitRepositories::open(cache.path()).unwrap();
        let source = |more| source_at(&repositories, &url, &more, anonymous(), Budgets::default()).unwrap();
        match fetch(&source(json!({"branch": "main"}))) {
            Ok(fetched) => assert_eq!(paths(&fetched), ["a.yaml", "b.yaml"], "{url}"),
            Err(error) => assert!(error.message.contains("shallow"), "{url}: {error}"),
        }
        let error = fetch(&source(json!({"commit": first}))).map(|_| ()).expect_err("a missing commit");
        assert!(error.message.contains("no commit") || error.message.contains("shallow"), "{url}: {error}");
    }
}

#[test]
fn a_reftable_or_partial_repository_on_this_disk_is_named() {
    for (extension, value, name) in
        [("refstorage", "reftable", "git refs migrate"), ("partialclone", "origin", "is partial")]
    {
        let repository = Repository::with(&[("a.yaml", TENANT)]);
        repository.git(&["config", "core.repositoryformatversion", "1"]);
        repository.git(&["config", &format!("extensions.{extension}"), value]);
        let (reason, message) = refused(&format!("file://{}", repository.git_dir().display()));
        assert!(message.contains(name), "{message}");
        assert_eq!(reason, FetchReason::Unreadable, "{message}");
    }
}
