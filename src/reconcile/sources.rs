//! The sources of one environment: created from its document, fetched together and merged into one snapshot.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use zeroize::Zeroizing;

use super::document::EnvironmentDocument;
use crate::catalog::{File, Snapshot};
use crate::connector::{self, ClusterSecrets, Vault};
use crate::definition::environment::{ClusterSource, EnvironmentSpec, GitAuth, NamedSource, Source};
use crate::net::Tls;
use crate::source::directory::Directory;
use crate::source::git::{Credentials, Git, GitOptions, GitRepositories};
use crate::source::{self, FetchError, FetchReason, Fetched, UnreadableFile};

/// Deadline of a fetch of all sources.
pub const FETCH_DEADLINE: Duration = Duration::from_mins(2);
/// Name of the source of an environment with `spec.source`.
pub const ONLY: &str = "source";

/// The sources of an environment.
#[derive(Debug)]
pub struct Sources {
    list: Vec<(String, Arc<dyn source::Source>)>,
    /// True if paths start with the name of their source.
    multiple: bool,
    shown_under: String,
    merged: Option<MergedSources>,
}

/// The content of all sources at one time.
#[derive(Clone, Debug)]
pub struct MergedSources {
    /// The fetched sources, by name.
    pub parts: Vec<(String, Arc<Fetched>)>,
    /// All files; with several sources, in a folder named after the source.
    pub snapshot: Snapshot,
    /// Paths that could not be read.
    pub unreadable: Vec<UnreadableFile>,
    /// Files by path that were sent for a preview and come from no source.
    pub sent: BTreeMap<String, Arc<[u8]>>,
}

impl MergedSources {
    /// Revision of each source.
    pub fn revisions(&self) -> BTreeMap<String, String> {
        self.parts.iter().map(|(name, fetched)| (name.clone(), fetched.revision.name.clone())).collect()
    }
}

/// A Kubernetes cluster as a source of definitions and secrets.
pub trait Cluster: Send + Sync {
    /// The source of the resources that an environment may read.
    ///
    /// # Errors
    /// The environment may not read them.
    fn source(
        &self,
        environment: &EnvironmentDocument,
        wanted: &ClusterSource,
    ) -> Result<Arc<dyn source::Source>, FetchError>;

    /// The secrets that an environment may read.
    fn secrets(&self, environment: &EnvironmentDocument) -> Arc<dyn ClusterSecrets>;
}

/// Resources that sources are created with.
#[derive(Clone)]
pub struct SourceContext {
    /// The cluster; `None` outside of Kubernetes.
    pub cluster: Option<Arc<dyn Cluster>>,
    /// Clones of repositories, shared by all environments.
    pub repositories: Arc<GitRepositories>,
    /// TLS for Git servers.
    pub tls: Tls,
    /// Folder that relative paths start at, and that an environment without a source reads.
    pub folder: PathBuf,
    /// True if repositories may be on the disk of this machine, or served by it without TLS.
    pub allow_local: bool,
}

impl Sources {
    /// Creates the sources of an environment.
    ///
    /// # Errors
    /// The declaration of a source cannot be used.
    pub fn new(document: &EnvironmentDocument, context: &SourceContext) -> Result<Sources, FetchError> {
        let spec = &document.spec;
        let mut list = Vec::new();
        let mut shown_under = String::new();
        if spec.sources.is_empty() {
            let only = match spec.source.clone() {
                Some(Source { git, directory, cluster }) => NamedSource { name: ONLY.into(), git, directory, cluster },
                None => NamedSource { name: ONLY.into(), git: None, directory: None, cluster: None },
            };
            shown_under = only.git.as_ref().and_then(|git| git.path.clone()).unwrap_or_default();
            list.push((ONLY.to_owned(), create(document, &only, context)?));
        }
        for source in &spec.sources {
            list.push((source.name.clone(), create(document, source, context)?));
        }
        Ok(Sources { list, multiple: !spec.sources.is_empty(), shown_under, merged: None })
    }

    /// Uses existing sources; one with the name [`ONLY`] is the only one.
    #[cfg(test)]
    pub(super) fn of(list: Vec<(String, Arc<dyn source::Source>)>) -> Sources {
        let multiple = list.iter().any(|(name, _)| name != ONLY);
        Sources { list, multiple, shown_under: String::new(), merged: None }
    }

    /// Fetches all sources. If none has changed, the snapshot is the same allocation as before.
    ///
    /// Blocks; the caller abandons a source that exceeds the deadline.
    ///
    /// # Errors
    /// A source cannot be fetched; part of an environment is not applied.
    pub fn fetch(&mut self, deadline: Instant) -> Result<MergedSources, (String, FetchError)> {
        let mut parts = Vec::new();
        for (name, source) in &self.list {
            parts.push((name.clone(), source.fetch(deadline).map_err(|error| (name.clone(), error))?));
        }
        if let Some(merged) = &self.merged
            && merged.parts.iter().zip(&parts).all(|((_, known), (_, new))| Arc::ptr_eq(known, new))
        {
            return Ok(merged.clone());
        }
        let mut merged = match (&parts[..], self.multiple) {
            ([(_, only)], false) => MergedSources {
                snapshot: only.snapshot.clone(),
                unreadable: only.unreadable.clone(),
                parts,
                sent: BTreeMap::new(),
            },
            _ => merge(parts),
        };
        merged.snapshot.set_repository_folder(&self.shown_under);
        self.merged = Some(merged.clone());
        Ok(merged)
    }

    /// Reads a file that a definition names, by its path in the merged snapshot.
    ///
    /// # Errors
    /// The file does not exist.
    pub fn read(&self, merged: &MergedSources, path: &str) -> Result<Vec<u8>, FetchError> {
        let (name, inside) = match self.multiple {
            true => path.split_once('/').unwrap_or((path, "")),
            false => (ONLY, path),
        };
        let source = self.list.iter().find(|(known, _)| known == name);
        let fetched = merged.parts.iter().find(|(known, _)| known == name);
        match (source, fetched) {
            (Some((_, source)), Some((_, fetched))) => source.read(fetched, inside),
            _ => Err(FetchError { reason: FetchReason::PathNotFound, message: format!("there is no file `{path}`") }),
        }
    }

    /// Prefix of the paths that are shown.
    pub fn shown_under(&self) -> &str {
        &self.shown_under
    }
}

fn create(
    document: &EnvironmentDocument,
    wanted: &NamedSource,
    context: &SourceContext,
) -> Result<Arc<dyn source::Source>, FetchError> {
    if let Some(git) = &wanted.git {
        let cluster = context.cluster.as_ref().map(|cluster| cluster.secrets(document));
        let credentials = credentials(&document.spec, git.auth.clone(), cluster);
        let tls = Some(context.tls.clone());
        let options = GitOptions { tls, allow_file: context.allow_local, ..GitOptions::default() };
        let git = Git::new(&context.repositories, git, credentials, options)?;
        return Ok(Arc::new(git));
    }
    match (&wanted.directory, &context.cluster) {
        (Some(directory), _) => {
            let path = context.folder.join(&directory.path);
            Ok(Arc::new(Directory::excluding(path, directory.exclude.clone())))
        }
        (None, Some(cluster)) => cluster.source(document, &wanted.cluster.clone().unwrap_or_default()),
        (None, None) if wanted.cluster.is_some() => {
            let message = "a cluster is a source for `evenkeel operator` only; `serve` follows `git` and `directory`";
            Err(FetchError { reason: FetchReason::Invalid, message: message.into() })
        }
        (None, None) => Ok(Arc::new(Directory::new(context.folder.clone()))),
    }
}

/// Resolves credentials for each fetch, so that rotated ones are used.
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

fn merge(parts: Vec<(String, Arc<Fetched>)>) -> MergedSources {
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

/// Folder that relative paths of an Environment document start at.
pub fn folder_of(path: &Path) -> PathBuf {
    if path.is_dir() { path.to_owned() } else { path.parent().unwrap_or(Path::new("")).to_owned() }
}
