//! Callers: that what they pass fits the schema of what they call, and that what they read of its output exists.
//!
//! A caller is a step, a route, a schedule, a widget's button or form, a poll, a test or code. The callee is looked up through
//! the view, so that a changed callee checks its callers again.

mod callee;
mod code;
mod declared;
mod mocks;
mod outputs;
mod own_input;
mod places;
mod report;
mod sites;

pub(crate) use callee::{CalleeName, CalleeSchema};
pub(super) use code::{action_call, workflow_call};
pub(super) use declared::check;
pub(super) use mocks::check as check_tests;
pub(crate) use outputs::output_reads;
pub(crate) use sites::{call_site, callee_of};
