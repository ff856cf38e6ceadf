//! One delivery: tries, waits, and what an answer means.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::{StatusCode, header};

use super::message;
use super::{MAX_TRIES, OutgoingNotification, Settings, Target};
use crate::net::{Client, Error, Limits, Response};

/// Largest answer that is read. None is needed but for the reason of a refusal.
const MAX_ANSWER_BYTES: usize = 64 << 10;

/// What becomes of a try.
enum Verdict {
    Delivered,
    /// Worth another try, after this long at least.
    Again(String, Option<Duration>),
    ReconcileError(String),
}

/// Delivers a message; logs and gives whether it arrived.
pub(super) async fn deliver(
    client: &Client,
    settings: &Settings,
    fact: &OutgoingNotification,
    target: &Target,
) -> bool {
    let (kind, name) = match target {
        Target::Webhook { name, .. } => ("webhook", name.as_str()),
        Target::Slack { name, .. } => ("slack", name.as_str()),
        Target::CommitStatus { repository, .. } => ("commit status", repository.as_str()),
    };
    // One id for all tries, so that a receiver can tell a repetition from something new.
    let id = format!("msg_{:032x}", rand::random::<u128>());
    let mut tries = 0;
    let reason = loop {
        tries += 1;
        let verdict = one_try(client, settings, fact, target, &id).await;
        let (reason, asked) = match verdict {
            Verdict::Delivered => {
                tracing::info!(environment = fact.environment, event = ?fact.event, kind, name, tries, "told");
                return true;
            }
            Verdict::ReconcileError(reason) => break reason,
            Verdict::Again(reason, _) if tries >= MAX_TRIES => break reason,
            Verdict::Again(reason, asked) => (reason, asked),
        };
        let wait = wait(settings, tries, asked, rand::random());
        tracing::debug!(environment = fact.environment, kind, name, tries, reason, ?wait, "not told yet");
        tokio::time::sleep(wait).await;
    };
    tracing::warn!(environment = fact.environment, event = ?fact.event, kind, name, tries, reason, "cannot be told");
    false
}

async fn one_try(
    client: &Client,
    settings: &Settings,
    fact: &OutgoingNotification,
    target: &Target,
    id: &str,
) -> Verdict {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let request = match message::request(fact, target, id, now) {
        Ok(request) => request,
        Err(reason) => return Verdict::ReconcileError(reason),
    };
    // A redirect would lead what is signed, or a token, to where nobody meant it to go.
    let limits = Limits {
        timeout: settings.timeout,
        max_response_bytes: MAX_ANSWER_BYTES,
        max_redirects: 0,
        ..Limits::default()
    };
    match client.send(request, &limits).await {
        Ok(response) => judge(&response, matches!(target, Target::CommitStatus { .. }), settings),
        Err(error @ (Error::Timeout { .. } | Error::Connect { .. } | Error::Dns { .. } | Error::Protocol { .. })) => {
            Verdict::Again(error.to_string(), None)
        }
        Err(error) => Verdict::ReconcileError(error.to_string()),
    }
}

/// What an answer means. Its body may repeat what was sent, and is told to nobody.
fn judge(response: &Response, is_status: bool, settings: &Settings) -> Verdict {
    let status = response.status;
    let reason = || format!("it answers with status {}", status.as_u16());
    if status.is_success() {
        return Verdict::Delivered;
    }
    // GitLab's word for a status that already is what it should become.
    let already = b"Cannot transition status";
    if is_status
        && status == StatusCode::BAD_REQUEST
        && response.body.windows(already.len()).any(|window| window == already)
    {
        return Verdict::Delivered;
    }
    if status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error() {
        let asked = response.headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        return Verdict::Again(reason(), asked.map(|seconds| Duration::from_secs(seconds).min(settings.longest_wait)));
    }
    Verdict::ReconcileError(reason())
}

/// The wait after a try: doubled each time, half of it random so that many do not come back at once; not less than what
/// the server asked for.
fn wait(settings: &Settings, tries: u32, asked: Option<Duration>, random: f64) -> Duration {
    let whole =
        settings.first_wait.saturating_mul(1 << tries.saturating_sub(1).min(MAX_TRIES)).min(settings.longest_wait);
    let own = whole.mul_f64(0.5 + random.clamp(0.0, 1.0) / 2.0);
    asked.unwrap_or_default().max(own)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_and_are_bounded() {
        let settings = Settings::default();
        let seconds = |tries, asked: Option<u64>, random| {
            wait(&settings, tries, asked.map(Duration::from_secs), random).as_secs_f64()
        };
        assert_eq!([1, 2, 3].map(|tries| seconds(tries, None, 1.0)), [1.0, 2.0, 4.0]);
        assert_eq!([1, 2, 3].map(|tries| seconds(tries, None, 0.0)), [0.5, 1.0, 2.0]);
        assert_eq!(seconds(1, Some(7), 1.0), 7.0);
        assert_eq!(seconds(3, Some(1), 1.0), 4.0);
        assert!(seconds(u32::MAX, None, f64::INFINITY) <= 60.0);
    }

    #[test]
    fn what_a_server_asks_for_is_bounded() {
        let answer = |status: u16, retry_after: &str, body: &'static str| {
            let mut headers = http::HeaderMap::new();
            headers.insert(header::RETRY_AFTER, retry_after.parse().unwrap());
            let url = "https://hooks.example".parse().unwrap();
            let status = StatusCode::from_u16(status).unwrap();
            Response { status, headers, body: body.into(), url, redirects: 0 }
        };
        let settings = Settings::default();
        let asked = |status, after| match judge(&answer(status, after, ""), false, &settings) {
            Verdict::Again(_, asked) => asked,
            Verdict::Delivered | Verdict::ReconcileError(_) => panic!("{status} is worth another try"),
        };
        assert_eq!(asked(429, "3"), Some(Duration::from_secs(3)));
        assert_eq!(asked(503, "999999"), Some(Duration::from_mins(1)));
        assert_eq!(asked(500, "Wed, 21 Oct 2015 07:28:00 GMT"), None);
        assert_eq!(asked(500, "-1"), None);
        for status in [301, 302, 400, 401, 404, 410, 422] {
            assert!(
                matches!(judge(&answer(status, "1", ""), false, &settings), Verdict::ReconcileError(_)),
                "{status}"
            );
        }
        let already = r#"{"message":"Cannot transition status via :run from :running (Reason(s): …)"}"#;
        assert!(matches!(judge(&answer(400, "1", already), true, &settings), Verdict::Delivered));
        assert!(matches!(judge(&answer(400, "1", already), false, &settings), Verdict::ReconcileError(_)));
    }
}
