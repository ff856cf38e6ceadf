//! The sources of one environment: made from its document, fetched together, joined to one snapshot.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use zeroize::Zeroizing;

use super::document::EnvironmentDocument;
use crate::catalog::{File, Snapshot};
use crate::connector::{self, ClusterSecrets, Vault};
use crate::definition::environment::{ClusterSource, EnvironmentSpec, GitAuth, NamedSource, Source};
use crate::source::directory::{Directory, Unreadable};
use crate::source::git::{Credentials, Git, GitOptions, GitRepositories, Secure};
use crate::source::{self, FetchError, FetchReason, Fetched, Revision};

/// Longest that one look at the sources takes.
pub const FETCH_DEADLINE: Duration = Duration::from_mins(2);
/// The name of a source that has none of its own.
pub const ONLY: &str = "source";

/// The sources of an environment, with what joins them.
#[derive(Debug)]
pub struct Sources {
    list: Vec<(String, Arc<dyn source::Source>)>,
    /// Are files shown in folders named after their source?
    several: bool,
    shown_under: String,
    joined: Option<MergedSources>,
}

/// What all sources held.
#[derive(Clone, Debug)]
pub struct MergedSources {
    /// By the source's name.
    pub parts: Vec<(String, Arc<Fetched>)>,
    /// All files, under their source's name where there are several.
    pub snapshot: Snapshot,
    /// What could not be read.
    pub unreadable: Vec<Unreadable>,
    /// Other files by their path, where they were sent to be looked at and come from no source.
    pub sent: BTreeMap<String, Arc<[u8]>>,
}

impl MergedSources {
    /// The revision of each source.
    pub fn revisions(&self) -> BTreeMap<String, String> {
        self.parts.iter().map(|(name, fetched)| (name.clone(), fetched.revision.name.clone())).collect()
    }

    /// The first source's commit, for announcements.
    pub fn first(&self) -> Option<&Revision> {
        self.parts.first().map(|(_, fetched)| &fetched.revision)
    }
}

/// What a Kubernetes cluster gives to environments.
pub trait Cluster: Send + Sync {
    /// Definitions that are resources, as an environment may read them.
    ///
    /// # Errors
    /// Where it may not.
    fn source(
        &self,
        environment: &EnvironmentDocument,
        wanted: &ClusterSource,
    ) -> Result<Arc<dyn source::Source>, FetchError>;

    /// Secrets that an environment may read.
    fn secrets(&self, environment: &EnvironmentDocument) -> Arc<dyn ClusterSecrets>;
}

/// What sources are made with.
#[derive(Clone)]
pub struct SourceContext {
    /// The cluster; `None` outside of one.
    pub cluster: Option<Arc<dyn Cluster>>,
    /// Repositories, shared by all environments.
    pub repositories: Arc<GitRepositories>,
    /// TLS to the servers of repositories.
    pub secure: Arc<dyn Secure>,
    /// Where relative folders start, and what an environment without a source reads.
    pub folder: PathBuf,
    /// May repositories be on this machine's disk, or served without TLS by it?
    pub allow_local: bool,
}

impl Sources {
    /// The sources of an environment.
    ///
    /// # Errors
    /// Where one is written in a way that cannot be used.
    pub fn new(given: &EnvironmentDocument, context: &SourceContext) -> Result<Sources, FetchError> {
        let spec = &given.spec;
        let mut list = Vec::new();
        let mut shown_under = String::new();
        if spec.sources.is_empty() {
            let only = match spec.source.clone() {
                Some(Source { git, directory, cluster }) => NamedSource { name: ONLY.into(), git, directory, cluster },
                None => NamedSource { name: ONLY.into(), git: None, directory: None, cluster: None },
            };
            shown_under = only.git.as_ref().and_then(|git| git.path.clone()).unwrap_or_default();
            list.push((ONLY.to_owned(), one(given, &only, context)?));
        }
        for source in &spec.sources {
            list.push((source.name.clone(), one(given, source, context)?));
        }
        Ok(Sources { list, several: !spec.sources.is_empty(), shown_under, joined: None })
    }

    /// Sources that were made elsewhere; one that is named [`ONLY`] stands alone.
    #[cfg(test)]
    pub(super) fn of(list: Vec<(String, Arc<dyn source::Source>)>) -> Sources {
        let several = list.iter().any(|(name, _)| name != ONLY);
        Sources { list, several, shown_under: String::new(), joined: None }
    }

    /// What all sources hold now. An unchanged answer of all is the same snapshot as before.
    ///
    /// Blocks; a source that hangs beyond the deadline is the caller's to abandon.
    ///
    /// # Errors
    /// Where one of them gives nothing: half of an environment is not an environment.
    pub fn fetch(&mut self, deadline: Instant) -> Result<MergedSources, (String, FetchError)> {
        let mut parts = Vec::new();
        for (name, source) in &self.list {
            parts.push((name.clone(), source.fetch(deadline).map_err(|error| (name.clone(), error))?));
        }
        if let Some(joined) = &self.joined
            && joined.parts.iter().zip(&parts).all(|((_, known), (_, new))| Arc::ptr_eq(known, new))
        {
            return Ok(joined.clone());
        }
        let mut joined = match (&parts[..], self.several) {
            ([(_, only)], false) => MergedSources {
                snapshot: only.snapshot.clone(),
                unreadable: only.unreadable.clone(),
                parts,
                sent: BTreeMap::new(),
            },
            _ => join(parts),
        };
        joined.snapshot.shown_under.clone_from(&self.shown_under);
        self.joined = Some(joined.clone());
        Ok(joined)
    }

    /// A file that definitions name, by its path in the joined snapshot.
    ///
    /// # Errors
    /// Where it is not there.
    pub fn read(&self, joined: &MergedSources, path: &str) -> Result<Vec<u8>, FetchError> {
        if let Some(bytes) = joined.sent.get(path) {
            return Ok(bytes.to_vec());
        }
        let (name, inside) = match self.several {
            true => path.split_once('/').unwrap_or((path, "")),
            false => (ONLY, path),
        };
        let source = self.list.iter().find(|(known, _)| known == name);
        let fetched = joined.parts.iter().find(|(known, _)| known == name);
        match (source, fetched) {
            (Some((_, source)), Some((_, fetched))) => source.read(fetched, inside),
            _ => Err(FetchError { reason: FetchReason::PathNotFound, message: format!("there is no file `{path}`") }),
        }
    }

    /// The source that a path of the joined snapshot belongs to.
    pub fn of_path<'a>(&'a self, path: &'a str) -> &'a str {
        match self.several {
            true => path.split('/').next().unwrap_or(path),
            false => ONLY,
        }
    }

    /// What paths are shown under.
    pub fn shown_under(&self) -> &str {
        &self.shown_under
    }
}

fn one(
    given: &EnvironmentDocument,
    wanted: &NamedSource,
    context: &SourceContext,
) -> Result<Arc<dyn source::Source>, FetchError> {
    if let Some(git) = &wanted.git {
        let cluster = context.cluster.as_ref().map(|cluster| cluster.secrets(given));
        let credentials = credentials(&given.spec, git.auth.clone(), cluster);
        let secure = Some(Arc::clone(&context.secure));
        let options = GitOptions { secure, allow_file: context.allow_local, ..GitOptions::default() };
        let git = Git::new(&context.repositories, git, credentials, options)?;
        return Ok(Arc::new(git));
    }
    match (&wanted.directory, &context.cluster) {
        (Some(directory), _) => Ok(Arc::new(Directory::new(context.folder.join(&directory.path)))),
        (None, Some(cluster)) => cluster.source(given, &wanted.cluster.clone().unwrap_or_default()),
        (None, None) if wanted.cluster.is_some() => {
            let message = "a cluster is a source for `evenkeel operator` only; `serve` follows `git` and `directory`";
            Err(FetchError { reason: FetchReason::Invalid, message: message.into() })
        }
        (None, None) => Ok(Arc::new(Directory::new(context.folder.clone()))),
    }
}

/// Credentials are looked up for each fetch, so that rotated ones are taken up.
fn credentials(
    spec: &EnvironmentSpec,
    auth: Option<GitAuth>,
    cluster: Option<Arc<dyn ClusterSecrets>>,
) -> Arc<dyn Fn() -> Result<Credentials, FetchError> + Send + Sync> {
    let secrets = spec.secrets.clone();
    let vault = Vault { cluster, ..Vault::default() };
    let secret = move |name: &str| {
        let missing = |message: String| FetchError { reason: FetchReason::SecretMissing, message };
        let source =
            secrets.get(name).ok_or_else(|| missing(format!("the environment provides no secret `{name}`")))?;
        connector::resolve_secret(name, source, &vault).map(Zeroizing::new).map_err(missing)
    };
    Arc::new(move || match &auth {
        None => Ok(Credentials::None),
        Some(GitAuth { token: Some(token), .. }) => Ok(Credentials::Token(secret(&token.secret_ref)?)),
        Some(GitAuth { basic: Some(basic), .. }) => {
            Ok(Credentials::Basic { username: basic.username.clone(), password: secret(&basic.password.secret_ref)? })
        }
        Some(GitAuth { ssh: Some(ssh), .. }) => {
            Ok(Credentials::Ssh { private_key: secret(&ssh.private_key.secret_ref)? })
        }
        Some(_) => Ok(Credentials::None),
    })
}

fn join(parts: Vec<(String, Arc<Fetched>)>) -> MergedSources {
    let mut snapshot = Snapshot::default();
    let mut names = BTreeSet::new();
    let mut unreadable = Vec::new();
    for (name, fetched) in &parts {
        let under = |path: &str| format!("{name}/{path}");
        let files = fetched.snapshot.files.iter();
        snapshot
            .files
            .extend(files.map(|file| File { path: under(&file.path).into(), bytes: Arc::clone(&file.bytes) }));
        let code = fetched.snapshot.code.iter();
        snapshot.code.extend(code.map(|(path, bytes)| (under(path).into(), Arc::clone(bytes))));
        names.extend(fetched.snapshot.names.iter().map(|path| under(path)));
        unreadable.extend(fetched.unreadable.iter().cloned().map(|mut broken| {
            broken.path = under(&broken.path);
            broken
        }));
    }
    snapshot.files.sort_by(|a, b| a.path.cmp(&b.path));
    snapshot.names = Arc::new(names);
    MergedSources { parts, snapshot, unreadable, sent: BTreeMap::new() }
}

/// The folder that relative paths of an Environment document start at.
pub fn folder_of(path: &Path) -> PathBuf {
    if path.is_dir() { path.to_owned() } else { path.parent().unwrap_or(Path::new("")).to_owned() }
}
