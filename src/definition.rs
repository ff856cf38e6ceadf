//! The definition language: ten kinds as Rust types, and the JSON Schemas generated from them.
//!
//! A document is an [`Envelope`] (`apiVersion`, `kind`, `metadata`, as in Kubernetes) around one of the specs. The types
//! are the only declaration of a field: serde reads it, schemars generates its schema, and the [`schema_validator`]
//! validates documents against that schema and extracts the facts that later stages need.
//!
//! The doc comments of the types are the descriptions in the generated schemas, so they are written for authors of
//! definitions.
//!
//! The meaning of a field is marked with `#[schemars(extend(…))]`:
//!
//! | mark | meaning |
//! |---|---|
//! | `x-evenkeel-ref: Workflow` | the string names a definition or a part of one ([`schema_validator::ReferenceKind`]) |
//! | `x-evenkeel-template: url` | nested strings are templates in that location (`template::FieldLocation`) |
//! | `x-evenkeel-type: cron` | the value has a format ([`schema_validator::ValueFormat`]) |
//! | `x-evenkeel-keys: name` | the keys of the map are names, headers or identifiers |
//! | `oneOf: [{required: [a]}, …]` | exactly one of these fields |
//! | `x-evenkeel-atMostOne: [a, b]` | at most one of these fields |
//! | `x-evenkeel-planned: {instead, remedy}` | accepted and not in effect yet ([`planned`]); `false` within: in effect |
//! | `x-evenkeel-code: EK0606` | findings in this value have this code; `x-evenkeel-oneOfCode`: only findings about `oneOf` |

pub mod action;
pub mod action_test;
pub mod address;
pub mod alert;
pub mod auth;
pub mod canonical;
pub mod common;
pub mod connection;
pub mod connector;
pub mod crd;
pub mod cron;
mod decimal;
pub mod egress;
pub mod entity;
mod entity_coercion;
pub mod entity_values;
mod envelope;
pub mod environment;
pub mod event;
pub mod examples;
pub mod fields;
pub mod form;
pub mod ignore_rules;
mod json;
pub mod json_schema;
mod locale;
pub mod pagination;
pub mod planned;
pub mod role;
pub mod schema;
pub mod schema_validator;
pub mod tenant;
pub mod trigger;
pub mod version_range;
pub mod widget;
pub mod workflow;

pub use envelope::{API_GROUP, API_VERSION, Definition, Envelope, Id, Kind, Metadata, Spec, is_identifier, is_name};
pub use json::Json;
