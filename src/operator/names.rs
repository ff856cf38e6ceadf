//! Names of Environments: `namespace.name` inside Evenkeel, a [`Key`] in the cluster.

use super::resources::Key;
use crate::definition::Kind;

/// The namespace of an environment's name.
pub fn namespace_of(environment: &str) -> &str {
    environment.split('.').next().unwrap_or_default()
}

/// The environment's name of a resource. It is unique: neither part can contain a dot.
pub(super) fn environment_name(key: &Key) -> String {
    format!("{}.{}", key.namespace, key.name)
}

/// The resource of an environment's name.
pub(super) fn resource_key(environment: &str) -> Key {
    let (namespace, name) = environment.split_once('.').unwrap_or(("", environment));
    Key { kind: Kind::Environment, namespace: namespace.to_owned(), name: name.to_owned() }
}

/// An environment's name in the status of a resource: without its namespace if both are in the same one.
pub(super) fn display_name(environment: &str, namespace: &str) -> String {
    match environment.split_once('.') {
        Some((own, name)) if own == namespace => name.to_owned(),
        Some((own, name)) => format!("{own}/{name}"),
        None => environment.to_owned(),
    }
}
