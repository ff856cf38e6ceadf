//! Connections: their owner, and the credentials and settings that their connector requires.

use serde_json::{Map, Value};

use crate::catalog::{CatalogView, Entry};
use crate::definition::Spec;
use crate::definition::auth::AuthMethod;
use crate::definition::connection::{ConnectionScope, ConnectionSpec};
use crate::definition::connector::ConnectorSpec;
use crate::definition::json_schema::JsonSchema;
use crate::definition::schema_validator::{nearest, quoted_list};
use crate::text::{Finding, codes};

pub(super) fn check(catalog: CatalogView<'_>, entry: &Entry, findings: &mut Vec<Finding>) {
    let Some(Spec::Connection(spec)) = entry.spec() else { return };
    scope(entry, spec, findings);
    let Some((_, connector)) = catalog.connector(&spec.connector) else { return };
    credentials(entry, spec, connector, findings);
    settings(entry, spec, connector, findings);
}

fn scope(entry: &Entry, spec: &ConnectionSpec, findings: &mut Vec<Finding>) {
    let needs = |field: &str, findings: &mut Vec<Finding>| {
        let message = format!("a connection of scope {:?} needs `{field}`", spec.scope);
        findings.push(
            Finding::new(&codes::MISSING_FIELD, entry.value_span("/spec/scope"), message)
                .help(format!("add `{field}`")),
        );
    };
    if spec.scope != ConnectionScope::Organization && spec.tenant.is_none() {
        needs("tenant", findings);
    }
    if spec.scope == ConnectionScope::User && spec.user.is_none() {
        needs("user", findings);
    }
    let surplus = match spec.scope {
        ConnectionScope::Organization if spec.tenant.is_some() => Some("tenant"),
        ConnectionScope::Organization | ConnectionScope::Tenant if spec.user.is_some() => Some("user"),
        _ => None,
    };
    if let Some(field) = surplus {
        let message = format!("a connection of scope {:?} has no `{field}`", spec.scope);
        let help =
            if field == "tenant" { "use `scope: Tenant`, or remove it" } else { "use `scope: User`, or remove it" };
        findings.push(Finding::new(&codes::AT_MOST_ONE, entry.key_span(&format!("/spec/{field}")), message).help(help));
    }
}

/// Reports credentials that the method does not know, and required credentials that are missing.
fn credentials(entry: &Entry, spec: &ConnectionSpec, connector: &ConnectorSpec, findings: &mut Vec<Finding>) {
    let Some(auth) = &connector.auth else { return };
    let only = || auth.methods.keys().next().filter(|_| auth.methods.len() == 1);
    let Some(name) = spec.method.as_ref().or(auth.default.as_ref()).or_else(only) else { return };
    let Some(method) = auth.methods.get(name) else { return };
    let (mut known, needed) = fields(method);
    // An action that allows one method only uses it, regardless of the connection's method.
    let own = connector.actions.values().filter(|action| action.auth.len() == 1).flat_map(|action| &action.auth);
    known.extend(own.filter_map(|name| auth.methods.get(name)).flat_map(|method| fields(method).0));
    for credential in spec.credentials.keys().filter(|credential| !known.contains(credential)) {
        let help = match nearest(credential, known.iter().map(String::as_str)) {
            Some(near) => format!("did you mean `{near}`?"),
            None if known.is_empty() => "remove it; the method takes no credentials".into(),
            None => format!("it takes {}", quoted_list(&known)),
        };
        let message = format!("the method `{name}` takes no credential `{credential}`");
        let span = entry.key_span(&format!("/spec/credentials/{credential}"));
        findings.push(Finding::new(&codes::AUTH_SETTING, span, message).help(help));
    }
    let lacking: Vec<&String> = needed.iter().filter(|needed| !spec.credentials.contains_key(*needed)).collect();
    if !lacking.is_empty() {
        let message = format!("the method `{name}` needs {}", quoted_list(&lacking));
        let at = if spec.credentials.is_empty() { "/spec/connector" } else { "/spec/credentials" };
        let span = if spec.credentials.is_empty() { entry.value_span(at) } else { entry.key_span(at) };
        findings.push(
            Finding::new(&codes::AUTH_SETTING, span, message).help("add it under `credentials`, with a `secretRef`"),
        );
    }
}

/// The credentials that a method accepts, and those of them that a connection must provide.
fn fields(method: &AuthMethod) -> (Vec<String>, Vec<String>) {
    let mut known = Vec::new();
    let mut needed = Vec::new();
    let mut add = |name: &str, optional: bool| {
        known.push(name.to_owned());
        if !optional {
            needed.push(name.to_owned());
        }
    };
    if let Some(basic) = &method.basic {
        add("username", basic.username.is_some());
        add("password", basic.password.is_some());
    }
    if let Some(bearer) = &method.bearer_token {
        add("token", bearer.token.is_some());
    }
    if let Some(key) = &method.api_key {
        add("apiKey", key.value.is_some());
    }
    if method.oauth2.is_some() {
        // Tokens come from a user's consent; a connection in a file may hold a token that was obtained elsewhere.
        for name in ["accessToken", "refreshToken", "clientId", "clientSecret"] {
            add(name, true);
        }
    }
    if let Some(jwt) = &method.jwt {
        add("privateKey", jwt.key.is_some());
    }
    for (name, field) in method.custom.iter().flat_map(|custom| &custom.fields) {
        add(name, !field.required || field.default.is_some());
    }
    (known, needed)
}

fn settings(entry: &Entry, spec: &ConnectionSpec, connector: &ConnectorSpec, findings: &mut Vec<Finding>) {
    let Some(schema) = &connector.settings else {
        if !spec.settings.is_empty() {
            let message = format!("the connector `{}` declares no settings", spec.connector);
            findings.push(
                Finding::new(&codes::UNKNOWN_REFERENCE, entry.key_span("/spec/settings"), message)
                    .help("remove them, or add a `settings` schema to the connector"),
            );
        }
        return;
    };
    let Ok(schema) = JsonSchema::compile(&schema.0.value(), &Map::new()) else { return };
    let value = Value::Object(spec.settings.clone().into_iter().collect());
    for violation in schema.violations(&value, 20) {
        let pointer = format!("/spec/settings{}", violation.pointer);
        let span =
            if entry.node(&pointer).is_some() { entry.key_span(&pointer) } else { entry.key_span("/spec/connector") };
        let message = format!("the settings do not fit their schema: {}", violation.message);
        findings.push(Finding::new(&codes::OUT_OF_RANGE, span, message).help("see `settings` of the connector"));
    }
}
