//! HTTP surfaces: the gateway that calls actions, webhooks, executions, environments, and the page of `evenkeel dev`.
//!
//! ```text
//! router ─► handlers ─► context ─► state (Server)
//!                   └─► response
//! ```

pub mod access;
pub mod admission;
mod catalog;
mod context;
mod dead_letters;
mod environment_commands;
mod environments;
mod execution_commands;
mod execution_start;
mod executions;
mod gateway;
mod git_webhook;
mod hooks;
mod listener;
mod metrics;
mod page;
mod parse_command;
mod response;
mod router;
mod same_site;
mod spans;
mod state;
mod workflows;

pub use state::{MAX_BODY, Server, WorkflowService};
