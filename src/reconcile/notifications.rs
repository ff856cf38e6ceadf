//! Notifications: signed webhooks, Slack messages and commit statuses.
//!
//! ```text
//! send ──► queue (bounded, the oldest is dropped) ──► one task ──► per target one delivery at a time, with retries
//! ```
//!
//! Sending never waits and never fails: a delivery that fails is logged and counted. A target that does not respond delays
//! no other one. A target is not sent the same message twice in a row.

mod deliver;
mod message;
mod model;
mod queue;

pub use model::{CommitState, MAX_QUEUED, MAX_TRIES, OutgoingNotification, Secret, Settings, Target, status_context};
pub use queue::Notifier;
