//! One delivery: tries, waits and the interpretation of responses.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::{StatusCode, header};

use super::message;
use super::model::{MAX_TRIES, OutgoingNotification, Settings, Target};
use crate::net::{Client, Error, Limits, Response};

/// Largest response that is read; only one refusal is recognised by its body.
const MAX_RESPONSE_BYTES: usize = 64 << 10;

/// Outcome of a try.
enum Outcome {
    Delivered,
    /// Failed for a reason that may pass; the server may request a minimum wait.
    Retry(String, Option<Duration>),
    Refused(String),
}

/// Delivers a message and logs the outcome; returns `true` if it arrived.
pub(super) async fn deliver(
    client: &Client,
    settings: &Settings,
    notification: &OutgoingNotification,
    target: &Target,
) -> bool {
    let (kind, name) = match target {
        Target::Webhook { name, .. } => ("webhook", name.as_str()),
        Target::Slack { name, .. } => ("slack", name.as_str()),
        Target::CommitStatus { repository, .. } => ("commit status", repository.as_str()),
    };
    // One id for all tries, so that a receiver recognises a repetition.
    let id = format!("msg_{:032x}", rand::random::<u128>());
    let mut tries = 0;
    let reason = loop {
        tries += 1;
        let outcome = attempt(client, settings, notification, target, &id).await;
        let (reason, requested) = match outcome {
            Outcome::Delivered => {
                tracing::info!(environment = notification.environment, event = ?notification.event, kind, name, tries, "notification delivered");
                return true;
            }
            Outcome::Refused(reason) => break reason,
            Outcome::Retry(reason, _) if tries >= MAX_TRIES => break reason,
            Outcome::Retry(reason, requested) => (reason, requested),
        };
        let wait = wait(settings, tries, requested, rand::random());
        tracing::debug!(
            environment = notification.environment,
            kind,
            name,
            tries,
            reason,
            ?wait,
            "notification failed and is retried"
        );
        tokio::time::sleep(wait).await;
    };
    tracing::warn!(environment = notification.environment, event = ?notification.event, kind, name, tries, reason, "notification failed");
    false
}

async fn attempt(
    client: &Client,
    settings: &Settings,
    notification: &OutgoingNotification,
    target: &Target,
    id: &str,
) -> Outcome {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let request = match message::request(notification, target, id, now) {
        Ok(request) => request,
        Err(reason) => return Outcome::Refused(reason),
    };
    // A redirect would send a signature or token to a host that the operator did not choose.
    let limits = Limits {
        timeout: settings.timeout,
        max_response_bytes: MAX_RESPONSE_BYTES,
        max_redirects: 0,
        ..Limits::default()
    };
    match client.send(request, &limits).await {
        Ok(response) => outcome_of(&response, matches!(target, Target::CommitStatus { .. }), settings),
        Err(error @ (Error::Timeout { .. } | Error::Connect { .. } | Error::Dns { .. } | Error::Protocol { .. })) => {
            Outcome::Retry(error.to_string(), None)
        }
        Err(error) => Outcome::Refused(error.to_string()),
    }
}

/// Outcome of a response. Its body may repeat the request, so it is not logged.
fn outcome_of(response: &Response, is_status: bool, settings: &Settings) -> Outcome {
    let status = response.status;
    let reason = || format!("the target responded with status {}", status.as_u16());
    if status.is_success() {
        return Outcome::Delivered;
    }
    // GitLab's error for a status that has the requested state already.
    let already = b"Cannot transition status";
    if is_status
        && status == StatusCode::BAD_REQUEST
        && response.body.windows(already.len()).any(|window| window == already)
    {
        return Outcome::Delivered;
    }
    if status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error() {
        let requested = response.headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        return Outcome::Retry(
            reason(),
            requested.map(|seconds| Duration::from_secs(seconds).min(settings.longest_wait)),
        );
    }
    Outcome::Refused(reason())
}

/// Wait after a try: doubled each time, half of it random so that many clients do not return at once; at least the wait
/// that the server requested.
fn wait(settings: &Settings, tries: u32, requested: Option<Duration>, random: f64) -> Duration {
    let whole =
        settings.first_wait.saturating_mul(1 << tries.saturating_sub(1).min(MAX_TRIES)).min(settings.longest_wait);
    let own = whole.mul_f64(0.5 + random.clamp(0.0, 1.0) / 2.0);
    requested.unwrap_or_default().max(own)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_and_are_bounded() {
        let settings = Settings::default();
        let seconds = |tries, requested: Option<u64>, random| {
            wait(&settings, tries, requested.map(Duration::from_secs), random).as_secs_f64()
        };
        assert_eq!([1, 2, 3].map(|tries| seconds(tries, None, 1.0)), [1.0, 2.0, 4.0]);
        assert_eq!([1, 2, 3].map(|tries| seconds(tries, None, 0.0)), [0.5, 1.0, 2.0]);
        assert_eq!(seconds(1, Some(7), 1.0), 7.0);
        assert_eq!(seconds(3, Some(1), 1.0), 4.0);
        assert!(seconds(u32::MAX, None, f64::INFINITY) <= 60.0);
    }

    #[test]
    fn the_wait_that_a_server_requests_is_bounded() {
        let answer = |status: u16, retry_after: &str, body: &'static str| {
            let mut headers = http::HeaderMap::new();
            headers.insert(header::RETRY_AFTER, retry_after.parse().unwrap());
            let url = "https://hooks.example".parse().unwrap();
            let status = StatusCode::from_u16(status).unwrap();
            Response { status, headers, body: body.into(), url, redirects: 0 }
        };
        let settings = Settings::default();
        let requested = |status, after| match outcome_of(&answer(status, after, ""), false, &settings) {
            Outcome::Retry(_, requested) => requested,
            Outcome::Delivered | Outcome::Refused(_) => panic!("{status} is retried"),
        };
        assert_eq!(requested(429, "3"), Some(Duration::from_secs(3)));
        assert_eq!(requested(503, "999999"), Some(Duration::from_mins(1)));
        assert_eq!(requested(500, "Wed, 21 Oct 2015 07:28:00 GMT"), None);
        assert_eq!(requested(500, "-1"), None);
        for status in [301, 302, 400, 401, 404, 410, 422] {
            assert!(matches!(outcome_of(&answer(status, "1", ""), false, &settings), Outcome::Refused(_)), "{status}");
        }
        let already = r#"{"message":"Cannot transition status via :run from :running (Reason(s): …)"}"#;
        assert!(matches!(outcome_of(&answer(400, "1", already), true, &settings), Outcome::Delivered));
        assert!(matches!(outcome_of(&answer(400, "1", already), false, &settings), Outcome::Refused(_)));
    }
}
