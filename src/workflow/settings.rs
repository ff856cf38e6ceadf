//! Settings of the workers of a process.

use std::time::Duration;

use super::engine::ScriptLimits;
use crate::store::queue::new_id;

/// Settings of the workers of a process.
#[derive(Clone, Debug)]
pub struct WorkerSettings {
    /// The unique name of the process.
    pub worker: String,
    /// Maximum number of concurrent executions (default: 64).
    pub concurrency: usize,
    /// Lease duration (default: 20 s). An execution whose lease is not renewed in time is reassigned.
    pub lease: Duration,
    /// Limits of a script.
    pub limits: ScriptLimits,
    /// Maximum duration of an attempt in real time. If omitted, only the timeouts of workflows apply.
    pub max_real_time: Option<Duration>,
    /// Retention of ended executions, and of events and logs (default: 30 days).
    pub retention: Duration,
}

impl Default for WorkerSettings {
    fn default() -> WorkerSettings {
        WorkerSettings {
            worker: new_id(),
            concurrency: 64,
            lease: Duration::from_secs(20),
            limits: ScriptLimits::default(),
            max_real_time: None,
            retention: Duration::from_hours(30 * 24),
        }
    }
}
