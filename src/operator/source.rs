//! A cluster's resources as a source: the same snapshot that a folder or a repository gives.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use super::access::Access;
use super::resources::{Key, Resource, Resources, lock};
use super::tenancy::Allowed;
use crate::catalog::{File, Snapshot};
use crate::definition::Kind;
use crate::definition::environment::{ClusterSource, EnvironmentSpec};
use crate::source::{FetchError, FetchReason, Fetched, Revision, Source};
use crate::text::Digest;

/// Which resources belong to an Environment.
#[derive(Clone, Debug)]
pub struct Selection {
    /// Namespaces that it reads.
    pub namespaces: BTreeSet<String>,
    /// Labels that they have.
    pub labels: BTreeMap<String, String>,
    /// Kinds that it may have.
    pub allowed: Allowed,
    /// The Environment beside it that its document names.
    pub promote_from: Option<Key>,
}

impl Selection {
    /// What an Environment of a namespace reads.
    pub fn new(namespace: &str, spec: &EnvironmentSpec, wanted: &ClusterSource, allowed: Allowed) -> Selection {
        let mut namespaces: BTreeSet<String> = wanted.namespaces.iter().cloned().collect();
        if namespaces.is_empty() {
            namespaces.insert(namespace.to_owned());
        }
        let promote_from = spec.promote_from.clone().map(|name| Key {
            kind: Kind::Environment,
            namespace: namespace.to_owned(),
            name,
        });
        Selection { namespaces, labels: wanted.selector.clone(), allowed, promote_from }
    }

    /// May a change of this resource be a change of what it reads?
    pub fn touches(&self, key: &Key) -> bool {
        self.namespaces.contains(&key.namespace) && key.kind != Kind::Environment
            || self.promote_from.as_ref() == Some(key)
    }

    /// Is a resource among its files?
    fn reads(&self, resource: &Resource) -> bool {
        self.has(resource) || self.promote_from.as_ref() == Some(&resource.key)
    }

    /// Does a resource belong to it? Environments never do: each stands for itself.
    pub fn has(&self, resource: &Resource) -> bool {
        resource.key.kind != Kind::Environment
            && !resource.deleting
            && self.namespaces.contains(&resource.key.namespace)
            && self.allowed.kind(resource.key.kind)
            && self.labels.iter().all(|(key, value)| resource.labels.get(key) == Some(value))
    }
}

/// The resources that an Environment reads.
#[derive(Debug)]
pub struct ClusterResources {
    resources: Arc<Resources>,
    selection: Selection,
    /// Whose rights count.
    access: Option<Access>,
    last: Mutex<Option<(u64, Arc<Fetched>)>>,
}

impl ClusterResources {
    /// A source of what is selected, as far as whoever reads it may.
    pub fn new(resources: Arc<Resources>, selection: Selection, access: Option<Access>) -> ClusterResources {
        ClusterResources { resources, selection, access, last: Mutex::default() }
    }

    fn read(&self) -> Fetched {
        let selected = self.resources.all(|resource| self.selection.reads(resource));
        let parts = selected.iter().flat_map(|one| [one.file.path.as_bytes(), one.digest.bytes().as_slice()]);
        let digest = Digest::of_parts(parts);
        let namespaces: Vec<&str> = self.selection.namespaces.iter().map(String::as_str).collect();
        let mut files: Vec<File> = selected.iter().map(|resource| resource.file.clone()).collect();
        files.sort_by(|a, b| a.path.cmp(&b.path));
        let names = files.iter().map(|file| file.path.to_string()).collect();
        Fetched {
            revision: Revision {
                name: format!("{}@{}", namespaces.join(","), digest.short()),
                commit: String::new(),
                committed: 0,
                author: String::new(),
                subject: String::new(),
            },
            snapshot: Snapshot { files, names: Arc::new(names), ..Snapshot::default() },
            unreadable: Vec::new(),
            rewritten: false,
        }
    }
}

impl Source for ClusterResources {
    fn fetch(&self, _deadline: Instant) -> Result<Arc<Fetched>, FetchError> {
        if !self.resources.is_filled() {
            let waits = || "the cluster's resources are being listed".to_owned();
            let message = self.resources.problem().unwrap_or_else(waits);
            return Err(FetchError { reason: FetchReason::Unreachable, message });
        }
        if let Some(access) = &self.access {
            access.check(&self.selection)?;
        }
        let version = self.resources.version();
        let mut last = lock(&self.last);
        if let Some((known, fetched)) = &*last
            && *known == version
        {
            return Ok(Arc::clone(fetched));
        }
        let fetched = Arc::new(self.read());
        // A change elsewhere is none here.
        let same =
            last.as_ref().filter(|(_, known)| known.revision == fetched.revision).map(|(_, known)| Arc::clone(known));
        let fetched = same.unwrap_or(fetched);
        *last = Some((version, Arc::clone(&fetched)));
        Ok(fetched)
    }

    fn read(&self, _fetched: &Fetched, path: &str) -> Result<Vec<u8>, FetchError> {
        let message = format!("{path} is not in the cluster: write the code in the resource (`inline`)");
        Err(FetchError { reason: FetchReason::PathNotFound, message })
    }
}
