//! Renders a plan for a terminal and for the comment of a pull request. The same plan gives the same bytes.

mod human;
mod markdown;
mod neutral;
mod summary;

pub use human::human;
pub use markdown::{MAX_COMMENT, Revisions, markdown};

#[cfg(test)]
mod tests;
