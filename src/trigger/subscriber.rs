//! Webhooks at applications, asked for as triggers come and taken back as they go.
//!
//! What is there is written down before and after each request: a row says which address was asked for, and the
//! application's id of it. The same trigger keeps its address, so that a request that is made again asks for the same.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use super::{Trigger, TriggerKind, Triggers};
use crate::connector;
use crate::store::queue::{Subscription, SubscriptionStatus};
use crate::store::{Micros, StoreError};
use crate::telemetry::{Kind, Span};
use crate::text::Digest;
use crate::workflow::{Dispatcher, LiveEnvironment};

/// The first wait after a failure; each next one is twice as long.
const FIRST_WAIT: Micros = 5_000_000;
/// The longest.
const LONGEST_WAIT: Micros = 15 * 60 * 1_000_000;
/// How long one process may be at it.
const LEASE_SECONDS: u32 = 900;

/// Keeps the subscriptions of an environment at what its triggers ask for.
#[derive(Debug)]
pub struct Subscriber {
    /// Where applications reach this server, such as `https://hooks.example.com`.
    pub public_url: String,
    /// What was live when each connector was last seen, to take back what the live generation no longer knows.
    before: BTreeMap<String, LiveEnvironment>,
    /// Failures in a row, by trigger and connection.
    failures: BTreeMap<(String, String), u32>,
}

/// A subscription that is asked for.
struct Wanted<'a> {
    trigger: &'a Trigger,
    connection: String,
    digest: String,
    event: String,
}

impl Subscriber {
    /// Nothing is known yet.
    pub fn new(public_url: String) -> Subscriber {
        Subscriber { public_url, before: BTreeMap::new(), failures: BTreeMap::new() }
    }

    /// Makes and removes what is missing and too much. Gives when to look again, where something failed.
    ///
    /// # Errors
    /// Where the store cannot be asked.
    pub async fn reconcile(
        &mut self,
        desk: &Dispatcher,
        environment: &str,
        live: &LiveEnvironment,
        triggers: &Triggers,
    ) -> Result<Option<Micros>, StoreError> {
        let wanted = self.wanted(live, triggers);
        for one in &wanted {
            let connector = one.event.split('/').next().unwrap_or_default().to_owned();
            self.before.insert(connector, live.clone());
        }
        let there = desk.store().subscriptions(environment).await?;
        if Subscriber::is_settled(&wanted, &there) {
            return Ok(None);
        }
        // One process at a time: two would ask twice.
        let lease = desk
            .store()
            .acquire_lease(&format!("subscriptions/{environment}"), &desk.settings().worker, LEASE_SECONDS)
            .await?;
        let Some(lease) = lease else { return Ok(Some(desk.now().saturating_add(FIRST_WAIT))) };
        let there = desk.store().subscriptions(environment).await?;
        let result = self.settle(desk, environment, live, &wanted, there).await;
        desk.store().release_lease(&lease).await?;
        result
    }

    fn wanted<'a>(&self, live: &LiveEnvironment, triggers: &'a Triggers) -> Vec<Wanted<'a>> {
        let mut wanted = Vec::new();
        for trigger in triggers.values().filter(|trigger| trigger.spec.active) {
            let TriggerKind::AppEvent(app) = &trigger.kind else { continue };
            let Some(subscribe) = app.event.webhook.as_ref().and_then(|webhook| webhook.subscribe.as_ref()) else {
                continue;
            };
            let content = json!([serde_json::to_value(subscribe).unwrap_or_default(), app.spec.event, self.public_url]);
            for connection in app.connections(&live.runtime) {
                wanted.push(Wanted {
                    trigger,
                    digest: Digest::of(content.to_string().as_bytes()).short(),
                    event: format!("{}/{}", app.spec.connector, app.spec.event),
                    connection,
                });
            }
        }
        wanted
    }

    fn is_settled(wanted: &[Wanted<'_>], there: &[Subscription]) -> bool {
        wanted.len() == there.len()
            && wanted.iter().all(|wanted| there.iter().any(|row| is_of(row, wanted) && is_done(row, wanted)))
    }

    async fn settle(
        &mut self,
        desk: &Dispatcher,
        environment: &str,
        live: &LiveEnvironment,
        wanted: &[Wanted<'_>],
        there: Vec<Subscription>,
    ) -> Result<Option<Micros>, StoreError> {
        let mut again: Option<Micros> = None;
        let now = desk.now();
        for row in &there {
            let still = wanted.iter().find(|wanted| is_of(row, wanted));
            let is_old = still
                .is_none_or(|wanted| row.digest != wanted.digest || row.status == SubscriptionStatus::Unsubscribing);
            if !is_old {
                continue;
            }
            if row.retry_at > now {
                again = Some(again.map_or(row.retry_at, |known| known.min(row.retry_at)));
            } else if let Some(retry) = self.take_back(desk, environment, live, row.clone()).await? {
                again = Some(again.map_or(retry, |known| known.min(retry)));
            }
        }
        let there = desk.store().subscriptions(environment).await?;
        for one in wanted {
            let row = there.iter().find(|row| is_of(row, one));
            match row {
                Some(row) if is_done(row, one) => {}
                // The old one is not taken back yet.
                Some(row) if row.status == SubscriptionStatus::Unsubscribing => {}
                Some(row) if row.retry_at > now => {
                    again = Some(again.map_or(row.retry_at, |known| known.min(row.retry_at)));
                }
                row => {
                    if let Some(retry) = self.ask(desk, environment, live, one, row.cloned()).await? {
                        again = Some(again.map_or(retry, |known| known.min(retry)));
                    }
                }
            }
        }
        Ok(again)
    }

    /// Asks for a subscription.
    async fn ask(
        &mut self,
        desk: &Dispatcher,
        environment: &str,
        live: &LiveEnvironment,
        wanted: &Wanted<'_>,
        row: Option<Subscription>,
    ) -> Result<Option<Micros>, StoreError> {
        let address = row.map(|row| row.address).filter(|address| !address.is_empty());
        let mut row = Subscription {
            trigger: wanted.trigger.name.clone(),
            connection: wanted.connection.clone(),
            status: SubscriptionStatus::Subscribing,
            address: address.unwrap_or_else(|| format!("{:032x}", rand::random::<u128>())),
            digest: wanted.digest.clone(),
            event: wanted.event.clone(),
            ..Subscription::default()
        };
        desk.store().put_subscription(environment, &row).await?;
        let url = format!("{}/hooks/{}/{}", self.public_url.trim_end_matches('/'), row.trigger, row.address);
        let answer = request(live, &row, "subscribe", &json!({"url": url, "id": Value::Null})).await;
        let key = (row.trigger.clone(), row.connection.clone());
        match answer {
            Ok(id) => {
                self.failures.remove(&key);
                row.status = SubscriptionStatus::Subscribed;
                row.external = match id {
                    Value::String(id) => id,
                    Value::Null => String::new(),
                    other => other.to_string(),
                };
                desk.store().put_subscription(environment, &row).await?;
                tracing::info!(environment, trigger = row.trigger, connection = row.connection, "subscribed");
                Ok(None)
            }
            Err(error) => self.failed(desk, environment, row, SubscriptionStatus::Failed, error).await,
        }
    }

    /// Takes a subscription back.
    async fn take_back(
        &mut self,
        desk: &Dispatcher,
        environment: &str,
        live: &LiveEnvironment,
        mut row: Subscription,
    ) -> Result<Option<Micros>, StoreError> {
        if row.status == SubscriptionStatus::Failed && row.external.is_empty() {
            // The application said no: there is nothing to take back.
            desk.store().remove_subscription(environment, &row.trigger, &row.connection).await?;
            return Ok(None);
        }
        let is_known = !row.external.is_empty();
        if row.status != SubscriptionStatus::Unsubscribing {
            row.status = SubscriptionStatus::Unsubscribing;
            desk.store().put_subscription(environment, &row).await?;
        }
        let connector = row.event.split('/').next().unwrap_or_default();
        // A connector that went with its trigger still knows how to end it.
        let knows = |live: &&LiveEnvironment| live.runtime.connectors.contains_key(connector);
        let before = self.before.get(connector).cloned();
        let from = Some(live).filter(knows).or(before.as_ref());
        let Some(from) = from else {
            tracing::error!(
                environment,
                trigger = row.trigger,
                subscription = row.external,
                "its connector is gone, so the subscription cannot be taken back; remove it at the application"
            );
            desk.store().remove_subscription(environment, &row.trigger, &row.connection).await?;
            return Ok(None);
        };
        let url = format!("{}/hooks/{}/{}", self.public_url.trim_end_matches('/'), row.trigger, row.address);
        match request(from, &row, "unsubscribe", &json!({"url": url, "id": row.external})).await {
            Ok(_) => {
                self.failures.remove(&(row.trigger.clone(), row.connection.clone()));
                desk.store().remove_subscription(environment, &row.trigger, &row.connection).await?;
                tracing::info!(environment, trigger = row.trigger, connection = row.connection, "unsubscribed");
                Ok(None)
            }
            // It was never told an id, and the application knows nothing by the address alone.
            Err(_) if !is_known => {
                desk.store().remove_subscription(environment, &row.trigger, &row.connection).await?;
                Ok(None)
            }
            Err(error) => self.failed(desk, environment, row, SubscriptionStatus::Unsubscribing, error).await,
        }
    }

    async fn failed(
        &mut self,
        desk: &Dispatcher,
        environment: &str,
        mut row: Subscription,
        status: SubscriptionStatus,
        error: String,
    ) -> Result<Option<Micros>, StoreError> {
        let failures = self.failures.entry((row.trigger.clone(), row.connection.clone())).or_insert(0);
        *failures = failures.saturating_add(1);
        let wait = FIRST_WAIT.saturating_mul(1 << (*failures - 1).min(12)).min(LONGEST_WAIT);
        tracing::warn!(environment, trigger = row.trigger, connection = row.connection, "subscription: {error}");
        (row.status, row.error) = (status, error);
        row.retry_at = desk.now().saturating_add(wait);
        desk.store().put_subscription(environment, &row).await?;
        Ok(Some(row.retry_at))
    }
}

fn is_of(row: &Subscription, wanted: &Wanted<'_>) -> bool {
    row.trigger == wanted.trigger.name && row.connection == wanted.connection
}

fn is_done(row: &Subscription, wanted: &Wanted<'_>) -> bool {
    row.digest == wanted.digest && row.status == SubscriptionStatus::Subscribed
}

/// Makes the connector's request; one that it does not declare is no request.
async fn request(
    live: &LiveEnvironment,
    row: &Subscription,
    verb: &str,
    subscription: &Value,
) -> Result<Value, String> {
    let (connector, event) = row.event.split_once('/').unwrap_or_default();
    let action = format!("{verb}:{event}");
    let span = Span::below("", Kind::Internal, format!("{verb} {}", row.trigger));
    let call = connector::Call {
        input: json!({}),
        tenant: Some(super::app::tenant_of(&live.runtime, &row.connection)).filter(|tenant| !tenant.is_empty()),
        connection: Some(row.connection.clone()).filter(|name| !name.is_empty()),
        request_id: format!("{verb}-{}", row.address),
        subscription: Some(subscription.clone()),
        trace: span.trace(),
        ..connector::Call::default()
    };
    let has =
        live.runtime.connectors.get(connector).is_some_and(|connector| connector.has_subscription_action(&action));
    if !has {
        return Ok(Value::Null);
    }
    let called = tokio::time::timeout(Duration::from_mins(1), live.actions.call(connector, &action, call)).await;
    match called {
        Ok(Ok(answer)) => Ok(answer),
        // It is gone already, which is what was asked for.
        Ok(Err(error)) if verb == "unsubscribe" && matches!(error.upstream_status, Some(404 | 410)) => Ok(Value::Null),
        Ok(Err(error)) => Err(error.detail),
        Err(_) => Err("no answer within a minute".to_owned()),
    }
}

/// The subscription of an address.
pub async fn of_address(
    desk: &Dispatcher,
    environment: &str,
    trigger: &str,
    address: &str,
) -> Result<Option<Subscription>, StoreError> {
    let rows = desk.store().subscriptions(environment).await?;
    let fits = |row: &Subscription| {
        row.trigger == trigger && crate::text::equal_in_constant_time(row.address.as_bytes(), address.as_bytes())
    };
    Ok(rows.into_iter().find(fits))
}
