//! Metrics of the process in the text format of OpenMetrics
//! (<https://prometheus.io/docs/specs/om/open_metrics_spec/>). All names start with `evenkeel_`.
//!
//! The number of label values is bounded: words of this program, and names of environments, of which at most
//! [`MAX_ENVIRONMENTS`] have series of their own; all others are counted as `other`.

mod family;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use self::family::{LabelledFamily, Labels, lock};
use crate::definition::Kind;
use crate::store::queue::QueueDepth;
use crate::text::Severity;

/// Maximum number of environments with series of their own.
pub const MAX_ENVIRONMENTS: usize = 100;
/// Label of all other environments.
const OTHER: &str = "other";
/// Maximum number of sources with a last applied commit, over all environments.
const MAX_SOURCES: usize = 1000;
/// Longest value of a label, in characters.
const MAX_LABEL: usize = 200;
/// Content type of [`Metrics::encode`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The metrics of the process. Cheap to clone; clones share their counters.
#[derive(Clone, Debug)]
pub struct Metrics(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    registry: Registry,
    environments: Mutex<BTreeSet<String>>,
    /// Labels of the last applied commit, by environment and source.
    applied: Mutex<BTreeMap<(String, String), Labels>>,
    reconcile_duration: LabelledFamily<Histogram>,
    reconcile: LabelledFamily<Counter>,
    commit_to_live: LabelledFamily<Histogram>,
    last_applied: LabelledFamily<Gauge>,
    generation: LabelledFamily<Gauge>,
    replica_generation: LabelledFamily<Gauge>,
    definitions: LabelledFamily<Gauge>,
    findings: LabelledFamily<Gauge>,
    drift_detected: LabelledFamily<Counter>,
    drift_objects: LabelledFamily<Gauge>,
    secrets_unresolved: LabelledFamily<Gauge>,
    connectors_unhealthy: LabelledFamily<Gauge>,
    prune_blocked: LabelledFamily<Counter>,
    conflict_loops: LabelledFamily<Counter>,
    history_rewritten: LabelledFamily<Counter>,
    cache_hits: LabelledFamily<Counter>,
    cache_misses: LabelledFamily<Counter>,
    queue_oldest: Gauge<f64, AtomicU64>,
    fetch: LabelledFamily<Counter>,
    fetch_duration: LabelledFamily<Histogram>,
    notifications: LabelledFamily<Counter>,
    webhooks: LabelledFamily<Counter>,
    denied: LabelledFamily<Counter>,
    cluster_writes: LabelledFamily<Counter>,
    store_writes: Counter,
    executions_open: LabelledFamily<Gauge>,
    executions_ready: LabelledFamily<Gauge>,
    executions_oldest: LabelledFamily<Gauge>,
    dead_letters: LabelledFamily<Gauge>,
    executions: LabelledFamily<Counter>,
    limit_refusals: LabelledFamily<Counter>,
    rate_limit_waits: LabelledFamily<Counter>,
    rate_limit_waiting: LabelledFamily<Gauge>,
}

/// A call that waits for a rate limit; it is counted until this is dropped.
#[derive(Debug)]
pub struct WaitingCall {
    metrics: Metrics,
    environment: String,
}

impl Drop for WaitingCall {
    fn drop(&mut self) {
        // The series of an environment that is gone meanwhile stay removed.
        if !lock(&self.metrics.0.environments).contains(&self.environment) && self.environment != OTHER {
            return;
        }
        let labels = self.metrics.labels(&self.environment, None);
        self.metrics.0.rate_limit_waiting.with(labels, |metric| {
            metric.dec();
        });
    }
}

impl Metrics {
    /// Metrics in a new registry, all zero.
    #[allow(clippy::too_many_lines, reason = "one registration for each metric")]
    pub fn new() -> Metrics {
        let mut registry = Registry::with_prefix("evenkeel");
        let build = Family::<Labels, Gauge>::default();
        build.get_or_create(&vec![("version", env!("CARGO_PKG_VERSION").to_owned())]).set(1);
        registry.register("build_info", "Version of this process", build);
        let (queue_oldest, store_writes) = (Gauge::default(), Counter::default());
        registry.register_with_unit(
            "queue_oldest",
            "Age of the oldest request or push notification that waits for a reconcile",
            Unit::Seconds,
            queue_oldest.clone(),
        );
        registry.register("store_writes", "Number of writes to the store", store_writes.clone());
        let seconds = Some(Unit::Seconds);
        let inner = Inner {
            environments: Mutex::default(),
            applied: Mutex::default(),
            reconcile_duration: LabelledFamily::new(
                &mut registry,
                "reconcile_duration",
                "Duration of reconciles",
                seconds.clone(),
            ),
            reconcile: LabelledFamily::new(
                &mut registry,
                "reconcile",
                "Number of finished reconciles, by result",
                None,
            ),
            commit_to_live: LabelledFamily::new(
                &mut registry,
                "commit_to_live",
                "Time from the commit until its definitions were live",
                seconds.clone(),
            ),
            last_applied: LabelledFamily::new(
                &mut registry,
                "last_applied_commit_info",
                "Commit that was applied last, by source",
                None,
            ),
            generation: LabelledFamily::new(&mut registry, "generation", "Number of the active generation", None),
            replica_generation: LabelledFamily::new(
                &mut registry,
                "replica_generation",
                "Number of the generation that this process serves",
                None,
            ),
            definitions: LabelledFamily::new(
                &mut registry,
                "definitions",
                "Number of definitions in the active generation, by kind",
                None,
            ),
            findings: LabelledFamily::new(
                &mut registry,
                "findings",
                "Number of findings in the last attempted revision, by severity",
                None,
            ),
            drift_detected: LabelledFamily::new(
                &mut registry,
                "drift_detected",
                "Number of times that drift was detected",
                None,
            ),
            drift_objects: LabelledFamily::new(
                &mut registry,
                "drift_objects",
                "Number of definitions that differ from the declared state",
                None,
            ),
            secrets_unresolved: LabelledFamily::new(
                &mut registry,
                "secrets_unresolved",
                "Number of secrets that definitions reference and that cannot be resolved",
                None,
            ),
            connectors_unhealthy: LabelledFamily::new(
                &mut registry,
                "connectors_unhealthy",
                "Number of connectors whose last probe failed",
                None,
            ),
            prune_blocked: LabelledFamily::new(
                &mut registry,
                "prune_blocked",
                "Number of removals that a guard stopped, by reason",
                None,
            ),
            conflict_loops: LabelledFamily::new(
                &mut registry,
                "conflict_loops",
                "Number of heals that another writer had made necessary again",
                None,
            ),
            history_rewritten: LabelledFamily::new(
                &mut registry,
                "history_rewritten",
                "Number of revisions that did not follow from the one before",
                None,
            ),
            cache_hits: LabelledFamily::new(&mut registry, "cache_hits", "Number of cache hits, by stage", None),
            cache_misses: LabelledFamily::new(&mut registry, "cache_misses", "Number of cache misses, by stage", None),
            fetch: LabelledFamily::new(&mut registry, "fetch", "Number of finished fetches, by result", None),
            fetch_duration: LabelledFamily::new(&mut registry, "fetch_duration", "Duration of fetches", seconds),
            notifications: LabelledFamily::new(
                &mut registry,
                "notifications",
                "Number of notifications and commit statuses, by result",
                None,
            ),
            cluster_writes: LabelledFamily::new(
                &mut registry,
                "cluster_status_writes",
                "Number of statuses written to the API server, by result",
                None,
            ),
            denied: LabelledFamily::new(
                &mut registry,
                "denied_requests",
                "Number of requests that were denied, by the code of the error",
                None,
            ),
            webhooks: LabelledFamily::new(&mut registry, "webhooks", "Number of received webhooks, by result", None),
            executions_open: LabelledFamily::new(
                &mut registry,
                "executions_open",
                "Number of executions that run or wait",
                None,
            ),
            executions_ready: LabelledFamily::new(
                &mut registry,
                "executions_ready",
                "Number of executions that are ready and wait for a worker",
                None,
            ),
            executions_oldest: LabelledFamily::new(
                &mut registry,
                "executions_oldest",
                "Age of the execution that has waited for a worker the longest",
                Some(Unit::Seconds),
            ),
            dead_letters: LabelledFamily::new(
                &mut registry,
                "dead_letters",
                "Number of dead letters that wait for a replay",
                None,
            ),
            executions: LabelledFamily::new(
                &mut registry,
                "executions",
                "Number of executions that this process finished, by status",
                None,
            ),
            limit_refusals: LabelledFamily::new(
                &mut registry,
                "limit_refusals",
                "Number of calls, executions and writes of state that a rate limit or quota refused, by limit",
                None,
            ),
            rate_limit_waits: LabelledFamily::new(
                &mut registry,
                "rate_limit_waits",
                "Number of calls that requested units of a rate limit from the store",
                None,
            ),
            rate_limit_waiting: LabelledFamily::new(
                &mut registry,
                "rate_limit_waiting",
                "Number of calls that wait for the rate limit of their connector",
                None,
            ),
            queue_oldest,
            store_writes,
            registry,
        };
        Metrics(Arc::new(inner))
    }

    /// All metrics as OpenMetrics text ([`CONTENT_TYPE`]).
    pub fn encode(&self) -> String {
        let mut text = String::new();
        // Writing to memory fails only if the encoding of a metric does; the text is cut then, with a comment.
        if prometheus_client::encoding::text::encode(&mut text, &self.0.registry).is_err() {
            let _ = writeln!(text, "# not all metrics could be written");
        }
        text
    }

    /// Counts a finished reconcile with a result such as `applied`, `unchanged` or `failed`.
    pub fn reconciled(&self, environment: &str, result: &'static str, took: Duration) {
        let labels = vec![("environment", self.environment(environment)), ("result", result.to_owned())];
        self.0.reconcile_duration.with(labels.clone(), |metric| metric.observe(took.as_secs_f64()));
        self.0.reconcile.with(labels, Counter::inc);
    }

    /// Records the time from a commit until its definitions were live.
    pub fn went_live(&self, environment: &str, since_commit: Duration) {
        let labels = vec![("environment", self.environment(environment))];
        self.0.commit_to_live.with(labels, |metric| metric.observe(since_commit.as_secs_f64()));
    }

    /// Records the last applied revision of a source in place of the one before.
    pub fn applied(&self, environment: &str, source: &str, revision: &str) {
        let environment = self.environment(environment);
        let cut = |text: &str| text.chars().take(MAX_LABEL).collect::<String>();
        let key = (environment.clone(), cut(source));
        let labels = vec![("environment", environment), ("source", key.1.clone()), ("revision", cut(revision))];
        let mut applied = lock(&self.0.applied);
        if applied.len() >= MAX_SOURCES && !applied.contains_key(&key) {
            return;
        }
        if let Some(before) = applied.insert(key, labels.clone()).filter(|before| *before != labels) {
            self.0.last_applied.remove(&before);
        }
        self.0.last_applied.with(labels, |metric| metric.set(1));
    }

    /// Records the number of the active generation.
    pub fn generation(&self, environment: &str, number: u64) {
        self.set(&self.0.generation, environment, None, number);
    }

    /// Records the number of the generation that this process serves.
    pub fn replica_generation(&self, environment: &str, number: u64) {
        self.set(&self.0.replica_generation, environment, None, number);
    }

    /// Records the number of definitions of a kind in the active generation.
    pub fn definitions(&self, environment: &str, kind: Kind, count: usize) {
        self.set(&self.0.definitions, environment, Some(("kind", kind.as_str())), count as u64);
    }

    /// Records the number of findings of a severity in the last attempted revision.
    pub fn findings(&self, environment: &str, severity: Severity, count: usize) {
        let word = match severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        self.set(&self.0.findings, environment, Some(("severity", word)), count as u64);
    }

    /// Counts drift of one definition.
    pub fn drift_detected(&self, environment: &str) {
        self.count(&self.0.drift_detected, environment, None);
    }

    /// Records the number of definitions that differ from the declared state.
    pub fn drift_objects(&self, environment: &str, count: usize) {
        self.set(&self.0.drift_objects, environment, None, count as u64);
    }

    /// Records the number of secrets that definitions reference and that cannot be resolved.
    pub fn secrets_unresolved(&self, environment: &str, count: usize) {
        self.set(&self.0.secrets_unresolved, environment, None, count as u64);
    }

    /// Records the number of connectors whose last probe failed.
    pub fn connectors_unhealthy(&self, environment: &str, count: usize) {
        self.set(&self.0.connectors_unhealthy, environment, None, count as u64);
    }

    /// Counts a removal that a guard stopped.
    pub fn prune_blocked(&self, environment: &str, reason: &str) {
        self.count(&self.0.prune_blocked, environment, Some(("reason", reason)));
    }

    /// Counts a heal that another writer made necessary again.
    pub fn conflict_loop(&self, environment: &str) {
        self.count(&self.0.conflict_loops, environment, None);
    }

    /// Counts cache hits and misses of a stage: `parse`, `check` or `compile`.
    pub fn cache(&self, stage: &'static str, hits: u64, misses: u64) {
        let labels = vec![("stage", stage.to_owned())];
        self.0.cache_hits.with(labels.clone(), |metric| metric.inc_by(hits));
        self.0.cache_misses.with(labels, |metric| metric.inc_by(misses));
    }

    /// Records the age of the oldest request or push notification that waits; zero if none does.
    pub fn queue_oldest(&self, age: Duration) {
        self.0.queue_oldest.set(age.as_secs_f64());
    }

    /// Records the executions that wait for workers, and the dead letters.
    pub fn queue_depth(&self, environment: &str, depth: &QueueDepth) {
        let inner = &self.0;
        for (family, value) in [
            (&inner.executions_open, depth.open),
            (&inner.executions_ready, depth.ready),
            (&inner.executions_oldest, depth.oldest / 1_000_000),
            (&inner.dead_letters, depth.dead_letters),
        ] {
            self.set(family, environment, None, u64::try_from(value).unwrap_or(0));
        }
    }

    /// Counts a finished execution by its status.
    pub fn execution(&self, environment: &str, status: &'static str) {
        self.count(&self.0.executions, environment, Some(("status", status)));
    }

    /// Counts a call, an execution or a write of state that a limit refused: `rateLimit`, `concurrency`, or the field of a
    /// quota.
    pub fn refused_by_limit(&self, environment: &str, limit: &str) {
        self.count(&self.0.limit_refusals, environment, Some(("limit", limit)));
    }

    /// Counts a call that waits for the rate limit of its connector, until the result is dropped.
    pub fn waiting_for_limit(&self, environment: &str) -> WaitingCall {
        self.count(&self.0.rate_limit_waits, environment, None);
        self.0.rate_limit_waiting.with(self.labels(environment, None), |metric| {
            metric.inc();
        });
        WaitingCall { metrics: self.clone(), environment: self.environment(environment) }
    }

    /// Counts a finished fetch: `ok` or `failed`.
    pub fn fetched(&self, environment: &str, result: &'static str, took: Duration) {
        self.count(&self.0.fetch, environment, Some(("result", result)));
        let labels = vec![("environment", self.environment(environment))];
        self.0.fetch_duration.with(labels, |metric| metric.observe(took.as_secs_f64()));
    }

    /// Counts a notification or commit status: `delivered`, `failed`, `dropped` or `duplicate`.
    pub fn notified(&self, result: &'static str) {
        self.0.notifications.with(vec![("result", result.to_owned())], Counter::inc);
    }

    /// Counts a received webhook. Anyone can send one, so environments without other metrics count as `other`.
    pub fn webhook(&self, environment: &str, result: &'static str) {
        let known = lock(&self.0.environments).contains(environment);
        let environment = if known { environment } else { OTHER }.to_owned();
        let labels = vec![("environment", environment), ("result", result.to_owned())];
        self.0.webhooks.with(labels, Counter::inc);
    }

    /// Counts a request that was denied, by the code of the error.
    pub fn denied(&self, code: &str) {
        self.0.denied.with(vec![("code", code.to_owned())], Counter::inc);
    }

    /// Counts a write of the status of a resource: `ok`, `conflict`, `gone` or `failed`.
    pub fn cluster_written(&self, result: &'static str) {
        self.0.cluster_writes.with(vec![("result", result.to_owned())], Counter::inc);
    }

    /// Counts a revision that does not follow from the one before.
    pub fn history_rewritten(&self, environment: &str) {
        self.count(&self.0.history_rewritten, environment, None);
    }

    /// Records the total number of writes to the store.
    pub fn store_writes(&self, total: u64) {
        self.0.store_writes.inner().store(total, std::sync::atomic::Ordering::Relaxed);
    }

    /// Removes all series of an environment that no longer exists.
    pub fn forget(&self, environment: &str) {
        if !lock(&self.0.environments).remove(environment) {
            return;
        }
        let inner = &*self.0;
        lock(&inner.applied).retain(|(known, _), _| known != environment);
        for family in [&inner.reconcile_duration, &inner.commit_to_live, &inner.fetch_duration] {
            family.forget(environment);
        }
        for family in [
            &inner.reconcile,
            &inner.drift_detected,
            &inner.prune_blocked,
            &inner.conflict_loops,
            &inner.history_rewritten,
            &inner.fetch,
            &inner.webhooks,
            &inner.executions,
            &inner.limit_refusals,
            &inner.rate_limit_waits,
        ] {
            family.forget(environment);
        }
        for family in [
            &inner.last_applied,
            &inner.generation,
            &inner.replica_generation,
            &inner.definitions,
            &inner.findings,
            &inner.executions_open,
            &inner.executions_ready,
            &inner.executions_oldest,
            &inner.dead_letters,
            &inner.drift_objects,
            &inner.secrets_unresolved,
            &inner.connectors_unhealthy,
            &inner.rate_limit_waiting,
        ] {
            family.forget(environment);
        }
    }

    /// Label of an environment.
    fn environment(&self, name: &str) -> String {
        let mut known = lock(&self.0.environments);
        if known.contains(name) {
            return name.to_owned();
        }
        if known.len() >= MAX_ENVIRONMENTS || name.chars().count() > MAX_LABEL {
            return OTHER.to_owned();
        }
        known.insert(name.to_owned());
        name.to_owned()
    }

    fn labels(&self, environment: &str, more: Option<(&'static str, &str)>) -> Labels {
        let more = more.map(|(name, value)| (name, value.to_owned()));
        std::iter::once(("environment", self.environment(environment))).chain(more).collect()
    }

    fn set(&self, family: &LabelledFamily<Gauge>, environment: &str, more: Option<(&'static str, &str)>, value: u64) {
        let value = i64::try_from(value).unwrap_or(i64::MAX);
        family.with(self.labels(environment, more), |metric| metric.set(value));
    }

    fn count(&self, family: &LabelledFamily<Counter>, environment: &str, more: Option<(&'static str, &str)>) {
        family.with(self.labels(environment, more), Counter::inc);
    }
}

impl Default for Metrics {
    fn default() -> Metrics {
        Metrics::new()
    }
}
