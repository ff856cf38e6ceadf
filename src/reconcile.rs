//! From a source to what runs: read, check, compile, activate; and follow changes.

pub mod examine;
