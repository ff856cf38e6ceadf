//! The reasons why a trigger cannot work, known before its first event.

use std::net::IpAddr;

use super::app_event::AppEvent;
use super::compiled::{Trigger, TriggerKind};
use crate::connector::{Mocking, Runtime, is_example_host, is_mocked, missing_secret, secrets_of_connection};
use crate::definition::event::Verify;
use crate::net::signature;
use crate::store::Micros;
use crate::workflow::Programs;

/// The surroundings that triggers work in.
#[derive(Clone, Copy, Debug, Default)]
pub struct Surroundings<'a> {
    /// The address that applications call; `None` if it is unknown.
    pub public_url: Option<&'a str>,
    /// The recipient of calls.
    pub mocking: Mocking,
    /// The time.
    pub now: Micros,
}

/// A reason why a trigger cannot work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Obstacle {
    /// The secret without a value, if that is the reason.
    pub secret: Option<String>,
    /// The cause and its effect.
    pub reason: String,
}

/// The reason why an active trigger cannot work, in one line; `None` if it can, or if it is not active.
pub fn blocked_reason(
    trigger: &Trigger,
    runtime: &Runtime,
    programs: &Programs,
    surroundings: Surroundings<'_>,
) -> Option<String> {
    let obstacles = obstacles(trigger, runtime, programs, surroundings);
    let reasons: Vec<String> = obstacles.into_iter().map(|obstacle| obstacle.reason).collect();
    (!reasons.is_empty()).then(|| reasons.join("; "))
}

/// The reasons why an active trigger cannot work. The parameters are those of [`blocked_reason`].
pub fn obstacles(
    trigger: &Trigger,
    runtime: &Runtime,
    programs: &Programs,
    surroundings: Surroundings<'_>,
) -> Vec<Obstacle> {
    let mut found = Vec::new();
    if !trigger.spec.active {
        return found;
    }
    let workflows: Vec<&str> = match &trigger.kind {
        TriggerKind::Webhook(webhook) => {
            found.extend(verification(runtime, &webhook.spec.verify));
            webhook.routes.iter().map(|route| route.spec.workflow.as_str()).collect()
        }
        TriggerKind::AppEvent(app) => {
            app_event(&mut found, app, runtime, surroundings);
            app.routes.iter().map(|route| route.spec.workflow.as_str()).collect()
        }
        TriggerKind::Schedule(schedule) => {
            let from = jiff::Timestamp::from_microsecond(surroundings.now).unwrap_or_default();
            let spec = trigger.spec.schedule.as_ref();
            if !spec.is_some_and(|spec| spec.paused) && schedule.next(from).is_none() {
                found.push(other("the schedule has no further time".to_owned()));
            }
            spec.into_iter().flat_map(|spec| &spec.routes).map(|route| route.workflow.as_str()).collect()
        }
    };
    let is_active = |name: &&str| programs.get(*name).is_some_and(|program| program.spec.active);
    if !workflows.iter().any(is_active) {
        let names: Vec<String> = workflows.iter().map(|name| format!("`{name}`")).collect();
        found.push(other(format!("no workflow that it starts is active: {}", names.join(", "))));
    }
    found
}

fn other(reason: String) -> Obstacle {
    Obstacle { secret: None, reason }
}

/// A secret of the verification without a value: every call is refused.
fn verification(runtime: &Runtime, rule: &Verify) -> Option<Obstacle> {
    let name = signature::secret_of(rule)?;
    let cause = missing_secret(runtime, name)?;
    Some(Obstacle { secret: Some(name.to_owned()), reason: format!("{cause}; it refuses all calls") })
}

fn app_event(found: &mut Vec<Obstacle>, app: &AppEvent, runtime: &Runtime, surroundings: Surroundings<'_>) {
    let webhook = app.event.webhook.as_ref();
    let connector = runtime.connectors.get(&app.spec.connector);
    let is_mocked = connector.is_some_and(|connector| is_mocked(connector, surroundings.mocking));
    found.extend(webhook.and_then(|webhook| verification(runtime, &webhook.verify)));
    for name in app.connections(runtime).iter().filter(|name| !name.is_empty()) {
        let Some(connection) = runtime.connections.get(name) else {
            found.push(other(format!("there is no connection `{name}`")));
            continue;
        };
        if !connection.active {
            found.push(other(format!("the connection `{name}` is not active")));
        }
        for secret in secrets_of_connection(connection).into_iter().filter(|_| !is_mocked) {
            if let Some(cause) = missing_secret(runtime, secret) {
                let reason = format!("{cause}; the connection `{name}` cannot be used");
                found.push(Obstacle { secret: Some(secret.to_owned()), reason });
            }
        }
    }
    found.extend(address_obstacle(app, runtime, surroundings.public_url).map(other));
}

/// The reason why an application cannot call this server, in one line; `None` if it can, if the trigger is not active or
/// subscribes to nothing.
pub fn unreachable_reason(trigger: &Trigger, runtime: &Runtime, public_url: Option<&str>) -> Option<String> {
    match &trigger.kind {
        TriggerKind::AppEvent(app) if trigger.spec.active => address_obstacle(app, runtime, public_url),
        _ => None,
    }
}

fn address_obstacle(app: &AppEvent, runtime: &Runtime, public_url: Option<&str>) -> Option<String> {
    let subscribes = app.event.webhook.as_ref().is_some_and(|webhook| webhook.subscribe.is_some());
    let url = public_url.filter(|url| subscribes && is_local_url(url))?;
    let remedy = "start the server with `--public-url URL`";
    is_remote(runtime, &app.spec.connector).then(|| format!("the application cannot reach {url}; {remedy}"))
}

/// True if only this machine reaches a URL.
fn is_local_url(text: &str) -> bool {
    let host = url::Url::parse(text).ok().and_then(|url| url.host_str().map(str::to_owned));
    host.is_some_and(|host| is_local_host(&host))
}

fn is_local_host(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host.eq_ignore_ascii_case("localhost")
        || address.is_ok_and(|address| address.is_loopback() || address.is_unspecified())
}

/// True if the application of a connector runs elsewhere: not on this machine, and not under a host of examples.
fn is_remote(runtime: &Runtime, connector: &str) -> bool {
    let base = runtime.connectors.get(connector).and_then(|connector| connector.spec.base_url.as_deref());
    let rest = base.and_then(|base| base.split_once("://")).map_or("", |(_, rest)| rest);
    let host = rest.split('/').next().unwrap_or_default();
    let host = host
        .rsplit_once(':')
        .filter(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()))
        .map_or(host, |(host, _)| host);
    !is_example_host(host) && !is_local_host(host)
}
