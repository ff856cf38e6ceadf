//! Workflows: from a definition to a finished execution, however often a process ends in between.
//!
//! ```text
//! accept ──desk──► store (event and executions in one transaction) ──► answered
//!                    │ taken at once, or claimed by a worker of any process
//!                    ▼
//!                  worker ──► execution ──► engine (code) or steps
//!                    ▲            │ what it asks for: done once, recorded (journal), answered from the record ever after
//!                    └── Leave ◄──┘ ended, tried again, or waits
//! ```

mod asks;
pub mod clock;
mod declarations;
pub mod desk;
pub mod engine;
mod execution;
pub mod ground;
mod journal;
mod mask;
pub mod process;
pub mod program;
pub mod quickjs;
mod spans;
mod steps;
mod waits;
mod worker;

pub use clock::Clock;
pub use declarations::declarations;
pub use desk::{Desk, Settings};
pub use engine::{Engine, Limits};
pub use ground::{Actions, Ground, Live};
pub use process::{ProcessEngine, serve_scripts};
pub use program::{Program, Programs, camel, compile};
pub use quickjs::QuickJs;
pub use worker::Worker;
