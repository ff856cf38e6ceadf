//! Renders a plan for a terminal, for the comment of a pull request and for tools. The same plan gives the same bytes.

mod change_lines;
mod document;
mod findings;
mod human;
mod inline;
mod markdown;
mod neutral;
mod review;
mod summary;

pub use document::document;
pub use human::human;
pub use markdown::{MAX_COMMENT, markdown, markdown_without_plan};
pub use review::{Review, ReviewSide, Revisions};

#[cfg(test)]
mod tests;
