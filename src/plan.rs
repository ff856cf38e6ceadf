//! The plan as a value: the actions that turn the observed definitions into the desired ones.
//!
//! ```text
//! Catalog ──inventory──► Inventory (desired) ─┐
//!                                             ├─ plan ──► Plan { actions in order, class, digest } ──render──► text
//!                        Inventory (observed) ┘             │ guard ──► removals that are not allowed
//!                                                           │ inverse, apply
//! ```
//!
//! Everything here is pure: the same two inventories give the same plan, byte for byte. Definitions are compared in their
//! [canonical](canonical::document) form, so a plan shows changes of meaning and not of formatting. A plan is
//! self-contained: it can be saved, reviewed, and compared by its digest with the plan that is applied later.

mod algebra;
mod breaking;
mod build;
mod call_place;
pub mod canonical;
mod change;
mod declared_tests;
mod file_diff;
mod guard;
mod lines;
mod marker;
mod mask;
mod model;
mod object;
mod order;
mod pattern;
pub mod render;
mod users;

pub use algebra::{DefinitionState, StalePlan, apply, state};
pub use breaking::ChangeClass;
pub use build::plan;
pub use call_place::CallPlace;
pub use change::{Change, ChangeKind};
pub use file_diff::{FileDiff, MAX_ALL_DIFF_BYTES, MAX_DIFF_BYTES, MAX_DIFF_LINES};
pub use guard::{BlockedReason, BlockedRemovals, DesiredState, PrunePolicy, guard};
pub use lines::{DiffLine, text_diff};
pub use model::{Action, MAX_DEPENDANTS, MAX_PLAN_BYTES, Plan, PlanOptions, Summary, VERSION, Verb};
pub use object::{Files, Inventory, Object, SourceLocation, object, parse_id};

#[cfg(test)]
mod tests;
