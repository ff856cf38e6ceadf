//! Calling an application: the pipeline from an action's input to its output.
//!
//! ```text
//! input ──schema──► overrides ──► request ──► authenticate ──► upstream ──► response ──► output
//!        (400)      (only where   (templates,   (connection,    (guarded     (templates,   (schema,
//!                   overridable)   422)          secrets)        client)      every status)  502)
//! ```
//!
//! A [`Runtime`] is everything that is needed for calls, compiled from a checked catalog; it never changes. Secrets
//! are looked up when a call needs them and live no longer than the call.

mod address;
mod auth;
mod caller;
mod compile;
mod error;
mod host;
mod mock;
mod pipeline;
mod request;
mod response;
mod run;
mod session;
mod spans;
pub mod testing;
mod upstream;

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;

use crate::catalog::CacheTally;
use crate::definition::action;
use crate::definition::common::SchemaValue;
use crate::definition::connection::ConnectionSpec;
use crate::definition::connector::ConnectorSpec;
use crate::definition::environment::{Egress, SecretSource};
use crate::definition::json_schema::{JsonSchema, entity_schemas};
use crate::definition::tenant::TenantSpec;
use crate::text::Digest;

pub use caller::{Caller, Mocking};
pub use error::{CallError, ErrorCode};
pub use host::{ClusterSecrets, MaskedSecrets, ProvidedSecrets, Secrets, Vault, resolve_secret};
pub use mock::{MockUpstream, is_example_host};
pub use pipeline::{ActionOutput, CallOutcome, CallTiming, call, find, prepare};
pub use request::PreparedRequest;
pub use upstream::{NetworkUpstream, ResponseFuture, Upstream, UpstreamResponse};

/// Everything that calls need, compiled from one catalog for one environment.
#[derive(Debug)]
pub struct Runtime {
    /// What the definitions were: a digest of their files.
    pub generation: String,
    /// The environment's name; empty where no Environment is declared.
    pub environment: String,
    /// Variables of the environment.
    pub variables: Arc<BTreeMap<String, String>>,
    /// Where its secrets come from; encrypted files by their path from the source's root.
    pub secrets: BTreeMap<String, SecretSource>,
    /// The encrypted files among them; empty until whoever has the source fills it.
    pub vault: Arc<Vault>,
    /// What may be reached.
    pub egress: Egress,
    /// Connectors by name.
    pub connectors: BTreeMap<String, Arc<Connector>>,
    /// Connections by name.
    pub connections: BTreeMap<String, Arc<ConnectionSpec>>,
    /// Names of connections by their connector's, in order.
    pub by_connector: BTreeMap<String, Vec<String>>,
    /// Tenants by name.
    pub tenants: BTreeMap<String, Arc<TenantSpec>>,
    /// Connectors that were taken over from the runtime before, and those that were compiled.
    pub compiled: CacheTally,
}

/// A connector, ready to be called.
#[derive(Debug)]
pub struct Connector {
    /// Its name.
    pub name: String,
    /// `file:line` of its definition.
    pub place: String,
    /// Its definition.
    pub spec: Arc<ConnectorSpec>,
    /// Actions by name.
    pub actions: BTreeMap<String, Action>,
    methods: BTreeMap<String, auth::Method>,
    /// Requests of events, as `subscribe:event` and `unsubscribe:event`: no caller from outside can name them.
    hidden: BTreeMap<String, Action>,
    /// The entry that it was compiled from.
    stamp: u64,
    /// What it was compiled from: content and places.
    digest: Digest,
}

/// An action, ready to be called.
#[derive(Debug)]
pub struct Action {
    /// Its name.
    pub name: String,
    /// `file:line` of its definition.
    pub place: String,
    /// Its definition.
    pub spec: Arc<action::Action>,
    /// Longest wait for the whole answer.
    pub timeout: Duration,
    transport: Transport,
    response: response::Transform,
    input: Schema,
    output: Schema,
}

#[derive(Debug)]
enum Transport {
    Http(Box<request::Request>),
    Steps(Vec<Step>),
    /// Declared and checked, not run by this version: its name.
    NotRunnable(&'static str),
}

#[derive(Debug)]
struct Step {
    name: String,
    condition: Option<crate::template::Template>,
    call: StepCall,
    response: response::Transform,
    auth: Option<String>,
    goes_on: bool,
}

#[derive(Debug)]
enum StepCall {
    Http(Box<request::Request>),
    Action { connector: String, action: String, input: Option<crate::template::Tree> },
}

impl Connector {
    /// Does it have a request of an event, such as `subscribe:order-created`?
    pub fn has_hidden(&self, name: &str) -> bool {
        self.hidden.contains_key(name)
    }
}

impl Action {
    /// The word of its transport in the definition.
    pub fn transport_name(&self) -> &'static str {
        match &self.transport {
            Transport::Http(_) => "http",
            Transport::Steps(_) => "steps",
            Transport::NotRunnable(name) => name,
        }
    }

    /// Does this version run it?
    pub fn is_runnable(&self) -> bool {
        !matches!(self.transport, Transport::NotRunnable(_))
    }
}

/// A schema that is compiled when it is first needed: most actions of a large catalog are never called.
#[derive(Debug)]
struct Schema {
    source: Option<SchemaValue>,
    compiled: OnceLock<Result<JsonSchema, String>>,
}

impl Schema {
    fn new(source: Option<&SchemaValue>) -> Schema {
        Schema { source: source.cloned(), compiled: OnceLock::new() }
    }

    /// The schema; `None` where the definition has none.
    ///
    /// # Errors
    /// Where it cannot be compiled: nothing may pass unchecked because of that.
    fn get(&self, spec: &ConnectorSpec) -> Result<Option<&JsonSchema>, CallError> {
        let Some(source) = &self.source else { return Ok(None) };
        match self.compiled.get_or_init(|| JsonSchema::compile(&source.0.value(), &entity_schemas(&spec.entities))) {
            Ok(schema) => Ok(Some(schema)),
            Err(reason) => {
                Err(CallError::new(ErrorCode::Schema, format!("a schema of this action cannot be used: {reason}")))
            }
        }
    }
}

/// The first integer in JSON text that 64 bits cannot hold: read as a float it would be another number.
pub fn inexact_integer(json: &[u8]) -> Option<String> {
    let mut rest = json;
    while let Some(&byte) = rest.first() {
        if byte == b'"' {
            let mut escaped = false;
            let end = rest.iter().skip(1).position(|&byte| {
                let closes = byte == b'"' && !escaped;
                escaped = byte == b'\\' && !escaped;
                closes
            })?;
            rest = rest.get(end + 2..)?;
            continue;
        }
        let length = rest.iter().take_while(|byte| byte.is_ascii_digit() || b"+-.eE".contains(byte)).count();
        let number = rest.get(..length).and_then(|number| std::str::from_utf8(number).ok()).unwrap_or_default();
        let integer = number.len() > 18 && number.trim_start_matches('-').bytes().all(|byte| byte.is_ascii_digit());
        if integer && number.parse::<i64>().is_err() && number.parse::<u64>().is_err() {
            return Some(number.to_owned());
        }
        rest = rest.get(length.max(1)..)?;
    }
    None
}

/// One call of an action.
#[derive(Clone, Debug, Default)]
pub struct Call {
    /// Input, as its schema asks.
    pub input: Value,
    /// The input as it was received; empty where it was made here.
    pub body: Bytes,
    /// Path parameters.
    pub path_params: BTreeMap<String, String>,
    /// Headers that the caller sent, lower case; those of overridable headers are used.
    pub headers: BTreeMap<String, String>,
    /// Query parameters that the caller sent; those of overridable parameters are used.
    pub query: BTreeMap<String, String>,
    /// The user who calls, as templates see it.
    pub user: Option<Value>,
    /// The tenant it is for.
    pub tenant: Option<String>,
    /// The connection to use; the tenant's, or the organization's, where left out.
    pub connection: Option<String>,
    /// The authentication method, where not the connection's.
    pub method: Option<String>,
    /// Use no connection at all, whatever there is: for tests, which stand for themselves.
    pub hermetic: bool,
    /// Settings of the connection, where there is none.
    pub settings: Option<Value>,
    /// Variables over all others.
    pub variables: BTreeMap<String, String>,
    /// Id of the call, for logs and answers.
    pub request_id: String,
    /// The trace that the call is part of, as in the `traceparent` header (W3C Trace Context); empty where none.
    pub trace: String,
    /// The subscription that a request of an event is about: `url` and `id`. With it, requests of events can be called.
    pub subscription: Option<Value>,
    /// What `now()` answers, in unix seconds; the time where left out.
    pub now: Option<i64>,
}
