//! Compiles a checked catalog.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rayon::prelude::*;

use super::auth::AuthScheme;
use super::expression::{template, tree};
use super::request::Request;
use super::response::Transform;
use super::runtime::{Action, Connector, Runtime, Schema, Step, StepCall, Transport};
use crate::catalog::{CacheTally, Catalog, Entry, references};
use crate::definition::action::{self, CompositeStep, OnError};
use crate::definition::connector::ConnectorSpec;
use crate::definition::environment::SecretSource;
use crate::definition::{Kind, Spec};
use crate::text::Digest;

/// Default timeout of an action.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(15);

impl Runtime {
    /// Compiles a catalog for one environment: the named one, the one that the catalog is for, or the first. Unchanged
    /// connectors are taken from the runtime `before`.
    ///
    /// # Errors
    /// The environment does not exist, or a definition cannot be compiled, which cannot happen in a checked catalog.
    pub fn compile(
        catalog: &Catalog,
        environment: Option<&str>,
        generation: String,
        before: Option<&Runtime>,
    ) -> Result<Runtime, String> {
        let chosen = match environment.or(catalog.environment.as_deref()) {
            Some(name) => {
                let found = catalog.environments().find(|(entry, _)| entry.id.name == name);
                let names: Vec<&str> = catalog.of_kind(Kind::Environment).map(|entry| entry.id.name.as_str()).collect();
                Some(
                    found
                        .ok_or_else(|| format!("there is no Environment `{name}`; there are: {}", names.join(", ")))?,
                )
            }
            None => catalog.environments().next(),
        };
        let mut runtime = Runtime {
            generation,
            environment: chosen.map_or_else(String::new, |(entry, _)| entry.id.name.clone()),
            variables: Arc::new(chosen.map_or_else(BTreeMap::new, |(_, spec)| spec.variables.clone())),
            secrets: chosen.map_or_else(BTreeMap::new, |(entry, spec)| secrets(entry.place().0, &spec.secrets)),
            vault: Arc::default(),
            egress: chosen.map_or_else(Default::default, |(_, spec)| spec.egress.clone()),
            quotas: chosen.and_then(|(_, spec)| spec.quotas.clone()).unwrap_or_default(),
            has_concurrency_quota: false,
            connectors: BTreeMap::new(),
            connections: BTreeMap::new(),
            by_connector: BTreeMap::new(),
            tenants: BTreeMap::new(),
            compiled: CacheTally::default(),
        };
        runtime.compile_connectors(catalog, before)?;
        for entry in &catalog.entries {
            let name = entry.id.name.clone();
            match entry.spec() {
                Some(Spec::Connection(spec)) => {
                    runtime.connections.insert(name, Arc::clone(spec));
                }
                Some(Spec::Tenant(spec)) => {
                    runtime.tenants.insert(name, Arc::clone(spec));
                }
                _ => {}
            }
        }
        let own = runtime.tenants.values().filter_map(|tenant| tenant.quotas.as_ref());
        runtime.has_concurrency_quota =
            std::iter::once(&runtime.quotas).chain(own).any(|quotas| quotas.concurrent_executions.is_some());
        for (name, connection) in &runtime.connections {
            runtime.by_connector.entry(connection.connector.clone()).or_default().push(name.clone());
        }
        Ok(runtime)
    }

    fn compile_connectors(&mut self, catalog: &Catalog, before: Option<&Runtime>) -> Result<(), String> {
        let typed = |entry| match Entry::spec(entry) {
            Some(Spec::Connector(spec)) => Some((entry, spec)),
            _ => None,
        };
        let all: Vec<(&Entry, &Arc<ConnectorSpec>)> = catalog.of_kind(Kind::Connector).filter_map(typed).collect();
        let compiled: Result<Vec<(Arc<Connector>, bool)>, String> = all
            .into_par_iter()
            .map(|(entry, spec)| {
                let known = before.and_then(|before| before.connectors.get(&entry.id.name));
                let is_same = |known: &&Arc<Connector>| {
                    known.stamp == entry.stamp() && known.place == catalog.shown_place(entry.place_of("/metadata/name"))
                };
                if let Some(known) = known.filter(is_same) {
                    return Ok((Arc::clone(known), true));
                }
                let place = |pointer: &str| catalog.shown_place(entry.place_of(pointer));
                let digest = digest(entry, spec, &place);
                if let Some(known) = known.filter(|known| known.digest == digest) {
                    return Ok((Arc::clone(known), true));
                }
                let connector =
                    connector(entry, spec, digest, &place).map_err(|error| format!("{}: {error}", entry.id))?;
                Ok((Arc::new(connector), false))
            })
            .collect();
        for (connector, known) in compiled? {
            let count = if known { &mut self.compiled.hits } else { &mut self.compiled.misses };
            *count += 1;
            self.connectors.insert(connector.name.clone(), connector);
        }
        Ok(())
    }
}

/// The sources of secrets, with paths of encrypted files from the root of the source. A path that leaves the root is kept
/// unchanged: it was reported by the check, and no file has such a path.
fn secrets(file: &str, secrets: &BTreeMap<String, SecretSource>) -> BTreeMap<String, SecretSource> {
    let mut secrets = secrets.clone();
    for encrypted in secrets.values_mut().flat_map(|source| [&mut source.age, &mut source.sops]).flatten() {
        if let Some(path) = references::resolve_path(file, &encrypted.file) {
            encrypted.file = path;
        }
    }
    secrets
}

/// Digest of everything that a compiled connector holds: its content, and the places that it reports.
fn digest(entry: &Entry, spec: &ConnectorSpec, place: &dyn Fn(&str) -> String) -> Digest {
    let mut places = String::new();
    let names = spec.actions.keys().map(|name| format!("/spec/actions/{name}"));
    for pointer in std::iter::once("/metadata/name".to_owned()).chain(names) {
        places += &format!("{}\n", place(&pointer));
    }
    let content = entry.document.root.to_json().to_string();
    Digest::of_parts([places.as_bytes(), content.as_bytes()])
}

fn connector(
    entry: &Entry,
    spec: &Arc<ConnectorSpec>,
    digest: Digest,
    place: &dyn Fn(&str) -> String,
) -> Result<Connector, String> {
    let mut actions = BTreeMap::new();
    for (name, definition) in &spec.actions {
        let place = place(&format!("/spec/actions/{name}"));
        let action =
            action(spec, &entry.id.name, name, definition, place).map_err(|error| format!("{name}: {error}"))?;
        actions.insert(name.clone(), action);
    }
    let mut methods = BTreeMap::new();
    for (name, method) in spec.auth.iter().flat_map(|auth| &auth.methods) {
        methods.insert(name.clone(), AuthScheme::compile(method)?);
    }
    let mut subscription_actions = BTreeMap::new();
    for (event, definition) in &spec.events {
        let webhook = definition.webhook.as_ref();
        let calls = webhook
            .into_iter()
            .flat_map(|webhook| [("subscribe", &webhook.subscribe), ("unsubscribe", &webhook.unsubscribe)]);
        for (verb, call) in calls {
            let Some(call) = call else { continue };
            let response = call.id.as_ref().map(|id| serde_json::json!({"body": id}));
            let definition =
                serde_json::json!({"http": call.http, "response": response.unwrap_or_else(|| serde_json::json!({}))});
            let definition: action::Action = serde_json::from_value(definition).map_err(|error| error.to_string())?;
            let name = format!("{verb}:{event}");
            let place = place(&format!("/spec/events/{event}"));
            let action = action(spec, &entry.id.name, &name, &Arc::new(definition), place);
            subscription_actions.insert(name.clone(), action.map_err(|error| format!("{name}: {error}"))?);
        }
    }
    Ok(Connector {
        subscription_actions,
        name: entry.id.name.clone(),
        place: place("/metadata/name"),
        spec: Arc::clone(spec),
        actions,
        methods,
        stamp: entry.stamp(),
        digest,
    })
}

fn action(
    spec: &ConnectorSpec,
    connector: &str,
    name: &str,
    definition: &Arc<action::Action>,
    place: String,
) -> Result<Action, String> {
    let timeout = definition.timeout.or(spec.defaults.timeout).map_or(DEFAULT_TIMEOUT, |timeout| timeout.0);
    let transport = match definition.transport() {
        Some(action::Transport::Http(http)) => {
            Transport::Http(Box::new(Request::compile(spec, definition.retry.as_ref(), http, timeout)?))
        }
        Some(action::Transport::Steps(steps)) => {
            let compiled: Result<_, String> =
                steps.iter().map(|definition| step(spec, connector, definition, timeout)).collect();
            Transport::Steps(compiled?)
        }
        Some(action::Transport::Grpc(_)) => Transport::NotRunnable("grpc"),
        Some(action::Transport::Sql(_)) => Transport::NotRunnable("sql"),
        Some(action::Transport::Function(_)) => Transport::NotRunnable("function"),
        None => return Err("it has no transport".into()),
    };
    Ok(Action {
        name: name.to_owned(),
        place,
        timeout,
        transport,
        response: Transform::compile(definition.response.as_ref())?,
        input: Schema::new(definition.input.as_ref()),
        output: Schema::new(definition.output.as_ref()),
        records: std::sync::OnceLock::new(),
        spec: Arc::clone(definition),
    })
}

fn step(spec: &ConnectorSpec, own: &str, definition: &CompositeStep, timeout: Duration) -> Result<Step, String> {
    let call = match (&definition.http, &definition.action) {
        (Some(http), _) => StepCall::Http(Box::new(Request::compile(spec, None, http, timeout)?)),
        (None, Some(action)) => {
            let (connector, action) = action.split_once('/').unwrap_or((own, action));
            let input = definition.input.as_ref().map(tree).transpose()?;
            StepCall::Action { connector: connector.to_owned(), action: action.to_owned(), input }
        }
        (None, None) => return Err(format!("step {} calls nothing", definition.name)),
    };
    Ok(Step {
        name: definition.name.clone(),
        condition: definition.condition.as_deref().map(template).transpose()?,
        call,
        response: Transform::compile(definition.response.as_ref())?,
        auth: definition.auth.clone(),
        continues_on_error: definition.on_error == OnError::Continue,
    })
}
