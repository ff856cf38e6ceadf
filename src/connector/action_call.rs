//! One action of a call: its input, tenant, connection and credentials, decided before its first template is rendered.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::auth::CredentialValues;
use super::call::Call;
use super::error::{CallError, ErrorCode};
use super::host::{CallHost, Secrets};
use super::prepared::PreparedRequest;
use super::request::Request;
use super::runtime::{Action, Connector, Runtime};
use crate::definition::connection::{ConnectionScope, ConnectionSpec};
use crate::template::Context;

/// One called action, with everything that is decided before its first template is rendered.
pub(super) struct ActionCall<'a> {
    pub(super) connector: &'a Connector,
    pub(super) action: &'a Action,
    pub(super) call: &'a Call,
    /// The input with the defaults of its schema.
    pub(super) input: Cow<'a, Value>,
    secrets: Arc<dyn Secrets>,
    credentials: CredentialValues,
    /// The authentication method.
    method: Option<String>,
}

impl<'a> ActionCall<'a> {
    /// Validates the call, and builds the context of its templates.
    pub(super) fn open(
        runtime: &Runtime,
        secrets: &Arc<dyn Secrets>,
        connector: &'a Connector,
        action: &'a Action,
        call: &'a Call,
    ) -> Result<(ActionCall<'a>, Context), CallError> {
        // A registration at an application is removed in any case.
        let is_removal = call.subscription.is_some() && action.name.starts_with("unsubscribe:");
        let refusal = call.tenant.as_ref().and_then(|tenant| runtime.tenant_refusal(tenant));
        if let Some(refusal) = refusal.filter(|_| !call.hermetic && !is_removal) {
            return Err(refusal);
        }
        if action.spec.requires_user && call.user.is_none() {
            return Err(CallError::new(ErrorCode::UserRequired, "only signed-in users may call this action"));
        }
        let input = action.with_defaults(&connector.spec, &call.input)?.map_or(Cow::Borrowed(&call.input), Cow::Owned);
        if let Some(schema) = action.input.get(&connector.spec)? {
            let violations = schema.violations(&input, 20);
            if !violations.is_empty() {
                let shown: Vec<String> = violations
                    .iter()
                    .map(|violation| match violation.pointer.as_str() {
                        "" => violation.message.clone(),
                        pointer => format!("{pointer}: {}", violation.message),
                    })
                    .collect();
                let violations =
                    violations.into_iter().map(|violation| (violation.pointer, violation.message)).collect();
                return Err(CallError::new(ErrorCode::InvalidInput, shown.join("; ")).violations(violations));
            }
        }
        let tenant = call.tenant.as_ref().and_then(|name| runtime.tenants.get(name)).cloned();
        let connection = choose(runtime, connector, call)?;
        let mut variables: Vec<Arc<BTreeMap<String, String>>> = vec![Arc::new(call.variables.clone())];
        variables.extend(connection.as_ref().map(|(_, connection)| Arc::new(connection.variables.clone())));
        variables.extend(tenant.as_ref().map(|tenant| Arc::new(tenant.variables.clone())));
        variables.push(Arc::clone(&runtime.variables));
        let now = call.now.unwrap_or_else(|| {
            let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
        });
        let mut context = Context::new(Arc::new(CallHost { variables, secrets: Arc::clone(secrets), now }));
        context.set("input", &*input);
        let body_text = match call.body.is_empty() {
            true => input.to_string(),
            false => String::from_utf8_lossy(&call.body).into_owned(),
        };
        context.set(
            "request",
            json!({
                "id": call.request_id,
                "method": "POST",
                "headers": call.headers.iter().filter(|(name, _)| *name == "content-type").collect::<BTreeMap<_, _>>(),
                "query_parameters": call.query,
                "body_text": body_text,
                "body_raw": body_text,
            }),
        );
        context.set_bytes("body_raw", if call.body.is_empty() { body_text.clone().into() } else { call.body.clone() });
        context.set("body_text", body_text);
        context.set("user", call.user.clone().unwrap_or_else(anonymous));
        let tenant_value = tenant.map_or_else(
            || json!({"name": call.tenant}),
            |tenant| {
                json!({
                    "name": call.tenant, "display_name": tenant.display_name, "external_id": tenant.external_id,
                    "region": tenant.region, "plan": tenant.plan,
                })
            },
        );
        context.set("tenant", tenant_value);
        context.set("tenant_id", call.tenant.clone().map_or(Value::Null, Value::String));
        let settings = call.settings.clone().or_else(|| {
            let (_, connection) = connection.as_ref()?;
            Some(Value::Object(connection.settings.clone().into_iter().collect()))
        });
        context.set(
            "connection",
            json!({
                "name": connection.as_ref().map(|(name, _)| name),
                "settings": settings.unwrap_or_else(|| json!({})),
            }),
        );
        context.set("steps", json!({}));
        if let Some(subscription) = &call.subscription {
            context.set("subscription", subscription);
        }
        let open = ActionCall {
            connector,
            action,
            call,
            input,
            secrets: Arc::clone(secrets),
            credentials: connection.as_ref().map(|(_, connection)| connection.credentials.clone()).unwrap_or_default(),
            method: method_name(connector, action, call, connection.as_ref().map(|(_, connection)| &**connection))?,
        };
        Ok((open, context))
    }

    /// The authenticated request of the action or of a step. `method` overrides the authentication method.
    pub(super) fn request(
        &self,
        request: &Request,
        context: &Context,
        method: Option<&str>,
    ) -> Result<PreparedRequest, CallError> {
        let path_params = request.path_params(self.call, context)?;
        let mut context = context.clone();
        context.set("pathParams", Value::Object(path_params));
        let mut prepared = request.render(self.call, &context)?;
        if let Some(name) = method.or(self.method.as_deref())
            && let Some(method) = self.connector.methods.get(name)
        {
            context.set("method", name);
            method.apply(&mut prepared, &self.credentials, &context, &*self.secrets)?;
        }
        Ok(prepared)
    }
}

/// The user of an anonymous call: empty texts. `requiresUser` refuses such calls earlier.
fn anonymous() -> Value {
    json!({"id": "", "email": "", "username": "", "first_name": "", "last_name": ""})
}

/// A connection with its name.
type NamedConnection = (String, Arc<ConnectionSpec>);

/// The connection of a call: the named one, otherwise the user's, the tenant's or the organization's.
fn choose(runtime: &Runtime, connector: &Connector, call: &Call) -> Result<Option<NamedConnection>, CallError> {
    let error = |detail: String| CallError::new(ErrorCode::ConnectionRequired, detail);
    let visible = |connection: &ConnectionSpec| {
        let user = call.user.as_ref().and_then(|user| user["id"].as_str());
        match connection.scope {
            ConnectionScope::Organization => true,
            ConnectionScope::Tenant => connection.tenant.is_some() && connection.tenant == call.tenant,
            ConnectionScope::User => {
                connection.tenant == call.tenant && user.is_some() && connection.user.as_deref() == user
            }
        }
    };
    if call.hermetic {
        return Ok(None);
    }
    if let Some(name) = &call.connection {
        // The connection of another tenant is reported like one that does not exist.
        let found = runtime.connections.get(name).filter(|connection| visible(connection));
        let found = found.ok_or_else(|| match &call.tenant {
            Some(tenant) => error(format!("there is no connection `{name}` for tenant `{tenant}`")),
            None => error(format!("there is no connection `{name}` for calls without a tenant")),
        })?;
        if found.connector != connector.name {
            return Err(error(format!("connection `{name}` is not one of connector `{}`", connector.name)));
        }
        if !found.active {
            return Err(error(format!("connection `{name}` is not active")));
        }
        return Ok(Some((name.clone(), Arc::clone(found))));
    }
    for scope in [ConnectionScope::User, ConnectionScope::Tenant, ConnectionScope::Organization] {
        let fits = |connection: &ConnectionSpec| connection.scope == scope && connection.active && visible(connection);
        let own = runtime.by_connector.get(&connector.name).into_iter().flatten();
        let own = own.filter_map(|name| runtime.connections.get_key_value(name));
        let mut found = own.filter(|(_, connection)| fits(connection));
        match (found.next(), found.next()) {
            (Some((name, connection)), None) => return Ok(Some((name.clone(), Arc::clone(connection)))),
            (Some((first, _)), Some((second, _))) => {
                let detail = format!("there are several connections, such as `{first}` and `{second}`; name one");
                return Err(error(detail));
            }
            (None, _) => {}
        }
    }
    Ok(None)
}

/// The authentication method of a call.
fn method_name(
    connector: &Connector,
    action: &Action,
    call: &Call,
    connection: Option<&ConnectionSpec>,
) -> Result<Option<String>, CallError> {
    let Some(auth) = &connector.spec.auth else { return Ok(None) };
    let only = || auth.methods.keys().next().filter(|_| auth.methods.len() == 1);
    let chosen = call.method.as_ref().or(connection.and_then(|connection| connection.method.as_ref()));
    // An action that allows one method only uses it, regardless of the default.
    let own = || action.spec.auth.first().filter(|_| action.spec.auth.len() == 1);
    let name = chosen.or_else(own).or(auth.default.as_ref()).or_else(only);
    match name {
        Some(name) if !action.spec.auth.is_empty() && !action.spec.auth.contains(name) => {
            let detail = format!(
                "this action cannot be called with the method `{name}`; it takes {}",
                action.spec.auth.join(", ")
            );
            Err(CallError::new(ErrorCode::ConnectionRequired, detail))
        }
        Some(name) if !connector.methods.contains_key(name) => Err(CallError::new(
            ErrorCode::ConnectionRequired,
            format!("the connector has no authentication method `{name}`"),
        )),
        name => Ok(name.cloned()),
    }
}
