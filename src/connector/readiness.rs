//! Secrets without a value, before a call needs them.

use std::collections::{BTreeMap, BTreeSet};

use zeroize::Zeroizing;

use super::address::is_example_host;
use super::caller::Mocking;
use super::host::{Vault, resolve_secret};
use super::runtime::{Connector, Runtime};
use crate::definition::common::Credential;
use crate::definition::connection::ConnectionSpec;
use crate::definition::environment::SecretSource;

/// True if tests of the definitions answer the calls of a connector. The host may be a template; its literal part is enough
/// to recognize the host of an example.
pub fn is_mocked(connector: &Connector, mocking: Mocking) -> bool {
    let literal = connector.spec.base_url.as_deref().unwrap_or_default();
    let host = literal.split_once("://").map_or("", |(_, rest)| rest).split('/').next().unwrap_or_default();
    mocking == Mocking::All || mocking == Mocking::Examples && is_example_host(host)
}

/// The reason why a secret has no value; `None` if it has one.
///
/// Secrets of Kubernetes count as present: their first read may wait for the cluster, and the operator reports them.
pub fn missing_secret(runtime: &Runtime, name: &str) -> Option<String> {
    let Some(source) = runtime.secrets.get(name) else {
        return Some(format!("the environment provides no secret `{name}`"));
    };
    if source.kubernetes.is_some() {
        return None;
    }
    resolve_secret(name, source, &runtime.vault).map(Zeroizing::new).err()
}

/// The outcome of looking a secret up, without its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretState {
    /// It has a value.
    Resolved,
    /// It has no value, with the reason.
    Missing(String),
    /// It is not known whether it has a value, with the reason.
    Unknown(String),
}

/// Looks a secret up. The reason does not repeat the name of the secret.
pub fn secret_state(name: &str, source: &SecretSource, vault: &Vault) -> SecretState {
    if let (Some(secret), Some(cluster)) = (&source.kubernetes, &vault.cluster)
        && !cluster.is_read(&secret.name)
    {
        return SecretState::Unknown(format!("the Secret {} is not read yet", secret.name));
    }
    match resolve_secret(name, source, vault).map(Zeroizing::new) {
        Ok(_) => SecretState::Resolved,
        Err(problem) => {
            let prefix = format!("secret `{name}`: ");
            SecretState::Missing(problem.strip_prefix(&prefix).unwrap_or(&problem).to_owned())
        }
    }
}

/// The secrets of an environment that have no value, each with its reason.
pub fn missing_secrets(runtime: &Runtime) -> BTreeMap<String, String> {
    let missing = |name: &String| Some((name.clone(), missing_secret(runtime, name)?));
    runtime.secrets.keys().filter_map(missing).collect()
}

/// The secrets that the credentials of a connection name. Secrets that templates read are not among them.
pub fn secrets_of_connection(connection: &ConnectionSpec) -> BTreeSet<&str> {
    connection.credentials.values().filter_map(secret_of).collect()
}

fn secret_of(credential: &Credential) -> Option<&str> {
    match credential {
        Credential::Reference(reference) => Some(&reference.secret_ref),
        Credential::Template(_) => None,
    }
}
