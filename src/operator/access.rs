//! Whose rights count: an Environment that names a service account reads only what that account may list.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use k8s_openapi::api::authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec};
use kube::Client;
use kube::api::{Api, PostParams};
use tokio::runtime::Handle;

use super::resources::lock;
use super::source::Selection;
use crate::definition::{API_GROUP, Kind};
use crate::source::{FetchError, FetchReason};

/// How long an answer counts.
const KEPT: Duration = Duration::from_mins(1);
/// Longest wait for one.
const PATIENCE: Duration = Duration::from_secs(10);

/// The rights of a service account, as the API server tells them.
pub struct Access {
    client: Client,
    account: String,
    runtime: Handle,
    granted: Mutex<BTreeMap<(String, Kind), Instant>>,
}

impl std::fmt::Debug for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Access").field("account", &self.account).finish_non_exhaustive()
    }
}

impl Access {
    /// Of a client that acts in the name of a service account.
    pub fn new(client: Client, account: String) -> Access {
        Access { client, account, runtime: Handle::current(), granted: Mutex::default() }
    }

    /// May everything that is selected be listed? Blocks; for threads that may wait.
    ///
    /// # Errors
    /// Where it may not, or nobody says so.
    pub fn check(&self, selection: &Selection) -> Result<(), FetchError> {
        for namespace in &selection.namespaces {
            for kind in Kind::ALL {
                if kind == Kind::Environment || !selection.allowed.kind(kind) {
                    continue;
                }
                let asked = (namespace.clone(), kind);
                if lock(&self.granted).get(&asked).is_some_and(|since| since.elapsed() < KEPT) {
                    continue;
                }
                self.runtime.block_on(self.ask(namespace, kind))?;
                lock(&self.granted).insert(asked, Instant::now());
            }
        }
        Ok(())
    }

    async fn ask(&self, namespace: &str, kind: Kind) -> Result<(), FetchError> {
        let attributes = ResourceAttributes {
            group: Some(API_GROUP.to_owned()),
            resource: Some(kind.plural().to_owned()),
            namespace: Some(namespace.to_owned()),
            verb: Some("list".to_owned()),
            ..ResourceAttributes::default()
        };
        let spec = SelfSubjectAccessReviewSpec { resource_attributes: Some(attributes), ..Default::default() };
        let review = SelfSubjectAccessReview { spec, ..Default::default() };
        let api: Api<SelfSubjectAccessReview> = Api::all(self.client.clone());
        let failed = |message: String| FetchError { reason: FetchReason::Unauthorized, message };
        let params = PostParams::default();
        let answer = tokio::time::timeout(PATIENCE, api.create(&params, &review)).await;
        let account = &self.account;
        let answer = answer
            .map_err(|_| failed(format!("nobody says what the service account {account} may do: no answer in time")))?
            .map_err(|error| failed(format!("nobody says what the service account {account} may do: {error}")))?;
        if answer.status.is_some_and(|status| status.allowed) {
            return Ok(());
        }
        let resource = format!("{}.{API_GROUP}", kind.plural());
        Err(failed(format!(
            "the service account {account} may not list {resource} in namespace {namespace}: grant `list`"
        )))
    }
}
