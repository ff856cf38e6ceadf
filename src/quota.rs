//! Rate limits of connectors and quotas of tenants, counted once for all processes of a store.
//!
//! ```text
//! call ──► Limiter ──► Pool of the allowance ──► Ledger ──► store: units in use (`store::allowance`)
//!                      (units of this process,   (the store, or the memory of
//!                       waiters in their order)   a process without a store)
//! ```
//!
//! A pool reserves units in batches that grow with their use, at most a twentieth of the allowance, and hands them out in
//! the order in which they were requested. So a limit of 1,000 calls per second costs about 20 writes per second and
//! process, and a limit of 3 costs one for each call. Units that a process reserved and did not use are lost for others
//! until they are returned or their period has passed: the units in use are never more than the allowance, and may be
//! fewer.
//!
//! The files, from the lowest: `time`, `refusal`, `ledger`, `permits`, `pool`, `limiter`.

mod ledger;
mod limiter;
mod permits;
mod pool;
mod refusal;
mod time;

pub use limiter::Limiter;
pub use permits::Permit;
pub use pool::{MAX_WAITERS, Taken};
pub use refusal::Refusal;

#[cfg(test)]
mod tests;
