//! What the cluster says of its resources, for those who ask without an operator beside them.

use anyhow::Context as _;
use kube::api::ListParams;
use kube::{Client, Config};

use super::resources::{PAGE, Resource, api};
use crate::definition::Kind;

/// All our resources of a namespace, of the kubeconfig's where none is named, or of all namespaces.
///
/// # Errors
/// Where the cluster cannot be asked.
pub async fn resources(namespace: Option<&str>, everywhere: bool) -> anyhow::Result<Vec<Resource>> {
    let config = Config::infer().await.context("no cluster: neither in a pod nor with a kubeconfig")?;
    let namespace = namespace.unwrap_or(&config.default_namespace).to_owned();
    let client = Client::try_from(config).context("no client for the API server")?;
    let within = (!everywhere).then_some(namespace.as_str());
    let mut found = Vec::new();
    for kind in Kind::ALL {
        let api = api(&client, kind, within);
        let mut params = ListParams::default().limit(PAGE);
        loop {
            let page = api.list(&params).await.with_context(|| format!("{} cannot be listed", kind.plural()))?;
            found.extend(page.items.iter().map(|object| Resource::of(kind, object, None)));
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => params = params.continue_token(&token),
                None => break,
            }
        }
    }
    Ok(found)
}
