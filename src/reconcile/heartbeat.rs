//! Signs of life of the loop of an environment.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A sign of life, which `/healthz` reads.
#[derive(Debug)]
pub struct Heartbeat {
    start: Instant,
    seconds: AtomicU64,
    waiting_since: AtomicU64,
}

impl Default for Heartbeat {
    fn default() -> Self {
        Heartbeat { start: Instant::now(), seconds: AtomicU64::new(0), waiting_since: AtomicU64::new(u64::MAX) }
    }
}

impl Heartbeat {
    /// Records that the loop is alive.
    pub fn tick(&self) {
        self.seconds.store(self.start.elapsed().as_secs(), Ordering::Relaxed);
    }

    /// Time since the last sign of life.
    pub fn age(&self) -> Duration {
        Duration::from_secs(self.start.elapsed().as_secs().saturating_sub(self.seconds.load(Ordering::Relaxed)))
    }

    /// Records that a request arrived, unless an older one waits.
    pub(super) fn queued(&self) {
        let now = self.start.elapsed().as_millis() as u64;
        let _ = self.waiting_since.compare_exchange(u64::MAX, now, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// Records that the loop took the waiting requests.
    pub(super) fn taken(&self) {
        self.waiting_since.store(u64::MAX, Ordering::Relaxed);
    }

    /// Age of the oldest request that waits; zero if none does.
    pub fn oldest(&self) -> Duration {
        match self.waiting_since.load(Ordering::Relaxed) {
            u64::MAX => Duration::ZERO,
            since => Duration::from_millis((self.start.elapsed().as_millis() as u64).saturating_sub(since)),
        }
    }
}
