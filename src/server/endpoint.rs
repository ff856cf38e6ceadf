//! Endpoints: a method on a path with its permission, its handler and its description, in one value. Routes, access and the
//! OpenAPI document are made of them, so that none can lack one of the others.

use axum::extract::{FromRequestParts as _, Request, State};
use axum::handler::Handler;
use axum::http::request::Parts;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{MethodFilter, MethodRouter, on};

use super::access::{Principal, Right};
use super::context::{RequestContext, target};
use super::extract::PathParams;
use super::reply::{ApiError, CallerName, RequestId};
use super::state::Server;
use crate::api::Problem;
use crate::api::openapi::Operation;

/// Prefix of the addresses of an environment.
const ENVIRONMENT: &str = "/v1/environments/{environment}";
/// Prefix of the short addresses, for a server with one environment.
const SHORT: &str = "/v1";

/// The permission that a request needs to reach the handler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Permission {
    /// Nothing: the response holds nothing about definitions or data.
    Public,
    /// The handler verifies a signature or a secret in the request.
    Signature,
    /// A caller with a right.
    Right(Right),
}

/// The addresses of an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// The path as it is.
    Server,
    /// Below an environment.
    Environment,
    /// Below an environment, and without it while the server has exactly one.
    EnvironmentOrShort,
}

/// A method on a path.
pub(super) struct Endpoint {
    /// Its description; `path` is relative to its scope.
    pub(super) operation: Operation,
    /// The permission that a request needs.
    pub(super) permission: Permission,
    /// Its addresses.
    pub(super) scope: Scope,
    /// True if callers whose rights are limited to tenants may use it: its handler limits what they see.
    pub(super) for_tenants: bool,
    /// True if it shows all environments, so that callers whose rights are limited to some may not use it.
    pub(super) for_all_environments: bool,
    handler: MethodRouter<Server>,
}

impl Endpoint {
    /// An endpoint of a description and a handler.
    pub(super) fn new<H, T>(scope: Scope, permission: Permission, operation: Operation, handler: H) -> Endpoint
    where
        H: Handler<T, Server>,
        T: 'static,
    {
        let filter = match operation.method {
            "GET" => MethodFilter::GET,
            "PUT" => MethodFilter::PUT,
            "DELETE" => MethodFilter::DELETE,
            _ => MethodFilter::POST,
        };
        let handler = on(filter, handler);
        Endpoint { operation, permission, scope, for_tenants: false, for_all_environments: false, handler }
    }

    /// Lets callers use it whose rights are limited to tenants.
    #[must_use]
    pub(super) fn for_tenants(mut self) -> Endpoint {
        self.for_tenants = true;
        self
    }

    /// Refuses callers whose rights are limited to some environments.
    #[must_use]
    pub(super) fn for_all_environments(mut self) -> Endpoint {
        self.for_all_environments = true;
        self
    }

    /// Adds a middleware around the handler.
    #[must_use]
    pub(super) fn traced(mut self) -> Endpoint {
        self.handler = self.handler.route_layer(axum::middleware::from_fn(super::spans::trace_request));
        self
    }

    /// Its addresses with their descriptions.
    pub(super) fn operations(&self) -> Vec<Operation> {
        let right = match self.permission {
            Permission::Right(right) => Some(right.as_str()),
            Permission::Public | Permission::Signature => None,
        };
        let at = |prefix: &str, suffix: &str| self.operation.clone().at(prefix, suffix, right);
        match self.scope {
            Scope::Server => vec![at("", "")],
            Scope::Environment => vec![at(ENVIRONMENT, "")],
            Scope::EnvironmentOrShort => {
                // Webhooks keep their short addresses outside of `/v1`.
                let short = if self.operation.path.starts_with("/hooks/") { "" } else { SHORT };
                vec![at(ENVIRONMENT, ""), at(short, "Short")]
            }
        }
    }

    /// The handler behind its guard.
    pub(super) fn guarded(&self, server: &Server) -> MethodRouter<Server> {
        let guard = Guard {
            server: server.clone(),
            permission: self.permission,
            scope: self.scope,
            for_tenants: self.for_tenants,
            for_all_environments: self.for_all_environments,
        };
        self.handler.clone().route_layer(from_fn_with_state(guard, authorize))
    }
}

#[derive(Clone)]
struct Guard {
    server: Server,
    permission: Permission,
    scope: Scope,
    for_tenants: bool,
    for_all_environments: bool,
}

/// Lets a request pass that has the permission, with its context.
async fn authorize(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    let Permission::Right(right) = guard.permission else { return next.run(request).await };
    let (mut parts, body) = request.into_parts();
    let principal = match guard.server.access.principal(&parts.headers) {
        Ok(principal) => principal,
        Err(problem) => return ApiError::from(problem).into_response(),
    };
    let name = CallerName(principal.name.clone());
    let mut response = match context(&guard, right, principal, &mut parts).await {
        Ok(context) => {
            parts.extensions.insert(context);
            next.run(Request::from_parts(parts, body)).await
        }
        Err(problem) => ApiError::from(problem).into_response(),
    };
    response.extensions_mut().insert(name);
    response
}

async fn context(
    guard: &Guard,
    right: Right,
    principal: Principal,
    parts: &mut Parts,
) -> Result<RequestContext, Problem> {
    let request_id = parts.extensions.get::<RequestId>().map(|id| id.0.clone()).unwrap_or_default();
    let mut context = RequestContext { request_id, principal, environment: None };
    if !context.principal.has(right) {
        return Err(context.forbidden(&format!("lacks the right `{}`", right.as_str())));
    }
    if context.principal.tenants.is_some() && !guard.for_tenants {
        return Err(context.forbidden("is limited to tenants, and this concerns the whole environment"));
    }
    if context.principal.environments.is_some() && guard.for_all_environments {
        return Err(context.forbidden("is limited to some environments, and this shows all of them"));
    }
    if parts.headers.contains_key("x-evenkeel-environment") {
        let detail = "the header `x-evenkeel-environment` has no effect; use /v1/environments/{environment}/…";
        return Err(Problem::bad_request(detail).of_parameter("x-evenkeel-environment"));
    }
    if guard.scope != Scope::Server {
        let params = PathParams::from_request_parts(parts, &()).await.map_err(|error| *error.0)?;
        let named = params.find("environment").map(|name| name.replace('/', "."));
        if let Some(name) = &named
            && !context.principal.reaches_environment(name)
        {
            return Err(context.forbidden(&format!("has no rights in environment `{name}`")));
        }
        let target = target(&guard.server, named.as_deref(), Some(&context.principal))?;
        if !context.principal.reaches_environment(&target.name) {
            return Err(context.forbidden(&format!("has no rights in environment `{}`", target.name)));
        }
        context.environment = Some(target);
    }
    Ok(context)
}
