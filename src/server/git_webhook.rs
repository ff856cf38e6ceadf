//! `POST /v1/environments/{environment}/webhook`: push notifications of Git hosts. They only trigger a fetch.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;

use super::extract::{BodyBytes, PathParams};
use super::reply::{self, ApiResult};
use super::state::Server;
use crate::api::Problem;
use crate::api::environment::PushNotification;
use crate::connector::resolve_secret;
use crate::definition::environment::GitSource;
use crate::net::signature::{self, SignedRequest};
use crate::reconcile::environments::Handle;
use crate::source::push_notification;

/// Accepts a push notification. Responds the same to every request without a valid signature, so that callers without
/// a secret learn nothing.
pub(super) async fn webhook(
    State(server): State<Server>,
    params: PathParams,
    headers: HeaderMap,
    BodyBytes(body): BodyBytes,
) -> ApiResult<Response> {
    let name = params.get("environment").replace('/', ".");
    let handle = server.environments.as_ref().and_then(|environments| environments.find(Some(&name)));
    let metrics = server.environments.as_ref().map(|environments| environments.context.metrics.clone());
    let outcome = handle.as_ref().map_or(Outcome::Refused, |handle| receive(handle, &headers, &body));
    if let (Some(metrics), Some(handle)) = (metrics, &handle) {
        metrics.webhook(&handle.name, outcome.as_str());
    }
    match outcome {
        Outcome::Refused => Err(Problem::new(401, "UNAUTHORIZED", "the signature is missing or wrong").into()),
        outcome @ (Outcome::Accepted | Outcome::Ignored) => {
            Ok(reply::json(202, &PushNotification { environment: name, result: outcome.as_str().to_owned() }))
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Outcome {
    Accepted,
    Ignored,
    Refused,
}

impl Outcome {
    fn as_str(self) -> &'static str {
        match self {
            Outcome::Accepted => "accepted",
            Outcome::Ignored => "ignored",
            Outcome::Refused => "refused",
        }
    }
}

/// Verifies the notification with each source's secret, and requests a reconciliation if it concerns a source.
fn receive(handle: &Handle, headers: &HeaderMap, body: &[u8]) -> Outcome {
    let vault = handle.pointer.load().map(|active| std::sync::Arc::clone(&active.runtime.vault)).unwrap_or_default();
    let given = handle.document.load();
    let spec = &given.spec;
    let only = spec.source.iter().filter_map(|source| source.git.as_ref());
    let several = spec.sources.iter().filter_map(|source| source.git.as_ref());
    let sources: Vec<&GitSource> = only.chain(several).collect();
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let request = SignedRequest { method: "POST", uri: "", header: &header, body };
    let mut outcome = Outcome::Refused;
    for source in sources {
        let Some(webhook) = &source.webhook else { continue };
        let name = &webhook.secret.secret_ref;
        let secret =
            spec.secrets.get(name).ok_or_else(String::new).and_then(|source| resolve_secret(name, source, &vault));
        let Ok(secret) = secret else {
            tracing::warn!(
                environment = handle.name,
                secret = name,
                "cannot verify a push notification: the webhook secret is missing"
            );
            continue;
        };
        let now = crate::reconcile::clock::now() / 1_000_000;
        if signature::verify_git_host(webhook.provider, &request, &secret, now).is_err() {
            continue;
        }
        if push_notification::parse(webhook.provider, body).affects(source) {
            handle.reconcile_soon();
            return Outcome::Accepted;
        }
        outcome = Outcome::Ignored;
    }
    outcome
}
