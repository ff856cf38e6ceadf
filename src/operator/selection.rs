//! The resources that belong to an Environment.

use std::collections::{BTreeMap, BTreeSet};

use super::resources::{Key, Resource};
use super::tenancy::Permissions;
use crate::definition::Kind;
use crate::definition::environment::{ClusterSource, EnvironmentSpec};

/// Selects the resources of an Environment by namespace, label and kind.
#[derive(Clone, Debug)]
pub struct Selection {
    /// Namespaces to read.
    pub namespaces: BTreeSet<String>,
    /// Required labels.
    pub labels: BTreeMap<String, String>,
    /// Permissions of the Environment's namespace.
    pub permissions: Permissions,
    /// Environment of `promoteFrom`.
    pub promote_from: Option<Key>,
}

impl Selection {
    /// The selection of an Environment in a namespace.
    pub fn new(namespace: &str, spec: &EnvironmentSpec, source: &ClusterSource, permissions: Permissions) -> Selection {
        let mut namespaces: BTreeSet<String> = source.namespaces.iter().cloned().collect();
        if namespaces.is_empty() {
            namespaces.insert(namespace.to_owned());
        }
        let promote_from = spec.promote_from.clone().map(|name| Key {
            kind: Kind::Environment,
            namespace: namespace.to_owned(),
            name,
        });
        Selection { namespaces, labels: source.selector.clone(), permissions, promote_from }
    }

    /// True if a change of the resource can change the files of the selection.
    pub fn touches(&self, key: &Key) -> bool {
        self.namespaces.contains(&key.namespace) && key.kind != Kind::Environment
            || self.promote_from.as_ref() == Some(key)
    }

    /// True if the resource is one of the files: a selected definition or the Environment of `promoteFrom`.
    pub fn reads(&self, resource: &Resource) -> bool {
        self.has(resource) || self.promote_from.as_ref() == Some(&resource.key)
    }

    /// True if the resource is selected. Environments never are.
    pub fn has(&self, resource: &Resource) -> bool {
        resource.key.kind != Kind::Environment
            && !resource.deleting
            && self.namespaces.contains(&resource.key.namespace)
            && self.permissions.allows_kind(resource.key.kind)
            && self.labels.iter().all(|(key, value)| resource.labels.get(key) == Some(value))
    }
}
