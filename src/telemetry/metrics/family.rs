//! Metric families whose series can be removed by one of their labels.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Metric, Registry, Unit};

/// Names and values of labels.
pub(super) type Labels = Vec<(&'static str, String)>;

/// A metric family that remembers its labels, as the library cannot remove series by one label of several.
#[derive(Debug)]
pub(super) struct LabelledFamily<M> {
    family: Family<Labels, M, Make>,
    known: Mutex<BTreeSet<Labels>>,
}

/// Constructor of metrics.
#[derive(Clone, Copy, Debug)]
pub(super) struct Make;

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
    pub(super) fn new(registry: &mut Registry, name: &str, help: &str, unit: Option<Unit>) -> LabelledFamily<M>
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

    pub(super) fn with<T>(&self, labels: Labels, change: impl FnOnce(&M) -> T) {
        // Held throughout, so that one that is just removed does not come back unremembered.
        let mut known = lock(&self.known);
        change(&*self.family.get_or_create(&labels));
        known.insert(labels);
    }

    pub(super) fn remove(&self, labels: &Labels) {
        lock(&self.known).remove(labels);
        self.family.remove(labels);
    }

    pub(super) fn forget(&self, environment: &str) {
        lock(&self.known).retain(|labels| {
            let goes = labels.iter().any(|(name, value)| *name == "environment" && value == environment);
            if goes {
                self.family.remove(labels);
            }
            !goes
        });
    }
}

/// The content of a mutex. Counting goes on after a panic elsewhere: numbers that are one off are better than none.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
