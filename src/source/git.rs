//! A Git repository: a bare, shallow fetch, and files from the object database. There is never a checkout.
//!
//! ```text
//! url ──► relay (deadline, bytes, one host) ──► remote (list, fetch) ──► cache (one repository, one fetch for all)
//!                                                                          │
//!          Fetched ◄── tree (only what changed) ◄── signature ◄── select ◄─┘
//! ```
//!
//! Calls block. They end by themselves at their deadline, except while this machine looks up the host's name.

mod cache;
mod known_hosts;
mod local;
mod openpgp;
mod relay;
mod remote;
mod select;
mod signature;
mod ssh_signature;
mod tree;
mod url;

use std::fmt;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use git2::{Commit, ObjectType, Oid, Repository};
use zeroize::Zeroizing;

use crate::definition::environment::{GitSource, Verify};
use crate::source::{FetchError, FetchReason, Fetched, MAX_ASSET_BYTES, Revision, Source};
use crate::text::Digest;

pub use cache::GitRepositories;
pub use local::{local, local_file};

use cache::Shared;
use remote::{Depth, Visit};
use select::{Choice, Head, Selector};
use tree::{Folder, Walk};

/// Longest author and subject that are kept, in characters.
const LONGEST_SHOWN: usize = 200;
/// Most tags that name tags before a commit.
const MAX_PEELED: usize = 5;

/// What authorizes a fetch. Cleared from memory when dropped.
pub enum Credentials {
    /// Nothing: the repository is open to everyone.
    None,
    /// An access token, sent as the password of HTTP Basic.
    Token(Zeroizing<String>),
    /// HTTP Basic.
    Basic {
        /// User name.
        username: String,
        /// Password.
        password: Zeroizing<String>,
    },
    /// An SSH key without passphrase.
    Ssh {
        /// In PEM or OpenSSH's own format.
        private_key: Zeroizing<String>,
    },
}

/// Gives the current credentials; called for each fetch, so that a secret that was rotated is picked up.
pub type CredentialsOf = Arc<dyn Fn() -> Result<Credentials, FetchError> + Send + Sync>;

/// Both directions of a connection.
pub trait Stream: Read + Write + Send {}

impl<T: Read + Write + Send> Stream for T {}

/// Speaks TLS over a connection, as a client that verifies the server's certificate.
pub trait Secure: Send + Sync {
    /// Shakes hands as a client of `host`.
    ///
    /// # Errors
    /// Where the certificate is not trusted for the host, or the connection breaks.
    fn secure(&self, stream: TcpStream, host: &str) -> Result<Box<dyn Stream>, TlsError>;
}

/// Why there is no TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TlsError {
    /// The certificate is not trusted.
    Untrusted(String),
    /// Anything else.
    Broken(String),
}

/// How repositories are fetched.
#[derive(Clone, Default)]
pub struct GitOptions {
    /// How TLS is spoken; `https://` is refused without.
    pub secure: Option<Arc<dyn Secure>>,
    /// Allows `file://`, and `http://` to this machine: for tests and development.
    pub allow_file: bool,
    /// Limits.
    pub budgets: Budgets,
}

/// Limits of a fetch and of what is read from it. What passes one is refused as a whole, with [`FetchReason::TooLarge`].
#[derive(Clone, Debug)]
pub struct Budgets {
    /// Bytes that the server may send for the list of references.
    pub listing_bytes: u64,
    /// References that it may list.
    pub references: usize,
    /// Bytes that the server may send in one fetch, compressed.
    pub received_bytes: u64,
    /// Objects that it may send in one fetch.
    pub objects: usize,
    /// Files and folders of the revision.
    pub files: usize,
    /// Folders in folders. What is deeper is a finding.
    pub depth: usize,
    /// Bytes of all definitions together.
    pub definition_bytes: usize,
    /// Fetches until the repository on this disk is begun anew.
    pub packs: usize,
}

impl Default for Budgets {
    fn default() -> Self {
        Budgets {
            listing_bytes: 64 << 20,
            references: 200_000,
            received_bytes: 1 << 30,
            objects: 10_000_000,
            files: 200_000,
            depth: 64,
            definition_bytes: 1 << 30,
            packs: 100,
        }
    }
}

/// A branch, tag, range of versions or commit of a repository.
pub struct Git {
    shared: Arc<Shared>,
    url: url::GitUrl,
    selector: Selector,
    path: String,
    verify: Verify,
    keys: signature::Keys,
    known_hosts: Vec<ssh_key::known_hosts::Entry>,
    credentials: CredentialsOf,
    secure: Option<Arc<dyn Secure>>,
    budgets: Budgets,
    last: Mutex<Option<Last>>,
}

/// What was fetched last.
struct Last {
    choice: Choice,
    folder: Arc<Folder>,
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
    /// A source, without asking the server yet.
    ///
    /// # Errors
    /// `Invalid` where the source cannot be used as it is written, with what to change.
    pub fn new(
        repositories: &GitRepositories,
        spec: &GitSource,
        credentials: CredentialsOf,
        options: GitOptions,
    ) -> Result<Git, FetchError> {
        let url = url::GitUrl::parse(&spec.url, options.allow_file)?;
        let ssh = spec.auth.as_ref().and_then(|auth| auth.ssh.as_ref());
        match (&url, ssh, spec.auth.is_some()) {
            (url::GitUrl::Ssh { .. }, None, _) => {
                return Err(invalid("a repository over SSH needs `auth.ssh` with a private key and known hosts"));
            }
            (url::GitUrl::Http { .. }, Some(_), _) => {
                return Err(invalid("`auth.ssh` is for SSH; give an `ssh://` URL, or `auth.token`"));
            }
            (url::GitUrl::Http { tls: true, .. }, ..) if options.secure.is_none() => {
                return Err(invalid("`https://` is not set up here"));
            }
            (url::GitUrl::File(_), _, true) => return Err(invalid("`file://` takes no `auth`")),
            _ => {}
        }
        let known_hosts = known_hosts::parse(ssh.map_or(&[][..], |ssh| &ssh.known_hosts))?;
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
        let GitOptions { secure, budgets, .. } = options;
        let last = Mutex::new(None);
        Ok(Git { shared, url, selector, path, verify, keys, known_hosts, credentials, secure, budgets, last })
    }

    /// How often the server was asked, by all sources of this repository together.
    pub fn rounds(&self) -> u64 {
        self.shared.rounds()
    }

    fn last(&self) -> MutexGuard<'_, Option<Last>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn visit<'a>(&'a self, credentials: &'a Credentials, deadline: Instant) -> Visit<'a> {
        let (url, known_hosts, budgets) = (&self.url, &*self.known_hosts, &self.budgets);
        Visit { url, credentials, known_hosts, deadline, budgets, secure: self.secure.clone() }
    }

    /// Lists what the server has, and fetches what all who ask now want and do not have.
    fn listed(&self, credentials: &Credentials, deadline: Instant) -> Result<Arc<Vec<Head>>, FetchError> {
        self.shared.ask(&self.selector, deadline, |wants| {
            let (mut repository, number) = self.shared.repository()?;
            if self.shared.is_scattered(number, self.budgets.packs) {
                drop(repository);
                self.shared.renew(number, false);
                repository = self.shared.repository()?.0;
            }
            let odb = repository.odb().map_err(|error| tree::broken(&error))?;
            let refspecs = |heads: &[Head]| {
                let choices = wants.iter().filter_map(|want| want.choose(heads).ok());
                let missing = choices.filter(|choice| !odb.exists(choice.object));
                let mut refspecs: Vec<String> = missing.filter_map(|choice| refspec(&choice)).collect();
                refspecs.sort_unstable();
                refspecs.dedup();
                refspecs
            };
            self.visit(credentials, deadline).go(&repository, Depth::One, refspecs)
        })
    }

    /// Fetches a commit that no reference names: by its id, and where the server refuses that with all of its history.
    fn by_id(&self, credentials: &Credentials, id: Oid, deadline: Instant) -> Result<(), FetchError> {
        let (repository, _) = self.shared.repository()?;
        let odb = repository.odb().map_err(|error| tree::broken(&error))?;
        let has = || odb.refresh().is_ok() && odb.exists(id);
        let visit = self.visit(credentials, deadline);
        let alone = visit.go(&repository, Depth::One, |_| vec![format!("+{id}:refs/evenkeel/{id}")]);
        match alone {
            Ok(_) if has() => return Ok(()),
            Err(error) if !matches!(error.reason, FetchReason::Unreachable | FetchReason::Corrupt) => {
                return Err(error);
            }
            _ => {}
        }
        visit.go(&repository, Depth::Full, |_| vec!["+refs/heads/*:refs/evenkeel/heads/*".to_owned()])?;
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
            // Someone else's visit was made for less than we want, or no reference names it.
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
        let root = commit.tree().map_err(|error| tree::broken(&error))?;
        let root = tree::subtree(repository, root, &self.path)?;
        let odb = repository.odb().map_err(|error| tree::broken(&error))?;
        let walk = Walk { repository, odb: &odb, budgets: &self.budgets, deadline };
        let mut last = self.last();
        let folder = walk.root(&root, last.as_ref().map(|last| &last.folder))?;
        let (mut snapshot, unreadable) = folder.flatten(last.as_ref().map(|last| &last.fetched.snapshot));
        snapshot.shown_under = self.path.clone();
        let rewritten = last.as_ref().is_some_and(|last| is_rewritten(repository, &last.fetched.revision, &commit));
        let revision = revision_of(&commit, &choice.name);
        let fetched = Arc::new(Fetched { revision, snapshot, unreadable, rewritten });
        *last = Some(Last { choice, folder, fetched: Arc::clone(&fetched) });
        Ok(fetched)
    }
}

impl Source for Git {
    fn fetch(&self, deadline: Instant) -> Result<Arc<Fetched>, FetchError> {
        match self.fetch_once(deadline) {
            // The local copy is only a copy: it is thrown away, and everything fetched once more.
            Err((_, Some(number))) => {
                self.shared.renew(number, true);
                self.fetch_once(deadline).map_err(|(error, _)| error)
            }
            fetched => fetched.map_err(|(error, _)| error),
        }
    }

    fn read(&self, fetched: &Fetched, path: &str) -> Result<Vec<u8>, FetchError> {
        let gone =
            || fail(FetchReason::RevisionNotFound, "the revision is no longer kept; it was fetched too long ago");
        let id = Oid::from_str(&fetched.revision.commit).map_err(|_| gone())?;
        let (current, _) = self.shared.repository()?;
        let holds = |repository: &Repository| repository.find_commit(id).is_ok();
        let repository =
            if holds(&current) { current } else { self.shared.previous().filter(holds).ok_or_else(gone)? };
        let commit = repository.find_commit(id).map_err(|_| gone())?;
        let root = commit.tree().map_err(|error| tree::broken(&error))?;
        let root = tree::subtree(&repository, root, &self.path)?;
        tree::blob(&repository, root, path, MAX_ASSET_BYTES)
    }
}

/// What to fetch for a choice, and the name that it is kept under.
fn refspec(choice: &Choice) -> Option<String> {
    let reference = choice.reference.as_deref()?;
    let plain = !reference.contains([':', '*', '?', '[', ' ']);
    // A name of ours for each of theirs, so that the server's names never meet our file system.
    plain.then(|| format!("+{reference}:refs/evenkeel/{}", Digest::of(reference.as_bytes()).hex()))
}

/// The commit that an object is or names.
fn peel(repository: &Repository, id: Oid) -> Result<Commit<'_>, FetchError> {
    let mut object = repository.find_object(id, None).map_err(|error| tree::broken(&error))?;
    for _ in 0..MAX_PEELED {
        match object.kind() {
            Some(ObjectType::Tag) => {
                let target = object.as_tag().map_or(id, git2::Tag::target_id);
                object = repository.find_object(target, None).map_err(|error| tree::broken(&error))?;
            }
            _ => break,
        }
    }
    let no_commit = |_| fail(FetchReason::RevisionNotFound, "the tag or branch does not name a commit");
    object.into_commit().map_err(no_commit)
}

fn revision_of(commit: &Commit<'_>, name: &str) -> Revision {
    let id = commit.id().to_string();
    let text = |bytes: &[u8]| printable(&String::from_utf8_lossy(bytes), LONGEST_SHOWN);
    Revision {
        name: format!("{name}@sha1:{id}"),
        commit: id,
        committed: commit.time().seconds(),
        author: text(commit.author().name_bytes()),
        subject: text(commit.summary_bytes().unwrap_or_default()),
    }
}

/// Does history no longer lead from the revision before to this one? `false` where that cannot be told: a shallow
/// fetch brings one commit, which still tells its parents.
fn is_rewritten(repository: &Repository, before: &Revision, now: &Commit<'_>) -> bool {
    let Ok(before) = Oid::from_str(&before.commit) else { return false };
    let parents = parents(now);
    if before == now.id() || parents.contains(&before) {
        return false;
    }
    if !repository.is_shallow() {
        return repository.graph_descendant_of(now.id(), before).is_ok_and(|descends| !descends);
    }
    let shares = |before: Commit<'_>| self::parents(&before).iter().any(|parent| parents.contains(parent));
    // A root cannot come after anything; and a sibling is what an amended commit is.
    parents.is_empty() || parents.len() == 1 && repository.find_commit(before).is_ok_and(shares)
}

/// Parents as the commit says: the library hides those that a shallow fetch left out.
fn parents(commit: &Commit<'_>) -> Vec<Oid> {
    let header = String::from_utf8_lossy(commit.raw_header_bytes()).into_owned();
    let lines = header.lines().take_while(|line| !line.is_empty());
    lines.filter_map(|line| Oid::from_str(line.strip_prefix("parent ")?).ok()).collect()
}

fn fail(reason: FetchReason, message: impl Into<String>) -> FetchError {
    FetchError { reason, message: message.into() }
}

fn invalid(message: impl Into<String>) -> FetchError {
    fail(FetchReason::Invalid, message)
}

/// The start of a text without characters that a terminal or a page would act on.
fn printable(text: &str, most: usize) -> String {
    text.chars().filter(|c| !is_hidden(*c)).take(most).collect()
}

/// Control characters, and those that change the direction of text or cannot be seen.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{2069}' | '\u{FEFF}' | '\u{AD}')
}
