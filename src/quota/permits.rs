//! Permits for concurrent calls of a connector in this process.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::refusal::Refusal;

/// Time after which a refused caller may try again: a call may end at any time.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The permit of one concurrent call; freed when it is dropped.
#[derive(Debug)]
pub struct Permit {
    _held: OwnedSemaphorePermit,
}

/// The permits of one name.
#[derive(Debug)]
pub(super) struct Permits {
    limit: u32,
    free: Arc<Semaphore>,
    waiting: AtomicUsize,
}

impl Permits {
    pub(super) fn new(limit: u32) -> Arc<Permits> {
        let free = Arc::new(Semaphore::new(limit as usize));
        Arc::new(Permits { limit, free, waiting: AtomicUsize::new(0) })
    }

    pub(super) fn has_limit(&self, limit: u32) -> bool {
        self.limit == limit
    }

    pub(super) fn is_in_use(&self) -> bool {
        self.free.available_permits() < self.limit as usize
    }

    /// A permit, in the order of the requests.
    pub(super) async fn acquire(&self, deadline: Instant, max_waiters: usize) -> Result<Permit, Refusal> {
        if let Ok(permit) = Arc::clone(&self.free).try_acquire_owned() {
            return Ok(Permit { _held: permit });
        }
        let refused = || Refusal::Exceeded { retry_after: RETRY_AFTER };
        let waiting = Waiting::new(&self.waiting);
        if waiting.position >= max_waiters {
            return Err(refused());
        }
        let acquiring = tokio::time::timeout_at(deadline.into(), Arc::clone(&self.free).acquire_owned());
        match acquiring.await {
            Ok(Ok(permit)) => Ok(Permit { _held: permit }),
            _ => Err(refused()),
        }
    }
}

/// A counted waiter.
struct Waiting<'a> {
    count: &'a AtomicUsize,
    /// Number of waiters before it.
    position: usize,
}

impl Waiting<'_> {
    fn new(count: &AtomicUsize) -> Waiting<'_> {
        Waiting { count, position: count.fetch_add(1, Ordering::Relaxed) }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.count.fetch_sub(1, Ordering::Relaxed);
    }
}
