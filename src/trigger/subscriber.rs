//! Subscriptions: webhooks that are registered at applications while a trigger exists.
//!
//! A row is stored before and after each request. It holds the address that was registered and the application's id of
//! it. A trigger keeps its address, so that a repeated request registers the same one.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use super::app_event::tenant_of;
use super::compiled::{Trigger, TriggerKind, Triggers};
use crate::connector;
use crate::store::queue::{Subscription, SubscriptionStatus};
use crate::store::{Micros, StoreError};
use crate::telemetry::{Span, SpanKind, repetition};
use crate::text::Digest;
use crate::workflow::{Dispatcher, LiveEnvironment};

/// The delay after the first failure. It doubles with each further failure.
const INITIAL_RETRY_DELAY: Micros = 5_000_000;
/// The maximum delay after a failure.
const MAX_RETRY_DELAY: Micros = 15 * 60 * 1_000_000;
/// Lease duration of one reconciliation.
const LEASE_SECONDS: u32 = 900;

/// Reconciles the subscriptions of an environment with its triggers.
#[derive(Debug)]
pub struct Subscriber {
    /// The public base URL of this server, such as `https://hooks.example.com`.
    pub public_url: String,
    /// The environment as it was when each connector was last used, to unsubscribe after the live generation removed it.
    last_live: BTreeMap<String, LiveEnvironment>,
    /// Number of failures in a row by trigger and connection.
    failures: BTreeMap<(String, String), u32>,
}

/// A subscription that a trigger needs.
struct DesiredSubscription<'a> {
    trigger: &'a Trigger,
    connection: String,
    digest: String,
    event: String,
}

impl Subscriber {
    /// A subscriber for a public base URL.
    pub fn new(public_url: String) -> Subscriber {
        Subscriber { public_url, last_live: BTreeMap::new(), failures: BTreeMap::new() }
    }

    /// Adds missing subscriptions and removes unneeded ones. Returns the time of the next attempt if one failed.
    ///
    /// # Errors
    /// The store cannot be read or written.
    pub async fn reconcile(
        &mut self,
        dispatcher: &Dispatcher,
        environment: &str,
        live: &LiveEnvironment,
        triggers: &Triggers,
    ) -> Result<Option<Micros>, StoreError> {
        let desired = self.desired(live, triggers);
        for subscription in &desired {
            let connector = subscription.event.split('/').next().unwrap_or_default().to_owned();
            self.last_live.insert(connector, live.clone());
        }
        let rows = dispatcher.store().subscriptions(environment).await?;
        if Subscriber::is_settled(&desired, &rows) {
            return Ok(None);
        }
        // One process at a time; two would register twice.
        let lease = dispatcher
            .store()
            .acquire_lease(&format!("subscriptions/{environment}"), &dispatcher.settings().worker, LEASE_SECONDS)
            .await?;
        let Some(lease) = lease else { return Ok(Some(dispatcher.now().saturating_add(INITIAL_RETRY_DELAY))) };
        let rows = dispatcher.store().subscriptions(environment).await?;
        let result = self.settle(dispatcher, environment, live, &desired, rows).await;
        dispatcher.store().release_lease(&lease).await?;
        result
    }

    fn desired<'a>(&self, live: &LiveEnvironment, triggers: &'a Triggers) -> Vec<DesiredSubscription<'a>> {
        let mut desired = Vec::new();
        for trigger in triggers.values().filter(|trigger| trigger.spec.active) {
            let TriggerKind::AppEvent(app) = &trigger.kind else { continue };
            let Some(subscribe) = app.event.webhook.as_ref().and_then(|webhook| webhook.subscribe.as_ref()) else {
                continue;
            };
            let content = json!([serde_json::to_value(subscribe).unwrap_or_default(), app.spec.event, self.public_url]);
            for connection in app.connections(&live.runtime) {
                desired.push(DesiredSubscription {
                    trigger,
                    digest: Digest::of(content.to_string().as_bytes()).short(),
                    event: format!("{}/{}", app.spec.connector, app.spec.event),
                    connection,
                });
            }
        }
        desired
    }

    fn is_settled(desired: &[DesiredSubscription<'_>], rows: &[Subscription]) -> bool {
        let is_active = |desired: &DesiredSubscription<'_>| rows.iter().any(|row| is_active_row_of(row, desired));
        desired.len() == rows.len() && desired.iter().all(is_active)
    }

    async fn settle(
        &mut self,
        dispatcher: &Dispatcher,
        environment: &str,
        live: &LiveEnvironment,
        desired: &[DesiredSubscription<'_>],
        rows: Vec<Subscription>,
    ) -> Result<Option<Micros>, StoreError> {
        let mut next: Option<Micros> = None;
        let mut retry_at = |at: Micros| next = Some(next.map_or(at, |known| known.min(at)));
        let now = dispatcher.now();
        for row in &rows {
            let still = desired.iter().find(|desired| is_row_of(row, desired));
            let is_unneeded = still
                .is_none_or(|desired| row.digest != desired.digest || row.status == SubscriptionStatus::Unsubscribing);
            if !is_unneeded {
                continue;
            }
            if row.retry_at > now {
                retry_at(row.retry_at);
            } else if let Some(at) = self.unsubscribe(dispatcher, environment, live, row.clone()).await? {
                retry_at(at);
            }
        }
        let rows = dispatcher.store().subscriptions(environment).await?;
        for subscription in desired {
            match rows.iter().find(|row| is_row_of(row, subscription)) {
                Some(row) if is_active_row_of(row, subscription) => {}
                // The previous subscription has not been removed yet.
                Some(row) if row.status == SubscriptionStatus::Unsubscribing => {}
                Some(row) if row.retry_at > now => retry_at(row.retry_at),
                row => {
                    if let Some(at) = self.subscribe(dispatcher, environment, live, subscription, row.cloned()).await? {
                        retry_at(at);
                    }
                }
            }
        }
        Ok(next)
    }

    /// Registers a subscription at the application.
    async fn subscribe(
        &mut self,
        dispatcher: &Dispatcher,
        environment: &str,
        live: &LiveEnvironment,
        desired: &DesiredSubscription<'_>,
        row: Option<Subscription>,
    ) -> Result<Option<Micros>, StoreError> {
        let address = row.map(|row| row.address).filter(|address| !address.is_empty());
        let mut row = Subscription {
            trigger: desired.trigger.name.clone(),
            connection: desired.connection.clone(),
            status: SubscriptionStatus::Subscribing,
            address: address.unwrap_or_else(|| format!("{:032x}", rand::random::<u128>())),
            digest: desired.digest.clone(),
            event: desired.event.clone(),
            ..Subscription::default()
        };
        dispatcher.store().put_subscription(environment, &row).await?;
        let url = format!("{}/hooks/{}/{}", self.public_url.trim_end_matches('/'), row.trigger, row.address);
        let result = request(live, &row, "subscribe", &json!({"url": url, "id": Value::Null})).await;
        let key = (row.trigger.clone(), row.connection.clone());
        match result {
            Ok(id) => {
                self.failures.remove(&key);
                row.status = SubscriptionStatus::Subscribed;
                row.external = match id {
                    Value::String(id) => id,
                    Value::Null => String::new(),
                    other => other.to_string(),
                };
                dispatcher.store().put_subscription(environment, &row).await?;
                repetition::faults_ended(&fault_prefix(environment, &row));
                tracing::info!(environment, trigger = row.trigger, connection = row.connection, "subscribed");
                Ok(None)
            }
            Err(error) => self.failed(dispatcher, environment, row, SubscriptionStatus::Failed, error).await,
        }
    }

    /// Removes a subscription at the application.
    async fn unsubscribe(
        &mut self,
        dispatcher: &Dispatcher,
        environment: &str,
        live: &LiveEnvironment,
        mut row: Subscription,
    ) -> Result<Option<Micros>, StoreError> {
        if row.status == SubscriptionStatus::Failed && row.external.is_empty() {
            // The application rejected the registration: there is nothing to remove.
            dispatcher.store().remove_subscription(environment, &row.trigger, &row.connection).await?;
            return Ok(None);
        }
        let has_id = !row.external.is_empty();
        if row.status != SubscriptionStatus::Unsubscribing {
            row.status = SubscriptionStatus::Unsubscribing;
            dispatcher.store().put_subscription(environment, &row).await?;
        }
        let connector = row.event.split('/').next().unwrap_or_default();
        // If the connector was removed together with its trigger, its last version unsubscribes.
        let has_connector = |live: &&LiveEnvironment| live.runtime.connectors.contains_key(connector);
        let last = self.last_live.get(connector).cloned();
        let Some(source) = Some(live).filter(has_connector).or(last.as_ref()) else {
            tracing::error!(
                environment,
                trigger = row.trigger,
                subscription = row.external,
                "cannot unsubscribe: the connector was removed; delete the subscription at the application"
            );
            dispatcher.store().remove_subscription(environment, &row.trigger, &row.connection).await?;
            return Ok(None);
        };
        let url = format!("{}/hooks/{}/{}", self.public_url.trim_end_matches('/'), row.trigger, row.address);
        match request(source, &row, "unsubscribe", &json!({"url": url, "id": row.external})).await {
            Ok(_) => {
                self.failures.remove(&(row.trigger.clone(), row.connection.clone()));
                dispatcher.store().remove_subscription(environment, &row.trigger, &row.connection).await?;
                tracing::info!(environment, trigger = row.trigger, connection = row.connection, "unsubscribed");
                Ok(None)
            }
            // The application never returned an id, and cannot find the subscription by its address alone.
            Err(_) if !has_id => {
                dispatcher.store().remove_subscription(environment, &row.trigger, &row.connection).await?;
                Ok(None)
            }
            Err(error) => self.failed(dispatcher, environment, row, SubscriptionStatus::Unsubscribing, error).await,
        }
    }

    async fn failed(
        &mut self,
        dispatcher: &Dispatcher,
        environment: &str,
        mut row: Subscription,
        status: SubscriptionStatus,
        error: String,
    ) -> Result<Option<Micros>, StoreError> {
        let failures = self.failures.entry((row.trigger.clone(), row.connection.clone())).or_insert(0);
        *failures = failures.saturating_add(1);
        let delay = INITIAL_RETRY_DELAY.saturating_mul(1 << (*failures - 1).min(12)).min(MAX_RETRY_DELAY);
        let fault = format!("{}{error}", fault_prefix(environment, &row));
        if let Some(repetitions) = repetition::fault_occurred(&fault) {
            tracing::warn!(
                environment,
                trigger = row.trigger,
                connection = row.connection,
                error,
                repetitions,
                "subscription request failed"
            );
        }
        (row.status, row.error) = (status, error);
        row.retry_at = dispatcher.now().saturating_add(delay);
        dispatcher.store().put_subscription(environment, &row).await?;
        Ok(Some(row.retry_at))
    }
}

fn fault_prefix(environment: &str, row: &Subscription) -> String {
    format!("subscription {environment} {} {} ", row.trigger, row.connection)
}

fn is_row_of(row: &Subscription, desired: &DesiredSubscription<'_>) -> bool {
    row.trigger == desired.trigger.name && row.connection == desired.connection
}

fn is_active_row_of(row: &Subscription, desired: &DesiredSubscription<'_>) -> bool {
    is_row_of(row, desired) && row.digest == desired.digest && row.status == SubscriptionStatus::Subscribed
}

/// Sends the connector's subscribe or unsubscribe request. Sends nothing if the connector declares none.
async fn request(
    live: &LiveEnvironment,
    row: &Subscription,
    verb: &str,
    subscription: &Value,
) -> Result<Value, String> {
    let (connector, event) = row.event.split_once('/').unwrap_or_default();
    let action = format!("{verb}:{event}");
    let span = Span::child_of("", SpanKind::Internal, format!("{verb} {}", row.trigger));
    let call = connector::Call {
        input: json!({}),
        tenant: Some(tenant_of(&live.runtime, &row.connection)).filter(|tenant| !tenant.is_empty()),
        connection: Some(row.connection.clone()).filter(|name| !name.is_empty()),
        request_id: format!("{verb}-{}", row.address),
        subscription: Some(subscription.clone()),
        trace: span.traceparent(),
        ..connector::Call::default()
    };
    let is_declared =
        live.runtime.connectors.get(connector).is_some_and(|connector| connector.has_subscription_action(&action));
    if !is_declared {
        return Ok(Value::Null);
    }
    let result = tokio::time::timeout(Duration::from_mins(1), live.actions.call(connector, &action, call)).await;
    match result {
        Ok(Ok(output)) => Ok(output),
        // The subscription does not exist any more, which is the goal.
        Ok(Err(error)) if verb == "unsubscribe" && matches!(error.upstream_status, Some(404 | 410)) => Ok(Value::Null),
        Ok(Err(error)) => Err(error.detail),
        Err(_) => Err("no response within one minute".to_owned()),
    }
}

/// Finds the subscription of an address. Compares in constant time.
///
/// # Errors
/// The store cannot be read.
pub async fn find_subscription(
    dispatcher: &Dispatcher,
    environment: &str,
    trigger: &str,
    address: &str,
) -> Result<Option<Subscription>, StoreError> {
    let rows = dispatcher.store().subscriptions(environment).await?;
    let matches = |row: &Subscription| {
        row.trigger == trigger && crate::text::equal_in_constant_time(row.address.as_bytes(), address.as_bytes())
    };
    Ok(rows.into_iter().find(matches))
}
