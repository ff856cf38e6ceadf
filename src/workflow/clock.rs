//! The time that executions go by: the store's, or one that only moves when somebody waits (tests).

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use crate::store::Micros;

/// The time.
#[derive(Debug)]
pub struct Clock {
    /// The store's time less this machine's; or the time itself, where it is virtual.
    value: AtomicI64,
    is_virtual: bool,
}

impl Default for Clock {
    fn default() -> Clock {
        Clock { value: AtomicI64::new(0), is_virtual: false }
    }
}

impl Clock {
    /// A clock that stands, and jumps to whatever is waited for.
    pub fn standing(now: Micros) -> Clock {
        Clock { value: AtomicI64::new(now), is_virtual: true }
    }

    /// Does it stand until somebody waits?
    pub fn is_virtual(&self) -> bool {
        self.is_virtual
    }

    /// Sets it after the store's time.
    pub fn follow(&self, store: Micros) {
        if !self.is_virtual {
            self.value.store(store.saturating_sub(machine()), Ordering::Relaxed);
        }
    }

    /// Microseconds since 1970.
    pub fn now(&self) -> Micros {
        let value = self.value.load(Ordering::Relaxed);
        if self.is_virtual { value } else { machine().saturating_add(value) }
    }

    /// Moves one that stands.
    pub fn advance(&self, by: Micros) {
        if self.is_virtual {
            self.value.fetch_add(by, Ordering::Relaxed);
        }
    }

    /// Suspend until then.
    pub async fn until(&self, time: Micros) {
        if self.is_virtual {
            self.value.fetch_max(time, Ordering::Relaxed);
            return;
        }
        let left = u64::try_from(time.saturating_sub(self.now())).unwrap_or(0);
        tokio::time::sleep(Duration::from_micros(left)).await;
    }
}

fn machine() -> Micros {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Micros::try_from(since.as_micros()).unwrap_or(Micros::MAX)
}
