//! Evenkeel keeps an integration environment on an even keel: connectors, widgets, triggers and workflows are declared as
//! YAML or JSON in Git or folders, checked, planned, and continuously reconciled into what runs.
//!
//! # The map
//!
//! ```text
//! Git,
//! folder ──source──► Snapshot ──text──► documents ──definition──► typed, with facts ──catalog──► Catalog
//!                                                                                                   │
//!            ┌──────────── findings ◄──────────────── template ◄──────────────── check ◄────────────┤
//!            ▼                                                                                      ▼
//!           cli                server ◄──── reconcile (plan, guard, store, swap one pointer) ◄── connector::Runtime
//!                                 │                                                                 │
//!                                 ├────────────── call ──► connector ──► net (guarded) ──► application
//!                                 │                            ▲
//!        event, time, poll ───────┴── trigger ──► store ──► workflow (worker, script)
//! ```
//!
//! Rooms, from the top; a room may use only those above it (`tests/it/architecture.rs` enforces it):
//!
//! | room | holds |
//! |---|---|
//! | [`text`] | spans, reading YAML and JSON with positions, findings and their renderers |
//! | [`script`] | the reader of workflow scripts: syntax errors, calls of actions, TypeScript to JavaScript |
//! | [`definition`] | the kinds, their generated schemas, the shapes that check documents |
//! | [`template`] | Jinja: what may be used where, limits, compiled templates |
//! | [`catalog`] | all definitions of one source, references between them |
//! | [`check`] | one file per family of findings |
//! | [`plan`] | what changes between two sets of definitions, as a value |
//! | [`store`] | what outlives the process: objects, generations, leases, credentials; SQLite and PostgreSQL |
//! | [`source`] | Git repositories and folders as snapshots; encrypted files; hints of webhooks |
//! | [`net`] | the guarded HTTP client; TLS; signatures of webhooks |
//! | [`telemetry`] | traces of OpenTelemetry: spans, and sending them to a collector |
//! | [`connector`] | the pipeline of a call; tests beside actions |
//! | [`workflow`] | executions: accepted, run and recorded so that nothing is lost or done twice; the script engine |
//! | [`trigger`] | webhooks, schedules, events of applications; what they start; tests beside workflows |
//! | [`reconcile`] | the loop of each environment: follow, fetch, propose, plan, go live, tell; `dev` follows edits |
//! | [`server`] | the gateway, hooks and executions, the page of `dev`, what operators ask, metrics |
//! | [`cli`] | one file per command; the only room that prints |
//!
//! # Invariants
//!
//! 1. Imports only go up the list; each heavy crate is named in one room.
//! 2. `text` to `plan` are pure and synchronous: no clock, network or environment; same input, same bytes.
//! 3. Every stage goes on and collects: nothing stops at the first mistake.
//! 4. What is active changes as a whole or not at all; a broken edit changes nothing; a call finishes on the generation
//!    that it started on.
//! 5. A generation is complete, compiled and stored before it is activated; activating compares and swaps under a fencing
//!    lease, so that a stale one never replaces a newer one. A failed fetch, parse or check never removes anything.
//! 6. A secret's value is looked up for one use, and reaches no output, error, log or field that may not hold it.
//! 7. Every finding has a stable code, and a position when it comes from a file.
//! 8. Nothing is unbounded: files, documents, templates, bodies, redirects, waits and calls have limits, with tests.

pub mod catalog;
pub mod check;
pub mod cli;
pub mod connector;
pub mod definition;
pub mod net;
pub mod operator;
pub mod plan;
pub mod reconcile;
pub mod script;
pub mod server;
pub mod source;
pub mod store;
pub mod telemetry;
pub mod template;
pub mod text;
pub mod trigger;
pub mod workflow;
