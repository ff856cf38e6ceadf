//! The envelope of every document, and the list of kinds.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    alert::AlertSpec, connection::ConnectionSpec, connector::ConnectorSpec, entity::EntitySpec,
    environment::EnvironmentSpec, role::RoleSpec, tenant::TenantSpec, trigger::TriggerSpec, widget::WidgetSpec,
    workflow::WorkflowSpec,
};
use crate::text::Subject;

/// The API group of every kind.
pub const API_GROUP: &str = "evenkeel.dev";
/// The `apiVersion` that this version of Evenkeel reads and writes.
pub const API_VERSION: &str = "evenkeel.dev/v1alpha1";

/// The kinds of definitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs, reason = "each kind is documented at its spec")]
pub enum Kind {
    Connector,
    Widget,
    Trigger,
    Workflow,
    Environment,
    Tenant,
    Connection,
    Entity,
    Role,
    Alert,
}

impl Kind {
    /// All kinds, in the order of the documentation.
    pub const ALL: [Kind; 10] = [
        Kind::Connector,
        Kind::Widget,
        Kind::Trigger,
        Kind::Workflow,
        Kind::Environment,
        Kind::Tenant,
        Kind::Connection,
        Kind::Entity,
        Kind::Role,
        Kind::Alert,
    ];

    /// The value of the field `kind`.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Connector => "Connector",
            Kind::Widget => "Widget",
            Kind::Trigger => "Trigger",
            Kind::Workflow => "Workflow",
            Kind::Environment => "Environment",
            Kind::Tenant => "Tenant",
            Kind::Connection => "Connection",
            Kind::Entity => "Entity",
            Kind::Role => "Role",
            Kind::Alert => "Alert",
        }
    }

    /// The plural resource name on Kubernetes, as in `kubectl get connectors`.
    pub fn plural(self) -> &'static str {
        match self {
            Kind::Connector => "connectors",
            Kind::Widget => "widgets",
            Kind::Trigger => "triggers",
            Kind::Workflow => "workflows",
            Kind::Environment => "environments",
            Kind::Tenant => "tenants",
            Kind::Connection => "connections",
            Kind::Entity => "entities",
            Kind::Role => "roles",
            Kind::Alert => "alerts",
        }
    }

    /// The singular resource name on Kubernetes.
    pub fn singular(self) -> String {
        self.as_str().to_ascii_lowercase()
    }

    /// The short resource name for `kubectl`. It avoids names of Kubernetes itself, such as `role`.
    pub fn short_name(self) -> &'static str {
        match self {
            Kind::Connector => "conn",
            Kind::Widget => "wid",
            Kind::Trigger => "trg",
            Kind::Workflow => "wf",
            Kind::Environment => "env",
            Kind::Tenant => "ten",
            Kind::Connection => "cxn",
            Kind::Entity => "ent",
            Kind::Role => "ekrole",
            Kind::Alert => "alr",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Kind {
    type Err = ();

    fn from_str(text: &str) -> Result<Kind, ()> {
        Kind::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or(())
    }
}

/// The identity of a definition: its kind and its name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id {
    /// The kind.
    pub kind: Kind,
    /// `metadata.name`.
    pub name: String,
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind, self.name)
    }
}

impl From<&Id> for Subject {
    fn from(id: &Id) -> Subject {
        Subject { kind: id.kind.as_str(), name: id.name.as_str().into() }
    }
}

impl PartialEq<Subject> for Id {
    fn eq(&self, subject: &Subject) -> bool {
        self.kind.as_str() == subject.kind && self.name == *subject.name
    }
}

impl FromStr for Id {
    type Err = String;

    fn from_str(text: &str) -> Result<Id, String> {
        let parts = text.split_once('/').and_then(|(kind, name)| Some((kind.parse().ok()?, name)));
        let wrong = || format!("`{}` is not of the form `Kind/name`", text.chars().take(80).collect::<String>());
        let (kind, name) = parts.filter(|(_, name)| is_name(name)).ok_or_else(wrong)?;
        Ok(Id { kind, name: name.to_owned() })
    }
}

/// A complete document of one kind.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Envelope<S> {
    /// API version of the document: `evenkeel.dev/v1alpha1`.
    pub api_version: String,
    /// Kind of the document.
    pub kind: Kind,
    /// Identity and labels.
    pub metadata: Metadata,
    /// Content of the definition.
    pub spec: S,
}

/// Identity and labels of a definition.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Metadata {
    /// Name of the definition, unique within its kind: a DNS label (RFC 1123) of 1 to 63 characters from `a-z`, `0-9`
    /// and `-`.
    #[schemars(regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"), length(min = 1, max = 63))]
    #[schemars(extend("x-evenkeel-type" = "name"))]
    pub name: String,
    /// Namespace, on Kubernetes only.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-type" = "name"))]
    pub namespace: Option<String>,
    /// Labels, by which definitions can be selected.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Annotations for tools and people. They have no effect on the definition.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// The content of a definition, by kind. Specs that calls need are shared with the compiled generation.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "each kind is documented at its spec")]
pub enum Spec {
    Connector(Arc<ConnectorSpec>),
    Widget(Box<WidgetSpec>),
    Trigger(Box<TriggerSpec>),
    Workflow(Box<WorkflowSpec>),
    Environment(Box<EnvironmentSpec>),
    Tenant(Arc<TenantSpec>),
    Connection(Arc<ConnectionSpec>),
    Entity(Box<EntitySpec>),
    Role(Box<RoleSpec>),
    Alert(Box<AlertSpec>),
}

impl Spec {
    /// The kind of the definition.
    pub fn kind(&self) -> Kind {
        match self {
            Spec::Connector(_) => Kind::Connector,
            Spec::Widget(_) => Kind::Widget,
            Spec::Trigger(_) => Kind::Trigger,
            Spec::Workflow(_) => Kind::Workflow,
            Spec::Environment(_) => Kind::Environment,
            Spec::Tenant(_) => Kind::Tenant,
            Spec::Connection(_) => Kind::Connection,
            Spec::Entity(_) => Kind::Entity,
            Spec::Role(_) => Kind::Role,
            Spec::Alert(_) => Kind::Alert,
        }
    }
}

/// A typed definition.
#[derive(Clone, Debug)]
pub struct Definition {
    /// Identity and labels.
    pub metadata: Metadata,
    /// Content of the definition.
    pub spec: Spec,
}

impl Definition {
    /// The identity of the definition.
    pub fn id(&self) -> Id {
        Id { kind: self.spec.kind(), name: self.metadata.name.clone() }
    }
}

/// True if a text is a DNS label (RFC 1123, section 2.1), the format of the names of definitions and actions.
pub fn is_name(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !text.is_empty() && text.len() <= 63 && text.bytes().all(inner) && !text.starts_with('-') && !text.ends_with('-')
}

/// True if a text is an identifier, the format of names that templates use without quotes.
pub fn is_identifier(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && text.len() <= 63
}
