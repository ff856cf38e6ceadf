//! The cluster as a source: a snapshot of resources, like the snapshot of a folder or a repository.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use super::access::AccountAccess;
use super::resources::{Resources, lock};
use super::selection::Selection;
use crate::catalog::{File, Snapshot};
use crate::source::{FetchError, FetchReason, Fetched, Revision, Source};
use crate::text::Digest;

/// The resources that an Environment reads.
#[derive(Debug)]
pub struct ClusterResources {
    resources: Arc<Resources>,
    selection: Selection,
    /// Rights of the service account; `None` if the operator's own rights apply.
    access: Option<AccountAccess>,
    last: Mutex<Option<(u64, Arc<Fetched>)>>,
}

impl ClusterResources {
    /// A source of the selected resources, checked against the rights of a service account.
    pub fn new(resources: Arc<Resources>, selection: Selection, access: Option<AccountAccess>) -> ClusterResources {
        ClusterResources { resources, selection, access, last: Mutex::default() }
    }

    fn read(&self) -> Fetched {
        let selected = self.resources.all(|resource| self.selection.reads(resource));
        let parts =
            selected.iter().flat_map(|resource| [resource.file.path.as_bytes(), resource.digest.bytes().as_slice()]);
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
        if !self.resources.is_listed() {
            let listing = || "listing the cluster's resources".to_owned();
            let message = self.resources.problem().unwrap_or_else(listing);
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
        // A change outside the selection keeps the snapshot.
        let same =
            last.as_ref().filter(|(_, known)| known.revision == fetched.revision).map(|(_, known)| Arc::clone(known));
        let fetched = same.unwrap_or(fetched);
        *last = Some((version, Arc::clone(&fetched)));
        Ok(fetched)
    }

    fn read(&self, _fetched: &Fetched, path: &str) -> Result<Vec<u8>, FetchError> {
        let message = format!("{path} does not exist in the cluster; put the code into the resource (`inline`)");
        Err(FetchError { reason: FetchReason::PathNotFound, message })
    }
}
