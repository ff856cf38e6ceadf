//! The clock of executions: the store's clock, or a virtual one for tests that moves only when an execution waits.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use crate::store::Micros;

/// A clock.
#[derive(Debug)]
pub struct Clock {
    /// The difference of the store's clock and this machine's; the time itself if the clock is virtual.
    value: AtomicI64,
    is_virtual: bool,
}

impl Default for Clock {
    fn default() -> Clock {
        Clock { value: AtomicI64::new(0), is_virtual: false }
    }
}

impl Clock {
    /// A virtual clock, which jumps to each awaited time.
    pub fn virtual_at(now: Micros) -> Clock {
        Clock { value: AtomicI64::new(now), is_virtual: true }
    }

    /// True for a virtual clock.
    pub fn is_virtual(&self) -> bool {
        self.is_virtual
    }

    /// Synchronizes the clock with the store's. Has no effect on a virtual clock.
    pub fn synchronize(&self, store: Micros) {
        if !self.is_virtual {
            self.value.store(store.saturating_sub(machine_time()), Ordering::Relaxed);
        }
    }

    /// The time in microseconds since 1970.
    pub fn now(&self) -> Micros {
        let value = self.value.load(Ordering::Relaxed);
        if self.is_virtual { value } else { machine_time().saturating_add(value) }
    }

    /// Advances a virtual clock.
    pub fn advance(&self, by: Micros) {
        if self.is_virtual {
            self.value.fetch_add(by, Ordering::Relaxed);
        }
    }

    /// Waits until a time. A virtual clock jumps to it.
    pub async fn sleep_until(&self, time: Micros) {
        if self.is_virtual {
            self.value.fetch_max(time, Ordering::Relaxed);
            return;
        }
        let left = u64::try_from(time.saturating_sub(self.now())).unwrap_or(0);
        tokio::time::sleep(Duration::from_micros(left)).await;
    }
}

fn machine_time() -> Micros {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Micros::try_from(since.as_micros()).unwrap_or(Micros::MAX)
}

/// A duration in microseconds; the maximum if it is longer.
pub fn micros_of(duration: Duration) -> Micros {
    Micros::try_from(duration.as_micros()).unwrap_or(Micros::MAX)
}
