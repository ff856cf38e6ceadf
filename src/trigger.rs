//! Triggers: from a webhook, a schedule or an application's event to the executions that it starts.
//!
//! ```text
//! request ──verify──► event ──match──► routes ──► executions   (receive.rs; stored before the request is answered)
//! clock ────due────► tick ───────────► routes ──► executions   (service.rs, schedule.rs; the tick and its executions in
//!                                                               one transaction)
//! poll ───compare──► changes ────────► routes ──► executions   (poller.rs, snapshot.rs; the cursor, the remembered
//!                                                               records and the executions in one transaction)
//! ```
//!
//! | file | holds |
//! |---|---|
//! | `filter`, `route` | conditions on events; compiled routes |
//! | `webhook`, `schedule`, `app_event` | the compiled kinds of triggers |
//! | `compiled` | triggers of a generation, compiled |
//! | `readiness` | the reasons why a trigger cannot work |
//! | `routing` | the executions that an event starts |
//! | `request`, `receive` | received webhook calls: parsed, verified, stored |
//! | `snapshot`, `poller` | changes between two listings of an application; polls |
//! | `subscriber` | webhooks that are registered at applications |
//! | `service` | the background work of a process |
//! | `testing` | tests beside workflows |

pub mod app_event;
pub mod compiled;
pub mod filter;
pub mod poller;
pub mod readiness;
pub mod receive;
pub mod request;
pub mod route;
pub mod routing;
pub mod schedule;
pub mod service;
pub mod snapshot;
pub mod subscriber;
pub mod testing;
pub mod webhook;

pub use app_event::AppEvent;
pub use compiled::{Trigger, TriggerKind, Triggers, compile};
pub use route::Route;
pub use schedule::Schedule;
