//! Writes statuses: each resource's newest verdict, a few at a time, only where it changes something, and only by whoever leads.
//!
//! Every write carries the `resourceVersion` that the verdict was made for. Whoever was overtaken (a paused leader, or a
//! resource that changed meanwhile) is refused by the API server, and the watch brings what is true now.

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

/// The field manager of everything that the operator writes.
pub const MANAGER: &str = "evenkeel";
/// Writes at the same moment.
const AT_ONCE: usize = 8;
/// First wait after a failed write; it doubles up to a minute.
const FIRST_RETRY: Duration = Duration::from_millis(500);

/// Statuses that are to be written.
pub struct Writer {
    client: Client,
    resources: Arc<Resources>,
    metrics: Metrics,
    events: Events,
    wanted: Mutex<BTreeMap<Key, Verdict>>,
    failures: Mutex<HashMap<Key, u32>>,
    notify: Notify,
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writer").field("wanted", &lock(&self.wanted).len()).finish_non_exhaustive()
    }
}

impl Writer {
    /// Starts writing, while this process leads.
    pub fn start(
        client: Client,
        resources: Arc<Resources>,
        metrics: Metrics,
        events: Events,
        leads: watch::Receiver<bool>,
    ) -> Arc<Writer> {
        let writer = Arc::new(Writer {
            client,
            resources,
            metrics,
            events,
            wanted: Mutex::default(),
            failures: Mutex::default(),
            notify: Notify::new(),
        });
        let running = Arc::clone(&writer);
        tokio::spawn(async move { running.run(leads).await });
        writer
    }

    /// What became of a resource: replaces what was to be written of it.
    pub fn put(&self, key: Key, verdict: Verdict) {
        lock(&self.wanted).insert(key, verdict);
        self.notify.notify_one();
    }

    /// A resource is gone: there is nothing to write.
    pub fn forget(&self, key: &Key) {
        lock(&self.wanted).remove(key);
        lock(&self.failures).remove(key);
    }

    async fn run(self: Arc<Writer>, leads: watch::Receiver<bool>) {
        let free = Arc::new(Semaphore::new(AT_ONCE));
        loop {
            // The semaphore is never closed.
            let Ok(permit) = Arc::clone(&free).acquire_owned().await else { return };
            let next = lock(&self.wanted).pop_first();
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

    async fn write(self: &Arc<Writer>, key: Key, verdict: Verdict) {
        let Some(resource) = self.resources.get(&key) else { return };
        let Some(status) = render(&resource, &verdict, crate::reconcile::clock::now()) else { return };
        match self.patch(&resource, &status).await {
            Ok(()) => {
                self.metrics.cluster_written("ok");
                lock(&self.failures).remove(&key);
                self.events.of_transition(&resource, &status).await;
            }
            // Gone, or changed meanwhile: the watch says what is true now, and a verdict on that follows.
            Err(kube::Error::Api(answer)) if answer.code == 404 => self.metrics.cluster_written("gone"),
            Err(kube::Error::Api(answer)) if answer.code == 409 => {
                self.metrics.cluster_written("conflict");
                self.later(key, verdict, Duration::from_millis(100));
            }
            Err(error) => {
                self.metrics.cluster_written("failed");
                let failures = {
                    let mut failures = lock(&self.failures);
                    let count = failures.entry(key.clone()).or_default();
                    *count += 1;
                    *count
                };
                if failures == 1 {
                    // An object that its schema does not take any more cannot have a status: the event says it then.
                    self.events.of_transition(&resource, &status).await;
                    tracing::warn!(resource = %key, "its status cannot be written: {}", why(&error, &key));
                }
                let wait = FIRST_RETRY.saturating_mul(1 << failures.min(7)).min(Duration::from_mins(1));
                self.later(key, verdict, wait.mul_f64(0.8 + 0.4 * rand::random::<f64>()));
            }
        }
    }

    /// Tries again after a while, unless something newer is to be written by then.
    fn later(self: &Arc<Writer>, key: Key, verdict: Verdict, wait: Duration) {
        let writer = Arc::clone(self);
        tokio::spawn(async move {
            tokio::time::sleep(wait).await;
            lock(&writer.wanted).entry(key).or_insert(verdict);
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

fn why(error: &kube::Error, key: &Key) -> String {
    match error {
        kube::Error::Api(answer) if answer.code == 403 => {
            format!("the operator needs the verb `patch` for {}/status", key.kind.plural())
        }
        error => error.to_string(),
    }
}
