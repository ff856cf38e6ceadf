//! What the cluster gives to environments, as they may have it.

use std::sync::Arc;

use kube::{Client, Config};

use super::access::Access;
use super::resources::Resources;
use super::secrets::{EnvironmentSecrets, Secrets, impersonating};
use super::source::{ClusterResources, Selection};
use super::tenancy::Tenancy;
use crate::connector::ClusterSecrets;
use crate::definition::environment::ClusterSource;
use crate::reconcile::document::EnvironmentDocument;
use crate::reconcile::sources::Cluster;
use crate::source::{FetchError, FetchReason, Source};

/// Reads the cluster for environments.
#[derive(Debug)]
pub struct Reader {
    /// What is there.
    pub resources: Arc<Resources>,
    /// Values of Secrets.
    pub secrets: Arc<Secrets>,
    /// What namespaces may do.
    pub tenancy: Tenancy,
    /// How the API server is reached.
    pub config: Config,
}

impl Cluster for Reader {
    fn source(&self, environment: &EnvironmentDocument, wanted: &ClusterSource) -> Result<Arc<dyn Source>, FetchError> {
        let namespace = namespace_of(&environment.key);
        let refused = |message: String| FetchError { reason: FetchReason::Unauthorized, message };
        // What it may is checked where it is used, and not only where it came in.
        let allowed = self.tenancy.of(namespace).map_err(refused)?;
        let spec = allowed.narrow(namespace, &environment.spec).map_err(refused)?;
        let access = match allowed.account(&spec) {
            None => None,
            Some(account) => {
                let client: Client = impersonating(&self.config, namespace, &account)
                    .map_err(|error| refused(format!("no client for the service account {account}: {error}")))?;
                Some(Access::new(client, account))
            }
        };
        let selection = Selection::new(namespace, &spec, wanted, allowed);
        Ok(Arc::new(ClusterResources::new(Arc::clone(&self.resources), selection, access)))
    }

    fn secrets(&self, environment: &EnvironmentDocument) -> Arc<dyn ClusterSecrets> {
        let namespace = namespace_of(&environment.key);
        let account = self.tenancy.of(namespace).ok().and_then(|allowed| allowed.account(&environment.spec));
        let secrets = Arc::clone(&self.secrets);
        Arc::new(EnvironmentSecrets { secrets, namespace: namespace.to_owned(), account })
    }
}

/// The namespace of an environment's key.
pub fn namespace_of(key: &str) -> &str {
    key.split('.').next().unwrap_or_default()
}
