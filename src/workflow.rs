//! Workflows: from a definition to a finished execution, however often a process ends in between.
//!
//! ```text
//! accept ──desk──► store (event and executions in one transaction) ──► answered
//!                    │ taken at once, or claimed by a worker of any process
//!                    ▼
//!                  worker ──► execution ──► engine (code) or steps
//!                    ▲            │ what it asks for: done once, recorded (journal), answered from the record ever after
//!                    └── Release ◄──┘ ended, tried again, or waits
//! ```

pub mod clock;
mod declarations;
pub mod dispatcher;
pub mod engine;
mod execution;
mod host_calls;
mod journal;
mod mask;
pub mod process;
pub mod program;
pub mod quickjs;
pub mod runtime_context;
mod spans;
mod steps;
mod suspension;
mod worker;

pub use clock::Clock;
pub use declarations::declarations;
pub use dispatcher::{Dispatcher, Settings};
pub use engine::{Limits, ScriptEngine};
pub use process::{ProcessEngine, serve_scripts};
pub use program::{Program, Programs, camel, compile};
pub use quickjs::QuickJs;
pub use runtime_context::{Actions, EnvironmentProvider, LiveEnvironment};
pub use worker::Worker;
