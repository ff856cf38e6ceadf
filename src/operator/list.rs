//! Lists the cluster's resources for `evenkeel status --kube`.

use anyhow::Context as _;
use kube::Client;
use kube::api::ListParams;

use super::resources::{PAGE, Resource, api};
use crate::definition::Kind;

/// Environments and definitions of a namespace (default: the kubeconfig's), or of all namespaces.
///
/// # Errors
/// Fails if there is no cluster or it cannot be listed.
pub async fn resources(namespace: Option<&str>, all_namespaces: bool) -> anyhow::Result<Vec<Resource>> {
    let config = super::cluster_config().await?;
    let namespace = namespace.unwrap_or(&config.default_namespace).to_owned();
    let client = Client::try_from(config).context("cannot create the client of the API server")?;
    let within = (!all_namespaces).then_some(namespace.as_str());
    let mut found = Vec::new();
    for kind in Kind::ALL {
        let api = api(&client, kind, within);
        let mut params = ListParams::default().limit(PAGE);
        loop {
            let page = api.list(&params).await.with_context(|| format!("cannot list {}", kind.plural()))?;
            found.extend(page.items.iter().map(|object| Resource::read(kind, object, None)));
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => params = params.continue_token(&token),
                None => break,
            }
        }
    }
    Ok(found)
}
