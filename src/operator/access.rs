//! Rights of service accounts: an Environment with a service account reads only what that account may list.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use k8s_openapi::api::authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec};
use kube::Client;
use kube::api::{Api, PostParams};
use tokio::runtime::Handle;

use super::resources::lock;
use super::selection::Selection;
use crate::definition::{API_GROUP, Kind};
use crate::source::{FetchError, FetchReason};

/// Time for which a granted right is cached.
const CACHE_TTL: Duration = Duration::from_mins(1);
/// Timeout of a SelfSubjectAccessReview.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The rights of a service account, by SelfSubjectAccessReview.
pub struct AccountAccess {
    client: Client,
    account: String,
    runtime: Handle,
    granted: Mutex<BTreeMap<(String, Kind), Instant>>,
}

impl std::fmt::Debug for AccountAccess {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AccountAccess").field("account", &self.account).finish_non_exhaustive()
    }
}

impl AccountAccess {
    /// `client` impersonates the service account.
    pub fn new(client: Client, account: String) -> AccountAccess {
        AccountAccess { client, account, runtime: Handle::current(), granted: Mutex::default() }
    }

    /// Checks that the account may list everything that is selected. Blocks the thread.
    ///
    /// # Errors
    /// Fails if a right is missing or the API server does not respond.
    pub fn check(&self, selection: &Selection) -> Result<(), FetchError> {
        for namespace in &selection.namespaces {
            for kind in Kind::ALL {
                if kind == Kind::Environment || !selection.permissions.allows_kind(kind) {
                    continue;
                }
                let right = (namespace.clone(), kind);
                if lock(&self.granted).get(&right).is_some_and(|since| since.elapsed() < CACHE_TTL) {
                    continue;
                }
                self.runtime.block_on(self.review(namespace, kind))?;
                lock(&self.granted).insert(right, Instant::now());
            }
        }
        Ok(())
    }

    async fn review(&self, namespace: &str, kind: Kind) -> Result<(), FetchError> {
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
        let reviewed = tokio::time::timeout(TIMEOUT, api.create(&params, &review)).await;
        let account = &self.account;
        let reviewed = reviewed
            .map_err(|_| failed(format!("SelfSubjectAccessReview for service account {account} timed out")))?
            .map_err(|error| {
                failed(format!("SelfSubjectAccessReview for service account {account} failed: {error}"))
            })?;
        if reviewed.status.is_some_and(|status| status.allowed) {
            return Ok(());
        }
        let resource = format!("{}.{API_GROUP}", kind.plural());
        Err(failed(format!(
            "service account {account} may not list {resource} in namespace {namespace}; grant the verb `list`"
        )))
    }
}
