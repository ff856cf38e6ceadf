//! A Git repository as a source: it lists, chooses, fetches, verifies and reads.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use git2::{Oid, Repository};
use ssh_key::known_hosts::Entry;

use super::cache::{GitRepositories, Shared};
use super::commit::{is_rewritten, peel, revision_of};
use super::error::{broken, fail, invalid};
use super::options::{Budgets, Credentials, CredentialsProvider, GitOptions};
use super::remote::{Depth, Visit};
use super::select::{Choice, Head, Selector};
use super::tree::{self, Folder, Walk};
use super::url::GitUrl;
use super::{known_hosts, signature};
use crate::definition::environment::{GitSource, Verify};
use crate::net::Tls;
use crate::source::{FetchError, FetchReason, Fetched, MAX_ASSET_BYTES, Source, ignore_file};
use crate::text::Digest;

/// A branch, tag, version range or commit of a repository.
pub struct Git {
    shared: Arc<Shared>,
    url: GitUrl,
    selector: Selector,
    path: String,
    exclude: Vec<String>,
    verify: Verify,
    keys: signature::Keys,
    known_hosts: Arc<[Entry]>,
    credentials: CredentialsProvider,
    tls: Option<Tls>,
    budgets: Budgets,
    last: Mutex<Option<LastFetch>>,
}

/// The result of the last fetch.
struct LastFetch {
    choice: Choice,
    folder: Arc<Folder>,
    /// Identity of the ignore rules that the folder was read with.
    rules: Digest,
    fetched: Arc<Fetched>,
}

impl fmt::Debug for Git {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Git");
        shown.field("url", &self.url.shown()).field("selector", &self.selector).field("path", &self.path);
        shown.finish_non_exhaustive()
    }
}

impl Git {
    /// Creates a source without contacting the server.
    ///
    /// # Errors
    /// `Invalid` if the definition of the source cannot be used, with the remedy.
    pub fn new(
        repositories: &GitRepositories,
        spec: &GitSource,
        credentials: CredentialsProvider,
        options: GitOptions,
    ) -> Result<Git, FetchError> {
        let url = GitUrl::parse(&spec.url, options.allow_file)?;
        let ssh = spec.auth.as_ref().and_then(|auth| auth.ssh.as_ref());
        match (&url, ssh, spec.auth.is_some()) {
            (GitUrl::Ssh { .. }, None, _) => {
                return Err(invalid("a repository over SSH needs `auth.ssh` with a private key and known hosts"));
            }
            (GitUrl::Http { .. }, Some(_), _) => {
                return Err(invalid("`auth.ssh` is for SSH; give an `ssh://` URL, or `auth.token`"));
            }
            (GitUrl::Http { tls: true, .. }, ..) if options.tls.is_none() => {
                return Err(invalid("`https://` is not set up here"));
            }
            (GitUrl::File(_), _, true) => return Err(invalid("`file://` takes no `auth`")),
            _ => {}
        }
        let known_hosts = known_hosts::parse(ssh.map_or(&[][..], |ssh| &ssh.known_hosts))?.into();
        let verify = spec.verify.unwrap_or_default();
        let keys = signature::Keys::parse(&spec.trusted_keys)?;
        let selector = Selector::of(spec)?;
        let tag = matches!(selector, Selector::Tag(_) | Selector::Semver(_));
        if verify != Verify::Head && keys.is_empty() {
            return Err(invalid("`verify` needs `trustedKeys` to verify with"));
        }
        if verify != Verify::Head && !tag {
            return Err(invalid("`verify: Tag` and `verify: TagAndHead` need a `tag` or `semver` to verify"));
        }
        let path = spec.path.as_deref().unwrap_or("").trim_matches('/').to_owned();
        let auth = serde_json::to_vec(&spec.auth).unwrap_or_default();
        let key = Digest::of_parts([spec.url.as_bytes(), &*auth]);
        let shared = repositories.shared(key);
        let GitOptions { tls, budgets, .. } = options;
        let last = Mutex::new(None);
        let exclude = spec.exclude.clone();
        Ok(Git { shared, url, selector, path, exclude, verify, keys, known_hosts, credentials, tls, budgets, last })
    }

    /// Number of visits to the server, by all sources of this repository together.
    pub fn visit_count(&self) -> u64 {
        self.shared.visit_count()
    }

    fn last(&self) -> MutexGuard<'_, Option<LastFetch>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn visit<'a>(&'a self, credentials: &'a Credentials, deadline: Instant) -> Visit<'a> {
        let (url, known_hosts, budgets) = (&self.url, &self.known_hosts, &self.budgets);
        Visit { url, credentials, known_hosts, deadline, budgets, tls: self.tls.as_ref() }
    }

    /// Lists the server's references, and fetches the missing commits of every source that waits for this visit.
    fn listed(&self, credentials: &Credentials, deadline: Instant) -> Result<Arc<Vec<Head>>, FetchError> {
        self.shared.visit(&self.selector, deadline, |wants| {
            let (mut repository, number) = self.shared.repository()?;
            if self.shared.is_scattered(number, self.budgets.packs) {
                drop(repository);
                self.shared.renew(number, false);
                repository = self.shared.repository()?.0;
            }
            let odb = repository.odb().map_err(|error| broken(&error))?;
            let refspecs = |heads: &[Head]| {
                let choices = wants.iter().filter_map(|want| want.choose(heads).ok());
                let missing = choices.filter(|choice| !odb.exists(choice.object));
                let mut refspecs: Vec<String> = missing.filter_map(|choice| refspec(&choice)).collect();
                refspecs.sort_unstable();
                refspecs.dedup();
                refspecs
            };
            self.visit(credentials, deadline).run(&repository, Depth::One, refspecs)
        })
    }

    /// Fetches a commit that no reference names: by its id, or with the whole history if the server refuses that.
    fn by_id(&self, credentials: &Credentials, id: Oid, deadline: Instant) -> Result<(), FetchError> {
        let (repository, _) = self.shared.repository()?;
        let odb = repository.odb().map_err(|error| broken(&error))?;
        let has = || odb.refresh().is_ok() && odb.exists(id);
        let visit = self.visit(credentials, deadline);
        let alone = visit.run(&repository, Depth::One, |_| vec![format!("+{id}:refs/evenkeel/{id}")]);
        match alone {
            Ok(_) if has() => return Ok(()),
            Err(error) if !matches!(error.reason, FetchReason::Unreachable | FetchReason::Corrupt) => {
                return Err(error);
            }
            _ => {}
        }
        visit.run(&repository, Depth::Full, |_| vec!["+refs/heads/*:refs/evenkeel/heads/*".to_owned()])?;
        if has() {
            return Ok(());
        }
        Err(fail(FetchReason::RevisionNotFound, format!("the repository has no commit `{id}` on any branch")))
    }

    fn fetch_once(&self, deadline: Instant) -> Result<Arc<Fetched>, (FetchError, Option<u64>)> {
        let number = self.shared.number();
        let plain = |error: FetchError| {
            let broken = (error.reason == FetchReason::Corrupt).then_some(number);
            (error, broken)
        };
        if let (Selector::Commit(_), Some(last)) = (&self.selector, &*self.last()) {
            return Ok(Arc::clone(&last.fetched));
        }
        let credentials = (self.credentials)().map_err(plain)?;
        let heads = self.listed(&credentials, deadline).map_err(plain)?;
        let choice = self.selector.choose(&heads).map_err(plain)?;
        if let Some(last) = self.last().as_ref().filter(|last| last.choice == choice) {
            return Ok(Arc::clone(&last.fetched));
        }
        let (mut repository, mut number) = self.shared.repository().map_err(plain)?;
        if repository.find_object(choice.object, None).is_err() {
            // The visit was made for other sources, or no reference names the commit.
            self.by_id(&credentials, choice.object, deadline).map_err(plain)?;
            (repository, number) = self.shared.repository().map_err(plain)?;
        }
        self.read_choice(&repository, choice, deadline).map_err(|error| {
            let broken = (error.reason == FetchReason::Corrupt).then_some(number);
            (error, broken)
        })
    }

    fn read_choice(
        &self,
        repository: &Repository,
        choice: Choice,
        deadline: Instant,
    ) -> Result<Arc<Fetched>, FetchError> {
        let commit = peel(repository, choice.object)?;
        if !self.keys.is_empty() {
            self.keys.verify(repository, &choice, commit.id(), self.verify)?;
        }
        let root = commit.tree().map_err(|error| broken(&error))?;
        let root = tree::subtree(repository, root, &self.path)?;
        let odb = repository.odb().map_err(|error| broken(&error))?;
        let ignored = tree::ignore_file(repository, &root)?;
        let (rules, problems) = ignore_file::rules(ignored, &self.exclude);
        let walk = Walk { repository, odb: &odb, budgets: &self.budgets, deadline, rules: &rules };
        let mut last = self.last();
        let rules = rules.digest();
        let before = last.as_ref().filter(|last| last.rules == rules).map(|last| &last.folder);
        let folder = walk.root(&root, before)?;
        let (mut snapshot, mut unreadable) = folder.flatten(last.as_ref().map(|last| &last.fetched.snapshot));
        snapshot.set_repository_folder(&self.path);
        unreadable.extend(problems);
        let rewritten = last.as_ref().is_some_and(|last| is_rewritten(repository, &last.fetched.revision, &commit));
        let revision = revision_of(&commit, &choice.name);
        let fetched = Arc::new(Fetched { revision, snapshot, unreadable, rewritten });
        *last = Some(LastFetch { choice, folder, rules, fetched: Arc::clone(&fetched) });
        Ok(fetched)
    }
}

impl Source for Git {
    fn fetch(&self, deadline: Instant) -> Result<Arc<Fetched>, FetchError> {
        match self.fetch_once(deadline) {
            // The local copy is damaged: replace it, and fetch once more.
            Err((_, Some(number))) => {
                self.shared.renew(number, true);
                self.fetch_once(deadline).map_err(|(error, _)| error)
            }
            fetched => fetched.map_err(|(error, _)| error),
        }
    }

    fn read(&self, fetched: &Fetched, path: &str) -> Result<Vec<u8>, FetchError> {
        let gone = || {
            fail(
                FetchReason::RevisionNotFound,
                "the revision is no longer in the local copy; it was fetched too long ago",
            )
        };
        let id = Oid::from_str(&fetched.revision.commit).map_err(|_| gone())?;
        let (current, _) = self.shared.repository()?;
        let holds = |repository: &Repository| repository.find_commit(id).is_ok();
        let repository =
            if holds(&current) { current } else { self.shared.previous().filter(holds).ok_or_else(gone)? };
        let commit = repository.find_commit(id).map_err(|_| gone())?;
        let root = commit.tree().map_err(|error| broken(&error))?;
        let root = tree::subtree(&repository, root, &self.path)?;
        tree::blob(&repository, root, path, MAX_ASSET_BYTES)
    }
}

/// The refspec that fetches a choice.
fn refspec(choice: &Choice) -> Option<String> {
    let reference = choice.reference.as_deref()?;
    let plain = !reference.contains([':', '*', '?', '[', ' ']);
    // References are stored under a digest, so that the server's names never reach the file system.
    plain.then(|| format!("+{reference}:refs/evenkeel/{}", Digest::of(reference.as_bytes()).hex()))
}
