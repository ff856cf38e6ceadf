//! Writes statuses: the newest verdict of each resource, at most 8 at a time, only changes, and only on the leader.
//!
//! Every write carries the `resourceVersion` of its verdict. The API server rejects an outdated one (of a paused leader, or
//! of a resource that changed meanwhile), and the watch brings the current state.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kube::Client;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use tokio::sync::{Notify, Semaphore, watch};

use super::events::Events;
use super::resources::{Key, Resource, Resources, api, lock};
use super::status::{Verdict, render};
use crate::definition::API_VERSION;
use crate::telemetry::metrics::Metrics;

/// Field manager of the operator's writes.
pub const MANAGER: &str = "evenkeel";
/// Maximum number of concurrent writes.
const MAX_WRITES: usize = 8;
/// First delay after a failed write; it doubles up to a minute.
const FIRST_RETRY: Duration = Duration::from_millis(500);

/// The queue of statuses.
pub struct StatusWriter {
    client: Client,
    resources: Arc<Resources>,
    metrics: Metrics,
    events: Events,
    pending: Mutex<BTreeMap<Key, Verdict>>,
    failures: Mutex<HashMap<Key, Failures>>,
    notify: Notify,
}

/// Consecutive failed writes of one status.
#[derive(Debug, Default)]
struct Failures {
    count: u32,
    /// Reason of the last verdict that could not be written.
    reason: String,
}

impl Failures {
    /// Records a failed write. Returns the number of failures, and true if the verdict differs from the last one.
    fn record(&mut self, status: &Value) -> (u32, bool) {
        self.count = self.count.saturating_add(1);
        let reason = ready_reason(status);
        let is_new = self.count == 1 || self.reason != reason;
        self.reason = reason;
        (self.count, is_new)
    }
}

impl std::fmt::Debug for StatusWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StatusWriter").field("pending", &lock(&self.pending).len()).finish_non_exhaustive()
    }
}

impl StatusWriter {
    /// Starts the writer; it writes while this process leads.
    pub fn start(
        client: Client,
        resources: Arc<Resources>,
        metrics: Metrics,
        events: Events,
        leads: watch::Receiver<bool>,
    ) -> Arc<StatusWriter> {
        let writer = Arc::new(StatusWriter {
            client,
            resources,
            metrics,
            events,
            pending: Mutex::default(),
            failures: Mutex::default(),
            notify: Notify::new(),
        });
        let running = Arc::clone(&writer);
        tokio::spawn(async move { running.run(leads).await });
        writer
    }

    /// Queues a verdict; replaces the pending one of the resource.
    pub fn put(&self, key: Key, verdict: Verdict) {
        lock(&self.pending).insert(key, verdict);
        self.notify.notify_one();
    }

    /// Removes the pending verdict of a deleted resource.
    pub fn forget(&self, key: &Key) {
        lock(&self.pending).remove(key);
        lock(&self.failures).remove(key);
    }

    async fn run(self: Arc<StatusWriter>, leads: watch::Receiver<bool>) {
        let permits = Arc::new(Semaphore::new(MAX_WRITES));
        loop {
            // The semaphore is never closed.
            let Ok(permit) = Arc::clone(&permits).acquire_owned().await else { return };
            let next = lock(&self.pending).pop_first();
            let Some((key, verdict)) = next else {
                drop(permit);
                self.notify.notified().await;
                continue;
            };
            if !*leads.borrow() {
                continue;
            }
            let writer = Arc::clone(&self);
            tokio::spawn(async move {
                writer.write(key, verdict).await;
                drop(permit);
                writer.notify.notify_one();
            });
        }
    }

    async fn write(self: &Arc<StatusWriter>, key: Key, verdict: Verdict) {
        let Some(resource) = self.resources.get(&key) else { return };
        let Some(status) = render(&resource, &verdict, crate::reconcile::clock::now()) else { return };
        match self.patch(&resource, &status).await {
            Ok(()) => {
                self.metrics.cluster_written("ok");
                lock(&self.failures).remove(&key);
                self.events.publish_transition(&resource, &status).await;
            }
            // The resource is deleted or changed meanwhile; the watch brings its state, and a new verdict follows.
            Err(kube::Error::Api(response)) if response.code == 404 => self.metrics.cluster_written("gone"),
            Err(kube::Error::Api(response)) if response.code == 409 => {
                self.metrics.cluster_written("conflict");
                self.retry_later(key, verdict, Duration::from_millis(100));
            }
            Err(error) => {
                self.metrics.cluster_written("failed");
                let (failures, is_new) = lock(&self.failures).entry(key.clone()).or_default().record(&status);
                if is_new {
                    // The schema may no longer accept the object, and then it cannot have a status: the event reports the verdict,
                    // and each later one that differs.
                    self.events.publish_transition(&resource, &status).await;
                }
                if failures == 1 {
                    tracing::warn!(resource = %key, error = describe(&error, &key), "failed to write a status");
                }
                let delay = FIRST_RETRY.saturating_mul(1 << failures.min(7)).min(Duration::from_mins(1));
                self.retry_later(key, verdict, delay.mul_f64(0.8 + 0.4 * rand::random::<f64>()));
            }
        }
    }

    /// Queues a verdict again after a delay, unless a newer one is pending by then.
    fn retry_later(self: &Arc<StatusWriter>, key: Key, verdict: Verdict, delay: Duration) {
        let writer = Arc::clone(self);
        tokio::spawn(async move {
            tokio::time::sleep(delay).await;
            lock(&writer.pending).entry(key).or_insert(verdict);
            writer.notify.notify_one();
        });
    }

    async fn patch(&self, resource: &Resource, status: &Value) -> kube::Result<()> {
        let Key { kind, namespace, name } = &resource.key;
        let patch = json!({
            "apiVersion": API_VERSION,
            "kind": kind.as_str(),
            "metadata": {"name": name, "namespace": namespace, "resourceVersion": resource.version},
            "status": status
        });
        let params = PatchParams::apply(MANAGER).force();
        api(&self.client, *kind, Some(namespace)).patch_status(name, &params, &Patch::Apply(&patch)).await?;
        Ok(())
    }
}

/// Reason of the condition Ready.
fn ready_reason(status: &Value) -> String {
    let conditions = status["conditions"].as_array().into_iter().flatten();
    let ready = conditions.filter(|condition| condition["type"] == "Ready").find_map(|ready| ready["reason"].as_str());
    ready.unwrap_or_default().to_owned()
}

fn describe(error: &kube::Error, key: &Key) -> String {
    match error {
        kube::Error::Api(response) if response.code == 403 => {
            format!("the operator needs the verb `patch` for {}/status", key.kind.plural())
        }
        error => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_new_verdict_that_cannot_be_written_is_reported_once() {
        let status = |reason: &str| json!({"conditions": [{"type": "Ready", "reason": reason}]});
        let mut failures = Failures::default();
        let reported = ["HeldBack", "HeldBack", "InvalidDefinition", "InvalidDefinition", "Applied"]
            .map(|reason| failures.record(&status(reason)));
        assert_eq!(reported, [(1, true), (2, false), (3, true), (4, false), (5, true)]);
        assert_eq!(Failures::default().record(&json!({})), (1, true), "a status without conditions");
    }
}
