//! The language: ten kinds of definitions as Rust types, and the JSON Schemas made from them.
//!
//! A document is an [`Envelope`] (Kubernetes' `apiVersion`, `kind`, `metadata`) around one of the specs here. The
//! types are the only place where a field is written down: serde reads it, schemars makes its schema, and the
//! [`shape`] compiled from that schema checks documents with positions and tells the later stages what a field means.
//!
//! What a field means is marked beside it with `#[schemars(extend(…))]`:
//!
//! | mark | says |
//! |---|---|
//! | `x-evenkeel-ref: Workflow` | the string names a definition, or a part of one ([`schema_validator::RefKind`]) |
//! | `x-evenkeel-template: url` | string leaves below are templates of that site (`template::Site`) |
//! | `x-evenkeel-type: cron` | the string or value has a form of its own ([`schema_validator::Format`]) |
//! | `x-evenkeel-keys: name` | the keys of the map are names, headers or identifiers |
//! | `oneOf: [{required: [a]}, …]` | exactly one of these fields |
//! | `x-evenkeel-atMostOne: [a, b]` | at most one of these fields |
//! | `x-evenkeel-code: EK0606` | mistakes in this value have this code; `x-evenkeel-oneOfCode`: only the choice among fields |

pub mod action;
pub mod action_test;
pub mod alert;
pub mod auth;
pub mod canonical;
pub mod common;
pub mod connection;
pub mod connector;
pub mod crd;
pub mod cron;
pub mod entity;
mod envelope;
pub mod environment;
pub mod event;
pub mod form;
mod json;
pub mod json_schema;
pub mod role;
pub mod schema;
pub mod schema_validator;
pub mod tenant;
pub mod trigger;
pub mod widget;
pub mod workflow;

pub use envelope::{API_GROUP, API_VERSION, Definition, Envelope, Id, Kind, Metadata, Spec, is_identifier, is_name};
pub use json::Json;
