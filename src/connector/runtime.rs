//! Compiled connectors and everything else that calls need.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::auth::AuthScheme;
use super::error::{CallError, ErrorCode};
use super::host::Vault;
use super::record_places::RecordPlaces;
use super::request::Request;
use super::response::Transform;
use crate::catalog::CacheTally;
use crate::definition::action;
use crate::definition::common::SchemaValue;
use crate::definition::connection::ConnectionSpec;
use crate::definition::connector::ConnectorSpec;
use crate::definition::environment::{Egress, SecretSource};
use crate::definition::json_schema::{JsonSchema, entity_schemas};
use crate::definition::tenant::{Quotas, TenantSpec};
use crate::template::{Template, Tree};
use crate::text::Digest;

/// Everything that calls need, compiled from one catalog for one environment. Immutable.
#[derive(Debug)]
pub struct Runtime {
    /// Digest of the files of the definitions.
    pub generation: String,
    /// Name of the environment; empty if no Environment is declared.
    pub environment: String,
    /// Variables of the environment.
    pub variables: Arc<BTreeMap<String, String>>,
    /// The sources of its secrets; encrypted files by their path from the root of the source.
    pub secrets: BTreeMap<String, SecretSource>,
    /// The encrypted files among them. Empty until the caller that holds the source fills it.
    pub vault: Arc<Vault>,
    /// The egress rules.
    pub egress: Egress,
    /// Quotas of each tenant that sets none of its own.
    pub quotas: Quotas,
    /// True if a quota limits the concurrent executions of a tenant.
    pub has_concurrency_quota: bool,
    /// Connectors by name.
    pub connectors: BTreeMap<String, Arc<Connector>>,
    /// Connections by name.
    pub connections: BTreeMap<String, Arc<ConnectionSpec>>,
    /// Names of connections by the name of their connector, in order.
    pub by_connector: BTreeMap<String, Vec<String>>,
    /// Tenants by name.
    pub tenants: BTreeMap<String, Arc<TenantSpec>>,
    /// Connectors that were reused from the previous runtime, and those that were compiled.
    pub compiled: CacheTally,
}

impl Runtime {
    /// The quotas of a tenant: its own, and those of the environment for the others. An empty name stands for everything
    /// without a tenant.
    pub fn quotas_of(&self, tenant: &str) -> Quotas {
        let own = self.tenants.get(tenant).and_then(|tenant| tenant.quotas.as_ref());
        own.map_or_else(|| self.quotas.clone(), |own| own.or(&self.quotas))
    }
}

/// A compiled connector.
#[derive(Debug)]
pub struct Connector {
    /// The name.
    pub name: String,
    /// `file:line` of its definition.
    pub place: String,
    /// The definition.
    pub spec: Arc<ConnectorSpec>,
    /// Actions by name.
    pub actions: BTreeMap<String, Action>,
    pub(super) methods: BTreeMap<String, AuthScheme>,
    /// Requests of event subscriptions, as `subscribe:event` and `unsubscribe:event`. External callers cannot name them.
    pub(super) subscription_actions: BTreeMap<String, Action>,
    /// Stamp of the entry that it was compiled from.
    pub(super) stamp: u64,
    /// Digest of the content and the places that it was compiled from.
    pub(super) digest: Digest,
}

/// A compiled action.
#[derive(Debug)]
pub struct Action {
    /// The name.
    pub name: String,
    /// `file:line` of its definition.
    pub place: String,
    /// The definition.
    pub spec: Arc<action::Action>,
    /// Timeout of the whole call.
    pub timeout: Duration,
    pub(super) transport: Transport,
    pub(super) response: Transform,
    pub(super) input: Schema,
    pub(super) output: Schema,
    pub(super) records: OnceLock<RecordPlaces>,
}

/// The transport of an action.
#[derive(Debug)]
pub(super) enum Transport {
    Http(Box<Request>),
    Steps(Vec<Step>),
    /// A transport that this version checks and does not run, by its name.
    NotRunnable(&'static str),
}

/// A step of a composite action.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) name: String,
    pub(super) condition: Option<Template>,
    pub(super) call: StepCall,
    pub(super) response: Transform,
    pub(super) auth: Option<String>,
    /// True if the action continues after this step failed.
    pub(super) continues_on_error: bool,
}

/// The call of a step.
#[derive(Debug)]
pub(super) enum StepCall {
    Http(Box<Request>),
    Action { connector: String, action: String, input: Option<Tree> },
}

impl Connector {
    /// True if it has this request of an event subscription, such as `subscribe:order-created`.
    pub fn has_subscription_action(&self, name: &str) -> bool {
        self.subscription_actions.contains_key(name)
    }
}

impl Action {
    /// The name of its transport in the definition.
    pub fn transport_name(&self) -> &'static str {
        match &self.transport {
            Transport::Http(_) => "http",
            Transport::Steps(_) => "steps",
            Transport::NotRunnable(name) => name,
        }
    }

    /// The places of records in its output.
    pub(super) fn records(&self, connector: &ConnectorSpec) -> &RecordPlaces {
        self.records.get_or_init(|| RecordPlaces::of(connector, &self.spec))
    }

    /// The input with the defaults of its schema; `None` if it lacks none of them.
    ///
    /// # Errors
    /// The schema cannot be used.
    pub fn with_defaults(
        &self,
        connector: &ConnectorSpec,
        input: &serde_json::Value,
    ) -> Result<Option<serde_json::Value>, CallError> {
        let Some(schema) = self.input.get(connector)? else { return Ok(None) };
        schema.with_defaults(input).map_err(|problem| CallError::new(ErrorCode::InvalidInput, problem))
    }

    /// True if this version runs it.
    pub fn is_runnable(&self) -> bool {
        !matches!(self.transport, Transport::NotRunnable(_))
    }
}

/// A schema that is compiled on first use: most actions of a large catalog are never called.
#[derive(Debug)]
pub(super) struct Schema {
    source: Option<SchemaValue>,
    compiled: OnceLock<Result<JsonSchema, String>>,
}

impl Schema {
    pub(super) fn new(source: Option<&SchemaValue>) -> Schema {
        Schema { source: source.cloned(), compiled: OnceLock::new() }
    }

    /// The schema; `None` if the definition has none.
    ///
    /// # Errors
    /// A schema that cannot be compiled: no value may pass unchecked because of it.
    pub(super) fn get(&self, spec: &ConnectorSpec) -> Result<Option<&JsonSchema>, CallError> {
        let Some(source) = &self.source else { return Ok(None) };
        match self.compiled.get_or_init(|| JsonSchema::compile(&source.0.value(), &entity_schemas(&spec.entities))) {
            Ok(schema) => Ok(Some(schema)),
            Err(reason) => {
                Err(CallError::new(ErrorCode::Schema, format!("a schema of this action cannot be used: {reason}")))
            }
        }
    }
}
