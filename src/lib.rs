//! Evenkeel.
pub mod catalog;
pub mod check;
pub mod cli;
pub mod connector;
pub mod definition;
pub mod net;
pub mod reconcile;
pub mod server;
pub mod source;
pub mod template;
pub mod text;
