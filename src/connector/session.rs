//! What is decided before a call's first template: is the input right, for which tenant, over which connection?

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::auth::Given;
use super::host::CallHost;
use super::request::{PreparedRequest, Request};
use super::{Action, Call, CallError, Connector, ErrorCode, Runtime, Secrets};
use crate::definition::connection::{ConnectionScope, ConnectionSpec};
use crate::definition::tenant::TenantStatus;
use crate::template::Context;

/// What a call works with: everything that is decided before its first template.
pub(super) struct Session {
    secrets: Arc<dyn Secrets>,
    credentials: Given,
    method: Option<String>,
}

impl Session {
    /// Checks the call and builds what its templates see.
    pub(super) fn open(
        runtime: &Runtime,
        secrets: &Arc<dyn Secrets>,
        connector: &Connector,
        action: &Action,
        call: &Call,
    ) -> Result<(Session, Context), CallError> {
        if action.spec.requires_user && call.user.is_none() {
            return Err(CallError::new(ErrorCode::UserRequired, "only signed-in users may call this action"));
        }
        if let Some(schema) = action.input.get(&connector.spec)? {
            let violations = schema.violations(&call.input, 20);
            if !violations.is_empty() {
                let shown: Vec<String> = violations
                    .iter()
                    .map(|violation| match violation.pointer.as_str() {
                        "" => violation.message.clone(),
                        pointer => format!("{pointer}: {}", violation.message),
                    })
                    .collect();
                let params = violations.into_iter().map(|violation| violation.pointer).collect();
                return Err(CallError::new(ErrorCode::InvalidInput, shown.join("; ")).params(params));
            }
        }
        let tenant = match &call.tenant {
            Some(name) => match runtime.tenants.get(name) {
                Some(tenant) if tenant.status == TenantStatus::Active => Some(Arc::clone(tenant)),
                Some(_) => {
                    return Err(CallError::new(ErrorCode::UnknownTenant, format!("tenant `{name}` is not active")));
                }
                // Without any Tenant declared, tenants are whatever the embedding product says.
                None if runtime.tenants.is_empty() || call.hermetic => None,
                None => return Err(CallError::new(ErrorCode::UnknownTenant, format!("there is no tenant `{name}`"))),
            },
            None => None,
        };
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
        context.set("input", &call.input);
        let body_text = match call.body.is_empty() {
            true => call.input.to_string(),
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
        let session = Session {
            secrets: Arc::clone(secrets),
            credentials: connection.as_ref().map(|(_, connection)| connection.credentials.clone()).unwrap_or_default(),
            method: method_name(connector, action, call, connection.as_ref().map(|(_, connection)| &**connection))?,
        };
        Ok((session, context))
    }

    /// The request of an action or step, authenticated.
    pub(super) fn request(
        &self,
        request: &Request,
        connector: &Connector,
        call: &Call,
        context: &Context,
        method: Option<&str>,
    ) -> Result<PreparedRequest, CallError> {
        let path_params = request.path_params(call, context)?;
        let mut context = context.clone();
        context.set("pathParams", Value::Object(path_params));
        let mut prepared = request.render(call, &context)?;
        if let Some(name) = method.or(self.method.as_deref())
            && let Some(method) = connector.methods.get(name)
        {
            context.set("method", name);
            method.apply(&mut prepared, &self.credentials, &context, &*self.secrets)?;
        }
        Ok(prepared)
    }
}

/// Nobody: templates that name the user get empty text, and `requiresUser` refuses the call before that.
fn anonymous() -> Value {
    json!({"id": "", "email": "", "username": "", "first_name": "", "last_name": ""})
}

type EnvironmentSelection = Option<(String, Arc<ConnectionSpec>)>;

/// The connection of a call: the one that is named, else the user's, the tenant's, the organization's.
fn choose(runtime: &Runtime, connector: &Connector, call: &Call) -> Result<EnvironmentSelection, CallError> {
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
        // Another tenant's connection looks exactly like one that does not exist.
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

fn method_name(
    connector: &Connector,
    action: &Action,
    call: &Call,
    connection: Option<&ConnectionSpec>,
) -> Result<Option<String>, CallError> {
    let Some(auth) = &connector.spec.auth else { return Ok(None) };
    let only = || auth.methods.keys().next().filter(|_| auth.methods.len() == 1);
    let chosen = call.method.as_ref().or(connection.and_then(|connection| connection.method.as_ref()));
    // An action that takes one method only is called with it, whatever the others' default is.
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
