//! Decides whether a request is sent again.

use std::time::Duration;

use super::error::{CallError, ErrorCode};
use super::upstream::UpstreamResponse;
use crate::definition::action::Method;
use crate::definition::common::Retry;

/// The wait before the next attempt; `None` if the result is final. `backoff` is the wait of the policy.
///
/// A request is repeated only if it cannot have had an effect, or may have it twice.
pub(super) fn wait(
    result: &Result<UpstreamResponse, CallError>,
    method: Method,
    retry: &Retry,
    backoff: Duration,
) -> Option<Duration> {
    match result {
        Ok(response) => wait_after_response(response, method, retry, backoff),
        Err(error) => (error.code == ErrorCode::Unreachable && is_idempotent(method)).then_some(backoff),
    }
}

/// The backoff of the attempt after the next one.
pub(super) fn next_backoff(retry: &Retry, backoff: Duration) -> Duration {
    let factor = retry.backoff_coefficient.unwrap_or(2.0).clamp(1.0, 10.0);
    backoff.mul_f64(factor).min(max_interval(retry))
}

fn wait_after_response(
    response: &UpstreamResponse,
    method: Method,
    retry: &Retry,
    backoff: Duration,
) -> Option<Duration> {
    let requested = response.headers.get("retry-after").and_then(|seconds| seconds.trim().parse().ok());
    let requested = requested.map(Duration::from_secs);
    let again = match response.status {
        // The request had no effect (RFC 6585, 4).
        429 => true,
        // A proxy may respond so after the request had its effect. `Retry-After` comes from the application itself.
        503 => is_idempotent(method) || requested.is_some(),
        500 | 502 | 504 => is_idempotent(method),
        _ => false,
    };
    // An attempt earlier than requested would be refused again.
    let too_long = requested.is_some_and(|requested| requested > max_interval(retry));
    (again && !too_long).then(|| requested.unwrap_or(backoff))
}

/// RFC 9110, 9.2.2.
fn is_idempotent(method: Method) -> bool {
    !matches!(method, Method::Post | Method::Patch)
}

fn max_interval(retry: &Retry) -> Duration {
    retry.max_interval.map_or(Duration::from_mins(1), |interval| interval.0)
}
