//! Evenkeel keeps an integration environment on an even keel: connectors, widgets, triggers and workflows are declared as
//! YAML or JSON, checked, planned, and continuously reconciled into a running environment.
//!
//! # The map
//!
//! ```text
//! Git, folder,
//! cluster ──source──► Snapshot ──text──► documents ──definition──► typed definitions ──catalog──► Catalog
//!                                                                                                   │
//!            ┌──────────── findings ◄──────────────── template ◄──────────────── check ◄────────────┤
//!            ▼                                                                                      ▼
//!           cli     server, operator ◄── reconcile (plan, guard, store, swap one pointer) ◄── connector::Runtime
//!                                 │                                                                 │
//!                                 ├────────────── call ──► connector ──► net (guarded) ──► application
//!                                 │                            ▲
//!        event, time, poll ───────┴── trigger ──► store ──► workflow (worker, script)
//! ```
//!
//! Modules in layers, from the lowest; a module uses only those above it in this table (`tests/it/architecture.rs`
//! enforces it). `docs/architecture.md` walks one definition and one call through the files.
//!
//! | module | holds |
//! |---|---|
//! | [`text`] | spans, reading YAML and JSON with positions, findings and their renderers |
//! | [`script`] | the reader of workflow scripts: syntax errors, calls of actions, TypeScript to JavaScript |
//! | [`definition`] | the kinds, their generated schemas, the validator of documents |
//! | [`template`] | Jinja: the table of fields, limits, compiled templates |
//! | [`catalog`] | all definitions of one source, and the references between them |
//! | [`check`] | one file per family of findings |
//! | [`plan`] | the changes between two sets of definitions, as a value |
//! | [`store`] | everything that outlives the process: objects, generations, leases, executions, credentials; SQLite and PostgreSQL |
//! | [`net`] | the guarded HTTP client; TLS; signatures of webhooks |
//! | [`source`] | Git repositories and folders as snapshots; encrypted files; push notifications |
//! | [`telemetry`] | OpenTelemetry traces: spans, and their export to a collector |
//! | [`quota`] | rate limits and quotas, counted once for all processes of a store |
//! | [`connector`] | the pipeline of a call; tests beside actions |
//! | [`workflow`] | executions: durable, claimed under a lease, each step recorded; the script engine |
//! | [`trigger`] | webhooks, schedules, events of applications, and the executions that they start; tests beside workflows |
//! | [`reconcile`] | the loop of each environment: watch, fetch, validate, plan, activate, notify; `dev` follows edits |
//! | [`api`] | types of the HTTP API, and the OpenAPI document made of them |
//! | [`server`] | the HTTP surface: gateway, hooks, executions, environments, the page of `dev`, metrics |
//! | [`operator`] | Kubernetes: controller, status, admission webhook, leader election, rights of namespaces |
//! | [`cli`] | one file per command; the only module that prints |
//!
//! # Invariants
//!
//! 1. Imports go down the layers only, and no two files import each other in a circle; each heavy crate is named in one
//!    module.
//! 2. `text` to `plan` are pure and synchronous: no clock, network or environment; same input, same bytes.
//! 3. Every stage goes on and collects: no stage stops at the first mistake.
//! 4. The active generation changes as a whole or not at all; a broken edit changes nothing; a call finishes on the
//!    generation that it started on.
//! 5. A generation is complete, compiled and stored before it is activated; activating compares and swaps under a lease
//!    with a fencing token, so that a stale generation never replaces a newer one. A failed fetch, parse or check never
//!    removes anything.
//! 6. A secret's value is looked up for one use, and reaches no output, error, log or field that may not hold it.
//! 7. Every finding has a stable code, and a position if it comes from a file.
//! 8. The desired set of an environment is a function of sources, Environment document, overlays and selector
//!    ([`reconcile::desired`]), and every command, the server, admission and the operator use it.
//! 9. Nothing is unbounded: files, documents, templates, bodies, redirects, waits and calls have limits, with tests.

pub mod api;
pub mod catalog;
pub mod check;
pub mod cli;
pub mod connector;
pub mod definition;
pub mod net;
pub mod operator;
pub mod plan;
pub mod quota;
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
