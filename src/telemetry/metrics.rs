//! What is measured, in OpenMetrics' text (<https://prometheus.io/docs/specs/om/open_metrics_spec/>). All names start with `evenkeel_`.
//!
//! Labels have few values: words of this program, and names of environments, of which at most [`MAX_ENVIRONMENTS`] are
//! told apart; all others are counted under `other`.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Metric, Registry, Unit};

use crate::definition::Kind;
use crate::store::queue::QueueDepth;
use crate::text::Severity;

/// Environments that have numbers of their own.
pub const MAX_ENVIRONMENTS: usize = 100;
/// The label of all others.
const OTHER: &str = "other";
/// Sources whose last commit is told, over all environments.
const MAX_SOURCES: usize = 1000;
/// Longest value of a label, in characters.
const MAX_LABEL: usize = 200;
/// The content type of [`Metrics::encode`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Everything that is measured. Cheap to clone; clones count together.
#[derive(Clone, Debug)]
pub struct Metrics(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    registry: Registry,
    environments: Mutex<BTreeSet<String>>,
    /// The labels of what was last applied, by environment and source.
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
    cluster_writes: LabelledFamily<Counter>,
    store_writes: Counter,
    executions_open: LabelledFamily<Gauge>,
    executions_ready: LabelledFamily<Gauge>,
    executions_oldest: LabelledFamily<Gauge>,
    dead_letters: LabelledFamily<Gauge>,
    executions: LabelledFamily<Counter>,
}

type Labels = Vec<(&'static str, String)>;

impl Metrics {
    /// A registry of its own, with everything at nothing.
    pub fn new() -> Metrics {
        let mut to = Registry::with_prefix("evenkeel");
        let build = Family::<Labels, Gauge>::default();
        build.get_or_create(&vec![("version", env!("CARGO_PKG_VERSION").to_owned())]).set(1);
        to.register("build_info", "The version that runs", build);
        let (queue_oldest, store_writes) = (Gauge::default(), Counter::default());
        to.register_with_unit(
            "queue_oldest",
            "Age of what has waited longest to be reconciled",
            Unit::Seconds,
            queue_oldest.clone(),
        );
        to.register("store_writes", "Writes to the store", store_writes.clone());
        let seconds = Some(Unit::Seconds);
        let inner = Inner {
            environments: Mutex::default(),
            applied: Mutex::default(),
            reconcile_duration: LabelledFamily::new(
                &mut to,
                "reconcile_duration",
                "From start to end of one reconcile",
                seconds.clone(),
            ),
            reconcile: LabelledFamily::new(&mut to, "reconcile", "Reconciles that ended", None),
            commit_to_live: LabelledFamily::new(
                &mut to,
                "commit_to_live",
                "From the commit's time until it was live",
                seconds.clone(),
            ),
            last_applied: LabelledFamily::new(
                &mut to,
                "last_applied_commit_info",
                "What was applied last, by source",
                None,
            ),
            generation: LabelledFamily::new(&mut to, "generation", "The active generation", None),
            replica_generation: LabelledFamily::new(
                &mut to,
                "replica_generation",
                "The generation that this process serves",
                None,
            ),
            definitions: LabelledFamily::new(&mut to, "definitions", "Definitions of the active generation", None),
            findings: LabelledFamily::new(&mut to, "findings", "Findings of the last attempt", None),
            drift_detected: LabelledFamily::new(&mut to, "drift_detected", "Times that drift was found", None),
            drift_objects: LabelledFamily::new(
                &mut to,
                "drift_objects",
                "Definitions that differ from what is declared",
                None,
            ),
            prune_blocked: LabelledFamily::new(&mut to, "prune_blocked", "Removals that a guard stopped", None),
            conflict_loops: LabelledFamily::new(&mut to, "fights", "Times that someone else undid what was applied", None),
            history_rewritten: LabelledFamily::new(
                &mut to,
                "history_rewritten",
                "Revisions that do not follow from those before",
                None,
            ),
            cache_hits: LabelledFamily::new(&mut to, "cache_hits", "Work that was not done again", None),
            cache_misses: LabelledFamily::new(&mut to, "cache_misses", "Work that was done", None),
            fetch: LabelledFamily::new(&mut to, "fetch", "Fetches that ended", None),
            fetch_duration: LabelledFamily::new(&mut to, "fetch_duration", "From start to end of one fetch", seconds),
            notifications: LabelledFamily::new(&mut to, "notifications", "Notifications and commit statuses", None),
            cluster_writes: LabelledFamily::new(
                &mut to,
                "cluster_status_writes",
                "Statuses written to the API server",
                None,
            ),
            webhooks: LabelledFamily::new(&mut to, "webhooks", "Webhooks that were received", None),
            executions_open: LabelledFamily::new(&mut to, "executions_open", "Executions that run or wait", None),
            executions_ready: LabelledFamily::new(
                &mut to,
                "executions_ready",
                "Executions that wait for a worker",
                None,
            ),
            executions_oldest: LabelledFamily::new(
                &mut to,
                "executions_oldest",
                "Age of the execution that has waited longest for a worker",
                Some(Unit::Seconds),
            ),
            dead_letters: LabelledFamily::new(&mut to, "dead_letters", "Dead letters that wait for a replay", None),
            executions: LabelledFamily::new(&mut to, "executions", "Executions that ended here, by status", None),
            queue_oldest,
            store_writes,
            registry: to,
        };
        Metrics(Arc::new(inner))
    }

    /// All that was measured, as OpenMetrics text ([`CONTENT_TYPE`]).
    pub fn encode(&self) -> String {
        let mut text = String::new();
        // Writing to memory fails only where a metric's own encoding does; then what there is is cut, and says so.
        if prometheus_client::encoding::text::encode(&mut text, &self.0.registry).is_err() {
            let _ = writeln!(text, "# not all metrics could be written");
        }
        text
    }

    /// A reconcile ended, as a word such as `applied`, `unchanged` or `failed` says.
    pub fn reconciled(&self, environment: &str, result: &'static str, took: Duration) {
        let labels = vec![("environment", self.environment(environment)), ("result", result.to_owned())];
        self.0.reconcile_duration.with(labels.clone(), |metric| metric.observe(took.as_secs_f64()));
        self.0.reconcile.with(labels, Counter::inc);
    }

    /// A commit went live, so long after it was made.
    pub fn went_live(&self, environment: &str, since_commit: Duration) {
        let labels = vec![("environment", self.environment(environment))];
        self.0.commit_to_live.with(labels, |metric| metric.observe(since_commit.as_secs_f64()));
    }

    /// What was applied last from a source; replaces what was before.
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

    /// The active generation's number.
    pub fn generation(&self, environment: &str, number: u64) {
        self.set(&self.0.generation, environment, None, number);
    }

    /// The number of the generation that this process serves.
    pub fn replica_generation(&self, environment: &str, number: u64) {
        self.set(&self.0.replica_generation, environment, None, number);
    }

    /// How many definitions of a kind the active generation has.
    pub fn definitions(&self, environment: &str, kind: Kind, count: usize) {
        self.set(&self.0.definitions, environment, Some(("kind", kind.as_str())), count as u64);
    }

    /// How many findings of a severity the last attempt had.
    pub fn findings(&self, environment: &str, severity: Severity, count: usize) {
        let word = match severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        self.set(&self.0.findings, environment, Some(("severity", word)), count as u64);
    }

    /// Drift was found.
    pub fn drift_detected(&self, environment: &str) {
        self.count(&self.0.drift_detected, environment, None);
    }

    /// How many definitions differ from what is declared; 0 where they were healed.
    pub fn drift_objects(&self, environment: &str, count: usize) {
        self.set(&self.0.drift_objects, environment, None, count as u64);
    }

    /// A guard stopped a removal.
    pub fn prune_blocked(&self, environment: &str, reason: &str) {
        self.count(&self.0.prune_blocked, environment, Some(("reason", reason)));
    }

    /// Someone else undid what was applied.
    pub fn conflict_loop(&self, environment: &str) {
        self.count(&self.0.conflict_loops, environment, None);
    }

    /// How much of a stage (`read`, `parse`, `check`, `compile`, `store`) was known already, and how much was not.
    pub fn cache(&self, stage: &'static str, hits: u64, misses: u64) {
        let labels = vec![("stage", stage.to_owned())];
        self.0.cache_hits.with(labels.clone(), |metric| metric.inc_by(hits));
        self.0.cache_misses.with(labels, |metric| metric.inc_by(misses));
    }

    /// The age of what has waited longest; nothing where nothing waits.
    pub fn queue_oldest(&self, age: Duration) {
        self.0.queue_oldest.set(age.as_secs_f64());
    }

    /// What waits for workers, and what nobody could work on.
    pub fn work(&self, environment: &str, depth: &QueueDepth) {
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

    /// An execution ended, with a status.
    pub fn execution(&self, environment: &str, status: &'static str) {
        self.count(&self.0.executions, environment, Some(("status", status)));
    }

    /// A fetch ended, as a word such as `changed`, `unchanged` or the reason of its failure says.
    pub fn fetched(&self, environment: &str, result: &'static str, took: Duration) {
        self.count(&self.0.fetch, environment, Some(("result", result)));
        let labels = vec![("environment", self.environment(environment))];
        self.0.fetch_duration.with(labels, |metric| metric.observe(took.as_secs_f64()));
    }

    /// A notification or commit status was `delivered`, `failed`, `dropped` or a `duplicate`.
    pub fn notified(&self, result: &'static str) {
        self.0.notifications.with(vec![("result", result.to_owned())], Counter::inc);
    }

    /// A webhook was received. Anyone can send one: names of environments that nothing else has named count as `other`.
    pub fn webhook(&self, environment: &str, result: &'static str) {
        let known = lock(&self.0.environments).contains(environment);
        let environment = if known { environment } else { OTHER }.to_owned();
        let labels = vec![("environment", environment), ("result", result.to_owned())];
        self.0.webhooks.with(labels, Counter::inc);
    }

    /// The status of a resource was written: `ok`, `conflict`, `gone` or `failed`.
    pub fn cluster_written(&self, result: &'static str) {
        self.0.cluster_writes.with(vec![("result", result.to_owned())], Counter::inc);
    }

    /// A source holds a history that does not follow from what was there before.
    pub fn history_rewritten(&self, environment: &str) {
        self.count(&self.0.history_rewritten, environment, None);
    }

    /// So many writes to the store.
    pub fn store_writes(&self, total: u64) {
        self.0.store_writes.inner().store(total, std::sync::atomic::Ordering::Relaxed);
    }

    /// An environment is gone, and with it everything that was measured of it.
    pub fn forget(&self, environment: &str) {
        if !lock(&self.0.environments).remove(environment) {
            return;
        }
        let inner = &*self.0;
        lock(&inner.applied).retain(|(of, _), _| of != environment);
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
        ] {
            family.forget(environment);
        }
    }

    /// The label of an environment.
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

/// A metric by labels, which remembers them: the library has no way to remove what has one label of several.
#[derive(Debug)]
struct LabelledFamily<M> {
    family: Family<Labels, M, Make>,
    known: Mutex<BTreeSet<Labels>>,
}

/// How one is made.
#[derive(Clone, Copy, Debug)]
struct Make;

impl MetricConstructor<Counter> for Make {
    fn new_metric(&self) -> Counter {
        Counter::default()
    }
}

impl MetricConstructor<Gauge> for Make {
    fn new_metric(&self) -> Gauge {
        Gauge::default()
    }
}

impl MetricConstructor<Histogram> for Make {
    /// From 5 ms to an hour: a no-op reconcile, and a commit that lay in a queue.
    fn new_metric(&self) -> Histogram {
        Histogram::new([
            0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0, 3600.0,
        ])
    }
}

impl<M: Clone> LabelledFamily<M>
where
    Make: MetricConstructor<M>,
{
    fn new(registry: &mut Registry, name: &str, help: &str, unit: Option<Unit>) -> LabelledFamily<M>
    where
        Family<Labels, M, Make>: Metric,
    {
        let family = Family::new_with_constructor(Make);
        match unit {
            Some(unit) => registry.register_with_unit(name, help, unit, family.clone()),
            None => registry.register(name, help, family.clone()),
        }
        LabelledFamily { family, known: Mutex::default() }
    }

    fn with<T>(&self, labels: Labels, change: impl FnOnce(&M) -> T) {
        // Held throughout, so that one that is just removed does not come back unremembered.
        let mut known = lock(&self.known);
        change(&*self.family.get_or_create(&labels));
        known.insert(labels);
    }

    fn remove(&self, labels: &Labels) {
        lock(&self.known).remove(labels);
        self.family.remove(labels);
    }

    fn forget(&self, environment: &str) {
        lock(&self.known).retain(|labels| {
            let goes = labels.iter().any(|(name, value)| *name == "environment" && value == environment);
            if goes {
                self.family.remove(labels);
            }
            !goes
        });
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Counting goes on after a panic elsewhere: numbers that are one off are better than none.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
