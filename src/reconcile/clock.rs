//! The wall clock in the unit of the store.

use crate::store::Micros;

/// Current time in microseconds since the Unix epoch.
pub fn now() -> Micros {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}
