//! Rate limits of connectors and the quota of calls: what they allow, and the errors of refused calls.

use std::time::{Duration, Instant};

use super::error::{CallError, ErrorCode};
use crate::definition::connector::RateLimit;
use crate::quota::{Limiter, Permit, Refusal};
use crate::store::Micros;
use crate::store::allowance::{Allowance, Period};

/// The period of `callsPerMinute`, in microseconds.
const MINUTE: Micros = 60_000_000;

/// Waits until the rate limit of a connector permits a request.
pub(super) async fn admit(
    limiter: &Limiter,
    environment: &str,
    (connector, limit): (&str, &RateLimit),
    deadline: Instant,
) -> Result<Option<Permit>, CallError> {
    let name = format!("rateLimit/{connector}");
    // The permit first: a unit that is taken has to be used at once.
    let permit = match limit.concurrency {
        Some(concurrency) => {
            let permit = limiter.permit(environment, &name, concurrency, deadline).await;
            let limit = || format!("connector `{connector}` has {concurrency} concurrent calls");
            Some(permit.map_err(|refusal| error(refusal, ErrorCode::RateLimited, limit))?)
        }
        None => None,
    };
    let allowance = Allowance {
        environment: environment.to_owned(),
        name,
        units: limit.requests.into(),
        period: Period::Sliding(Micros::try_from(limit.per.0.as_micros()).unwrap_or(Micros::MAX)),
    };
    let described = || format!("connector `{connector}` allows {} requests per {}", limit.requests, limit.per);
    let admitted = limiter.wait(&allowance, deadline).await;
    admitted.map_err(|refusal| error(refusal, ErrorCode::RateLimited, described))?;
    Ok(permit)
}

/// Counts a call of a tenant against its quota of calls per minute. Calls without a tenant count together.
pub(super) async fn count_call(
    limiter: &Limiter,
    environment: &str,
    tenant: &str,
    calls: u32,
) -> Result<(), CallError> {
    let allowance = Allowance {
        environment: environment.to_owned(),
        name: format!("callsPerMinute/{tenant}"),
        units: calls.into(),
        period: Period::Sliding(MINUTE),
    };
    let taken = limiter.take(&allowance, 1).await;
    taken.map(|_| ()).map_err(|refusal| {
        error(refusal, ErrorCode::CallsPerMinute, || match tenant {
            "" => format!("`quotas.callsPerMinute` allows {calls} calls per minute without a tenant"),
            tenant => format!("`quotas.callsPerMinute` allows tenant `{tenant}` {calls} calls per minute"),
        })
    })
}

fn error(refusal: Refusal, code: ErrorCode, limit: impl FnOnce() -> String) -> CallError {
    match refusal {
        Refusal::Exceeded { retry_after } => {
            let seconds = retry_after_seconds(retry_after);
            let mut error = CallError::new(code, format!("{}; try again in {seconds} s", limit()));
            error.retry_after = Some(retry_after);
            error
        }
        Refusal::Unavailable(cause) => {
            CallError::new(ErrorCode::Unavailable, format!("cannot count this call against its limit: {cause}"))
        }
    }
}

/// The value of `Retry-After`: whole seconds, at least 1.
pub fn retry_after_seconds(time: Duration) -> u64 {
    let is_more = time.subsec_nanos() > 0;
    time.as_secs().saturating_add(u64::from(is_more)).max(1)
}
