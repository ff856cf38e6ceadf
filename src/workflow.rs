//! Workflows: from an accepted event to an ended execution, across restarts of processes.
//!
//! ```text
//! accept ──dispatcher──► store (event and executions in one transaction) ──► acknowledged
//!                          │ claimed as it is accepted, or later by a worker of any process
//!                          ▼
//!                        worker ──► attempt ──► script engine, or steps
//!                                      │            │ host calls: performed once, recorded in the journal,
//!                                      │            ▼ and answered from the record in later runs
//!                                      │        execution ──► store (Progress)
//!                                      └─────────────────────► store (Release: ended, retried, suspended or requeued)
//! ```
//!
//! The states of an execution. A worker owns it only while it is `Running`, under a lease with a fencing token:
//!
//! ```text
//!                    ordering key busy,
//!                    group full
//!              ┌─► Queued (blocked) ┐ unblocked
//!    accept ───┤                    ▼                 claim                 Completed
//!              └─────────────────► Queued ──────────────────► Running ────► Failed      (dead letter, `onFailure`)
//!                (delayed: ready     ▲  ▲                     │  │  │       TimedOut    (dead letter, `onFailure`)
//!                 at a later time)   │  │   retry, requeue,   │  │  └─────► Cancelled
//!                                    │  └─────────────────────┘  │ suspend
//!                                    │      lease expired        ▼
//!                                    └─────────────────────── Waiting (until a time, a signal or the end of a child)
//!                                        time, signal, cancel
//! ```
//!
//! `Completed`, `Failed`, `TimedOut` and `Cancelled` are final. A shutdown requeues running executions.
//!
//! The files, from the lowest: `clock`, `engine` (interface of scripts), `quickjs`, `process`, `program`, `runtime_context`,
//! `program_code`, `settings`, `journal`, `mask`, `spans`; the parts of the dispatcher (`admission`, `commit_queue`,
//! `execution_quota`, `program_cache`, `waiters`) and `dispatcher`; `execution` (one active execution), `immediate_calls`, `suspension`, `host_calls`,
//! `step_templates`, `steps`; `release`, `attempt`, `running`, `maintenance` and `worker`.

mod admission;
mod attempt;
pub mod clock;
mod commit_queue;
mod declarations;
pub mod dispatcher;
pub mod engine;
mod execution;
mod execution_quota;
mod host_calls;
mod immediate_calls;
mod journal;
mod maintenance;
mod mask;
pub mod process;
pub mod program;
mod program_cache;
mod program_code;
pub mod quickjs;
mod release;
mod running;
pub mod runtime_context;
pub mod settings;
mod spans;
mod step_templates;
mod steps;
mod suspension;
mod waiters;
mod worker;

pub use clock::Clock;
pub use declarations::declarations;
pub use dispatcher::Dispatcher;
pub use engine::{ScriptEngine, ScriptLimits};
pub use execution_quota::{AcceptError, CountedExecutions, EXECUTIONS_PER_DAY, OverQuota};
pub use process::{ProcessEngine, serve_scripts};
pub use program::{Program, Programs, camel, compile};
pub use program_code::{CodeError, code_errors};
pub use quickjs::QuickJs;
pub use runtime_context::{Actions, EnvironmentProvider, LiveEnvironment};
pub use settings::WorkerSettings;
pub use worker::Worker;
