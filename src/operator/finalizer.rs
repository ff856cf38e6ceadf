//! The finalizer of Environments, which delays their deletion until the stored generations are removed.

use kube::Client;
use kube::api::{Patch, PatchParams};
use serde_json::json;

use super::resources::{Key, Resource, api};
use super::status_writer::MANAGER;
use crate::definition::crd::FINALIZER;

/// True if the resource has the finalizer.
pub(super) fn is_set(resource: &Resource) -> bool {
    resource.finalizers.iter().any(|finalizer| finalizer == FINALIZER)
}

/// Adds or removes the finalizer unless the resource is in the wanted state already.
pub(super) async fn ensure(client: &Client, resource: &Resource, wanted: bool) {
    if is_set(resource) == wanted {
        return;
    }
    let others = resource.finalizers.iter().map(String::as_str).filter(|finalizer| *finalizer != FINALIZER);
    let finalizers: Vec<&str> = others.chain(wanted.then_some(FINALIZER)).collect();
    // The version protects finalizers that others add meanwhile.
    let patch = json!({"metadata": {"resourceVersion": resource.version, "finalizers": finalizers}});
    let Key { kind, namespace, name } = &resource.key;
    let params = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
    match api(client, *kind, Some(namespace)).patch(name, &params, &Patch::Merge(&patch)).await {
        Ok(_) => {}
        Err(kube::Error::Api(response)) if matches!(response.code, 404 | 409) => {}
        Err(error) => tracing::warn!(resource = %resource.key, %error, "failed to change the finalizer"),
    }
}
