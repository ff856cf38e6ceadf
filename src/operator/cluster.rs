//! Reads the cluster for environments, within the permissions of their namespaces.

use std::sync::Arc;

use kube::{Client, Config};

use super::access::AccountAccess;
use super::names::namespace_of;
use super::resources::Resources;
use super::secrets::{EnvironmentSecrets, Secrets, impersonating};
use super::selection::Selection;
use super::source::ClusterResources;
use super::tenancy::Tenancy;
use crate::connector::ClusterSecrets;
use crate::definition::environment::ClusterSource;
use crate::reconcile::document::EnvironmentDocument;
use crate::reconcile::sources::Cluster;
use crate::source::{FetchError, FetchReason, Source};

/// The parts of the cluster that environments read.
#[derive(Debug)]
pub struct ClusterReader {
    /// Environments and definitions.
    pub resources: Arc<Resources>,
    /// Values of Secrets.
    pub secrets: Arc<Secrets>,
    /// Permissions of namespaces.
    pub tenancy: Tenancy,
    /// Connection to the API server.
    pub config: Config,
}

impl Cluster for ClusterReader {
    fn source(
        &self,
        environment: &EnvironmentDocument,
        cluster: &ClusterSource,
    ) -> Result<Arc<dyn Source>, FetchError> {
        let namespace = namespace_of(&environment.key);
        let unauthorized = |message: String| FetchError { reason: FetchReason::Unauthorized, message };
        // Permissions are checked at every use, not only when the Environment is accepted.
        let permissions = self.tenancy.permissions(namespace).map_err(unauthorized)?;
        let spec = permissions.narrow(namespace, &environment.spec).map_err(unauthorized)?;
        let access = match permissions.account(&spec) {
            None => None,
            Some(account) => {
                let client: Client = impersonating(&self.config, namespace, &account)
                    .map_err(|error| unauthorized(format!("cannot impersonate service account {account}: {error}")))?;
                Some(AccountAccess::new(client, account))
            }
        };
        let selection = Selection::new(namespace, &spec, cluster, permissions);
        Ok(Arc::new(ClusterResources::new(Arc::clone(&self.resources), selection, access)))
    }

    fn secrets(&self, environment: &EnvironmentDocument) -> Arc<dyn ClusterSecrets> {
        let namespace = namespace_of(&environment.key);
        let account =
            self.tenancy.permissions(namespace).ok().and_then(|permissions| permissions.account(&environment.spec));
        let secrets = Arc::clone(&self.secrets);
        Arc::new(EnvironmentSecrets { secrets, namespace: namespace.to_owned(), account })
    }
}
