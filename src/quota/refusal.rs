//! The refusal of units.

use std::time::Duration;

/// The reason that no units were taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No unit is free in time.
    Exceeded {
        /// Time after which units may be free again.
        retry_after: Duration,
    },
    /// The store did not answer: the cause.
    Unavailable(String),
}
