//! Evenkeel.
pub mod definition;
pub mod text;
