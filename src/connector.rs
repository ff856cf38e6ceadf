//! Calls of applications: the pipeline from an action's input to its output.
//!
//! ```text
//! input ──schema──► overrides ──► request ──► authenticate ──► upstream ──► response ──► output
//!        (400)      (only if      (templates,   (connection,    (guarded     (templates,   (schema,
//!                   overridable)   422)          secrets)        client)      every status)  502)
//! ```
//!
//! One call runs in one direction: `pipeline` finds the action and opens the `CallRun` (deadline, budget of requests,
//! timing); the run opens an `ActionCall` for each called action (input, tenant, connection, credentials); an action
//! call prepares each `PreparedRequest`, which the run sends through the `Upstream`.
//!
//! A [`Runtime`] holds everything that calls need, compiled from a checked catalog. It is immutable. Secrets are looked
//! up when a call needs them and live no longer than the call.

mod action_call;
mod address;
mod auth;
mod call;
mod call_run;
mod caller;
mod compile;
mod entities;
mod error;
mod expression;
mod fixture;
mod host;
mod lookup;
mod mock;
mod numbers;
mod outcome;
mod pipeline;
mod prepared;
mod rate_limit;
mod readiness;
mod record_places;
mod rendered;
mod request;
mod response;
mod retry;
mod runtime;
mod spans;
mod tenants;
pub mod testing;
mod upstream;

pub use address::is_example_host;
pub use call::Call;
pub use caller::{Caller, Mocking};
pub use entities::{MappingError, are_records_mapped, map_records};
pub use error::{CallError, ErrorCode};
pub use host::{ClusterSecrets, MaskedSecrets, ProvidedSecrets, Secrets, Vault, resolve_secret};
pub use lookup::find;
pub use mock::MockUpstream;
pub use numbers::inexact_integer;
pub use outcome::{ActionOutput, CallOutcome, CallTiming};
pub use pipeline::{call, prepare};
pub use prepared::PreparedRequest;
pub use rate_limit::retry_after_seconds;
pub use readiness::{SecretState, is_mocked, missing_secret, missing_secrets, secret_state, secrets_of_connection};
pub use rendered::RenderedRequest;
pub use runtime::{Action, Connector, Runtime};
pub use upstream::{AdmissionFuture, NetworkUpstream, ResponseFuture, Upstream, UpstreamResponse};
