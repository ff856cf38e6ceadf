//! The context of a request: its caller, its environment, and what the caller may see there.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::request::Parts;

use super::access::{Principal, Right};
use super::extract::header_text;
use super::reply::{ApiError, ApiResult};
use super::state::{Server, WorkflowService};
use crate::api::Problem;
use crate::reconcile::active::{Active, Pointer};
use crate::reconcile::environments::{Environments, Handle};

/// Name in addresses of the environment of a folder without an Environment document.
pub(super) const UNNAMED: &str = "default";
/// Header with the tenant of a call.
pub(super) const TENANT: &str = "x-evenkeel-tenant";
/// Header with the user of a call.
pub(super) const USER: &str = "x-evenkeel-user";

/// The environment of a request.
#[derive(Clone, Debug)]
pub(super) struct Target {
    /// Name in addresses.
    pub(super) name: String,
    /// Key in the store.
    pub(super) key: String,
    /// The generation that serves.
    pub(super) pointer: Pointer,
    /// The handle; `None` in a server of one folder.
    pub(super) handle: Option<Handle>,
}

impl Target {
    /// The generation that serves.
    ///
    /// # Errors
    /// 503 before the first one.
    pub(super) fn active(&self) -> Result<Arc<Active>, Problem> {
        self.pointer.load().ok_or_else(|| {
            let detail = format!("environment `{}` serves no generation yet; `evenkeel status` shows why", self.name);
            Problem::new(503, "UNAVAILABLE", detail)
        })
    }

    /// The handle.
    ///
    /// # Errors
    /// 404 in a server of one folder.
    pub(super) fn handle(&self) -> Result<&Handle, Problem> {
        self.handle.as_ref().ok_or_else(|| {
            let detail = "this is `evenkeel dev`, which serves one folder; history, plans and commands exist in `evenkeel serve`";
            Problem::new(404, "NOT_IN_DEV", detail)
        })
    }

    /// The address of a path below the environment, as it is shown to people. It means the same when further environments
    /// are added.
    pub(super) fn path(&self, path: &str) -> String {
        if self.handle.is_some() { format!("/v1/environments/{}{path}", self.name) } else { format!("/v1{path}") }
    }
}

/// The address of a webhook as people give it to applications. It means the same when further environments are added.
pub(super) fn hook_address(server: &Server, target: &Target, trigger: &str) -> String {
    let path = format!("/hooks/{trigger}");
    server.address(&if target.handle.is_some() { target.path(&path) } else { path })
}

/// The environment of a name in an address; without one, the only environment.
///
/// # Errors
/// 404 if the name is unknown, 400 if there are several environments and the address names no environment. Names are listed only for callers whose
/// rights extend to them.
pub(super) fn target(server: &Server, name: Option<&str>, principal: Option<&Principal>) -> Result<Target, Problem> {
    let Some(environments) = &server.environments else {
        let key = server.pointer.load().map(|active| active.runtime.environment.clone()).unwrap_or_default();
        let own = if key.is_empty() { UNNAMED.to_owned() } else { key.clone() };
        if let Some(name) = name.filter(|name| *name != own) {
            let detail = format!("unknown environment `{name}`; this server has only `{own}`");
            return Err(Problem::new(404, "UNKNOWN_ENVIRONMENT", detail));
        }
        return Ok(Target { name: own, key, pointer: server.pointer.clone(), handle: None });
    };
    // `namespace/name` and `namespace.name` are one spelling.
    let name = name.map(|name| name.replace('/', "."));
    let visible = visible(environments, principal);
    match environments.find(name.as_deref()) {
        Some(handle) => Ok(Target {
            name: handle.name.clone(),
            key: handle.name.clone(),
            pointer: handle.pointer.clone(),
            handle: Some(handle),
        }),
        None => Err(match name {
            Some(name) => {
                let detail = format!("unknown environment `{name}`{}", listed("; expected one of ", &visible));
                Problem::new(404, "UNKNOWN_ENVIRONMENT", detail)
            }
            None if environments.all.load().is_empty() => {
                Problem::new(503, "UNAVAILABLE", "this server has no environment yet; `evenkeel status` lists them")
            }
            None => {
                let detail = format!(
                    "there are several environments: use /v1/environments/{{environment}}/…, or `-e NAME` of `evenkeel`{}",
                    listed("; there are ", &visible)
                );
                Problem::new(400, "AMBIGUOUS_ENVIRONMENT", detail)
            }
        }),
    }
}

/// At most 20 names of environments that a caller may see.
fn visible(environments: &Environments, principal: Option<&Principal>) -> Vec<String> {
    let Some(principal) = principal else { return Vec::new() };
    let all = environments.all.load();
    all.keys().filter(|name| principal.reaches_environment(name)).take(20).cloned().collect()
}

fn listed(intro: &str, names: &[String]) -> String {
    if names.is_empty() { String::new() } else { format!("{intro}{}", names.join(", ")) }
}

/// The caller of a request that was authorized, and its environment.
#[derive(Clone, Debug)]
pub(super) struct RequestContext {
    /// Id of the request.
    pub(super) request_id: String,
    /// The caller.
    pub(super) principal: Principal,
    /// The environment; `None` on routes that concern no environment.
    pub(super) environment: Option<Target>,
}

impl<S: Send + Sync> FromRequestParts<S> for RequestContext {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<RequestContext, ApiError> {
        let missing = || Problem::new(500, "INTERNAL", "the request was not authorized");
        Ok(parts.extensions.get::<RequestContext>().cloned().ok_or_else(missing)?)
    }
}

impl RequestContext {
    /// The environment.
    ///
    /// # Errors
    /// 500 on a route that concerns no environment, which is a bug.
    pub(super) fn target(&self) -> ApiResult<&Target> {
        let missing = || Problem::new(500, "INTERNAL", "the route has no environment");
        Ok(self.environment.as_ref().ok_or_else(missing)?)
    }

    /// The tenant of a call: the header's if the caller may name it, otherwise the caller's only tenant.
    ///
    /// # Errors
    /// 403 if the caller may not act for that tenant, 400 if it has several and names none.
    pub(super) fn tenant(&self, headers: &HeaderMap) -> Result<Option<String>, Problem> {
        let named = match headers.get(TENANT) {
            None => None,
            // A proxy that adds a header instead of replacing it must not let the caller choose.
            Some(_) if headers.get_all(TENANT).iter().count() > 1 => {
                let detail = format!("there are several `{TENANT}` headers; send one");
                return Err(Problem::bad_request(detail).of_parameter(TENANT));
            }
            Some(_) => Some(header_text(headers, TENANT).filter(|name| !name.is_empty()).ok_or_else(|| {
                Problem::bad_request(format!("header `{TENANT}` is not the name of a tenant")).of_parameter(TENANT)
            })?),
        };
        match (named, &self.principal.tenants) {
            (Some(name), Some(tenants)) if tenants.contains(name) => Ok(Some(name.to_owned())),
            (Some(name), None) if self.principal.has(Right::ActForOthers) => Ok(Some(name.to_owned())),
            (Some(name), _) => Err(self.forbidden(&format!("may not act for tenant `{name}`"))),
            (None, None) => Ok(None),
            (None, Some(tenants)) if tenants.len() == 1 => Ok(tenants.first().cloned()),
            (None, Some(_)) => {
                let detail =
                    format!("the token of `{}` has several tenants; name one in `{TENANT}`", self.principal.name);
                Err(Problem::new(400, "TENANT_REQUIRED", detail))
            }
        }
    }

    /// Checks that the caller may name the user of a call, if the request does.
    ///
    /// # Errors
    /// 403 if it may not.
    pub(super) fn check_user(&self, headers: &HeaderMap) -> Result<(), Problem> {
        if headers.get_all(USER).iter().count() > 1 {
            let detail = format!("there are several `{USER}` headers; send one");
            return Err(Problem::bad_request(detail).of_parameter(USER));
        }
        if headers.contains_key(USER) && !self.principal.has(Right::ActForOthers) {
            return Err(self.forbidden(&format!("may not name a user in `{USER}`")));
        }
        Ok(())
    }

    /// The tenant that a list is limited to: the query's, otherwise the caller's only one; `None` for all.
    ///
    /// # Errors
    /// 403 if the caller may not see that tenant, 400 if it has several and names none.
    pub(super) fn visible_tenant(&self, named: Option<String>) -> Result<Option<String>, Problem> {
        match (named, &self.principal.tenants) {
            (named, None) => Ok(named),
            (Some(name), Some(tenants)) if tenants.contains(&name) => Ok(Some(name)),
            (Some(name), Some(_)) => Err(self.forbidden(&format!("may not see tenant `{name}`"))),
            (None, Some(tenants)) if tenants.len() == 1 => Ok(tenants.first().cloned()),
            (None, Some(_)) => {
                let detail =
                    format!("the token of `{}` has several tenants; name one with `tenant`", self.principal.name);
                Err(Problem::new(400, "TENANT_REQUIRED", detail).of_parameter("tenant"))
            }
        }
    }

    /// The error of a caller without the right to an object or value.
    pub(super) fn forbidden(&self, what: &str) -> Problem {
        let who = &self.principal;
        let detail = match who.is_anonymous() {
            true => {
                format!("a caller without a token {what}; send `Authorization: Bearer TOKEN`, or set EVENKEEL_TOKEN")
            }
            false => format!("`{}` {what}; its rights are in the token file", who.name),
        };
        Problem::new(403, "FORBIDDEN", detail)
    }
}

/// The execution of workflows.
///
/// # Errors
/// 503 if this server runs none.
pub(super) fn workflow_service(server: &Server) -> Result<&WorkflowService, Problem> {
    server.workflows.as_ref().ok_or_else(|| Problem::new(503, "UNAVAILABLE", "this server runs no workflows"))
}

/// The environments of this server.
///
/// # Errors
/// 404 if this is a server of one folder.
pub(super) fn environments(server: &Server) -> Result<&Environments, Problem> {
    server.environments.as_ref().ok_or_else(|| {
        Problem::new(
            404,
            "NOT_IN_DEV",
            "this is `evenkeel dev`, which serves one folder; `evenkeel serve` has environments",
        )
    })
}
