//! HTTP surfaces: the gateway that calls actions, webhooks, executions, environments, and the page of `evenkeel dev`.
//!
//! ```text
//! router ─► routes (the table) ─► endpoint (guard) ─► handlers ─► context, extract ─► state (Server)
//!                                                            └─► reply
//! ```

pub mod access;
pub mod admission;
mod catalog;
mod context;
mod dead_letters;
mod endpoint;
mod environment_commands;
mod environments;
mod execution_commands;
mod execution_start;
mod executions;
mod extract;
mod gateway;
mod git_webhook;
mod hooks;
mod listener;
mod page;
mod parse_command;
mod probes;
mod render;
mod reply;
mod router;
mod routes;
mod same_site;
mod spans;
mod state;
mod workflows;

pub use router::{openapi, route_table};
pub use state::{MAX_BODY, Server, WorkflowService};
