//! The entry of the pipeline: calls an action, or prepares its request without sending it.

use std::sync::Arc;
use std::time::Instant;

use super::action_call::ActionCall;
use super::call::Call;
use super::call_run::CallRun;
use super::error::{CallError, ErrorCode};
use super::host::Secrets;
use super::lookup::{find, not_runnable};
use super::outcome::{CallOutcome, CallTiming};
use super::prepared::PreparedRequest;
use super::runtime::{Runtime, StepCall, Transport};
use super::upstream::Upstream;

/// Calls an action.
pub async fn call(
    runtime: &Runtime,
    upstream: &dyn Upstream,
    secrets: Arc<dyn Secrets>,
    connector: &str,
    action: &str,
    call: Call,
) -> CallOutcome {
    let started = Instant::now();
    let mut timing = CallTiming::default();
    let mut place = String::new();
    let of_subscription = || {
        let found = runtime.connectors.get(connector)?;
        Some((&**found, found.subscription_actions.get(action)?))
    };
    let found = match call.subscription.as_ref().and_then(|_| of_subscription()) {
        Some(found) => Ok(found),
        None => find(runtime, connector, action),
    };
    let result = match found {
        Ok((connector, action)) => {
            place.clone_from(&action.place);
            let mut run = CallRun::new(runtime, upstream, secrets, action.timeout);
            let result = run.action(connector, action, &call, 0).await;
            timing = run.timing;
            result
        }
        Err(error) => Err(error),
    };
    timing.total = started.elapsed();
    timing.transform = timing.total.saturating_sub(timing.external + timing.waiting);
    let (result, status) = match result {
        Ok((output, status)) => (Ok(output), status),
        Err(error) => {
            let status = error.code.status();
            (Err(error), status)
        }
    };
    CallOutcome { result, status, timing, place }
}

/// The request that a call would send, prepared without network access.
///
/// # Errors
/// The errors of a call, and actions whose first step sends no request.
pub fn prepare(
    runtime: &Runtime,
    secrets: Arc<dyn Secrets>,
    connector: &str,
    action: &str,
    call: &Call,
) -> Result<PreparedRequest, CallError> {
    let (connector, action) = find(runtime, connector, action)?;
    let (open, context) = ActionCall::open(runtime, &secrets, connector, action, call)?;
    match &action.transport {
        Transport::Http(request) => open.request(request, &context, None),
        Transport::Steps(steps) => match steps.first().map(|step| &step.call) {
            Some(StepCall::Http(request)) => {
                open.request(request, &context, steps.first().and_then(|step| step.auth.as_deref()))
            }
            _ => Err(CallError::new(
                ErrorCode::NotRunnable,
                "the first step of this action calls another action; render that one",
            )),
        },
        Transport::NotRunnable(name) => Err(not_runnable(name)),
    }
}
